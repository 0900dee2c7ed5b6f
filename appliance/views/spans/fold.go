package spans

import (
	"cmp"
	"errors"
	"slices"
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
func (v *View) fold(r *block.Record, x *coming, w *wire.View) {
	c, id, home := x.c, x.id, x.hash
	if c == nil {
		return
	}
	space := c.space
	ph := wire.Phase(r.Flags & 3)
	if len(id) == 0 {
		if ph == wire.PhaseStart || ph == wire.PhaseUpdate {
			return
		}
		id = strconv.AppendUint([]byte{'@'}, r.Offset, 10)
		home = hashOf(c.seed, id)
	}
	v.marked[r.Agent>>countsPage] = true
	h := home
	s := v.find(&h, space, id)
	if s != nil && s.status != stOpen {
		v.again(s, ph, r, c.seed, w)
		return
	}
	if ph == wire.PhaseStart && s != nil {
		if s.flags&flNoStart == 0 {
			return
		}
		s.flags &^= flNoStart
		s.began = startOf(r, w)
	}
	if s == nil {
		s = v.begin(r, c, h, id, ph, w)
		if h != home {
			s.flags |= flMoved
		}
	}
	v.fill(s, r, c.seed, w)
	if ph == wire.PhaseStart || ph == wire.PhaseUpdate {
		v.touch(s)
	} else {
		v.finish(s, r, w)
	}
}

// again takes an event of a span that is over. s is a copy.
func (v *View) again(s *span, ph wire.Phase, r *block.Record, seed uint64, w *wire.View) {
	switch {
	case ph == wire.PhaseEnd || ph == wire.PhaseWhole:
		s.ends++
		v.put(s)
	case ph == wire.PhaseStart && s.flags&flNoStart != 0:
		v.late(s, r, seed, w)
		v.put(s)
	}
}

// find returns the row of a span wherever it is: the open one itself, a copy
// of any other, which put takes back; h moves on where two spans share a hash.
func (v *View) find(h *uint64, space string, id []byte) *span {
	for ; ; *h++ {
		s := v.open.get(*h)
		if s == nil && v.filter.has(*h) {
			var err error
			s, err = v.left(*h, v)
			v.err = errors.Join(v.err, err)
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
func (v *View) begin(r *block.Record, c *counts, h uint64, id []byte, ph wire.Phase, w *wire.View) *span {
	var s *span
	if n := len(v.free); n > 0 {
		s, v.free = v.free[n-1], v.free[:n-1]
	} else {
		s = &span{}
	}
	began := startOf(r, w)
	if s.rich {
		s.cold = cold{}
	}
	s.hot = hot{}
	s.start, s.off, s.hash, s.began = began, r.Offset, h, began
	s.agent, s.typ, s.status = r.Agent, r.Class, stOpen
	s.space, s.id = c.space, v.own(id)
	if ph == wire.PhaseUpdate || ph == wire.PhaseEnd {
		s.flags |= flNoStart
	}
	v.rows++
	c.n[s.typ][stOpen]++
	if ph == wire.PhaseStart || ph == wire.PhaseUpdate {
		v.open.set(h, s)
		if v.open.n > v.openMax {
			v.spill()
		}
	}
	return s
}

// fill takes what the event tells; what it leaves out stays. Run, parent and
// type stay as first told: indexes and totals go by them.
func (v *View) fill(s *span, r *block.Record, seed uint64, w *wire.View) {
	v.word(&s.name, w, wire.FName)
	if w.Has(wire.FTo) || w.Has(wire.FTask) || w.Has(wire.FSession) || w.Has(wire.FKind) || w.Has(wire.FMsg) || w.Has(wire.FError) || w.Has(wire.FUsage) {
		s.rich = true
		v.detail(s, w)
	}
	var up *parent
	child := false
	if s.up == 0 {
		if b := w.Str(wire.FParent); len(b) > 0 {
			s.up, child = hashOf(seed, b), true
			if up = v.parentOf(s, b); up != nil {
				s.parent = up.id
			} else {
				s.parent = v.intern(b)
			}
		}
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
			s.run = hashOf(seed, b)
			t = v.join(s, b)
		}
	}
	if child && !(up != nil && s.start >= up.start-skewNs && (up.agent == s.agent || up.run == s.run && s.run != 0)) {
		s.flags |= flApart
	}
	if w.Has(wire.FUsage) {
		v.spent(s, t, w)
	}
}

// spent takes the usage that an event tells; t is the run's totals where they
// are at hand.
func (v *View) spent(s *span, t *tally, w *wire.View) {
	u, ok := w.Usage()
	if !ok {
		return
	}
	if t == nil {
		t = v.tally(s.agent, s.run)
	}
	v.used(s, t, &u)
}

// word takes a text that many spans share.
func (v *View) word(to *string, w *wire.View, f wire.Field) {
	if b := w.Str(f); len(b) > 0 && string(b) != *to {
		*to = v.intern(b)
	}
}

// detail takes what most events do not tell.
func (v *View) detail(s *span, w *wire.View) {
	to := false
	w.To(func(id []byte) {
		if !to && string(id) != s.to {
			s.to = v.intern(id)
		}
		to = true
	})
	v.word(&s.task, w, wire.FTask)
	v.word(&s.session, w, wire.FSession)
	v.word(&s.kind, w, wire.FKind)
	if b := w.Str(wire.FMsg); len(b) > 0 {
		s.msg = clip(b)
	}
	if w.Has(wire.FError) {
		code, msg, _ := w.Error()
		s.errCode, s.errMsg = v.intern(code), clip(msg)
	}
}

// parentOf returns what is known of the span's parent, of which id is the name,
// while that is open, and from then on as long as the agent names no other.
func (v *View) parentOf(s *span, id []byte) *parent {
	up := &v.countsOf(s.agent).up
	if up.hash == s.up && up.id == string(id) {
		return up
	}
	p := v.open.get(s.up)
	if p == nil || p.id != string(id) {
		return nil
	}
	*up = parent{key: p.key, hash: p.hash, run: p.run, agent: p.agent, id: p.id}
	return up
}

func (v *View) used(s *span, t *tally, u *wire.Usage) {
	n := usage{model: v.intern(u.Model), tok: [5]int64{u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Reasoning}, cost: u.CostNanoUSD, quality: uint8(u.Quality)}
	if n.cost == 0 {
		n.cost = u.CostClaimedNanoUSD
	}
	old := s.usage
	s.usage, s.used = n, true
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
		if t := v.tally(s.agent, s.run); t != nil {
			t.errors++
		}
	}
	if s.flags&flSpilled != 0 {
		v.spilled--
	} else if v.open.get(s.hash) == s {
		v.open.delete(s.hash)
		v.slots[openSlot(s.hash)] = true
	}
	v.put(s)
}

// put hands a row that is not among the open ones to the next Save, and takes
// its memory back.
func (v *View) put(s *span) {
	v.tally(s.agent, s.run) // totals are kept as long as rows of the run
	v.fresh.add(s)
	v.filter.add(s.hash, v.pages)
	if s.flags&flOlder != 0 {
		v.fresh.replace(s.off, s.was)
	}
	if len(v.free) < 1<<14 {
		v.free = append(v.free, s)
	}
}

// late fills in what a start says that came after the end; what the end said stays.
func (v *View) late(s *span, r *block.Record, seed uint64, w *wire.View) {
	before := *s
	v.fill(s, r, seed, w)
	s.flags &^= flNoStart
	s.began, s.startOff = min(startOf(r, w), s.end), r.Offset
	if before.msg != "" {
		s.msg = before.msg
	}
	s.errCode, s.errMsg = before.errCode, before.errMsg
	if before.used {
		if t := v.tally(s.agent, s.run); t != nil {
			v.unuse(t, &s.usage, &before.usage)
		}
		s.usage = before.usage
	}
}

// unuse puts the report of an end back in the place of a late start's.
func (v *View) unuse(t *tally, now, back *usage) {
	for i := range now.tok {
		t.usage.tok[i] += back.tok[i] - now.tok[i]
	}
	t.usage.cost += back.cost - now.cost
}

// touch notes that an open row has changed.
func (v *View) touch(s *span) {
	if s.flags&flSpilled != 0 {
		v.put(s)
	} else {
		v.slots[openSlot(s.hash)] = true
	}
}

// spill writes the oldest open span out as a row of its own.
func (v *View) spill() {
	for {
		if len(v.queue) == 0 {
			// What begins from now on is younger than all of these.
			for h, s := range v.open.all() {
				v.queue = append(v.queue, opened{h, s.off})
			}
			slices.SortFunc(v.queue, func(a, b opened) int { return cmp.Compare(a.off, b.off) })
		}
		o := v.queue[0]
		v.queue = v.queue[1:]
		if s := v.open.get(o.hash); s != nil && s.off == o.off {
			v.open.delete(o.hash)
			v.slots[openSlot(o.hash)] = true
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
