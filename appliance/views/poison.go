package views

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"
)

// panicked is what a fold threw.
type panicked struct {
	value any
	stack []byte
}

// try applies records from index from on and catches a panic.
func try(f *member, b *block.Block, from int, vs []wire.View) (p *panicked) {
	defer func() {
		if v := recover(); v != nil {
			p = &panicked{v, debug.Stack()}
		}
	}()
	f.Fold.Apply(b, from, vs)
	return nil
}

// apply brings the folds to the end of t, all at once: they share nothing but
// what they read.
func (r *Runner) apply(ctx context.Context, t *turn) error {
	var running sync.WaitGroup
	for i, f := range r.folds {
		f.failed = nil
		if f.next >= t.next() || f.halted.Load() != nil {
			continue
		}
		if i < len(r.folds)-1 {
			r.crew.do(i, &running, func() { r.applyTo(f, t) })
		} else {
			r.applyTo(f, t)
		}
	}
	running.Wait()
	for _, f := range r.folds {
		for f.failed != nil {
			if err := r.recoverFold(ctx, f, f.failed.Base(), f.failed.Next()); err != nil {
				return err
			}
			if f.failed = nil; f.halted.Load() == nil {
				r.applyTo(f, t)
			}
		}
	}
	return nil
}

// applyTo brings one fold there, or notes the block in which it panicked. Where
// a block begins beyond what the fold needs, the log has a hole that it knows
// and records.
func (r *Runner) applyTo(f *member, t *turn) {
	if f.own != nil && t.lost > f.next {
		f.own.lost(t.lost)
	}
	for i, b := range t.blocks {
		if f.next >= b.Next() {
			continue
		}
		from := max(f.next, b.Base())
		if r.applyAround(f, b, int(from-b.Base()), t.views[i]) != nil {
			f.failed = b
			return
		}
		f.applied.Add(int(b.Next() - from))
		f.moved(b.Next())
	}
}

func (f *member) moved(next uint64) {
	f.next = next
	f.cursor.Store(next)
}

// give is try; what the fold has taken is noted.
func (r *Runner) give(f *member, b *block.Block, from int, vs []wire.View) *panicked {
	p := try(f, b, from, vs)
	if p == nil {
		f.took(r.o.Log, b, from, b.Len())
	}
	return p
}

// applyAround applies b from index from on, leaving out what is set aside.
func (r *Runner) applyAround(f *member, b *block.Block, from int, vs []wire.View) *panicked {
	if len(f.poison) == 0 {
		return r.give(f, b, from, vs)
	}
	for i := from; i < b.Len(); {
		j := i
		for j < b.Len() {
			if _, bad := f.poison[b.Base()+uint64(j)]; bad {
				break
			}
			j++
		}
		if j == b.Len() {
			return r.give(f, b, i, vs)
		}
		if j > i {
			if p := r.give(f, slice(b, i, j), 0, vs[i:]); p != nil {
				return p
			}
		}
		f.took(r.o.Log, b, j, j+1)
		i = j + 1
	}
	return nil
}

// slice makes a block of the records i..j-1 of b.
func slice(b *block.Block, i, j int) *block.Block {
	nb := block.NewBuilder(b.Base()+uint64(i), j-i, 0)
	for ; i < j; i++ {
		rec := b.Record(i)
		nb.Append(&rec, -1)
	}
	return nb.Block()
}

// recoverFold brings a fold that panicked in the block at base, before offset
// end, back: it loads the last snapshot, which is free of what the panic left
// half done, applies the blocks before base again and those from base on one
// record at a time, and sets aside the record that panics again. It saves
// before such a record, so that many of them do not mean as many replays.
func (r *Runner) recoverFold(ctx context.Context, f *member, base, end uint64) error {
	if err := r.reload(f); err != nil {
		return err
	}
	for f.next < end {
		bad, p, err := r.crawl(ctx, f, base, end)
		if err != nil || p == nil {
			return err
		}
		if bad >= base {
			if err := r.setAside(f, bad, p); err != nil {
				return err
			}
		}
		base = min(base, bad)
		if len(f.poison) >= r.o.PoisonMax {
			return r.halt(f, fmt.Errorf("%w: %s failed on %d records, the last at %d: %v", ErrHalted, f.name, len(f.poison), bad, p.value))
		}
		// Back to before the record, then a snapshot there.
		if err := r.reload(f); err != nil {
			return err
		}
		if f.next >= bad {
			continue
		}
		if _, p, err = r.crawl(ctx, f, base, bad); err != nil {
			return err
		}
		if p != nil {
			return r.halt(f, fmt.Errorf("%w: %s failed before offset %d, where it had not: %v", ErrHalted, f.name, bad, p.value))
		}
		if err := r.save(f, 0); err != nil {
			return err
		}
		if err := r.await(f); err != nil {
			return err
		}
	}
	return nil
}

// halt stops f where it stands; the others go on.
func (r *Runner) halt(f *member, err error) error {
	f.halted.Store(&err)
	if r.o.Events.Halted != nil {
		r.o.Events.Halted(f.name, err)
	}
	return nil
}

// reload puts f back to its last committed snapshot.
func (r *Runner) reload(f *member) error {
	if err := r.await(f); err != nil {
		return err
	}
	return f.open(&r.o)
}

// crawl applies whole blocks before offset base, records one by one from there
// up to end, and stops where one panics: bad is that record, or the first of
// the block when it is below base.
func (r *Runner) crawl(ctx context.Context, f *member, base, end uint64) (bad uint64, p *panicked, err error) {
	follow := r.o.Log.Follow(f.next)
	for f.next < end {
		b, err := follow.Next(ctx)
		var lost *wal.LostError
		if errors.As(err, &lost) && lost.Records > 0 {
			continue // what is among it reads; it was told when the fold came there
		}
		if err != nil {
			return 0, nil, err
		}
		f.next = max(f.next, b.Base())
		r.views = r.parse(b, r.views)
		if b.Next() <= base && b.Next() <= end {
			if p := r.applyAround(f, b, int(f.next-b.Base()), r.views); p != nil {
				return b.Base(), p, nil
			}
			f.applied.Add(int(b.Next() - f.next))
			f.moved(b.Next())
			continue
		}
		for f.next < min(end, b.Next()) {
			if _, aside := f.poison[f.next]; !aside {
				i := int(f.next - b.Base())
				if p := r.give(f, slice(b, i, i+1), 0, r.views[i:]); p != nil {
					return f.next, p, nil
				}
				f.applied.Inc()
			} else {
				f.took(r.o.Log, b, int(f.next-b.Base()), int(f.next-b.Base())+1)
			}
			f.moved(f.next + 1)
		}
	}
	return 0, nil, nil
}

// setAside notes, in the store too, that f leaves out the record at offset.
func (r *Runner) setAside(f *member, offset uint64, p *panicked) error {
	why := fmt.Sprint(p.value)
	f.poison[offset] = why
	f.poisons.Store(uint64(len(f.poison)))
	f.poisoned.Inc()
	if r.o.Events.Poison != nil {
		r.o.Events.Poison(f.name, offset, p.value, p.stack)
	}
	return r.o.Store.Set(poisonKey(f.name, offset), []byte(why), pebble.NoSync)
}
