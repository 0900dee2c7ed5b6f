package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"eyrie/bench/ledger"
	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

type connState uint8

const (
	connDown connState = iota
	connConnecting
	connUpgrading
	connHello
	connUp
)

// conn is one link.
type conn struct {
	fd      int
	idx     int // of the shape
	state   connState
	ready   bool // counted as open
	touched bool
	stream  workload.Source
	rest    []byte // read, not yet understood
	out     []byte // not yet taken by the kernel
	flight  []sent // from head on: not acknowledged
	head    int
	acked   uint64
	retryAt time.Duration
	tries   int
	away    bool     // lost, or about to be, and waited for
	until   uint64   // what must be acknowledged before it counts as back; 0 = not welcome yet
	enc     *encoded // with Job.Encoded
	book    Book     // likewise
}

// sent is a frame on its way.
type sent struct {
	first, last uint64
	due         time.Duration
	frame       []byte   // kept for sending again, with Job.Reconnect
	sums        []uint64 // of the payloads, with Job.Ledger
}

// connect begins a connection from one of several loopback addresses, so that
// the ports of one do not run out.
func (l *loop) connect(c *conn) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if l.job.Encoded > 0 { // what the server does not read is to wait here, not in the kernel
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, encodedSendBuffer)
	}
	if l.addr.Addr[0] == 127 {
		from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, l.job.Source + byte(c.idx%max(l.job.Sources, 1))}}
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
	c.fd, c.state, c.rest, c.out = fd, connConnecting, c.rest[:0], c.out[:0]
	l.busy++
	return nil
}

