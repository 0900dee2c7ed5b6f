package fleet

import (
	"context"
	"errors"
	"fmt"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
)

// loadTries is how often another snapshot is looked for when the one chosen was
// thinned away meanwhile.
const loadTries = 3

// build builds the state behind an offset.
func (p *Past) build(ctx context.Context, offset uint64) (_ *PastState, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("fleet: a record up to %d cannot be folded: %v", offset, r)
		}
	}()
	aside, err := p.o.Aside()
	if err != nil {
		return nil, err
	}
	v := New(p.o.Log)
	v.NoSnapshots()
	from := uint64(0)
	for try := 1; ; try++ {
		m := p.o.Fleet.MomentBefore(offset)
		if err = v.LoadMoment(p.o.Store, m); err == nil {
			from = m.Offset
			break
		}
		if !errors.Is(err, pebble.ErrNotFound) || try == loadTries {
			return nil, err
		}
	}
	if err := p.fold(ctx, v, from+1, offset, aside); err != nil {
		return nil, err
	}
	at, clock := v.Offset()
	p.folded.Add(int(at - from))
	return &PastState{View: v, At: clock, Offset: offset}, nil
}

// piece is a block with its events parsed.
type piece struct {
	b  *block.Block
	vs []wire.View
}

// piecesMax is how many blocks are read ahead of the fold.
const piecesMax = 4

// fold brings v from before offset next to behind last. Blocks are read and
// parsed while the ones before are folded.
func (p *Past) fold(ctx context.Context, v *View, next, last uint64, aside map[uint64]string) error {
	if next > last {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	pieces, free := make(chan piece), make(chan []wire.View, piecesMax)
	for range piecesMax {
		free <- nil
	}
	failed := make(chan error, 1)
	go func() {
		defer close(pieces)
		p.o.Background()
		failed <- p.read(ctx, next, last, pieces, free)
	}()
	defer func() { // also when the fold panics
		cancel()
		for range pieces {
		}
	}()
	for x := range pieces {
		apply(v, x, next, last, aside)
		next = x.b.Next()
		free <- x.vs
	}
	return <-failed
}

func (p *Past) read(ctx context.Context, next, last uint64, out chan<- piece, free <-chan []wire.View) error {
	follow := p.o.Log.Follow(next)
	for next <= last {
		b, err := follow.Next(ctx)
		var lost *wal.LostError
		if errors.As(err, &lost) {
			return fmt.Errorf("%w: offsets %d to %d", ErrGone, lost.From, lost.To)
		}
		if err != nil {
			return err
		}
		if b.Base() > last {
			return nil // the log has a hole up to there, and says so
		}
		var x piece
		select {
		case vs := <-free:
			x = piece{b, parseEvents(b, vs)}
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case out <- x:
		case <-ctx.Done():
			return ctx.Err()
		}
		next = b.Next()
	}
	return nil
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

// apply folds the records of x that lie in from..last and are not set aside.
func apply(v *View, x piece, from, last uint64, aside map[uint64]string) {
	i := 0
	if from > x.b.Base() {
		i = int(from - x.b.Base())
	}
	end := x.b.Len()
	if x.b.Next() > last+1 {
		end = int(last + 1 - x.b.Base())
	}
	for j := i; j < end; j++ {
		if _, bad := aside[x.b.Base()+uint64(j)]; bad {
			part(v, x, i, j)
			i = j + 1
		}
	}
	part(v, x, i, end)
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
