package wal

import (
	"cmp"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// Read returns the record at the offset. Its payload is valid as long as it is
// referenced. Errors: ErrNotFound (not durable yet, in a known hole, or dropped by
// retention), *LostError, those of the block format, ErrClosed. Of a sealed
// stretch it reads all; ReadOf is the cheap one.
func (l *Log) Read(off uint64) (Record, error) {
	if off == 0 || off >= l.Next() {
		return Record{}, ErrNotFound
	}
	var c reading
	b, err := l.blockFrom(off, &c)
	var lost *LostError
	if errors.As(err, &lost) && lost.From > off {
		return Record{}, l.whyNot(off) // that one lies behind it
	}
	if err != nil {
		return Record{}, err
	}
	if b == nil || b.Base() > off {
		return Record{}, l.whyNot(off)
	}
	return b.Record(int(off - b.Base())), nil
}

// whyNot is the error for an offset at which nothing reads.
func (l *Log) whyNot(off uint64) error {
	s, ok := l.stretchAt(off)
	if !ok {
		return ErrNotFound
	}
	err := l.read(func() error {
		w, err := l.wholeAt(&s)
		if err != nil {
			return err
		}
		for _, lost := range w.lost {
			if lost.From <= off && off <= lost.To {
				return lost
			}
		}
		return nil
	})
	return cmp.Or(err, ErrNotFound)
}

// ReadOf is Read for a record that names the agent, and reads what lies beside
// that agent's only.
func (l *Log) ReadOf(off uint64, agent uint32) (Record, error) {
	if off >= l.Sealed() {
		return l.Read(off)
	}
	recs, _, err := l.Find(context.Background(), Query{Agents: []uint32{agent}, FromOffset: off, ToOffset: off + 1, Limit: 1})
	if err != nil {
		return Record{}, err
	}
	if len(recs) == 0 {
		return Record{}, ErrNotFound
	}
	return recs[0], nil
}

// reading is where a reader in order of offset is: the sealed stretch, if it is in one.
type reading struct {
	w      *whole
	tells  bool         // of what is lost in each stretch that it comes to, once, as an error
	told   uint64       // behind the last stretch of which it did
	untold []*LostError // of that stretch, behind the first
	to     uint64       // the offset that it goes on to; 0: nobody knows
	ahead  chan *whole  // holds the stretch behind w, once it is decoded; or nil
	stored int          // blocks that came from the store, since they had left the cache
}

// blockFrom returns the durable block that holds off, or the first one behind
// the known hole or what was dropped that off is in, or nil if there is none. Of
// a sealed stretch it makes one that begins at off.
func (l *Log) blockFrom(off uint64, c *reading) (b *Block, err error) {
	for {
		if off = l.behindHoles(off); off >= l.Next() {
			return nil, nil
		}
		if b := l.cache.holding(off); b != nil {
			l.metrics.cacheHits.Inc()
			return b, nil
		}
		if off < l.Sealed() {
			next := uint64(0)
			err := l.read(func() (err error) {
				b, next, err = l.sealedFrom(off, c)
				return err
			})
			if b != nil || err != nil {
				return b, err
			}
			off = next
			continue
		}
		l.metrics.cacheMisses.Inc()
		err = l.read(func() error {
			base, err := l.baseOf(off)
			if err != nil {
				return err
			}
			if b, err = l.load(base); err != nil {
				return err
			}
			if b.Next() <= off {
				return l.lostFrom(off)
			}
			return nil
		})
		if err == nil {
			c.stored++
			return b, nil
		}
		if off >= l.Sealed() {
			return nil, err
		}
		b = nil // it was sealed meanwhile
	}
}

// sealedFrom returns the block of sealed records that begins at off or at the
// first one behind it in the same stretch, or where to go on.
func (l *Log) sealedFrom(off uint64, c *reading) (b *Block, next uint64, err error) {
	if c.w == nil || off < c.w.s.Base || off >= c.w.s.Next {
		s, ok := l.stretchAt(off)
		if !ok {
			if list := l.Stretches(); len(list) > 0 && off < list[0].Base {
				return nil, list[0].Base, nil // dropped by retention
			}
			return nil, 0, l.lostFrom(off)
		}
		c.w = nil
		if c.w, err = l.wholeAt(&s); err != nil {
			return nil, 0, err
		}
		c.ahead = l.decodeAhead(s.Next, c.to)
	}
	if c.tells && c.told < c.w.s.Next {
		if c.told = c.w.s.Next; len(c.w.lost) > 0 {
			c.untold = c.w.lost[1:]
			return nil, 0, c.w.lost[0]
		}
	}
	if b = c.w.block(off); b == nil {
		return nil, c.w.s.Next, nil
	}
	return b, 0, nil
}

// decodeAhead has the stretch at off decoded, for who reads on to offset to, by a
// goroutine that ends by itself. wholeAt finds it as long as the channel is held.
func (l *Log) decodeAhead(off, to uint64) chan *whole {
	s, ok := l.stretchAt(off)
	if !ok || off > to {
		return nil
	}
	c := make(chan *whole, 1)
	go l.read(func() error {
		w, err := l.wholeAt(&s)
		c <- w
		return err // who reads on meets it, too
	})
	return c
}

// behindHoles returns off, or the first offset behind the known hole that it is in.
func (l *Log) behindHoles(off uint64) uint64 {
	for _, h := range l.holes {
		if off >= h.From && off <= h.To {
			off = h.To + 1
		}
	}
	return off
}

// baseOf returns the base of the last block that begins at or below off.
func (l *Log) baseOf(off uint64) (base uint64, err error) {
	if err := l.header(off, func([]byte) error { return nil }); err == nil {
		return off, nil
	}
	it, err := l.headers(0, off+1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.Last() {
		if err := it.Error(); err != nil {
			return 0, err
		}
		return 0, l.lostFrom(off)
	}
	return baseIn(it.Key()), nil
}

// lostFrom names the hole that begins at off.
func (l *Log) lostFrom(off uint64) error {
	it, err := l.headers(off+1, 0)
	if err != nil {
		return err
	}
	to := l.Next() - 1
	if it.First() {
		to = min(to, baseIn(it.Key())-1)
	}
	lost := &LostError{From: off, To: to, Epoch: l.Epoch(), Reason: "the store does not have them"}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	return lost
}

// headers iterates over the headers of blocks with from ≤ base < to; 0 is no bound.
func (l *Log) headers(from, to uint64) (*pebble.Iterator, error) {
	o := &pebble.IterOptions{LowerBound: key8(prefixHeader, from), UpperBound: []byte{prefixHeader + 1}}
	if to != 0 {
		o.UpperBound = key8(prefixHeader, to)
	}
	return l.db.NewIter(o)
}

// headerAt opens the header that it stands on.
func headerAt(it *pebble.Iterator, h *block.Header) error {
	v, err := it.ValueAndErr()
	if err != nil {
		return err
	}
	if err := block.DecodeHeader(v, h); err != nil {
		return err
	}
	if h.Base != baseIn(it.Key()) {
		return &block.CorruptError{Part: "header", Base: baseIn(it.Key()), Msg: "is that of another block"}
	}
	return nil
}
