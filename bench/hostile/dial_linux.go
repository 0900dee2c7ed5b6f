package hostile

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"eyrie/bench/links"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

const (
	dialMax  = 10 * time.Second
	tinyRead = 2304 // the least receive buffer the kernel gives: the window closes at once
)

// open connects from the job's source. window is the receive buffer in bytes, 0
// for the kernel's choice.
func open(job Job, addr string, window int) (net.Conn, error) {
	d := net.Dialer{Timeout: dialMax, Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			if err == nil && window > 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window)
			}
		})
		if err == nil {
			err = cerr
		}
		return err
	}}
	if job.Source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(job.Source)}
	}
	return d.DialContext(context.Background(), "tcp", addr)
}

// upgrade opens a WebSocket and reads nothing behind the answer's head.
func upgrade(job Job, addr, path, key, protocol string, window int) (net.Conn, *bufio.Reader, error) {
	c, err := open(job, addr, window)
	if err != nil {
		return nil, nil, err
	}
	c.SetDeadline(time.Now().Add(dialMax))
	if _, err := c.Write(links.Request(nil, addr, path, protocol, key)); err != nil {
		c.Close()
		return nil, nil, err
	}
	b := bufio.NewReaderSize(c, 512)
	res, err := http.ReadResponse(b, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("upgrade: %s", res.Status)
	}
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	c.SetDeadline(time.Time{})
	return c, b, nil
}

// text is a masked text frame.
func text(format string, args ...any) []byte {
	return ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(fmt.Appendf(nil, format, args...))))
}

// agent opens an agent's link, says hello and reads the welcome.
func agent(job Job, i, window int) (net.Conn, error) {
	c, b, err := upgrade(job, job.Ingest, "/v1/agent", job.Agent, "eyrie.v1.json", window)
	if err != nil {
		return nil, err
	}
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	c.SetDeadline(time.Now().Add(dialMax))
	if _, err = c.Write(text(`{"op":"hello","producer":"%s","epoch":1,"first":1,"agent":"hostile-%d"}`, hex.EncodeToString(id[:]), i)); err == nil {
		_, err = ws.ReadHeader(b)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

// Probe opens one link as an agent would, and closes it: an error says that the
// server does not take one now.
func Probe(job Job) error {
	c, err := agent(job, 0, 0)
	if err != nil {
		return err
	}
	return c.Close()
}
