package links

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"eyrie/bench/workload"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

type state uint8

const (
	down state = iota
	connecting
	upgrading
	upgraded
)

// Link is one connection, or the place of one. Its owner embeds it.
type Link struct {
	Index int // chooses the loopback address it comes from
	Tries int // connections that failed; its owner may count more, and begin anew

	fd    int // valid while state is not down
	state state
	busy  bool   // counts among the handshakes under way
	rest  []byte // read, not yet understood
	out   []byte // not yet taken by the kernel
	due   time.Duration
}

// Live tells whether there is a connection, or one being made.
func (c *Link) Live() bool { return c.state != down }

// Idle tells whether the kernel has taken all that was put.
func (c *Link) Idle() bool { return len(c.out) == 0 }

// connect begins a connection from one of several loopback addresses, so that
// the ports of one do not run out.
func (l *Loop) connect(c *Link) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if l.cfg.SendBuffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, l.cfg.SendBuffer)
	}
	if l.addr.Addr[0] == 127 {
		from := unix.SockaddrInet4{Addr: l.cfg.Source}
		from.Addr[3] += byte(c.Index % max(l.cfg.Sources, 1))
		if err := unix.Bind(fd, &from); err != nil {
			unix.Close(fd)
			return fmt.Errorf("bind: %w", err)
		}
	}
	if err := unix.Connect(fd, &l.addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: int32(fd)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		unix.Close(fd)
		return err
	}
	for len(l.byFd) <= fd {
		l.byFd = append(l.byFd, nil)
	}
	l.byFd[fd] = c
	c.fd, c.state, c.rest, c.out = fd, connecting, c.rest[:0], c.out[:0]
	c.busy = true
	l.busy++
	return nil
}

// Drop ends a connection and has the handler told why. Nothing may be there.
func (l *Loop) Drop(c *Link, why string) {
	if !c.Live() {
		return
	}
	l.byFd[c.fd] = nil
	unix.Close(c.fd) // leaves the epoll set by itself
	c.state = down
	l.Opened(c)
	l.handler.Lost(c, why)
}

// Reset drops a connection by a reset, as a host that dies and comes back does.
func (l *Loop) Reset(c *Link, why string) {
	if c.Live() {
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // without lingering
	}
	l.Drop(c, why)
}

// Opened says that the link's handshake is over, by the handler's rules: another's may begin.
func (l *Loop) Opened(c *Link) {
	if c.busy {
		c.busy = false
		l.busy--
	}
}

func (l *Loop) handle(c *Link, ev uint32) {
	if ev&unix.EPOLLOUT != 0 {
		if c.state == connecting {
			l.connected(c)
		} else {
			l.flush(c)
		}
	}
	if c.Live() && ev&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.readable(c)
	}
}

func (l *Loop) connected(c *Link) {
	if e, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		l.Drop(c, "connect: "+unix.Errno(e).Error())
		return
	}
	c.state = upgrading
	c.out = Request(c.out[:0], l.cfg.Addr, l.cfg.Path, l.cfg.Protocol, l.cfg.Key)
	l.flush(c)
}

func (l *Loop) interest(c *Link, events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.fd)}
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, c.fd, &ev)
}

// Put queues b behind what waits and writes what the kernel takes. It keeps a copy
// of the rest.
func (l *Loop) Put(c *Link, b []byte) {
	if !c.Live() {
		return
	}
	l.Sent += uint64(len(b))
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return
	}
	n, err := unix.Write(c.fd, b)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.Drop(c, "write: "+err.Error())
		return
	}
	if n = max(n, 0); n < len(b) {
		c.out = append(c.out[:0], b[n:]...)
		l.interest(c, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (l *Loop) flush(c *Link) {
	if len(c.out) == 0 {
		return
	}
	n, err := unix.Write(c.fd, c.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.Drop(c, "write: "+err.Error())
		return
	}
	c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
	if len(c.out) > 0 {
		l.interest(c, unix.EPOLLIN|unix.EPOLLOUT)
		return
	}
	l.interest(c, unix.EPOLLIN)
	l.handler.Written(c)
}

// restKept is the buffer of a link that has nothing in it, in bytes.
const restKept = 4096

func (l *Loop) readable(c *Link) {
	at := copy(l.read, c.rest)
	n, err := unix.Read(c.fd, l.read[at:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err != nil:
		l.Drop(c, "read: "+err.Error())
		return
	case n == 0:
		l.Drop(c, "closed by the server")
		return
	}
	l.handler.Read(n)
	b := l.understand(c, l.read[:at+n])
	switch {
	case !c.Live():
	case len(b) == len(l.read):
		l.Drop(c, "a message is longer than any the server should send")
	case len(b) == 0 && cap(c.rest) > restKept:
		c.rest = nil
	default:
		c.rest = append(c.rest[:0], b...)
	}
}

// understand takes whole messages off b and returns the rest.
func (l *Loop) understand(c *Link, b []byte) []byte {
	if c.state == upgrading {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return b
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			l.Drop(c, "upgrade refused: "+string(b[:min(len(b), 300)]))
			return nil
		}
		b = b[end+4:]
		c.state = upgraded
		l.handler.Upgraded(c)
	}
	for c.Live() {
		op, p, n := workload.ServerFrame(b)
		if n == 0 {
			return b
		}
		b = b[n:]
		switch op {
		case ws.OpPing:
			l.Put(c, l.Framer.Control(nil, ws.OpPong, p))
		case ws.OpPong:
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(p)
			l.Drop(c, fmt.Sprintf("closed by the server: %d %s", code, reason))
		default:
			l.handler.Message(c, p)
		}
	}
	return nil
}