// drop ends a link; with Reconnect, or before it was ready, it comes back.
func (l *loop) drop(c *conn, why string) {
	if c.fd < 0 {
		return
	}
	l.byFd[c.fd] = nil
	unix.Close(c.fd) // leaves the epoll set by itself
	c.fd = -1
	was := c.state
	c.state = connDown
	if !c.ready || was != connUp {
		l.busy--
	}
	c.tries++
	if l.job.Reconnect || !c.ready && c.tries <= 3 {
		c.retryAt = l.now() + retryAfter
		l.retry = append(l.retry, c)
		return
	}
	l.res.Closed++
	l.res.fault(fmt.Sprintf("connection %d: %s", c.idx, why))
	l.flying -= len(c.flight) - c.head
	c.flight, c.head = nil, 0
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
	c.out = fmt.Appendf(c.out[:0], "GET /v1/agent HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		l.job.Addr, l.codec.Subprotocol(), l.job.Key)
	l.interest(c, unix.EPOLLIN)
	l.flush(c)
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
	l.res.Bytes += uint64(len(b))
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return
	}
	n, err := unix.Write(c.fd, b)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.drop(c, "write: "+err.Error())
		return
	}
	if n = max(n, 0); n < len(b) {
		c.out = append(c.out[:0], b[n:]...)
		l.interest(c, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (l *loop) flush(c *conn) {
	if len(c.out) == 0 {
		return
	}
	n, err := unix.Write(c.fd, c.out)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		l.drop(c, "write: "+err.Error())
		return
	}
	c.out = c.out[:copy(c.out, c.out[max(n, 0):])]
	if len(c.out) == 0 {
		l.interest(c, unix.EPOLLIN)
		if c.enc != nil {
			l.push(c)
			l.fill(c)
		}
	} else {
		l.interest(c, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (l *loop) readable(c *conn) {
	n, err := unix.Read(c.fd, l.read)
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
	b := l.read[:n]
	if len(c.rest) > 0 {
		c.rest = append(c.rest, b...)
		b = c.rest
	}
	b = l.understand(c, b)
	if c.fd < 0 {
		return
	}
	if len(b) == 0 && cap(c.rest) > 4096 {
		c.rest = nil
	}
	c.rest = append(c.rest[:0], b...)
}

// understand takes whole messages off b and returns the rest.
func (l *loop) understand(c *conn, b []byte) []byte {
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
		l.hello(c)
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
			l.message(c, p)
		}
	}
	return nil
}

func (l *loop) hello(c *conn) {
	if c.stream == nil {
		c.stream = l.maker.Source(c.idx)
		if l.job.Encoded > 0 {
			l.encode(c)
		}
	}
	first := l.seq(c)
	if c.head < len(c.flight) {
		first = c.flight[c.head].first
	}
	c.state = connHello
	h := wire.HelloOut{
		Producer: l.job.Shape.Producer(c.idx), Epoch: 1, First: first,
		Agent: &wire.Event{Agent: c.stream.Agents()[0], Role: "bench"},
	}
	if c.enc != nil && !l.job.Critical {
		h.Sheddable = MannerOf(c.idx).Sheddable()
	}
	l.put(c, l.framer.Frame(nil, wire.AppendHello(nil, l.codec, &h)))
}

// seq is the number of the link's next event.
func (l *loop) seq(c *conn) uint64 {
	if c.enc != nil {
		return c.enc.seq
	}
	return c.stream.Seq()
}

func (l *loop) message(c *conn, p []byte) {
	if l.codec == wire.MsgPack {
		if seq, ok := packedAck(p); ok {
			l.acknowledged(c, seq)
			return
		}
	}
	var m wire.ServerMessage
	if err := wire.ParseServer(l.codec, p, &m); err != nil {
		l.res.fault(fmt.Sprintf("connection %d: the server said what cannot be read: %v", c.idx, err))
		return
	}
	switch m.Op {
	case wire.OpWelcome:
		l.welcome(c, m.Welcome.Next)
	case wire.OpAck:
		l.acknowledged(c, m.Seq)
	case wire.OpNack:
		l.res.Nacked += m.To - m.From + 1
		if c.book.Refused += m.To - m.From + 1; c.enc != nil && m.Code == string(wire.CodeEnum) {
			return // asked for
		}
		l.res.fault(fmt.Sprintf("connection %d: nack %d..%d %s %s: %s", c.idx, m.From, m.To, m.Code, m.Field, m.Msg))
	case wire.OpShed:
		l.res.Shed += m.To - m.From + 1
		c.book.Shed += m.To - m.From + 1
	case wire.OpSlow:
		l.res.Slow++
	}
}

// packedAck reads the message that comes most often, in its one form.
func packedAck(p []byte) (seq uint64, ok bool) {
	const head = "\x82\xa2op\xa3ack\xa3seq"
	if len(p) <= len(head) || string(p[:len(head)]) != head {
		return 0, false
	}
	v := p[len(head):]
	switch {
	case v[0] < 0x80 && len(v) == 1:
		return uint64(v[0]), true
	case v[0] == 0xcc && len(v) == 2:
		return uint64(v[1]), true
	case v[0] == 0xcd && len(v) == 3:
		return uint64(binary.BigEndian.Uint16(v[1:])), true
	case v[0] == 0xce && len(v) == 5:
		return uint64(binary.BigEndian.Uint32(v[1:])), true
	case v[0] == 0xcf && len(v) == 9:
		return binary.BigEndian.Uint64(v[1:]), true
	}
	return 0, false
}

// welcome goes on where the server says: nothing acknowledged may be asked for
// again, and what is not settled is sent again, whole frames with what of them
// is settled already.
func (l *loop) welcome(c *conn, next uint64) {
	c.tries = 0
	if next <= c.acked {
		l.res.fault(fmt.Sprintf("LOST: connection %d: the server wants number %d, and has acknowledged %d", c.idx, next, c.acked))
	}
	if next > l.seq(c) {
		l.res.fault(fmt.Sprintf("connection %d: the server wants number %d, %d was never sent", c.idx, next, next-1))
	}
	back := c.ready
	if back {
		l.busy--
		l.res.Reconnects++
	}
	if next > 1 {
		l.acknowledged(c, next-1)
	}
	for i := c.head; i < len(c.flight) && c.fd >= 0; i++ {
		l.put(c, c.flight[i].frame)
	}
	if c.fd >= 0 {
		c.state = connUp // from here on what is new may follow
		l.home(c)
	}
	switch {
	case back || c.fd < 0:
	case l.job.Touch && !c.touched:
		c.touched = true
		l.sendFrame(c, l.now(), func(dst []byte, ts int64, sum func(uint64, []byte)) []byte {
			return l.framer.Message(dst, c.stream, ts, sum)
		})
		return
	default:
		l.opened(c)
	}
	l.fill(c)
}

func (l *loop) opened(c *conn) {
	c.ready = true
	l.busy--
	l.ready++
}

// acknowledged settles every frame that ends at seq or before.
func (l *loop) acknowledged(c *conn, seq uint64) {
	if c.head < len(c.flight) && c.flight[c.head].last <= seq {
		now := l.now()
		for c.head < len(c.flight) && c.flight[c.head].last <= seq {
			s := &c.flight[c.head]
			l.res.Latency.Add(now - s.due)
			l.res.Events += s.last - s.first + 1
			l.res.Frames++
			l.record(c, s)
			*s = sent{}
			c.head++
			l.flying--
		}
		l.res.LastAck = time.Now().UnixNano()
	}
	if c.head == len(c.flight) {
		c.flight, c.head = c.flight[:0], 0
	}
	c.acked = max(c.acked, seq)
	l.caughtUp(c)
	if c.touched && !c.ready && c.state == connUp {
		l.opened(c)
	}
	if c.state == connUp {
		l.fill(c)
	}
}

// fill keeps the window of a closed loop full.
func (l *loop) fill(c *conn) {
	if !l.running || l.interval > 0 || c.state != connUp {
		return
	}
	if c.enc != nil {
		l.fillEncoded(c)
		return
	}
	for c.fd >= 0 && len(c.flight)-c.head < l.window {
		l.send(c, l.now())
	}
}

// send sends the next frame of the mix on c.
func (l *loop) send(c *conn, due time.Duration) {
	l.sendFrame(c, due, func(dst []byte, ts int64, sum func(uint64, []byte)) []byte {
		return l.framer.Events(dst, c.stream, l.job.Shape.Frame, ts, sum)
	})
}

func (l *loop) sendFrame(c *conn, due time.Duration, frame func([]byte, int64, func(uint64, []byte)) []byte) {
	s := sent{first: c.stream.Seq(), due: due}
	var sum func(uint64, []byte)
	if l.ledger != nil {
		sum = func(_ uint64, p []byte) { s.sums = append(s.sums, ledger.Sum(p)) }
	}
	at := time.Now()
	if l.res.FirstSend == 0 {
		l.res.FirstSend = at.UnixNano()
	}
	l.scratch = frame(l.scratch[:0], at.UnixMilli(), sum)
	s.last = c.stream.Seq() - 1
	if l.job.Reconnect {
		s.frame = bytes.Clone(l.scratch)
	}
	l.tidy(c)
	c.flight = append(c.flight, s)
	l.flying++
	if c.state == connUp {
		l.put(c, l.scratch)
	}
}

// tidy takes off what is acknowledged once it is the larger part.
func (l *loop) tidy(c *conn) {
	if c.head > 64 && c.head*2 > len(c.flight) {
		c.flight = append(c.flight[:0], c.flight[c.head:]...)
		c.head = 0
	}
}

func (l *loop) record(c *conn, s *sent) {
	if l.ledger == nil {
		return
	}
	for i, sum := range s.sums {
		if err := l.ledger.Add(c.idx, s.first+uint64(i), sum); err != nil {
			l.res.fault("ledger: " + err.Error())
			return
		}
	}
}
