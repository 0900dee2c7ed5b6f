package client

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// link is one socket from welcome to close. The client's goroutine writes, a second one reads and never waits for
// a write; results are written by whoever has them, one whole frame at a time under wmu.
type link struct {
	c    *Client
	conn net.Conn
	br   *bufio.Reader
	read chan error // the reader's last word

	wmu sync.Mutex
	out []byte // frame being built

	lastEvents uint64    // guarded by c.mu: of the last frame, which the server's rate counts
	lastAt     time.Time // guarded by c.mu: when it was written

	heard   time.Time // guarded by c.mu: when the last frame came
	bye     error     // guarded by c.mu: the link ends with this as soon as nothing is in flight
	byeAt   time.Time // guarded by c.mu: or at this time
	pong    []byte    // guarded by c.mu: owed to the server; nil = none
	partial []byte    // reader's: fragments so far
}

// goawayError ends a link that the server asked to leave.
type goawayError struct {
	url   string
	after time.Duration
}

func (e *goawayError) Error() string { return "client: the server asked to come back later" }

// goawayGrace is how long a link that was sent away waits for the acks of what is in flight.
const goawayGrace = 2 * time.Second

// open connects, says hello and waits for the welcome.
func (c *Client) open(u *url.URL) (*link, error) {
	conn, br, err := c.upgrade(c.ctx, u)
	if err != nil {
		return nil, err
	}
	l := &link{c: c, conn: conn, br: br, read: make(chan error, 1), heard: c.opt.Now()}
	stop := make(chan struct{})
	gone := make(chan struct{})
	go func() { // the client's end cuts a handshake short
		defer close(gone)
		select {
		case <-c.ctx.Done():
			conn.SetReadDeadline(time.Unix(1, 0))
		case <-stop:
		}
	}()
	err = l.greet()
	close(stop)
	<-gone
	if err != nil {
		c.drop()
		conn.Close()
		return nil, err
	}
	go func() { l.read <- l.readAll() }()
	return l, nil
}

// greet says hello and takes the welcome in.
func (l *link) greet() error {
	c := l.c
	c.mu.Lock()
	held := c.q.base()
	// Of two hellos of one life the server lets the later one speak, so this
	// clock never goes back.
	c.said = max(c.opt.Now().UnixNano(), c.said+int64(time.Millisecond))
	now := c.said
	c.mu.Unlock()
	hello := wire.HelloOut{Producer: c.opt.Producer, Epoch: c.opt.Epoch, First: held, Now: now,
		Agent: c.opt.Agent, Sheddable: c.opt.Sheddable, Features: c.opt.Features}
	l.conn.SetReadDeadline(time.Now().Add(c.opt.Timeout))
	if err := l.message(func(b []byte) []byte { return wire.AppendHello(b, c.opt.Codec, &hello) }); err != nil {
		return err
	}
	for {
		p, err := l.next()
		if err != nil {
			return err
		}
		var m wire.ServerMessage
		if err := wire.ParseServer(c.opt.Codec, p, &m); err != nil {
			return fmt.Errorf("client: welcome: %w", err)
		}
		switch m.Op {
		case wire.OpWelcome:
			return l.welcomed(&m.Welcome)
		case wire.OpNack:
			return &RefusedError{Status: 1008, Msg: m.Code + " " + m.Field + " " + m.Msg}
		case wire.OpGoaway:
			return &goawayError{m.URL, m.After}
		}
	}
}

