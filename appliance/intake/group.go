package intake

import (
	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
)

// group is what is owed to senders once one commit is durable.
type group struct {
	replies []engine.Reply
	done    []*Submission
	// acked is the place of each link's latest ack among replies, so that a
	// link gets at most one per commit.
	acked map[netpoll.Handle]int
}

func newGroup() *group { return &group{acked: make(map[netpoll.Handle]int)} }

func (g *group) reset() {
	clear(g.replies)
	g.replies = g.replies[:0]
	clear(g.done)
	g.done = g.done[:0]
	clear(g.acked)
}

func (g *group) empty() bool { return len(g.replies) == 0 && len(g.done) == 0 }

// ack owes the link an acknowledgement of every number up to seq.
func (g *group) ack(link netpoll.Handle, seq uint64) {
	if i, ok := g.acked[link]; ok && i == len(g.replies)-1 {
		if seq > g.replies[i].To {
			g.replies[i].To = seq
		}
		return
	} else if ok {
		// Something else was said in between; the ack goes behind it, so that
		// a nack stands before the ack that covers it.
		g.replies[i].Kind = 0
	}
	g.acked[link] = len(g.replies)
	g.replies = append(g.replies, engine.Reply{Link: link, Kind: engine.ReplyAck, To: seq})
}

// say owes the link any other reply.
func (g *group) say(r engine.Reply) { g.replies = append(g.replies, r) }

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
