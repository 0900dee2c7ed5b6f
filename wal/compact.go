package wal

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// Usage is what the log takes on disk, in bytes.
type Usage struct {
	Blocks uint64 `json:"blocks"` // that are not sealed
	Sealed uint64 `json:"sealed"` // stretches with their indexes
	Store  uint64 `json:"store"`  // all files of the store, these and the rest
}

// Usage returns it.
func (l *Log) Usage() (u Usage, err error) {
	err = l.read(func() error {
		for prefix, sum := range map[byte]*uint64{prefixBody: &u.Blocks, prefixHeader: &u.Blocks, prefixStretch: &u.Sealed, prefixChunk: &u.Sealed} {
			n, err := l.db.EstimateDiskUsage([]byte{prefix}, []byte{prefix + 1})
			if err != nil {
				return err
			}
			*sum += n
		}
		u.Store = l.db.Metrics().DiskSpaceUsage()
		return nil
	})
	return u, err
}

// Compact seals all that may be sealed, writes stretches again of which much was
// dropped, merges the store's tables and gives the space back that nothing needs.
// It works in the background of appends and readers, and waits for readers under
// way. One goroutine at a time. Errors are those of the store and of ctx.
func (l *Log) Compact(ctx context.Context) error {
	return l.read(func() error {
		if err := l.Seal(ctx); err != nil {
			return err
		}
		for _, s := range l.Stretches() {
			if s.Dropped == 0 {
				continue
			}
			if err := l.shrink(ctx, s.Base); err != nil {
				return err
			}
		}
		// Blocks are merged with nothing: they go as they are sealed.
		if err := l.db.Flush(); err != nil {
			return err
		}
		if err := l.tidy(ctx); err != nil {
			return err
		}
		lost, err := l.purge(ctx)
		if lost != nil {
			err = errors.Join(err, lost)
		}
		return err
	})
}

// shrink writes the stretch at base again where less than half of its chunks is
// left: what is left of a table keeps all of it on disk.
func (l *Log) shrink(ctx context.Context, base uint64) (err error) {
	l.shaping.Lock()
	defer l.shaping.Unlock()
	s, ok := l.stretchAt(base)
	if !ok || s.Base != base {
		return nil // dropped meanwhile
	}
	x, err := l.index(&s)
	if err != nil {
		return ignoreLost(err) // verify names it
	}
	left := uint64(0)
	for i := range x.Chunks {
		c := &x.Chunks[i]
		err := l.get(s.chunkKey(c.Tier, c.No), func(v []byte) error { left += uint64(len(v)); return nil })
		if err != nil && !errors.Is(err, pebble.ErrNotFound) {
			return err
		}
	}
	if left == 0 || 2*left > s.Bytes {
		return nil
	}
	r, err := l.rewrite(s, x)
	defer func() { err = errors.Join(err, r.close()) }()
	for i := range x.Chunks {
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = r.keep(i)
		}
	}
	if err != nil {
		return err
	}
	return r.end(ctx)
}

func ignoreLost(err error) error {
	var lost *LostError
	if errors.As(err, &lost) {
		return nil
	}
	return err
}
