package spans

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// stream reads the packs of one source in one era and hands out their entries in the order
// asked for, of each row the newest version. It sorts one bucket at a time.
type stream struct {
	source
	prefix  []byte // of the packs
	bound   key    // no entry comes before it
	it      *pebble.Iterator
	asc     bool
	visible uint64 // entries of rows in pages from there on are in memory too
	at      bool   // it stands at a pack
	items   []item
	cur     item
	ok      bool
}

// streams appends the source's streams, one for each era that may have some of it. The
// caller holds a lock.
func (v *View) streams(dst []*stream, src source, asc bool) []*stream {
	visible := min(v.visible, v.pages) // what is saved later is among the rows in memory now
	add := func(low, high int64, prefix []byte) {
		s := &stream{source: src, asc: asc, visible: visible, prefix: append(prefix, src.group...)}
		if low > src.lo.start {
			s.lo = key{start: low}
		}
		if high < src.hi.start {
			s.hi = key{start: high, off: allPages}
		}
		if s.bound = s.hi; asc {
			s.bound = s.lo
		}
		if s.lo.less(s.hi) {
			dst = append(dst, s)
		}
	}
	if src.kind == kSpilled {
		add(math.MinInt64, math.MaxInt64, prefixed(nil, src.kind))
		return dst
	}
	for i := range v.eras {
		if e := &v.eras[i]; e.low <= e.high {
			add(e.low, e.high, inEra(nil, src.kind, e.no))
		}
	}
	return dst
}

// open has the stream stand at its first entry, if it has one.
func (s *stream) open(store pebble.Reader) error {
	lo := binary.BigEndian.AppendUint64(slices.Clone(s.prefix), bucketOf(s.kind, s.lo.start))
	hi := after(binary.BigEndian.AppendUint64(slices.Clone(s.prefix), bucketOf(s.kind, s.hi.start)))
	it, err := store.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	if s.it = it; s.asc {
		s.at = it.First()
	} else {
		s.at = it.Last()
	}
	return s.next()
}

func (s *stream) close() {
	if s.it != nil {
		_ = s.it.Close() // its error was told by next
		s.it = nil
	}
}

// merged hands out the entries of streams in order. It opens one when its turn may have
// come: mostly those of few eras are.
type merged struct {
	p    *plan
	rest []*stream // not opened, in order of their bounds
	open []*stream
}

func (p *plan) merged(all []*stream) *merged {
	slices.SortFunc(all, func(a, b *stream) int { return p.compare(a.bound, b.bound) })
	return &merged{p: p, rest: all}
}

// first returns the stream with the entry that is next, of those of one row the newest; nil at
// the end.
func (m *merged) first() (best *stream, err error) {
	for {
		best = nil
		for _, s := range m.open {
			if best == nil {
				best = s
			} else if c := m.p.compare(s.cur.key, best.cur.key); c < 0 || c == 0 && s.cur.page > best.cur.page {
				best = s
			}
		}
		if len(m.rest) == 0 || best != nil && m.p.compare(best.cur.key, m.rest[0].bound) < 0 {
			return best, nil
		}
		s := m.rest[0]
		m.rest = m.rest[1:]
		m.open = append(m.open, s)
		if err := s.open(m.p.v.store); err != nil {
			return nil, err
		}
		m.drop(s)
	}
}

// next moves that stream on.
func (m *merged) next(s *stream) error {
	err := s.next()
	m.drop(s)
	return err
}

// drop closes the stream if it is at its end.
func (m *merged) drop(s *stream) {
	if !s.ok {
		s.close()
		m.open = slices.DeleteFunc(m.open, func(x *stream) bool { return x == s })
	}
}

func (m *merged) close() {
	for _, s := range m.open {
		s.close()
	}
}

// next goes to the next entry; ok is false at the end.
func (s *stream) next() error {
	for len(s.items) == 0 {
		if !s.at {
			s.ok = false
			return s.it.Error()
		}
		if err := s.load(); err != nil {
			return err
		}
	}
	s.cur, s.items, s.ok = s.items[0], s.items[1:], true
	return nil
}

// load reads the packs of the bucket that the iterator stands in.
func (s *stream) load() error {
	s.items = s.items[:0]
	bucket, _ := tailOf(s.it.Key())
	for s.at {
		b, page := tailOf(s.it.Key())
		if b != bucket {
			break
		}
		if s.kind == kSpilled {
			page = 0 // its key ends in the row's offset
		}
		val, err := s.it.ValueAndErr()
		if err != nil {
			return err
		}
		if page < s.visible {
			var ok bool
			if s.items, ok = unpack(s.items, s.kind, s.shared, b, page, val); !ok {
				return errRow
			}
		}
		if s.asc {
			s.at = s.it.Next()
		} else {
			s.at = s.it.Prev()
		}
	}
	s.items = slices.DeleteFunc(s.items, func(x item) bool { return x.page >= s.visible || x.key.less(s.lo) || !x.key.less(s.hi) })
	slices.SortFunc(s.items, func(a, b item) int {
		if a.key == b.key {
			return cmp.Compare(b.page, a.page)
		}
		if a.key.less(b.key) == s.asc {
			return -1
		}
		return 1
	})
	s.items = slices.CompactFunc(s.items, func(a, b item) bool { return a.key == b.key })
	return nil
}
