package intake

import (
	"time"

	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
)

// group is what is owed to senders once one commit is durable.
type group struct {
	number  uint64    // tells groups apart; link.ackGroup refers to it
	handed  time.Time // over to the log
	replies []engine.Reply
	said    int // replies up to the last that is no ack
	done    []*Submission
}

func (g *group) reset() {
	clear(g.replies)
	g.replies, g.said = g.replies[:0], 0
	clear(g.done)
	g.done = g.done[:0]
}

func (g *group) empty() bool { return len(g.replies) == 0 && len(g.done) == 0 }

// ack owes the link an acknowledgement of every number up to seq: at most one a
// link and commit.
func (g *group) ack(l *link, seq uint64) {
	if l.ackGroup == g.number {
		r := &g.replies[l.ackAt]
		if g.said <= int(l.ackAt) {
			r.To = max(r.To, seq)
			return
		}
		// Something else was said since; the ack goes behind it, so that a nack
		// stands before the ack that covers it.
		seq = max(r.To, seq)
		r.Kind = 0
	}
	l.ackGroup, l.ackAt = g.number, int32(len(g.replies))
	g.replies = append(g.replies, engine.Reply{Link: l.handle, Kind: engine.ReplyAck, To: seq})
}

// say owes the link any other reply.
func (g *group) say(r engine.Reply) {
	g.replies = append(g.replies, r)
	g.said = len(g.replies)
}

// nack owes the link a refusal; a run of numbers refused for the same reason
// becomes one.
func (g *group) nack(link netpoll.Handle, from, to uint64, code, field, msg string) {
	if n := len(g.replies); n > 0 {
		if l := &g.replies[n-1]; l.Kind == engine.ReplyNack && l.Link == link && l.Code == code && l.Field == field && l.Msg == msg && l.To+1 == from {
			l.To = to
			return
		}
	}
	g.say(engine.Reply{Link: link, Kind: engine.ReplyNack, From: from, To: to, Code: code, Field: field, Msg: msg})
}

// shed owes the link the news of numbers that were dropped; a run of one class
// becomes one.
func (g *group) shed(link netpoll.Handle, from, to uint64, class wire.Prio) {
	if n := len(g.replies); n > 0 {
		if l := &g.replies[n-1]; l.Kind == engine.ReplyShed && l.Link == link && l.Class == class && l.To+1 == from {
			l.To = to
			return
		}
	}
	g.say(engine.Reply{Link: link, Kind: engine.ReplyShed, From: from, To: to, Class: class})
}

// compact drops the acks that later ones replaced.
func (g *group) compact() []engine.Reply {
	out := g.replies[:0]
	for _, r := range g.replies {
		if r.Kind != 0 {
			out = append(out, r)
		}
	}
	clear(g.replies[len(out):])
	g.replies = out
	return out
}
