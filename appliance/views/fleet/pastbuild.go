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
	from := uint64(0)
	for try := 1; ; try++ {
		m := p.o.Fleet.momentBefore(t)
		if err = s.LoadMoment(p.o.Store, m); err == nil {
			from = m.Offset
			break
		}
		if !errors.Is(err, pebble.ErrNotFound) || try == loadTries {
			return nil, err
		}
	}
	s.Offset, s.At = s.View.Offset()
	if err := p.fold(ctx, s, from+1, t, aside); err != nil {
		return nil, err
	}
	if s.Offset == 0 {
		return nil, ErrBefore
	}
	p.folded.Add(int(s.Offset - from))
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

// fold brings s from before offset next to where t says. Blocks are read and
// parsed while the ones before are folded.
func (p *Past) fold(ctx context.Context, s *PastState, next uint64, t target, aside map[uint64]string) error {
	ctx, cancel := context.WithCancel(ctx)
	pieces, free := make(chan piece), make(chan []wire.View, piecesMax)
	for range piecesMax {
		free <- nil
	}
	failed := make(chan error, 1)
	go func() {
		defer close(pieces)
		p.o.Background()
		failed <- p.read(ctx, s, next, t, pieces, free)
	}()
	defer func() { // also when the fold panics
		cancel()
		for range pieces {
		}
	}()
	for x := range pieces {
		apply(s.View, x, aside)
		free <- x.vs
	}
	return <-failed
}

// read hands out the blocks from offset next to where t says, and notes what is
// missing in between and what follows.
func (p *Past) read(ctx context.Context, s *PastState, next uint64, t target, out chan<- piece, free <-chan []wire.View) error {
	last := p.o.Log.Next() - 1
	if t.offset != 0 {
		last = t.offset
	}
	if err := p.missing(s, next, last, t); err != nil {
		return err
	}
	follow := p.o.Log.Follow(next)
	for next <= last {
		b, err := follow.Next(ctx)
		var lost *wal.LostError
		if errors.As(err, &lost) {
			if lost.Records == 0 {
				return fmt.Errorf("%w: offsets %d to %d", ErrGone, lost.From, lost.To)
			}
			s.Partial = true
			continue
		}
		if err != nil {
			return err
		}
		if s.until = b.RecvMin(); b.Base() > last || t.offset == 0 && b.RecvMin() > t.recv {
			return nil
		}
		x := piece{b: b, from: int(max(next, b.Base()) - b.Base()), to: t.end(b)}
		if s.until = 0; x.to < b.Len() {
			s.until = b.Record(x.to).Recv
		}
		if x.to > x.from {
			s.Offset, s.At = b.Base()+uint64(x.to)-1, b.Record(x.to-1).Recv
		}
		select {
		case vs := <-free:
			x.vs = parseEvents(b, vs)
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case out <- x:
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

// missing tells what retention has left of the offsets next..last: with the first
// of them gone there is nothing to begin with, with tiers gone a part is missing.
func (p *Past) missing(s *PastState, next, last uint64, t target) error {
	for i, st := range p.o.Log.Stretches() {
		if i == 0 && next < st.Base {
			return fmt.Errorf("%w: it begins at offset %d", ErrGone, st.Base)
		}
		if st.Next > next && st.Base <= last && (t.offset != 0 || st.RecvMin <= t.recv) && st.Dropped != 0 {
			s.Partial = true
		}
	}
	return nil
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
