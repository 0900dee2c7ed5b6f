//go:build linux

package engine

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
)

// detachedConn is a connection that the engine has begun to read and handed on:
// the bytes it has seen come first.
type detachedConn struct {
	net.Conn
	seen   []byte
	srv    *Server
	closed atomic.Bool
}

// Read replays what was seen, then reads on.
func (c *detachedConn) Read(p []byte) (int, error) {
	if len(c.seen) > 0 {
		n := copy(p, c.seen)
		if c.seen = c.seen[n:]; len(c.seen) == 0 {
			c.seen = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite tells the peer that nothing more will come; what it sends can still
// be read.
func (c *detachedConn) CloseWrite() error {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close closes the connection and gives its place within Config.HTTPMax back.
func (c *detachedConn) Close() error {
	if !c.closed.Swap(true) {
		c.srv.detached.Add(-1)
	}
	return c.Conn.Close()
}

// adopt makes a net.Conn of a detached descriptor, which it owns from now on.
func (s *Server) adopt(fd int, seen []byte) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close()
	c, err := net.FileConn(f) // works on a duplicate
	if err != nil {
		return nil, err
	}
	return &detachedConn{Conn: c, seen: seen, srv: s}, nil
}
