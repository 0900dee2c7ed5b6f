package wal

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// hopsMax bounds how many blocks of a producer are followed back to compare a
// number that was seen before. What lies further back counts as the same.
const hopsMax = 64

// judge remembers where the last number seen before was found: a frame that is
// sent again is mostly found where its first number was.
type judge struct {
	producer uint32
	rng      block.Range
	base     uint64
	blk      *Block
	at       int
	ranges   []block.Range
}

// settled judges a record whose number is below the producer's next.
func (w *Writer) settled(pr *producer, r *Record) Verdict {
	if r.Seq < pr.beyond {
		return Duplicate
	}
	j := &w.judge
	if pr.lastBase == w.cur.Base() {
		if i := w.cur.Find(pr.num, r.Seq, -1); i >= 0 {
			have := w.cur.Record(i)
			return compare(&have, r)
		}
	}
	if j.blk == nil || j.producer != pr.num || r.Seq < j.rng.From || r.Seq > j.rng.To {
		if !w.locate(pr, r.Seq) {
			return Duplicate
		}
	}
	i := j.blk.Find(pr.num, r.Seq, j.at)
	if i < 0 {
		return Duplicate
	}
	j.at = i + 1
	have := j.blk.Record(i)
	return compare(&have, r)
}

// compare tells whether the stored record and the one sent again are the same.
func compare(have, got *Record) Verdict {
	if have.Kind == KindForgotten {
		return Duplicate // the log does not know its content any more
	}
	if have.Kind != KindEvent {
		return Spent
	}
	if have.Class == got.Class && have.Flags == got.Flags && have.Agent == got.Agent && have.Key == got.Key && bytes.Equal(have.Payload, got.Payload) {
		return Duplicate
	}
	return Conflict
}

// locate follows the producer's chain of blocks back to the one that holds seq.
// Where the chain or its bound ends before, that is remembered, so that a client
// that sends its past again and again costs one search and not one a number.
func (w *Writer) locate(pr *producer, seq uint64) bool {
	j := &w.judge
	base := pr.lastBase
	if base == w.cur.Base() {
		base = pr.prevBase
	}
	lowest := pr.next
	for hop := 0; hop < hopsMax && base != 0; hop++ {
		blk, ranges := w.rangesAt(base)
		prev := uint64(0)
		for _, g := range ranges {
			if g.Producer != pr.num {
				continue
			}
			prev, lowest = g.Prev, min(lowest, g.From)
			if seq < g.From || seq > g.To {
				continue
			}
			if blk == nil {
				var err error
				if blk, err = w.l.load(base); err != nil {
					return false
				}
			}
			*j = judge{producer: pr.num, rng: g, base: base, blk: blk, ranges: j.ranges}
			return true
		}
		base = prev
	}
	if seq < lowest {
		pr.beyond = max(pr.beyond, lowest)
	}
	return false
}

// rangesAt returns the ranges of the block at base, and the block if it is in memory.
func (w *Writer) rangesAt(base uint64) (*Block, []block.Range) {
	for i := len(w.pending) - 1; i >= 0; i-- {
		if b := w.pending[i]; b.Base() == base {
			return b, b.Ranges()
		}
	}
	if b := w.l.cache.at(base); b != nil {
		return b, b.Ranges()
	}
	w.judge.ranges = w.judge.ranges[:0]
	var h block.Header
	err := w.l.header(base, func(v []byte) error {
		err := block.DecodeHeader(v, &h)
		if err == nil {
			w.judge.ranges, err = h.Ranges(w.judge.ranges)
		}
		return err
	})
	if err != nil {
		return nil, nil
	}
	return nil, w.judge.ranges
}

// header lends the header value at base to fn.
func (l *Log) header(base uint64, fn func(v []byte) error) error {
	return l.get(key8(prefixHeader, base), fn)
}

// get lends the value of key to fn; pebble.ErrNotFound if there is none.
func (l *Log) get(key []byte, fn func(v []byte) error) error {
	v, c, err := l.db.Get(key)
	if err != nil {
		return err
	}
	err = fn(v)
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	return err
}

// load reads and decodes the block at base, from the store.
func (l *Log) load(base uint64) (*Block, error) {
	var head []byte
	if err := l.header(base, func(v []byte) error { head = append(head, v...); return nil }); err != nil {
		return nil, notFound(err, base)
	}
	var h block.Header
	if err := block.DecodeHeader(head, &h); err != nil {
		return nil, err
	}
	return l.loadBody(&h)
}

func notFound(err error, base uint64) error {
	if err == pebble.ErrNotFound {
		return &block.CorruptError{Part: "value", Base: base, Msg: "is missing"}
	}
	return err
}
