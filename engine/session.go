//go:build linux

package engine

import (
	"strconv"

	"eyrie/engine/admit"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// faultsMax is how many messages in a row may be beyond parsing before the link
// is closed: a client that speaks something else is not nacked for ever.
const faultsMax = 16

// agentMessage takes one message of an agent. False means that the ring has no
// room for what it carries and nothing of it has happened.
func (l *loop) agentMessage(lk *link, p []byte) bool {
	l.judgeRing(lk)
	ok := l.agentOp(lk, p)
	if !ok && !l.waiting.Load() {
		// From here on Freed wakes us. What was freed before is seen now.
		l.waiting.Store(true)
		l.judgeRing(lk)
		ok = l.agentOp(lk, p)
	}
	if ok {
		lk.flags &^= linkTurn
	}
	return ok
}

// judgeRing says what the message of lk that is read next may expect: what is
// shed of it, and whether the rest has to wait until the ring has emptied or
// until links that came before have had their turn.
func (l *loop) judgeRing(lk *link) {
	l.level = l.gauge.Level(l.ring.Used())
	l.crowded = l.level == admit.Full || lk.flags&linkTurn == 0 && len(l.full) > 0
}

// shedAt are the classes that each level sheds, as bits 1<<wire.Prio.
var shedAt = [...]uint8{
	admit.Calm:       0,
	admit.ShedLow:    1 << wire.PrioLow,
	admit.ShedNormal: 1<<wire.PrioLow | 1<<wire.PrioNormal,
	admit.ShedHigh:   1<<wire.PrioLow | 1<<wire.PrioNormal | 1<<wire.PrioHigh,
	admit.Full:       1<<wire.PrioLow | 1<<wire.PrioNormal | 1<<wire.PrioHigh,
}

func (l *loop) agentOp(lk *link, p []byte) bool {
	m := &l.msg
	if fe := l.parser.Parse(lk.codec, p, m); fe != nil {
		return l.malformed(lk, m, fe)
	}
	lk.faults = 0
	if (m.Op == wire.OpHello) != (lk.state == linkHello) {
		l.abused(lk, "hello comes first, and once")
		return true
	}
	f := l.frameFor(lk)
	switch m.Op {
	case wire.OpHello:
		return l.hello(lk, m)
	case wire.OpEvents:
		return l.events(lk, m, &f)
	case wire.OpLost:
		f.kept = true
		if rec := f.put(ItemLost, m.From, nil, len(m.Reason)); rec != nil {
			putEventHead(rec, 0, 0, 0, int64(m.To))
			copy(rec[itemHead:], m.Reason)
			f.put(ItemFrameEnd, m.To, nil, 0)
		}
		return l.finish(lk, &f)
	case wire.OpResult:
		l.reply = AppendResult(l.reply[:0], string(m.ID), m.OK, m.Data)
		f.kept = true
		if rec := f.put(ItemResult, 0, nil, len(l.reply)); rec != nil {
			copy(rec[itemHead:], l.reply)
		}
		return l.finish(lk, &f)
	}
	l.nack(lk, 0, 0, &wire.FieldError{Code: wire.CodeUnknownOp, Field: "op", Msg: "not for the server to take"})
	return true
}

// events puts a frame's events into the ring in their order, refused ones in
// their places, all published at once.
func (l *loop) events(lk *link, m *wire.Message, f *ringFrame) bool {
	own := l.names.get(lk.agent)
	patterns := l.grants.at(lk.grant).Agents
	shed := lk.agreed & shedAt[l.level]
	h := &l.event
	seq, refused := m.Seq, 0
	l.sheds.reset()
	rates, critical := l.srv.rates.Load(), 0
	var fl *flow
	if rates != nil {
		fl = l.flowOf(lk)
	}
	for {
		payload, fe, more := l.parser.NextEvent(lk.codec, m, h)
		if !more {
			break
		}
		agent := own
		if fe == nil && len(h.Agent) > 0 {
			if agent = h.Agent; patterns != nil && !allowed(patterns, agent) {
				fe = forbidden(eventField(int(seq-m.Seq), "agent"))
			}
		} else if fe == nil && len(own) == 0 {
			fe = &wire.FieldError{Code: wire.CodeMissing, Field: eventField(int(seq-m.Seq), "agent"), Msg: "neither hello nor the event names an agent"}
		}
		if fl != nil {
			fl.crowd.Add(agent)
		}
		if fe == nil && shed&(1<<h.Prio) != 0 {
			if !l.sheds.add(seq, uint8(h.Prio), agent) {
				l.sheds.put(f)
				l.sheds.add(seq, uint8(h.Prio), agent)
			}
			seq++
			continue
		}
		l.sheds.put(f)
		f.kept = true
		if fe == nil && h.Prio == wire.PrioCritical {
			f.critical = true
			critical++
		}
		if fe != nil {
			refused++
			f.refuse(l, seq, fe)
		} else if rec := f.put(ItemEvent, seq, agent, len(payload)); rec != nil {
			putEventHead(rec, uint8(h.Type), h.Flags(), h.Key, h.TS)
			copy(rec[itemHead+len(agent):], payload)
		}
		if f.over {
			break
		}
		seq++
	}
	l.sheds.put(f)
	last := seq - 1
	if m.HasPos {
		if rec := f.put(ItemPos, last, nil, len(m.Pos)); rec != nil {
			copy(rec[itemHead:], m.Pos)
		}
	}
	f.put(ItemFrameEnd, last, nil, 0)
	if !l.finish(lk, f) {
		return false
	}
	if lk.state == linkAgent {
		lk.next = seq
		l.received(lk, m.Count, 0)
		l.n.events += m.Count
		l.n.refused += refused
		l.n.critical += critical
		if fl != nil {
			l.charge(lk, rates, fl, m.Count, critical)
		}
	}
	return true
}

// finish publishes a frame. False means that it waits for room: for the bytes it
// takes, or, unless something in it is CRITICAL or nothing of it is kept, for
// the ring to empty and for those who came before.
func (l *loop) finish(lk *link, f *ringFrame) bool {
	l.urgent = f.critical
	if l.crowded && f.kept && !f.critical {
		l.ring.Abort()
		return false
	}
	if f.over || f.deep && !f.critical && !f.alone {
		l.ring.Abort()
		if !f.alone {
			return false
		}
		l.fail(lk, ws.StatusMessageTooBig, "the frame does not fit the server's ring")
		return true
	}
	l.ring.Publish()
	l.fresh = true
	l.n.messages++
	return true
}

// malformed answers a message that cannot be used. Where its numbers are known
// they are refused one by one, so that they are settled; else it is nacked here
// and now.
func (l *loop) malformed(lk *link, m *wire.Message, fe *wire.FieldError) bool {
	if lk.state == linkHello {
		l.fail(lk, ws.StatusPolicyViolation, "hello: "+fe.Error())
		return true
	}
	if m.Op == wire.OpEvents && m.Seq > 0 && m.Count > 0 && m.Seq+uint64(m.Count) <= wire.MaxSeq {
		f := l.frameFor(lk)
		f.kept = true
		seq := m.Seq
		for range m.Count {
			if !f.refuse(l, seq, fe) {
				break
			}
			seq++
		}
		f.put(ItemFrameEnd, seq-1, nil, 0)
		if !l.finish(lk, &f) {
			return false
		}
		if lk.state == linkAgent {
			lk.next = seq
			l.received(lk, m.Count, 0)
			l.n.events += m.Count
			l.n.refused += m.Count
		}
	} else {
		l.n.messages++
		l.nack(lk, m.Seq, m.Seq, fe)
	}
	if fe.Code != wire.CodeUnknownOp {
		if lk.faults++; lk.faults >= faultsMax {
			l.abused(lk, "too many messages in a row that cannot be read")
		}
	}
	return true
}

// hello opens the session: the one message that a link starts with.
func (l *loop) hello(lk *link, m *wire.Message) bool {
	g := l.grants.at(lk.grant)
	h := &m.Hello
	if len(h.AgentID) > 0 && !allowed(g.Agents, h.AgentID) {
		fe := forbidden("agent")
		l.nack(lk, 0, 0, fe)
		l.fail(lk, ws.StatusPolicyViolation, fe.Error())
		return true
	}
	item := HelloItem{
		Space: g.Space, Owner: g.Owner,
		Producer: h.Producer, Epoch: h.Epoch, First: h.First, Now: h.Now,
		Agent: string(h.AgentID), Declare: h.Agent, Shed: h.Sheddable,
		Codec: lk.codec, Remote: l.remote(lk), Listener: int(lk.tag),
	}
	l.reply = AppendHello(l.reply[:0], &item)
	f := l.frameFor(lk)
	f.critical = true
	if rec := f.put(ItemHello, h.First, nil, len(l.reply)); rec != nil {
		copy(rec[itemHead:], l.reply)
	}
	if !l.finish(lk, &f) {
		return false
	}
	if lk.state == linkHello {
		lk.agent = l.names.keep(h.AgentID)
		lk.agreed = lk.agreed&agreedDeflate | h.Sheddable
		lk.state = linkAgent
		lk.next = h.First
		l.m.agents.Inc()
		l.io.SetTimer(lk.h, l.srv.cfg.Ping)
	}
	return true
}

func forbidden(field string) *wire.FieldError {
	return &wire.FieldError{Code: CodeForbidden, Field: field, Msg: "the key does not cover this agent"}
}

// CodeForbidden is the code of events for agents outside the link's grant.
const CodeForbidden = "forbidden"

// ringFrame is one frame on its way into the ring: nothing of it is visible to
// the consumer before finish.
type ringFrame struct {
	r        *ring.Ring
	link     netpoll.Handle
	critical bool // carries a CRITICAL event
	kept     bool // carries something that is not shed
	deep     bool // has gone into the headroom, which only CRITICAL may
	over     bool // did not fit
	alone    bool // the ring was empty before it: waiting will not help
}

func (l *loop) frameFor(lk *link) ringFrame {
	l.show()
	return ringFrame{r: l.ring, link: lk.h, alone: l.ring.Used() == 0}
}

// put reserves one item and writes its head and agent; nil when there is no room.
func (f *ringFrame) put(kind ItemKind, seq uint64, agent []byte, payload int) []byte {
	n := itemHead + len(agent) + payload
	rec, ok := f.r.Reserve(n, f.deep)
	if !ok && !f.deep {
		f.deep = true
		rec, ok = f.r.Reserve(n, true)
	}
	if !ok {
		f.over = true
		return nil
	}
	putItem(rec, kind, f.link, seq, agent)
	return rec
}

// refuse puts the refusal of number seq in its place.
func (f *ringFrame) refuse(l *loop, seq uint64, fe *wire.FieldError) bool {
	l.reply = AppendRefusal(l.reply[:0], fe.Code, fe.Field, fe.Msg)
	rec := f.put(ItemRefused, seq, nil, len(l.reply))
	if rec == nil {
		return false
	}
	copy(rec[itemHead:], l.reply)
	return true
}

// eventField names a field of event i of a frame.
func eventField(i int, name string) string {
	return "events[" + strconv.Itoa(i) + "]." + name
}
