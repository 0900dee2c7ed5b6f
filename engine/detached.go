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
	wrote  atomic.Bool // since something was read last

	listed        bool // in Server.waiting, whose lock covers this and the next
	before, after *detachedConn
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
	waits := c.wrote.Swap(false)
	if waits {
		c.srv.waiting.add(c)
		defer c.srv.waiting.remove(c)
	}
	n, err := c.Conn.Read(p)
	if n == 0 && waits {
		c.wrote.Store(true) // a deadline that passed: it has still asked for nothing
	}
	return n, err
}

// Write notes that the peer was answered.
func (c *detachedConn) Write(p []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(p)
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
	c.srv.waiting.remove(c)
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
