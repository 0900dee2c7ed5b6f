package spans

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// stream reads the packs of one source and hands out their entries in the order
// asked for, of each row the newest version. It sorts one bucket at a time.
type stream struct {
	source
	it      *pebble.Iterator
	asc     bool
	visible uint64 // entries of rows in pages from there on are in memory too
	at      bool   // it stands at a pack
	items   []item
	cur     item
	ok      bool
}

// openStream makes a stream that stands before its first entry.
func (v *View) openStream(src source, asc bool) (*stream, error) {
	lo := binary.BigEndian.AppendUint64(slices.Clone(src.prefix), bucketOf(src.kind, src.lo.start))
	hi := after(binary.BigEndian.AppendUint64(slices.Clone(src.prefix), bucketOf(src.kind, src.hi.start)))
	it, err := v.store.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, err
	}
	s := &stream{source: src, it: it, asc: asc, visible: v.visible}
	if asc {
		s.at = it.First()
	} else {
		s.at = it.Last()
	}
	return s, nil
}

func (s *stream) close() { s.it.Close() }

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
			if s.items, ok = unpack(s.items, s.kind, s.group, b, page, val); !ok {
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
