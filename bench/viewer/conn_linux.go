package viewer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"eyrie/bench/workload"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

type connState uint8

const (
	connConnecting connState = iota
	connUpgrading
	connSubscribing // after the server's greeting each subscription is asked for
	connUp
)

// conn is one viewer.
type conn struct {
	fd      int
	idx     int
	state   connState
	subs    []sub
	waiting int    // subscriptions without an answer
	rest    []byte // read, not yet understood
	out     []byte // not yet taken by the kernel
	retryAt time.Time
	tries   int
}

// sub is one subscription; its id is its index and one.
type sub struct {
	watch *Watch
	left  int64  // items that the server may still send
	owed  int64  // arrived and not yet given back
	mark  uint64 // the probe's event seen last
}

func (l *loop) newConn(idx int) *conn {
	c := &conn{fd: -1, idx: idx}
	kind := l.job.Kinds[idx%len(l.job.Kinds)]
	for i := range kind {
		c.subs = append(c.subs, sub{watch: &kind[i], left: kind[i].Credits})
	}
	return c
}

// connect begins a connection from one of several loopback addresses.
func (l *loop) connect(c *conn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if l.addr.Addr[0] == 127 {
		from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(2 + c.idx%max(l.job.Sources, 1))}}
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
	c.fd, c.state = fd, connConnecting
	l.busy++
	return nil
}

// drop ends a viewer for good: one that is lost has missed something.
func (l *loop) drop(c *conn, why string) {
	if c.fd < 0 {
		return
	}
	l.byFd[c.fd] = nil
	unix.Close(c.fd) // leaves the epoll set by itself
	c.fd, c.rest, c.out = -1, nil, nil
	if c.state == connUp {
		l.ready--
	} else {
		l.busy--
	}
	l.res.Closed++
	l.res.fault(fmt.Sprintf("viewer %d: %s", c.idx, why))
}

func (l *loop) handle(c *conn, ev uint32) {
	if ev&unix.EPOLLOUT != 0 {
		if c.state == connConnecting {
			l.connected(c)
		} else {
			l.flush(c)
		}
	}
	if c.fd >= 0 && ev&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.readable(c)
	}
}

func (l *loop) connected(c *conn) {
	if e, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		l.drop(c, "connect: "+unix.Errno(e).Error())
		return
	}
	c.state = connUpgrading
	l.interest(c, unix.EPOLLIN)
	path, protocol := "/v1/live", "eyrie.live.v1"
	if l.job.Centrifuge {
		path, protocol = centrifugePath, centrifugeProtocol
	}
	l.put(c, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		path, l.job.Addr, protocol, l.job.Key))
}

func (l *loop) interest(c *conn, events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.fd)}
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, c.fd, &ev)
}

// put queues b behind what waits and writes what the kernel takes.
func (l *loop) put(c *conn, b []byte) {
	if c.fd < 0 {
		return
	}
	c.out = append(c.out, b...)
	l.flush(c)
}

func (l *loop) flush(c *conn) {
	was := len(c.out)
	if was == 0 {
		return
	}
	n, err := unix.Write(c.fd, c.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.drop(c, "write: "+err.Error())
		return
	}
	if c.out = c.out[:copy(c.out, c.out[max(n, 0):])]; len(c.out) > 0 {
		l.interest(c, unix.EPOLLIN|unix.EPOLLOUT)
	} else if n < was || c.state == connUpgrading {
		l.interest(c, unix.EPOLLIN)
	}
}

func (l *loop) readable(c *conn) {
	at := copy(l.read, c.rest)
	n, err := unix.Read(c.fd, l.read[at:])
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err != nil:
		l.drop(c, "read: "+err.Error())
		return
	case n == 0:
		l.drop(c, "closed by the server")
		return
	}
	if l.counting {
		l.res.Bytes += uint64(n)
	}
	b := l.understand(c, l.read[:at+n], time.Now().UnixMicro())
	if c.fd < 0 {
		return
	}
	if len(b) == len(l.read) {
		l.drop(c, "a message is longer than any the server should send")
		return
	}
	if len(b) == 0 {
		if c.rest = c.rest[:0]; cap(c.rest) > 4096 {
			c.rest = nil
		}
		return
	}
	c.rest = append(c.rest[:0], b...)
}

