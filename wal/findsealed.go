package wal

import (
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
	if len(q.Agents) == 0 && q.Key == 0 && q.Skip == nil && len(chunks)*directedShare >= len(x.Chunks) {
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
	var found []Record
	type loaded struct {
		c   *stretch.ChunkInfo
		p   *stretch.Part // nil for one without what is sought, or for
		of  []Record      // some of it
		err error
	}
	var failed error
	ahead(pointers(chunks), func(c *stretch.ChunkInfo) (x loaded) {
		x.c = c
		if x.err = s.ctx.Err(); x.err == nil {
			x.p, x.of, x.err = s.loadChunk(st, c)
		}
		return x
	}, func(x loaded) bool {
		if failed = x.err; failed != nil {
			return false
		}
		s.read += int64(x.c.Len)
		if x.p != nil {
			var r Record
			for j := range x.p.Len() {
				if x.p.Load(j, &r); s.q.is(&r) {
					found = append(found, r)
				}
			}
		}
		for i := range x.of {
			if s.q.is(&x.of[i]) {
				found = append(found, x.of[i])
			}
		}
		return true
	})
	if failed != nil {
		return failed
	}
	slices.SortFunc(found, func(a, b Record) int {
		if s.q.Reverse {
			a, b = b, a
		}
		return cmp.Compare(a.Offset, b.Offset)
	})
	for i := range found {
		if !s.add(&found[i]) {
			return nil
		}
	}
	return nil
}

// loadChunk reads a chunk, or some records of it, which are all that can be
// sought; neither for one to skip or that is dropped.
func (s *search) loadChunk(st *Stretch, c *stretch.ChunkInfo) (p *stretch.Part, of []Record, err error) {
	if !s.q.narrow() {
		p, err = s.l.chunkUnless(st, c, s.q.Skip, nil)
		return p, nil, err
	}
	t := scratches.Get().(*scratch)
	defer scratches.Put(t)
	all, err := s.l.chunkUnless(st, c, s.q.Skip, &t.part)
	if err != nil || all == nil {
		return nil, nil, err
	}
	scan := func(from, to int) {
		for j := from; j < to; j++ {
			if r := all.Record(j); s.q.Key == 0 || s.q.Key == r.Key {
				of = append(of, r)
			}
		}
	}
	if len(s.q.Agents) == 0 {
		scan(0, all.Len())
	}
	for _, a := range s.q.Agents {
		scan(all.Agent(a))
	}
	own(of)
	return nil, of, nil
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
