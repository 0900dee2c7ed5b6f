//go:build linux

package engine

import (
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// Wake takes what others posted: replies, sends, calls, room in the ring.
func (l *loop) Wake() {
	l.last = 0
	for _, s := range l.unsure {
		s.waits(int64(l.io.Queued(s.h)))
	}
	l.unsure = emptied(l.unsure)
	m := l.box.take(l.spare)
	for i := range m.calls {
		m.calls[i]()
	}
	l.answer(m.replies)
	l.sendAll(m.sends)
	m.empty()
	l.spare = m
	if l.waiting.Load() {
		l.retry()
	}
	if len(l.inflating) > 0 {
		l.inflateOn()
	}
	l.count()
}

// answer encodes replies. What goes to one link in a row is sent at once;
// acknowledgements come last, one per link, so that a nack or shed is always
// in front of the ack that covers it.
func (l *loop) answer(rs []Reply) {
	var lk *link
	for i := range rs {
		r := &rs[i]
		if lk == nil || lk.h != r.Link {
			if lk != nil {
				l.flush(lk)
			}
			lk = l.links.at(r.Link)
		}
		if lk == nil || lk.state != linkAgent {
			l.m.replyStale.Inc()
			lk = nil
			continue
		}
		l.m.replies.Inc()
		l.tell(lk, r)
		if lk.state != linkGone && len(l.out) > outHigh {
			l.flush(lk)
		}
		if lk.state == linkGone {
			lk = nil
		}
	}
	if lk != nil {
		l.flush(lk)
	}
	for _, h := range l.acks {
		lk := l.links.at(h)
		if lk == nil || lk.state != linkAgent || lk.flags&linkAck == 0 || l.blocked(h) {
			continue // a blocked link is told by Drained
		}
		lk.flags &^= linkAck
		l.ack(lk)
		l.flush(lk)
	}
	l.acks = emptied(l.acks)
}

// tell appends one reply to l.out, or notes it.
func (l *loop) tell(lk *link, r *Reply) {
	b := l.reply[:0]
	switch r.Kind {
	case ReplyAck:
		lk.ack = max(lk.ack, r.To)
		if lk.flags&linkAck == 0 {
			lk.flags |= linkAck
			l.acks = append(l.acks, lk.h)
		}
		return
	case ReplyWelcome:
		if r.Welcome == nil {
			return
		}
		b = wire.AppendWelcome(b, lk.codec, l.limited(r.Welcome))
	case ReplyNack:
		b = wire.AppendNack(b, lk.codec, r.From, r.To, r.Code, r.Field, r.Msg)
	case ReplyShed:
		b = wire.AppendShed(b, lk.codec, r.From, r.To, r.Class)
	case ReplySlow:
		b = wire.AppendSlow(b, lk.codec, r.Rate)
	case ReplyCommand:
		if r.Command == nil {
			return
		}
		b = wire.AppendCommand(b, lk.codec, r.Command)
	case ReplyGoaway:
		b = wire.AppendGoaway(b, lk.codec, r.Msg, r.After)
	case ReplyClose:
		l.settle(lk)
		l.fail(lk, r.Close, r.Msg)
		return
	default:
		return
	}
	l.frame(lk, b)
}

// limited fills in the limits that are the engine's to know. w is our copy.
func (l *loop) limited(w *wire.Welcome) *wire.Welcome {
	if w.Limits == (wire.Limits{}) {
		w.Limits = wire.DefaultLimits()
	}
	w.Limits.Frame = l.srv.cfg.MaxFrame
	w.Limits.IdleMs = int(l.srv.cfg.Idle / time.Millisecond)
	return w
}

// settle sends the acknowledgement that is owed, ahead of a goodbye.
func (l *loop) settle(lk *link) {
	if lk.flags&linkAck != 0 {
		lk.flags &^= linkAck
		l.ack(lk)
	}
}

// ack appends the acknowledgement of everything up to lk.ack.
func (l *loop) ack(lk *link) {
	l.frame(lk, wire.AppendAck(l.reply[:0], lk.codec, lk.ack))
}

// nack tells an agent at once what could not be given a number in the log.
func (l *loop) nack(lk *link, from, to uint64, fe *wire.FieldError) {
	l.frame(lk, wire.AppendNack(l.reply[:0], lk.codec, from, to, fe.Code, fe.Field, fe.Msg))
}

// frame appends a message in the link's codec to l.out. payload is l.reply.
func (l *loop) frame(lk *link, payload []byte) {
	op := ws.OpBinary
	if lk.codec == wire.JSON {
		op = ws.OpText
	}
	l.out = appendFrame(l.out, op, payload)
	if cap(payload) <= outKept {
		l.reply = payload[:0]
	}
}

// sendAll writes what was sent to generic sockets, in order, one write for what
// goes to one socket in a row.
func (l *loop) sendAll(sends []send) {
	var lk *link
	for i := range sends {
		x := &sends[i]
		if i > 0 && sends[i-1].s != x.s {
			l.sent(lk, sends[i-1].s)
		}
		lk = l.links.at(x.s.h)
		switch {
		case lk == nil || lk.state != linkSocket:
			lk = nil
		case x.code != 0:
			l.fail(lk, x.code, string(x.frame))
			lk = nil
		default:
			l.out = append(l.out, x.frame...)
		}
		x.s.post(-x.cost)
	}
	if len(sends) > 0 {
		l.sent(lk, sends[len(sends)-1].s)
	}
}

func (l *loop) sent(lk *link, s *socket) {
	if lk == nil {
		return
	}
	l.flush(lk)
	if lk.state != linkSocket {
		return
	}
	n := l.io.Queued(lk.h)
	s.waits(int64(n))
	if n > 0 { // or put off: the next call knows
		l.unsure = append(l.unsure, s)
		l.io.Wake()
	}
}

// ended closes every link for a shutdown. Requests not yet read whole are cut.
func (l *loop) ended() (left int) {
	l.links.each(func(lk *link) {
		switch lk.state {
		case linkHead:
			l.abort(lk, "the server shuts down")
		case linkHello, linkAgent, linkSocket:
			l.settle(lk)
			l.fail(lk, ws.StatusGoingAway, "the server shuts down")
		}
		left++
	})
	return left
}

// quiet stops reading for good.
func (l *loop) quiet() {
	l.draining = true
	l.links.each(func(lk *link) {
		if lk.state < linkGone {
			l.pause(lk, linkQuiet)
		}
	})
}

// drainPoll is how often Shutdown looks whether the links are gone.
const drainPoll = 5 * time.Millisecond
