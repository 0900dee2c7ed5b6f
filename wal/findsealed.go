package wal

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"sort"

	"eyrie/wal/stretch"
)

// directedShare: a query that needs less than one in so many chunks of a
// stretch, or may skip them unread, reads these alone; others read the stretch
// once for all pages.
const directedShare = 4

// stretch searches the sealed stretch that holds off, or what of it the query's
// bounds leave.
func (s *search) stretch(off uint64) error {
	l, q := s.l, &s.q
	st, ok := l.stretchAt(off)
	if !ok { // dropped by retention, or lost
		s.hole(off)
		return nil
	}
	if q.beyond(st.RecvMin, st.RecvMax) {
		s.stop(0)
		return nil
	}
	if q.FromRecv != 0 && st.RecvMax < q.FromRecv || q.ToRecv != 0 && st.RecvMin >= q.ToRecv {
		s.passed(st.Base, st.Next)
		return nil
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if s.spent() {
		s.stop(off)
		if q.Reverse {
			s.stop(off + 1)
		}
		return nil
	}
	x, err := l.index(&st)
	if err != nil {
		return err
	}
	chunks, err := s.candidates(&st, x)
	if err != nil && l.moved(&st) {
		return nil // and looked for again
	}
	if err != nil {
		return err
	}
	if len(q.Agents) == 0 && q.Key == 0 && q.Skip.Empty() && len(chunks)*directedShare >= len(x.Chunks) {
		err = s.inOrder(&st, off)
	} else {
		err = s.directed(&st, chunks)
	}
	if errors.Is(err, errMoved) {
		return nil
	}
	if err == nil && !s.done {
		s.passed(st.Base, st.Next)
	}
	return err
}

// hole takes the offsets around off that no stretch has off the query.
func (s *search) hole(off uint64) {
	list := s.l.Stretches()
	i := sort.Search(len(list), func(i int) bool { return list[i].Base > off })
	from, to := uint64(0), s.l.Sealed()
	if i > 0 {
		from = list[i-1].Next
	}
	if i < len(list) {
		to = list[i].Base
	}
	s.passed(from, max(to, off+1))
}

// candidates returns the chunks that may hold what is sought.
func (s *search) candidates(st *Stretch, x *stretch.Index) ([]stretch.ChunkInfo, error) {
	q := &s.q
	var all []stretch.ChunkInfo
	switch {
	case len(q.Agents) > 0:
		seen := map[*stretch.ChunkInfo]bool{} // agents share chunks
		for tier := uint8(0); tier < 64; tier++ {
			if st.Tiers>>tier&1 == 0 {
				continue
			}
			for _, a := range q.Agents {
				of := x.OfAgent(tier, a)
				for i := range of {
					if !seen[&of[i]] {
						seen[&of[i]] = true
						all = append(all, of[i])
					}
				}
			}
		}
	case q.Key != 0:
		page, ok := x.KeyPage(q.Key)
		if !ok {
			return nil, nil
		}
		err := s.l.get(pageKey(st.Base, page), func(v []byte) error {
			nums, err := stretch.LookKey(v, q.Key)
			for _, n := range nums {
				if int(n) < len(x.Chunks) {
					all = append(all, x.Chunks[n])
				}
			}
			return err
		})
		if err != nil {
			return nil, &LostError{From: st.Base, To: st.Next - 1, Reason: "the index of runs of the sealed stretch cannot be read: " + err.Error()}
		}
	default:
		all = slices.Clone(x.Chunks)
	}
	return slices.DeleteFunc(all, func(c stretch.ChunkInfo) bool {
		return st.Dropped>>(c.Tier&63)&1 == 1 && len(s.l.held()) == 0 || c.FirstOffset >= q.ToOffset || c.LastOffset < q.FromOffset ||
			q.Classes != 0 && q.Classes&c.Classes == 0 || q.Kinds != 0 && q.Kinds&c.Kinds == 0 ||
			q.FromRecv != 0 && c.RecvMax < q.FromRecv || q.ToRecv != 0 && c.RecvMin >= q.ToRecv
	}), nil
}

// directed reads the chunks alone, and puts what it finds in order of offset.
func (s *search) directed(st *Stretch, chunks []stretch.ChunkInfo) error {
	type loaded struct {
		c   *stretch.ChunkInfo
		t   *scratch // holds the chunk; nil for one to skip or that is dropped
		err error
	}
	best := nearest{reverse: s.q.Reverse, most: s.q.Limit - len(s.recs) + 1} // one more, to know that there is one
	var failed error
	ahead(s.l.turns, pointers(chunks), func(c *stretch.ChunkInfo) loaded {
		if err := s.ctx.Err(); err != nil {
			return loaded{err: err}
		}
		t := scratches.Get().(*scratch)
		p, err := s.l.chunkUnless(st, c, s.q.Skip, &t.part)
		if err != nil || p == nil {
			scratches.Put(t)
			t = nil
		}
		return loaded{c, t, err}
	}, func(x loaded) bool {
		if failed = x.err; failed != nil {
			return false
		}
		s.read += int64(x.c.Len)
		if x.t == nil {
			return true
		}
		p := &x.t.part
		scan := func(from, to int) {
			var r Record
			for j := from; j < to; j++ {
				if p.Load(j, &r); best.wants(r.Offset) && s.q.is(&r) {
					best.add(r)
				}
			}
		}
		if len(s.q.Agents) == 0 {
			scan(0, p.Len())
		}
		for _, a := range s.q.Agents {
			scan(p.Agent(a))
		}
		scratches.Put(x.t)
		return true
	})
	if failed != nil {
		return failed
	}
	best.trim()
	for i := range best.recs {
		if !s.add(&best.recs[i]) {
			return nil
		}
	}
	return nil
}

// nearest collects records, in any order, and keeps those first in the order of
// the answer.
type nearest struct {
	reverse bool
	most    int
	recs    []Record
	last    uint64 // once there are enough: the offset of the last of them
	full    bool
}

// wants tells whether a record at the offset would be among those kept.
func (n *nearest) wants(off uint64) bool {
	return !n.full || n.reverse && off > n.last || !n.reverse && off < n.last
}

// add takes a record, with a payload of its own.
func (n *nearest) add(r Record) {
	r.Payload = bytes.Clone(r.Payload)
	if n.recs = append(n.recs, r); len(n.recs) >= 2*n.most {
		n.trim()
	}
}

// trim sorts the records and lets go those behind the first ones.
func (n *nearest) trim() {
	slices.SortFunc(n.recs, func(a, b Record) int {
		if n.reverse {
			a, b = b, a
		}
		return cmp.Compare(a.Offset, b.Offset)
	})
	if len(n.recs) >= n.most {
		clear(n.recs[n.most:])
		n.recs = n.recs[:n.most]
		n.full, n.last = true, n.recs[n.most-1].Offset
	}
}

// inOrder goes through the whole stretch from off on.
func (s *search) inOrder(st *Stretch, off uint64) error {
	w, err := s.l.wholeAt(st)
	if err != nil {
		return err
	}
	if len(w.lost) > 0 {
		return w.lost[0]
	}
	s.read += int64(st.Bytes)
	var r Record
	q := &s.q
	for n := 1; off >= max(q.FromOffset, st.Base) && off < min(q.ToOffset, st.Next); n++ {
		if n&4095 == 0 {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			if s.late() {
				if q.Reverse {
					s.stop(off + 1)
				} else {
					s.stop(off)
				}
				return nil
			}
		}
		if w.record(off, &r) && q.is(&r) && !s.add(&r) {
			return nil
		}
		if q.Reverse {
			off--
		} else {
			off++
		}
	}
	return nil
}
