//go:build linux

package sim

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"eyrie/netpoll"
)

// conn is one socket: what is on its way, and what each end believes of it.
type conn struct {
	w    *world
	id   int
	a    *agent
	site *site
	io   *loopIO
	h    netpoll.Handle

	delay          time.Duration
	upAt, downAt   int64 // when the last byte so far arrives
	cutUp, cutDown bool  // nothing more arrives

	// The server's end, as netpoll keeps it.
	fresh, tail   []byte // arrived and not shown; shown and not consumed
	batch, queued []byte // put off to the end of the call; not taken by the peer
	blocked       bool   // the peer reads nothing
	paused, again bool
	ended         bool // closed behind what is queued
	aborted       bool
	gone          bool // Close was called
	timer         uint64
}

// pieces cuts b at random places and hands each to arrive at its time, in order.
func (c *conn) pieces(b []byte, at *int64, arrive func(b []byte)) {
	for len(b) > 0 {
		n := len(b)
		if n > 1 && c.w.one(3) {
			n = 1 + c.w.rng.IntN(n-1)
		}
		piece := append([]byte(nil), b[:n]...)
		b = b[n:]
		*at = max(*at, c.w.now+int64(c.w.between(c.delay/2, 4*c.delay)))
		c.w.after(time.Duration(*at-c.w.now), func() { arrive(piece) })
	}
}

// send is the agent's write.
func (c *conn) send(b []byte) {
	c.pieces(b, &c.upAt, func(b []byte) {
		if c.cutUp || c.gone || c.site != c.w.site {
			return
		}
		c.fresh = append(c.fresh, b...)
		c.io.call(func() { c.turn() })
	})
}

// down is the server's write, once the kernel has it.
func (c *conn) down(b []byte) {
	c.pieces(b, &c.downAt, func(b []byte) {
		if !c.cutDown && c.a.conn == c {
			c.a.read(b)
		}
	})
}

// turn shows the server what there is to read, as one turn of a loop does.
func (c *conn) turn() {
	for !c.paused && !c.ended && !c.gone && (len(c.fresh) > 0 || c.again) {
		c.again = false
		b := append(c.tail[:len(c.tail):len(c.tail)], c.fresh...)
		if c.fresh = nil; len(b) == 0 {
			break
		}
		n := c.io.handler.Read(c.h, b)
		c.io.flush()
		c.tail = append([]byte(nil), b[n:]...)
	}
	if c.ended && !c.gone && (c.aborted || len(c.queued) == 0) {
		c.drop(nil)
		c.hear(errors.New("closed by the server"))
	}
}

// drop is the server's Close.
func (c *conn) drop(err error) {
	if c.gone {
		return
	}
	c.gone = true
	delete(c.io.conns, c.h)
	c.io.handler.Close(c.h, err)
	c.io.flush()
}

// hear has the agent learn that the socket has ended, behind what is on its way.
func (c *conn) hear(err error) {
	c.downAt = max(c.downAt, c.w.now+int64(c.delay))
	c.w.after(time.Duration(c.downAt-c.w.now), func() {
		if c.a.conn == c {
			c.a.leave(err.Error())
		}
	})
}

// cut ends the connection in the middle of whatever is on its way. With half
// open, neither end is told.
func (c *conn) cut(halfOpen bool) {
	if c.cutUp && c.cutDown {
		return
	}
	w := c.w
	w.note("link %d is cut, half open %v", c.id, halfOpen)
	switch up := func() { c.cutUp = true }; {
	case w.one(2): // what was written arrives, late
		c.upAt += int64(w.between(0, 200*time.Millisecond))
		w.after(time.Duration(c.upAt-w.now)+1, up)
	default:
		up()
	}
	c.cutDown = true
	if halfOpen { // the agent's own patience ends it
		w.after(w.between(time.Second, 10*time.Second), func() {
			if c.a.conn == c {
				c.a.leave("nothing heard")
			}
		})
		return
	}
	w.after(w.between(0, 50*time.Millisecond), func() {
		if c.a.conn == c {
			c.a.leave("reset")
		}
	})
	w.after(time.Duration(max(c.upAt-w.now, 0))+w.between(0, 500*time.Millisecond), func() {
		if !c.gone && c.site == w.site {
			c.io.call(func() { c.drop(io.ErrUnexpectedEOF) })
		}
	})
}