// welcomed lines the queue up with what the server has: settled numbers go, all others are to be sent again, and
// numbers that the server lacks but we no longer hold are told lost.
//
// What next says to be settled need not be ours where another life of the producer may have spoken to this log in
// between: at the first welcome, in another log or epoch of it, or after a long silence. All that is held then is sent
// again, so that the server compares it; its acks settle it, and what differs is nacked.
func (l *link) welcomed(w *wire.Welcome) error {
	c := l.c
	if w.Next == 0 {
		return fmt.Errorf("client: welcome without next")
	}
	c.mu.Lock()
	before, now := c.welcome, c.opt.Now()
	again := !c.met || before.Log != w.Log || before.Epoch != w.Epoch
	if silent := now.Sub(c.heard); again || silent < 0 || silent > trustFor {
		c.doubt = c.q.next - 1
	}
	c.welcome, c.heard = *w, now
	c.stats.Links++
	if c.q.base() > c.doubt {
		c.stats.Settled += c.q.settle(w.Next - 1)
	}
	if w.Next > c.q.next || !c.met && c.q.base() == c.q.next {
		c.q.seal()
		c.q.next = w.Next
	}
	again = again && c.met
	c.met = true
	c.q.rewind()
	c.link = l
	c.rate = 0
	base := c.q.base()
	c.notify()
	c.wake()
	c.mu.Unlock()
	c.opt.Log("link up", "next", w.Next, "held_from", base)
	if again {
		c.opt.Log("the server serves another log, or an older state of it: what is held is sent again, what it lost of the rest is gone",
			"log", fmt.Sprintf("%x", w.Log), "epoch", w.Epoch, "epoch_before", before.Epoch)
	}
	if c.opt.OnWelcome != nil {
		c.opt.OnWelcome(*w)
	}
	if w.Next < base { // the server was set back, a restore perhaps
		c.opt.Log("the server lacks numbers that were acknowledged", "from", w.Next, "to", base-1)
		return l.message(func(b []byte) []byte {
			return wire.AppendLost(b, c.opt.Codec, w.Next, base-1, "acknowledged earlier and not held any more")
		})
	}
	return nil
}

// trustFor bounds how old the last message may be for a welcome's next to be
// taken as ours: far below the time after which servers forget a producer.
const trustFor = 24 * time.Hour

// drop takes the link, which has ended, out of the client: nothing is in flight any more.
func (c *Client) drop() {
	c.mu.Lock()
	c.link = nil
	c.q.rewind()
	c.mu.Unlock()
}

// serve writes until the link ends and returns why.
func (l *link) serve() error {
	c := l.c
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	pinged := c.opt.Now()
	// A write to a server that does not read ends soon after the client was closed, too.
	stop := context.AfterFunc(c.ctx, func() { time.AfterFunc(time.Second, func() { l.conn.Close() }) })
	defer stop()
	for {
		now := c.opt.Now()
		written, wait, err := l.writeNext(now)
		if err != nil {
			return l.finish(err)
		}
		c.mu.Lock()
		heard, pong := l.heard, l.pong
		l.pong = nil
		c.mu.Unlock()
		if pong != nil {
			if err := l.frame(ws.OpPong, pong); err != nil {
				return l.finish(err)
			}
		}
		if since := now.Sub(heard); since > 3*c.opt.Ping {
			return l.finish(fmt.Errorf("client: nothing heard for %v", since.Round(time.Millisecond)))
		} else if since >= c.opt.Ping && now.Sub(pinged) >= c.opt.Ping {
			pinged = now
			if err := l.frame(ws.OpPing, nil); err != nil {
				return l.finish(err)
			}
		}
		if written {
			select {
			case err := <-l.read:
				l.conn.Close()
				return err
			case <-c.ctx.Done():
				return l.finish(ErrClosed)
			default:
				continue
			}
		}
		timer.Reset(min(wait, c.opt.Ping))
		select {
		case <-c.kick:
		case <-timer.C:
		case err := <-l.read:
			l.conn.Close()
			return err
		case <-c.ctx.Done():
			return l.finish(ErrClosed)
		}
	}
}

// finish closes a link from our side and waits for the reader to go.
func (l *link) finish(err error) error {
	l.conn.SetWriteDeadline(time.Now().Add(time.Second))
	l.frame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")) // a courtesy; the socket goes in any case
	l.conn.Close()
	if last := <-l.read; final(last, false) && err != ErrClosed {
		return last // a fence explains a failed write
	}
	return err
}

