//go:build linux

package engine

import (
	"net/netip"
	"sync/atomic"
	"time"

	"eyrie/engine/admit"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// Transport is what a loop needs of netpoll.Loop, so that a test or a simulator
// can stand in for it.
type Transport interface {
	Index() int
	Write(h netpoll.Handle, p []byte) error
	Queued(h netpoll.Handle) int
	Pause(h netpoll.Handle)
	Resume(h netpoll.Handle)
	SetTimer(h netpoll.Handle, after time.Duration)
	CloseAfterFlush(h netpoll.Handle)
	Abort(h netpoll.Handle)
	Detach(h netpoll.Handle, take func(fd int, err error)) error
	Now() int64
	Wake()
}

// loop is the engine's half of one netpoll loop: everything about its links.
// All of it but box and waiting belongs to the loop's thread.
type loop struct {
	srv  *Server
	io   Transport
	ring *ring.Ring
	box  mailbox
	// waiting says that a link or a goodbye wants room in the ring. The loop
	// sets it before its last look at the ring, Freed reads it after the release.
	waiting atomic.Bool
	// gauge says from the ring's fill who is shed and who waits.
	gauge      admit.Gauge
	level      admit.Level // for the message in hand
	crowded    bool        // it has to wait, unless CRITICAL or shed
	urgent     bool        // it carries a CRITICAL event
	sheds      sheds
	retryAfter time.Duration            // of the refusal in hand; 0 = none
	flows      map[netpoll.Handle]*flow // of links that send while rates are in force

	links  links
	wide   map[netpoll.Handle]*wide // what few links have
	joins  joins
	grants grants
	names  names
	socks  map[netpoll.Handle]*socket
	hand   *socket // of the link read last

	hd     head
	parser wire.Parser
	msg    wire.Message
	event  wire.Head
	reply  []byte // a reply's payload before its frame header is known
	out    []byte // frames for the link in hand, sent once by flush

	spare    mail
	acks     []netpoll.Handle // links that are owed an acknowledgement
	full     []waiter         // links paused for the ring, urgent ones first, then the oldest
	goodbye  []goodbye        // closed links whose ItemClosed found the ring full
	fresh    bool             // something was published in this turn
	reserved bool             // sockets' messages are in the ring and not published yet

	inflating   []netpoll.Handle // links whose message waits for its next turn of inflate
	inflateLeft int              // of this turn, in bytes
	deflater    deflater
	pings       int    // read in this turn
	pong        []byte // of the last of them, when there are too many

	unsure   []*socket      // whose queued may count what was only put off
	last     netpoll.Handle // who was written to last in this call
	draining bool           // nothing new is taken in

	m *meters
	n struct{ messages, events, refused, critical int } // since the last count
}

// outHigh is how many unsent bytes make a link stop being read; the pause ends
// when all of them are gone.
//
// Within a call of netpoll, Queued counts what we wrote last even if the kernel
// is going to take it when the call returns: no Drained follows then. So what
// waits for Drained must know that the link is blocked. It is if bytes are
// queued before we wrote to it, or more than netpoll puts off.
const outHigh = 64 << 10

// blocked says whether h has bytes queued that the kernel did not take, so that
// Drained will follow.
func (l *loop) blocked(h netpoll.Handle) bool { return h != l.last && l.io.Queued(h) > 0 }

// slow stops reading a link that does not read us.
func (l *loop) slow(lk *link) {
	l.m.slow.Inc()
	l.pause(lk, linkSlow)
}

// outKept bounds the scratch kept between turns.
const outKept = 256 << 10

func newLoop(s *Server, io Transport) *loop {
	return &loop{
		srv:   s,
		io:    io,
		ring:  ring.In(hugeBytes(s.cfg.RingBytes), s.cfg.RingHeadroom),
		gauge: admit.NewGauge(s.cfg.RingBytes - 2*s.cfg.RingHeadroom), // as much again for the frame that reaches the mark, and for what is shed
		joins: joins{limit: s.cfg.JoinBytes},
		socks: make(map[netpoll.Handle]*socket),
		m:     newMeters(s.cfg.Metrics, io.Index()),
	}
}

// tenths is the time since the server began, in tenths of a second: 13 years fit.
func (l *loop) tenths() uint32 {
	return uint32((l.io.Now() - l.srv.born) / int64(100*time.Millisecond))
}

// Open starts a connection: its request head is awaited.
func (l *loop) Open(h netpoll.Handle, listener int, remote netip.AddrPort) {
	lk := l.links.slot(h.Slot())
	*lk = link{
		h:      h,
		state:  linkHead,
		tag:    uint8(listener),
		seen:   l.tenths(),
		opened: l.tenths() / 10,
	}
	l.setRemote(lk, remote)
	l.m.opened.Inc()
	l.io.SetTimer(h, l.srv.cfg.HandshakeTimeout)
}

// Read consumes what it can of b.
func (l *loop) Read(h netpoll.Handle, b []byte) (n int) {
	lk := l.links.at(h)
	if lk == nil || lk.state == linkGone {
		return len(b)
	}
	lk.seen = l.tenths()
	lk.flags &^= linkPinged
	l.observe()
	if l.io.Queued(h) > outHigh {
		l.slow(lk)
		return 0
	}
	l.last, l.inflateLeft = 0, inflateTurn
	if lk.state == linkHead {
		n = l.readHead(lk, b)
	}
	if lk.state >= linkHello && lk.state < linkGone {
		n += l.readFrames(lk, b[n:])
		l.received(lk, 0, n)
		l.m.bytes.Add(n)
	}
	l.lastPong(lk)
	l.flush(lk)
	l.count()
	return n
}

// observe looks at the ring.
func (l *loop) observe() {
	used := l.ring.Used()
	l.gauge.Observe(l.io.Now(), l.ring.Drained(), used)
	m := &l.m.ring
	m.used.Store(int64(used))
	m.high.Store(int64(l.gauge.High()))
	m.level.Store(int64(l.gauge.Level(used)))
	m.pace.Store(int64(l.gauge.Pace()))
}

// count passes on what a turn published and counted.
func (l *loop) count() {
	l.show()
	if l.fresh {
		l.fresh = false
		if l.srv.cfg.Notify != nil {
			l.srv.cfg.Notify()
		}
	}
	if l.n.messages > 0 {
		l.m.messages.Add(l.n.messages)
		if l.n.events > 0 {
			l.m.events.Add(l.n.events)
			l.m.refused.Add(l.n.refused)
			l.m.critical.Add(l.n.critical)
		}
		l.n.messages, l.n.events, l.n.refused, l.n.critical = 0, 0, 0, 0
	}
}

// flush sends what was gathered for lk; false means that the connection is
// beyond use.
func (l *loop) flush(lk *link) bool {
	if len(l.out) == 0 {
		return true
	}
	ok := l.send(lk, l.out)
	if cap(l.out) > outKept {
		l.out = nil
	}
	l.out = l.out[:0]
	return ok
}

// send writes p to lk; false as for flush.
func (l *loop) send(lk *link, p []byte) bool {
	if err := l.io.Write(lk.h, p); err != nil {
		l.abort(lk, "the peer does not read")
		return false
	}
	l.last = lk.h
	if lk.state != linkGone && lk.flags&linkSlow == 0 && l.io.Queued(lk.h) > l.srv.putOff {
		l.slow(lk)
	}
	return true
}

// abort ends a connection without a word: it is broken or beyond its bounds.
func (l *loop) abort(lk *link, reason string) {
	l.leave(lk, ws.StatusAbnormalClosure, reason)
	l.io.Abort(lk.h)
}

// fail sends a close frame behind what was gathered and closes the connection.
func (l *loop) fail(lk *link, code ws.StatusCode, reason string) {
	if lk.state == linkGone {
		return
	}
	l.m.close(code)
	l.out = appendClose(l.out, code, reason)
	l.goAway(lk, code, reason)
}

// goAway ends a link once l.out is sent.
func (l *loop) goAway(lk *link, code ws.StatusCode, reason string) {
	l.leave(lk, code, reason)
	if l.flush(lk) {
		l.io.CloseAfterFlush(lk.h)
	}
}

// leave gives back everything the link holds but its slot, and tells whoever
// must know. The link is linkGone afterwards.
func (l *loop) leave(lk *link, code ws.StatusCode, reason string) {
	if lk.cold != 0 {
		l.joins.drop(lk.cold)
		lk.cold = 0
	}
	delete(l.flows, lk.h)
	switch lk.state {
	case linkAgent:
		l.bye(lk.h, code, reason)
		fallthrough
	case linkHello:
		l.names.drop(lk.agent)
		l.grants.drop(lk.grant)
	case linkSocket:
		if s := l.socks[lk.h]; s != nil {
			delete(l.socks, lk.h)
			l.hand = nil
			s.closed.Store(true)
			s.waits(0)
			s.handler.Close(Socket{s})
		}
		l.grants.drop(lk.grant)
	}
	lk.state = linkGone
}

// Close forgets a connection.
func (l *loop) Close(h netpoll.Handle, err error) {
	lk := l.links.at(h)
	if lk == nil {
		return
	}
	if lk.state != linkGone {
		reason := "the connection ended"
		if err != nil {
			reason = err.Error()
		}
		l.leave(lk, ws.StatusAbnormalClosure, reason)
	}
	l.forget(lk)
	l.m.closed.Inc()
	l.count()
}

// Drained ends the pause of a link that did not read.
func (l *loop) Drained(h netpoll.Handle) {
	lk := l.links.at(h)
	if lk == nil || lk.state == linkGone {
		return
	}
	l.last = 0
	lk.seen = l.tenths() // to have read all that waited is a sign of life
	if s := l.socks[h]; s != nil {
		s.waits(0)
		if d, ok := s.handler.(SocketDrained); ok {
			d.Drained(Socket{s})
		}
	}
	if lk.flags&linkAck != 0 {
		lk.flags &^= linkAck
		l.ack(lk)
		l.flush(lk)
	}
	l.resume(lk, linkSlow)
	l.count()
}

// Timeout is the link's one timer: head and hello come in time, a silent peer
// is asked and then dropped.
func (l *loop) Timeout(h netpoll.Handle) {
	lk := l.links.at(h)
	if lk == nil {
		return
	}
	switch lk.state {
	case linkHead:
		l.refuse(lk, &Refusal{408, "timeout", "the request head did not come in time"})
	case linkHello:
		if lk.flags&linkFull != 0 { // it has come, and waits for the ring
			l.idle(lk)
			break
		}
		l.fail(lk, ws.StatusPolicyViolation, "no hello in time")
	case linkAgent, linkSocket:
		l.idle(lk)
	}
	l.count()
}

func (l *loop) idle(lk *link) {
	if l.unhold(lk) {
		return
	}
	if lk.flags&(linkFull|linkQuiet) != 0 {
		// We do not read it, so its silence is ours. This is also the second
		// way out of linkFull, should the consumer be late to call Freed.
		l.retry()
		after := l.srv.cfg.Ping
		if lk.flags&linkFull != 0 {
			after = fullRetry
		}
		l.io.SetTimer(lk.h, after)
		return
	}
	silent := time.Duration(l.tenths()-lk.seen) * 100 * time.Millisecond
	switch {
	case silent >= l.srv.cfg.Idle && lk.flags&linkSlow != 0:
		l.abort(lk, "the peer does not read")
		return
	case silent >= l.srv.cfg.Idle:
		l.fail(lk, ws.StatusPolicyViolation, "silent for too long")
		return
	case silent >= l.srv.cfg.Ping && lk.flags&linkPinged == 0:
		lk.flags |= linkPinged
		l.out = appendFrame(l.out, ws.OpPing, nil)
		if !l.flush(lk) {
			return
		}
	}
	next := l.srv.cfg.Ping - silent
	if lk.flags&linkPinged != 0 {
		next = min(l.srv.cfg.Ping, l.srv.cfg.Idle-silent)
	}
	l.io.SetTimer(lk.h, max(next, 100*time.Millisecond))
}

// pause stops reading for one more reason.
func (l *loop) pause(lk *link, why linkFlag) {
	if lk.flags&linkPaused == 0 {
		l.io.Pause(lk.h)
	}
	lk.flags |= why
}

// resume takes one reason away. When it was the last, reading goes on: first
// with a message in parts that was whole but could not be delivered, since it
// lies with us, and netpoll may have nothing to show.
func (l *loop) resume(lk *link, why linkFlag) {
	if lk.flags&why == 0 {
		return
	}
	lk.flags &^= why
	if lk.flags&linkPaused != 0 {
		return
	}
	if lk.cold != 0 && l.joins.at(lk.cold).whole {
		if !l.deliverJoin(lk) {
			return // it waits for the ring, still paused
		}
		l.flush(lk)
	}
	if lk.state < linkGone && lk.flags&linkPaused == 0 {
		l.io.Resume(lk.h)
	}
}
