package views

import (
	"context"
	"time"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// parsed is a block with the events in it read, once for all folds.
type parsed struct {
	b     *block.Block
	views []wire.View
	err   error
}

// reader hands blocks to the loop: the next one is fetched and parsed while the
// folds are at the one before.
type reader struct {
	blocks chan parsed
	free   chan []wire.View // memory for what is parsed; never full
}

const parsedMax = 2

// read is the reader's goroutine. It ends with the first error, which it hands
// on, or with ctx.
func (r *Runner) read(ctx context.Context, follow Follower, in *reader) {
	r.o.Background()
	for {
		var p parsed
		if p.b, p.err = follow.Next(ctx); p.err == nil {
			select {
			case p.views = <-in.free:
				p.views = r.parse(p.b, p.views)
			case <-ctx.Done():
				return
			}
		}
		select {
		case in.blocks <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
	}
}

// next waits for a block, or returns none when something else is due.
func (r *Runner) next(ctx context.Context, in *reader) (parsed, error) {
	var due <-chan time.Time
	if wait, ok := r.untilDue(); ok {
		t := time.NewTimer(wait)
		defer t.Stop()
		due = t.C
	}
	select {
	case p := <-in.blocks:
		return p, p.err
	case <-due:
		return parsed{}, nil
	case <-ctx.Done():
		return parsed{}, ctx.Err()
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
