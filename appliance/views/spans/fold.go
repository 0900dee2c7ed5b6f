package spans

import (
	"strconv"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// fold takes one span-like event. The rules:
//
//	start    opens the span; a second one changes nothing, one after the end
//	         fills in what an end without a start could not tell
//	update   replaces what earlier ones said; without a start it opens the span
//	         (no_start); after the end it is folded away
//	end      ends it; without a start the row is marked no_start; of several
//	         the first stays and ends counts them
//	whole    start and end in one; of a span that is known it counts as an end
//
// An event that names no span is a row of its own ("@offset") where it ends
// something, and opens nothing where it does not.
func (v *View) fold(r *block.Record, w *wire.View) {
	space, seed, ok := v.seed(r.Agent)
	if !ok {
		return
	}
	ph := wire.Phase(r.Flags & 3)
	id := w.SpanID()
	if len(id) == 0 {
		if ph == wire.PhaseStart || ph == wire.PhaseUpdate {
			return
		}
		id = strconv.AppendUint([]byte{'@'}, r.Offset, 10)
	}
	h := hashOf(seed, id)
	s := v.find(&h, space, id)
	over := s != nil && s.status != stOpen
	if s != nil && s.flags&flSpilled != 0 && !over {
		s = v.own(s)
	}
	switch {
	case over && (ph == wire.PhaseEnd || ph == wire.PhaseWhole):
		v.own(s).ends++
	case over && ph == wire.PhaseStart && s.flags&flNoStart != 0:
		v.late(s, r, seed, w)
	case over:
	case ph == wire.PhaseStart:
		if s == nil {
			s = v.begin(r, h, space, id, ph, w)
		} else if s.flags&flNoStart == 0 {
			return
		} else {
			s.flags &^= flNoStart
			s.began = startOf(r, w)
		}
		v.fill(s, r, seed, w)
		v.touch(s)
	case ph == wire.PhaseUpdate:
		if s == nil {
			s = v.begin(r, h, space, id, ph, w)
		}
		v.fill(s, r, seed, w)
		v.touch(s)
	default:
		if s == nil {
			s = v.begin(r, h, space, id, ph, w)
		}
		v.fill(s, r, seed, w)
		v.finish(s, r, w)
	}
}

// find returns the row of a span wherever it is; h moves on where two spans
// share a hash. Rows that come from the store are in fresh from then on only
// when the caller changes them (own).
func (v *View) find(h *uint64, space string, id []byte) *span {
	for ; ; *h++ {
		s := v.open[*h]
		if s == nil {
			s = v.fresh.by[*h]
		}
		if s == nil {
			s = v.saving.by[*h]
		}
		if s == nil && v.filter.has(*h) {
			s = v.stored(*h)
		}
		if s == nil || s.id == string(id) && s.space == space {
			return s
		}
	}
}

func startOf(r *block.Record, w *wire.View) int64 {
	if t := w.Began(); t > 0 {
		return min(t, r.Recv+skewNs)
	}
	return instant(r, w)
}

func instant(r *block.Record, w *wire.View) int64 {
	if t := w.TS(); t > 0 {
		return min(t, r.Recv+skewNs)
	}
	return r.Recv
}

// begin makes the row of a span that is seen for the first time.
func (v *View) begin(r *block.Record, h uint64, space string, id []byte, ph wire.Phase, w *wire.View) *span {
	var s *span
	if n := len(v.free); n > 0 {
		s, v.free = v.free[n-1], v.free[:n-1]
	} else {
		s = &span{}
	}
	began := startOf(r, w)
	*s = span{key: key{began, r.Offset}, hash: h, began: began, agent: r.Agent, typ: r.Class, status: stOpen, space: space, id: string(id)}
	if ph == wire.PhaseUpdate || ph == wire.PhaseEnd {
		s.flags |= flNoStart
	}
	v.rows++
	v.countsOf(s.agent).n[s.typ][stOpen]++
	if ph == wire.PhaseStart || ph == wire.PhaseUpdate {
		v.open[h] = s
		v.queue = append(v.queue, opened{h, s.off})
		if len(v.open) > v.openMax {
			v.spill()
		}
	}
	return s
}

// fill takes what the event tells; what it leaves out stays. Run, parent and
// type stay as first told: indexes and totals go by them.
func (v *View) fill(s *span, r *block.Record, seed uint64, w *wire.View) {
	word := func(to *string, f wire.Field) {
		if b := w.Str(f); len(b) > 0 && string(b) != *to {
			*to = v.intern(b)
		}
	}
	word(&s.name, wire.FName)
	to := false
	w.To(func(id []byte) {
		if !to && string(id) != s.to {
			s.to = v.intern(id)
		}
		to = true
	})
	word(&s.task, wire.FTask)
	word(&s.session, wire.FSession)
	word(&s.kind, wire.FKind)
	if b := w.Str(wire.FMsg); len(b) > 0 {
		s.msg = clip(b)
	}
	if s.up == 0 {
		if b := w.Str(wire.FParent); len(b) > 0 {
			s.parent, s.up = v.intern(b), hashOf(seed, b)
			if p := v.open[s.up]; p == nil || p.agent != s.agent || s.start < p.start-skewNs {
				s.flags |= flApart
			}
		}
	}
	if w.Has(wire.FError) {
		code, msg, _ := w.Error()
		s.errCode, s.errMsg = v.intern(code), clip(msg)
	}
	if n, ok := w.Int(wire.FAttempt); ok && n >= 0 && n < 1<<31 {
		s.attempt = int32(n)
	}
	s.severity = max(s.severity, r.Flags>>2&7)
	if b := w.Str(wire.FTSFrom); len(b) > 0 {
		s.tsFrom = tsFrom(b)
	}
	var t *tally
	if s.run == 0 {
		b := w.Str(wire.FRun)
		if len(b) == 0 && s.typ == uint8(wire.TypeRun) {
			b = []byte(s.id)
		}
		if len(b) > 0 {
			s.runID, s.run = v.intern(b), hashOf(seed, b)
			t = v.join(s)
		}
	}
	if u, ok := w.Usage(); ok {
		if t == nil {
			t = v.tally(s.run)
		}
		v.used(s, t, &u)
	}
}

func (v *View) used(s *span, t *tally, u *wire.Usage) {
	n := usage{model: v.intern(u.Model), tok: [5]int64{u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Reasoning}, cost: u.CostNanoUSD, quality: uint8(u.Quality)}
	if n.cost == 0 {
		n.cost = u.CostClaimedNanoUSD
	}
	old := usage{}
	if s.usage != nil {
		old = *s.usage
	}
	s.usage = &n
	if t == nil {
		return
	}
	for i := range n.tok {
		t.usage.tok[i] += n.tok[i] - old.tok[i]
	}
	t.usage.cost += n.cost - old.cost
	t.usage.quality = worse(t.usage.quality, n.quality)
}

// worse merges qualities: a sum with a lower bound in it is one.
func worse(a, b uint8) uint8 {
	rank := [...]uint8{wire.QualityExact: 1, wire.QualityLowerBound: 3, wire.QualityEstimated: 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

func clip(b []byte) string {
	if len(b) <= textMax {
		return string(b)
	}
	n := textMax
	for n > 0 && b[n]&0xc0 == 0x80 {
		n--
	}
	return string(b[:n]) + "…"
}

// finish ends an open row and hands it to the next Save.
func (v *View) finish(s *span, r *block.Record, w *wire.View) {
	st := uint8(w.Status())
	if st == 0 {
		st = stUnknown // an end is not a success
		if w.Has(wire.FError) {
			st = uint8(wire.StatusError)
		}
	}
	s.end = instant(r, w)
	if s.flags&flNoStart == 0 || w.Start() > 0 {
		if t := w.Start(); t > 0 {
			s.began = min(t, r.Recv+skewNs)
		}
		if d, ok := w.Dur(); ok {
			s.end = s.began + d
		}
	}
	s.end = max(s.end, s.began)
	s.endOff, s.ends, s.status = r.Offset, 1, st
	c := v.countsOf(s.agent)
	c.n[s.typ][stOpen]--
	c.n[s.typ][st]++
	if st == uint8(wire.StatusError) || st == uint8(wire.StatusTimeout) {
		if t := v.tally(s.run); t != nil {
			t.errors++
		}
	}
	if s.flags&flSpilled != 0 {
		v.spilled--
	}
	delete(v.open, s.hash)
	if v.fresh.by[s.hash] != s {
		v.filter.add(s.hash)
		v.put(s)
	}
}

// put adds a row that is not open to the next Save.
func (v *View) put(s *span) {
	v.fresh.list = append(v.fresh.list, s)
	v.fresh.by[s.hash] = s
}

// own returns a row that is not in the set of open ones for a change, and puts
// it into the next Save.
func (v *View) own(s *span) *span {
	if v.fresh.by[s.hash] == s {
		return s
	}
	c := *s // the batch under way keeps its own
	c.flags |= flStored
	v.put(&c)
	return &c
}

// late fills in what a start says that came after the end; what the end said stays.
func (v *View) late(s *span, r *block.Record, seed uint64, w *wire.View) {
	c := v.own(s)
	before := *c
	v.fill(c, r, seed, w)
	c.flags &^= flNoStart
	c.began, c.startOff = min(startOf(r, w), c.end), r.Offset
	if before.msg != "" {
		c.msg = before.msg
	}
	c.errCode, c.errMsg = before.errCode, before.errMsg
	if before.usage != nil && c.usage != before.usage {
		if t := v.tally(c.run); t != nil {
			v.unuse(t, c.usage, before.usage)
		}
		c.usage = before.usage
	}
}

// unuse puts the report of an end back in the place of a late start's.
func (v *View) unuse(t *tally, now, back *usage) {
	for i := range now.tok {
		t.usage.tok[i] += back.tok[i] - now.tok[i]
	}
	t.usage.cost += back.cost - now.cost
}

func (v *View) touch(s *span) {
	if s.flags&(flDirty|flSpilled) == 0 {
		s.flags |= flDirty
		v.dirty = append(v.dirty, s.hash)
	}
}

// spill writes the oldest open span out as a row of its own.
func (v *View) spill() {
	for len(v.queue) > 0 {
		o := v.queue[0]
		v.queue = v.queue[1:]
		if s := v.open[o.hash]; s != nil && s.off == o.off {
			delete(v.open, o.hash)
			v.filter.add(s.hash)
			s.flags |= flSpilled
			v.spilled++
			v.put(s)
			return
		}
	}
}

var tsFromNames = [...]string{"", "source", "estimated", "recv"}

func tsFrom(b []byte) uint8 {
	for i, n := range tsFromNames {
		if n == string(b) {
			return uint8(i)
		}
	}
	return 0
}