// unblock lets the peer read again.
func (c *conn) unblock() {
	c.blocked = false
	if c.gone || c.site != c.w.site {
		return
	}
	b := c.queued
	if c.queued = nil; len(b) == 0 {
		return
	}
	c.down(b)
	c.io.call(func() {
		c.io.handler.Drained(c.h)
		c.io.flush()
		c.turn()
	})
}

// loopIO is netpoll as one loop of the engine sees it.
type loopIO struct {
	w       *world
	index   int
	site    *site
	handler netpoll.Handler
	conns   map[netpoll.Handle]*conn
	slots   uint32
	last    *conn   // who was written to last in this call
	resumed []*conn // who may be read again
	woken   bool
}

const writeMax = 1 << 20

// open accepts a connection of an agent.
func (l *loopIO) open(a *agent) *conn {
	w := l.w
	w.conns++
	l.slots++
	c := &conn{w: w, id: w.conns, a: a, site: l.site, io: l, delay: w.between(50*time.Microsecond, 20*time.Millisecond)}
	c.h = netpoll.Handle(uint64(l.index)<<56 | 1<<32 | uint64(l.slots))
	l.conns[c.h] = c
	l.call(func() { l.handler.Open(c.h, 0, netip.MustParseAddrPort("192.0.2.7:4242")) })
	return c
}

// call runs one call of the loop and what it leads to at once.
func (l *loopIO) call(fn func()) {
	fn()
	l.flush()
	for len(l.resumed) > 0 {
		c := l.resumed[0]
		l.resumed = l.resumed[1:]
		c.turn()
	}
}

// flush sends what was put off.
func (l *loopIO) flush() {
	c := l.last
	if l.last = nil; c == nil {
		return
	}
	b := c.batch
	c.batch = nil
	if c.blocked {
		c.queued = append(c.queued, b...)
	} else {
		c.down(b)
	}
}

// The methods of engine.Transport.

func (l *loopIO) Index() int { return l.index }
func (l *loopIO) Now() int64 { return l.w.now + 1 }

func (l *loopIO) Write(h netpoll.Handle, p []byte) error {
	c := l.conns[h]
	switch {
	case c == nil || c.ended:
		return netpoll.ErrClosed
	case len(c.queued)+len(c.batch)+len(p) > writeMax:
		return netpoll.ErrWriteFull
	}
	if l.last != nil && l.last != c {
		l.flush()
	}
	l.last = c
	c.batch = append(c.batch, p...)
	return nil
}

func (l *loopIO) Queued(h netpoll.Handle) int {
	if c := l.conns[h]; c != nil {
		return len(c.queued) + len(c.batch)
	}
	return 0
}

func (l *loopIO) Pause(h netpoll.Handle) {
	if c := l.conns[h]; c != nil {
		c.paused = true
	}
}

func (l *loopIO) Resume(h netpoll.Handle) {
	if c := l.conns[h]; c != nil {
		c.paused, c.again = false, true
		l.resumed = append(l.resumed, c)
	}
}

func (l *loopIO) SetTimer(h netpoll.Handle, after time.Duration) {
	c := l.conns[h]
	if c == nil {
		return
	}
	c.timer++
	if t := c.timer; after > 0 {
		l.w.after(after, func() {
			if c.timer == t && !c.gone && l.site == l.w.site {
				l.call(func() {
					l.handler.Timeout(h)
					l.flush()
					c.turn()
				})
			}
		})
	}
}

func (l *loopIO) CloseAfterFlush(h netpoll.Handle) {
	if c := l.conns[h]; c != nil {
		c.ended = true
		l.resumed = append(l.resumed, c)
	}
}

func (l *loopIO) Abort(h netpoll.Handle) {
	if c := l.conns[h]; c != nil {
		c.ended, c.aborted = true, true
		l.resumed = append(l.resumed, c)
	}
}

func (l *loopIO) Detach(netpoll.Handle, func(fd int, err error)) error {
	return errors.New("a simulated socket has no descriptor")
}

func (l *loopIO) Wake() {
	if l.woken {
		return
	}
	l.woken = true
	l.w.after(l.w.between(time.Microsecond, 300*time.Microsecond), func() {
		l.woken = false
		if l.site == l.w.site {
			l.call(l.handler.Wake)
		}
	})
}