// pacedMax bounds a wait for the server's rate: it holds no link back for longer itself, and will say
// so again where it is still too much.
const pacedMax = 10 * time.Second

// writeNext writes the next batch if one is due, else says how long to wait at most.
func (l *link) writeNext(now time.Time) (written bool, wait time.Duration, err error) {
	c := l.c
	c.mu.Lock()
	if l.bye != nil && (c.q.sent == 0 || !now.Before(l.byeAt)) {
		c.mu.Unlock()
		return false, 0, l.bye
	}
	if l.bye != nil {
		wait = l.byeAt.Sub(now)
		c.mu.Unlock()
		return false, wait, nil
	}
	if c.rate > 0 { // as the server says by now
		owed := min(float64(l.lastEvents)/c.rate, pacedMax.Seconds())
		if d := l.lastAt.Add(time.Duration(owed * float64(time.Second))).Sub(now); d > 0 {
			c.mu.Unlock()
			return false, d, nil
		}
	}
	wait = time.Hour
	if c.q.sent == len(c.q.full) && c.q.open != nil {
		age := now.Sub(c.q.since)
		if len(c.q.full) > 0 && c.flush == 0 && age < c.opt.Linger {
			c.mu.Unlock()
			return false, c.opt.Linger - age, nil
		}
		c.q.seal()
	}
	if c.q.sent == len(c.q.full) {
		c.mu.Unlock()
		return false, wait, nil
	}
	b := c.q.full[c.q.sent]
	c.q.sent++
	if b.written {
		c.stats.Resent += uint64(len(b.payloads))
	}
	b.written = true
	c.stats.Frames++
	l.lastEvents, l.lastAt = b.n, now
	// The batch may be trimmed by the reader once the mutex is free: take what the frame needs now.
	first, pos, payloads, reason, last := b.first, b.pos, b.payloads, b.reason, b.last()
	c.mu.Unlock()
	err = l.message(func(dst []byte) []byte {
		if payloads == nil {
			return wire.AppendLost(dst, c.opt.Codec, first, last, reason)
		}
		return wire.AppendEvents(dst, c.opt.Codec, first, pos, payloads...)
	})
	return true, 0, err
}

// frameHead is the longest client frame header: 2 bytes, 8 of length, 4 of mask (RFC 6455, section 5.2).
const frameHead = 14

// message writes one data frame that build appends.
func (l *link) message(build func([]byte) []byte) error {
	op := ws.OpBinary
	if l.c.opt.Codec == wire.JSON {
		op = ws.OpText
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	var head [frameHead]byte
	l.out = build(append(l.out[:0], head[:]...))
	return l.write(op)
}

// frame writes one control frame.
func (l *link) frame(op ws.OpCode, p []byte) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	var head [frameHead]byte
	l.out = append(append(l.out[:0], head[:]...), p...)
	return l.write(op)
}

// write masks l.out behind the room for its header, puts the header before it and sends both in one piece.
func (l *link) write(op ws.OpCode) error {
	p := l.out[frameHead:]
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Mask: ws.NewMask(), Length: int64(len(p))}
	ws.Cipher(p, h.Mask, 0)
	start := frameHead - ws.HeaderSize(h)
	if err := ws.WriteHeader(&fixedWriter{l.out[start:frameHead]}, h); err != nil {
		return err
	}
	if op != ws.OpClose {
		l.conn.SetWriteDeadline(time.Now().Add(max(l.c.opt.Timeout, 3*l.c.opt.Ping))) // a paused server is no dead one
	}
	_, err := l.conn.Write(l.out[start:])
	if cap(l.out) > 2<<20 {
		l.out = nil
	}
	return err
}

type fixedWriter struct{ b []byte }

func (w *fixedWriter) Write(p []byte) (int, error) {
	n := copy(w.b, p)
	w.b = w.b[n:]
	return n, nil
}
