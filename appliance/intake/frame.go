package intake

import (
	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// item takes in one record of a ring.
func (in *Intake) item(it *engine.Item) {
	switch it.Kind {
	case engine.ItemHello:
		in.hello(it)
		return
	case engine.ItemClosed:
		in.closed(it)
		return
	case engine.ItemEvent, engine.ItemRefused, engine.ItemShed, engine.ItemPos:
		in.inFrame = true
	case engine.ItemFrameEnd:
		in.inFrame = false
	}
	l := in.last
	if l == nil || l.handle != it.Link {
		if l = in.table.at(it.Link); l == nil {
			return // refused at its hello; its close is under way
		}
		in.last = l
	}
	if l.fenced {
		return
	}
	switch it.Kind {
	case engine.ItemEvent:
		if wire.FlagsBlob(it.Flags) && in.o.Blobs != nil && !in.blobs(l, it) {
			return
		}
		agent := in.agentNumber(l, it.Agent)
		in.judge(l, it.Seq, in.w.Append(l.producer, it.Seq, it.Class, it.Flags, agent, it.Key, in.recv, it.Payload))
	case engine.ItemRefused:
		in.refused(l, it)
	case engine.ItemShed:
		in.shed(l, it)
	case engine.ItemPos:
		// A frame that is sent again whole has its position behind it already:
		// the producer may be further by now. One without events only moves it.
		if stale := l.seen && !l.fresh || it.Seq+1 != in.w.NextSeq(l.producer); !l.gap && !stale && in.w.Pos(l.producer, it.Payload) == wal.Refuse {
			in.hold(l)
		}
	case engine.ItemFrameEnd:
		in.settle(l, it.Seq)
	case engine.ItemLost:
		v := in.w.Lost(l.producer, it.Seq, it.To, it.Payload)
		in.judge(l, it.Seq, v)
		if v == wal.Stored {
			in.m.lost.Add(int(it.To - it.Seq + 1))
		}
		in.settle(l, it.To)
	case engine.ItemResult:
		in.w.System(wal.KindSystem, systemResult, l.agent, it.Payload)
	}
}

// Classes of system records.
const (
	systemStart  = 1 // a new process serves the log: every link before it is gone
	systemResult = 2 // a command's answer, as the engine encodes it
	// 3 is audit.Class
)

// judge counts a verdict and owes the link what it says.
func (in *Intake) judge(l *link, seq uint64, v wal.Verdict) {
	switch v {
	case wal.Stored:
		l.fresh = true
		in.stored++
	case wal.Duplicate:
		l.seen = true
		in.m.duplicate.Inc()
	case wal.Conflict:
		l.seen = true
		in.m.conflict.Inc()
		in.cur.nack(l.handle, seq, seq, "conflict", "seq", "this number was stored with other content")
	case wal.Spent:
		l.seen = true
		in.m.conflict.Inc()
		in.cur.nack(l.handle, seq, seq, "conflict", "seq", "this number was settled without an event: refused, shed or given up")
	case wal.Gap:
		in.m.gap.Inc()
		l.gap = true
		in.cur.nack(l.handle, seq, seq, "gap", "seq", "numbers before this one are missing; send from next, or declare them lost")
	case wal.Refuse:
		in.hold(l)
	}
}

// hold ends a link whose event cannot be stored now: it keeps what was not
// acknowledged and comes back.
func (in *Intake) hold(l *link) {
	in.m.held.Inc()
	l.gap, l.fenced = true, true
	reason := "the log takes nothing now: hold your events and come back"
	if err := in.w.Wall(); err != nil {
		reason = "disk full: hold your events and come back"
	}
	in.closeNow(l.handle, closeTryAgain, reason)
}

// refused records an event that failed its checks, so that its number is
// settled and the reason kept.
func (in *Intake) refused(l *link, it *engine.Item) {
	code, field, msg, err := it.Refusal()
	if err != nil {
		panic("intake: the ring holds a refusal the engine never wrote: " + err.Error())
	}
	switch v := in.w.Refused(l.producer, it.Seq, it.Payload); v {
	case wal.Stored, wal.Duplicate:
		l.fresh, l.seen = l.fresh || v == wal.Stored, l.seen || v == wal.Duplicate
		in.m.refused.Inc()
		in.cur.nack(l.handle, it.Seq, it.Seq, code, field, msg)
		if in.o.Refused != nil {
			in.o.Refused(l.space.name, code, field, msg)
		}
	default:
		in.judge(l, it.Seq, v)
	}
}

// blobs tells whether the event may be stored as far as the blobs go that it
// names. Numbers seen before are not its to judge: what they named may have been
// dropped since.
func (in *Intake) blobs(l *link, it *engine.Item) bool {
	if it.Seq != in.w.NextSeq(l.producer) {
		return true
	}
	e, err := in.o.Blobs(l.space.name, it.Payload)
	switch {
	case err != nil:
		in.hold(l)
	case e != nil:
		in.body = engine.AppendRefusal(in.body[:0], e.Code, e.Field, e.Msg)
		in.refused(l, &engine.Item{Kind: engine.ItemRefused, Link: it.Link, Seq: it.Seq, Payload: in.body})
	default:
		return true
	}
	return false
}

// shed records numbers that admission dropped. Of those that an earlier link
// has settled already, nothing is told: they may have been stored. How many of
// which agent and class those were is not known; the first of the list are
// taken for them.
func (in *Intake) shed(l *link, it *engine.Item) {
	next := in.w.NextSeq(l.producer)
	from := max(it.Seq, next)
	if it.To < next || it.Seq > next {
		in.judge(l, it.Seq, in.w.Shed(l.producer, it.Seq, it.To, it.Class, nil))
		return
	}
	settled := from - it.Seq
	in.body = in.body[:0]
	for part, rest, ok := engine.CutShedPart(it.Payload); ok; part, rest, ok = engine.CutShedPart(rest) {
		known := min(settled, part.Count)
		if settled -= known; part.Count > known {
			in.body = wire.AppendShedEntry(in.body, in.agentNumber(l, part.Agent), part.Class, part.Count-known)
		}
	}
	v := in.w.Shed(l.producer, from, it.To, it.Class, in.body)
	if v != wal.Stored {
		in.judge(l, it.Seq, v)
		return
	}
	l.fresh = true
	for _, class, n, rest, ok := wire.CutShedEntry(in.body); ok; _, class, n, rest, ok = wire.CutShedEntry(rest) {
		in.m.shed[class].Add(int(n))
	}
	in.cur.shed(l.handle, from, it.To, wire.Prio(it.Class))
}

// settle owes the link an ack of every number that is settled, at most up to
// the end of its frame.
func (in *Intake) settle(l *link, end uint64) {
	l.gap, l.fresh, l.seen = false, false, false
	if l.fenced {
		return
	}
	if next := in.w.NextSeq(l.producer); end >= next {
		end = next - 1
	}
	if end > 0 {
		in.cur.ack(l, end)
	}
}
