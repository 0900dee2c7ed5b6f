package views

import (
	"context"
	"errors"
	"time"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"
)

// turn is what the folds take at a time: blocks with the events in them read,
// once for all folds. It is one block where the log is waited for, and several
// where folds are behind: handing over to a thread costs as much as folding some
// twenty events.
type turn struct {
	blocks  []*block.Block
	views   [][]wire.View      // of each block; more than there are blocks, as memory
	digests [][]block.DigestOf // alike
	lost    uint64             // some records below this offset cannot be read; 0 for none
	err     error              // met behind them
}

// Bounds of a turn. What is parsed of more records leaves the cache before the
// folds have seen it.
const (
	turnBlocks  = 16
	turnRecords = 1024
)

// next returns the offset behind the turn.
func (t *turn) next() uint64 { return t.blocks[len(t.blocks)-1].Next() }

// records returns how many there are in it.
func (t *turn) records() (n int) {
	for _, b := range t.blocks {
		n += b.Len()
	}
	return n
}

// reader hands turns to the loop: the next one is fetched and parsed while the
// folds are at the one before.
type reader struct {
	turns chan *turn
	free  chan *turn // never full
}

const turnsMax = 2

// read is the reader's goroutine. It ends with the first error, which it hands
// on, or with ctx.
func (r *Runner) read(ctx context.Context, follow Follower, in *reader) {
	r.o.Background()
	for {
		var t *turn
		select {
		case t = <-in.free:
		case <-ctx.Done():
			return
		}
		r.fill(ctx, follow, t)
		select {
		case in.turns <- t:
		case <-ctx.Done():
			return
		}
		if t.err != nil {
			return
		}
	}
}

// fill waits for a block and takes those that are there behind it.
func (r *Runner) fill(ctx context.Context, follow Follower, t *turn) {
	clear(t.blocks)
	t.blocks, t.lost = t.blocks[:0], 0
	for records := 0; ; {
		var b *block.Block
		if b, t.err = follow.Next(ctx); t.err != nil {
			var lost *wal.LostError
			if !errors.As(t.err, &lost) || lost.Records == 0 {
				return
			}
			if r.o.Events.Lost != nil { // the follower goes on to the others
				r.o.Events.Lost(t.err)
			}
			t.err, t.lost = nil, max(t.lost, lost.To+1)
			continue
		}
		n := len(t.blocks)
		t.blocks = append(t.blocks, b)
		if n == len(t.views) {
			t.views, t.digests = append(t.views, nil), append(t.digests, nil)
		}
		t.views[n] = r.parse(b, t.views[n])
		t.digests[n] = b.AppendDigests(t.digests[n][:0], 0, b.Len())
		if records += b.Len(); n+1 == turnBlocks || records >= turnRecords || !follow.Ready() {
			return
		}
	}
}

// next waits for a turn, or returns none when something else is due.
func (r *Runner) next(ctx context.Context, in *reader) (*turn, error) {
	var due <-chan time.Time
	if wait, ok := r.untilDue(); ok {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case t := <-in.turns:
		return t, nil
	case <-due:
		return nil, nil
	case w := <-r.rewrites:
		err := r.rewrite(w.f)
		if w.done <- err; errors.Is(err, ErrHalted) {
			err = nil
		}
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// parse reads the events of b into vs, or into more memory where that is short.
func (r *Runner) parse(b *block.Block, vs []wire.View) []wire.View {
	if len(vs) < b.Len() {
		vs = make([]wire.View, b.Len())
	}
	for i := range b.Len() {
		rec := b.Record(i)
		if rec.Kind != block.KindEvent {
			vs[i] = wire.View{}
			continue
		}
		if err := vs[i].Reset(rec.Payload); err != nil {
			r.malform.Inc()
			if r.o.Events.Malformed != nil {
				r.o.Events.Malformed(rec.Offset, err)
			}
		}
	}
	return vs
}