// understand takes whole messages off b, which arrived at now (Unix µs), and
// returns the rest.
func (l *loop) understand(c *conn, b []byte, now int64) []byte {
	if c.state == connUpgrading {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return b
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			l.drop(c, "upgrade refused: "+string(b[:min(len(b), 300)]))
			return nil
		}
		b = b[end+4:]
		c.state, c.waiting = connSubscribing, len(c.subs)
		if l.job.Centrifuge {
			l.greet(c)
		} else {
			for i := range c.subs {
				l.put(c, l.framer.Frame(nil, c.subs[i].watch.message(i+1)))
			}
		}
	}
	for c.fd >= 0 {
		op, p, n := workload.ServerFrame(b)
		if n == 0 {
			return b
		}
		b = b[n:]
		switch op {
		case ws.OpPing:
			l.put(c, l.framer.Control(nil, ws.OpPong, p))
		case ws.OpPong:
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(p)
			l.drop(c, fmt.Sprintf("closed by the server: %d %s", code, reason))
		default:
			if l.job.Centrifuge {
				l.frame(c, p, now)
			} else {
				l.message(c, p, now)
			}
		}
	}
	return nil
}

// up notes that a viewer has all its subscriptions.
func (l *loop) up(c *conn) {
	c.state = connUp
	l.busy--
	l.ready++
}

func (l *loop) message(c *conn, p []byte, now int64) {
	m := scan(p)
	if m.op == "" {
		l.other(c, p)
		return
	}
	if m.id < 1 || m.id > len(c.subs) {
		l.res.fault(fmt.Sprintf("viewer %d: a message for subscription %d", c.idx, m.id))
		return
	}
	s := &c.subs[m.id-1]
	if l.counting {
		l.res.Items += uint64(m.items)
		l.res.Messages++
	}
	if s.watch.Marks {
		marks(p, func(us int64, n uint64) { l.marked(c, s, us, n, now) })
	}
	if s.left -= int64(m.items); s.left < 0 {
		l.res.fault(fmt.Sprintf("viewer %d: %d items beyond the credits", c.idx, -s.left))
	}
	if s.owed += int64(m.items); s.owed >= s.watch.Credits/2 {
		l.put(c, l.framer.Frame(nil, fmt.Appendf(nil, `{"op":"request","id":%d,"n":%d}`, m.id, s.owed)))
		s.left += s.owed
		s.owed = 0
	}
}

// marked notes one of the probe's events: none may be missing or come twice where
// nothing may be left out.
func (l *loop) marked(c *conn, s *sub, us int64, n uint64, now int64) {
	measured := l.from != 0 && us >= l.from && (l.to == 0 || us < l.to)
	switch {
	case n <= s.mark:
		l.res.fault(fmt.Sprintf("viewer %d: event %d of the probe after %d", c.idx, n, s.mark))
	case s.mark != 0 && n > s.mark+1 && s.watch.all():
		l.res.fault(fmt.Sprintf("LOST: viewer %d: events %d to %d of the probe", c.idx, s.mark+1, n-1))
	case s.mark != 0 && measured:
		l.res.Left += n - s.mark - 1
	}
	s.mark = max(s.mark, n)
	if measured {
		l.res.Latency.Add(time.Duration(now-us) * time.Microsecond)
	}
}

// other is a message that carries no items.
func (l *loop) other(c *conn, p []byte) {
	var m struct {
		Op     string `json:"op"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(p, &m); err != nil {
		l.res.fault(fmt.Sprintf("viewer %d: what cannot be read: %v", c.idx, err))
		return
	}
	switch m.Op {
	case "hello", "pong":
	case "subscribed":
		if c.waiting--; c.waiting == 0 && c.state == connSubscribing {
			l.up(c)
		}
	case "error":
		l.drop(c, m.Code+": "+m.Detail)
	default:
		l.res.fault(fmt.Sprintf("viewer %d: a message %q", c.idx, m.Op))
	}
}
