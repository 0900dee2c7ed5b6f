package fleet

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
)

// loadTries is how often another snapshot is looked for when the one chosen was
// thinned away meanwhile.
const loadTries = 3

// build builds the state asked for.
func (p *Past) build(ctx context.Context, t target) (_ *PastState, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fleet: a record before offset %d cannot be folded: %v", p.o.Log.Next(), r)
		}
	}()
	aside, err := p.o.Aside()
	if err != nil {
		return nil, err
	}
	s := &PastState{View: New(p.o.Log)}
	s.NoSnapshots()
	for try := 1; ; try++ {
		m := p.o.Fleet.momentBefore(t)
		err := p.fold(ctx, s, m, t, aside)
		if err == nil {
			p.folded.Add(int(s.Offset - m.Offset))
			break
		}
		if !errors.Is(err, pebble.ErrNotFound) || try == loadTries {
			return nil, err
		}
	}
	if s.Offset == 0 {
		return nil, ErrBefore
	}
	if t.offset > s.Offset { // in a hole: no instant leads there
		s.Offset, s.until = t.offset, 0
	}
	return s, nil
}

// piece is a block with its events parsed; of it the records from..to-1 are folded.
type piece struct {
	b        *block.Block
	vs       []wire.View
	from, to int
}

// piecesMax is how many blocks are read ahead of the fold.
const piecesMax = 4

// pieces are the blocks between a snapshot and a target, read and parsed by a
// goroutine of their own.
type pieces struct {
	out  chan piece // closed behind the last one
	free chan []wire.View
	err  error // once out is closed, as are those below

	offset    uint64 // of the last record, 0 if there is none
	at, until int64
	partial   bool
}

// fold makes s the state of the snapshot and brings it to where t says. Blocks are
// read and parsed while the snapshot is loaded and the ones before are folded.
func (p *Past) fold(ctx context.Context, s *PastState, m Moment, t target, aside map[uint64]string) error {
	ctx, cancel := context.WithCancel(ctx)
	in := &pieces{out: make(chan piece), free: make(chan []wire.View, piecesMax)}
	for range piecesMax {
		in.free <- nil
	}
	go func() {
		defer close(in.out)
		p.o.Background()
		in.err = p.read(ctx, in, m.Offset+1, t)
	}()
	defer func() { // also when the fold panics
		cancel()
		for range in.out {
		}
	}()
	if err := s.LoadMoment(p.o.Store, m); err != nil {
		return err
	}
	s.Offset, s.At = s.View.Offset()
	for x := range in.out {
		apply(s.View, x, aside)
		in.free <- x.vs
	}
	if in.offset != 0 {
		s.Offset, s.At = in.offset, in.at
	}
	s.until, s.Partial = in.until, in.partial
	return in.err
}

// read hands out the blocks from offset next to where t says, and notes what is
// missing in between and what follows.
func (p *Past) read(ctx context.Context, in *pieces, next uint64, t target) (err error) {
	last := t.offset
	if last == 0 {
		last = p.o.Log.Next() - 1
	}
	if in.partial, err = p.missing(next, last, t); err != nil {
		return err
	}
	follow := p.o.Log.FollowTo(next, p.likely(last, t))
	for next <= last {
		b, err := follow.Next(ctx)
		var lost *wal.LostError
		if errors.As(err, &lost) {
			if lost.Records == 0 {
				return fmt.Errorf("%w: offsets %d to %d", ErrGone, lost.From, lost.To)
			}
			in.partial = true
			continue
		}
		if err != nil {
			return err
		}
		if in.until = b.RecvMin(); b.Base() > last || t.offset == 0 && b.RecvMin() > t.recv {
			return nil
		}
		x := piece{b: b, from: int(max(next, b.Base()) - b.Base()), to: t.end(b)}
		if in.until = 0; x.to < b.Len() {
			in.until = b.Record(x.to).Recv
		}
		if x.to > x.from {
			in.offset, in.at = b.Base()+uint64(x.to)-1, b.Record(x.to-1).Recv
		}
		select {
		case vs := <-in.free:
			x.vs = parseEvents(b, vs)
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case in.out <- x:
		case <-ctx.Done():
			return ctx.Err()
		}
		if x.to < b.Len() {
			return nil
		}
		next = b.Next()
	}
	return nil
}

// likely returns the offset that t is at or, of an instant, the first one of the
// last stretch that t may be in.
func (p *Past) likely(last uint64, t target) uint64 {
	if t.offset != 0 {
		return last
	}
	list := p.o.Log.Stretches()
	n := sort.Search(len(list), func(i int) bool { return list[i].RecvMin > t.recv })
	if n == 0 {
		return 0
	}
	return list[n-1].Base
}

// missing tells what retention has left of the offsets next..last: with the first
// of them gone there is nothing to begin with, with tiers gone a part is missing.
func (p *Past) missing(next, last uint64, t target) (partial bool, err error) {
	for i, st := range p.o.Log.Stretches() {
		if i == 0 && next < st.Base {
			return false, fmt.Errorf("%w: it begins at offset %d", ErrGone, st.Base)
		}
		if st.Next > next && st.Base <= last && (t.offset != 0 || st.RecvMin <= t.recv) && st.Dropped != 0 {
			partial = true
		}
	}
	return partial, nil
}

// end returns the index behind the last record of b that t takes in.
func (t target) end(b *block.Block) int {
	if t.offset != 0 {
		return int(min(t.offset+1, b.Next()) - b.Base())
	}
	return sort.Search(b.Len(), func(i int) bool { return b.Record(i).Recv > t.recv })
}

func parseEvents(b *block.Block, vs []wire.View) []wire.View {
	if len(vs) < b.Len() {
		vs = make([]wire.View, max(b.Len(), block.RecordsMax))
	}
	var rec block.Record
	for i := range b.Len() {
		b.Load(i, &rec)
		if rec.Kind != block.KindEvent || vs[i].Reset(rec.Payload) != nil {
			vs[i] = wire.View{} // what cannot be read folds as an empty event
		}
	}
	return vs
}

// apply folds the records of x that are not set aside.
func apply(v *View, x piece, aside map[uint64]string) {
	i := x.from
	if len(aside) > 0 {
		for j := i; j < x.to; j++ {
			if _, bad := aside[x.b.Base()+uint64(j)]; bad {
				part(v, x, i, j)
				i = j + 1
			}
		}
	}
	part(v, x, i, x.to)
}

// part folds the records i..j-1 of x.
func part(v *View, x piece, i, j int) {
	switch {
	case i >= j:
	case j == x.b.Len():
		v.Apply(x.b, i, x.vs)
	default:
		nb := block.NewBuilder(x.b.Base()+uint64(i), j-i, 0)
		for k := i; k < j; k++ {
			rec := x.b.Record(k)
			nb.Append(&rec, -1)
		}
		v.Apply(nb.Block(), 0, x.vs[i:])
	}
}
