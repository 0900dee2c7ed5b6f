package wal

import "context"

// Follower reads the log in order, block by block, and waits at its end. It
// belongs to one goroutine and holds nothing that must be released.
type Follower struct {
	l    *Log
	next uint64
	in   reading

	first bool // before sealing
}

// Follow returns a follower that begins at offset from (0 is 1): its first
// block may start before it.
func (l *Log) Follow(from uint64) *Follower {
	return &Follower{l: l, next: max(from, 1), in: reading{tells: true}}
}

// FollowTo is Follow for a reader that goes on to offset to, most likely: what is
// sealed up to there is decoded while what lies before it is read, which takes the
// memory of a second stretch.
func (l *Log) FollowTo(from, to uint64) *Follower {
	f := l.Follow(from)
	f.in.to = to
	return f
}

// BeforeSealing has sealing wait while f reads blocks that have left memory, as long
// as there is room on the disk. It is for one that must get to the end again, and that
// the log's own process controls: what is in blocks is always kept. It returns f.
func (f *Follower) BeforeSealing() *Follower {
	f.first = true
	return f
}

// Offset returns the offset that the next block holds or begins with.
func (f *Follower) Offset() uint64 { return f.next }

// Next returns the next durable block; it waits until there is one. Errors: the
// context's; ErrClosed; a wrapped ErrFailed once all that was durable has been
// read; *LostError for offsets that are not there and are not a known hole: Skip
// goes on behind it. One with Records set tells, once, of some records that cannot
// be read among others that will be, and Skip must not be called for it. Known
// holes (Log.Holes) and what retention has dropped are stepped over.
func (f *Follower) Next(ctx context.Context) (*Block, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if more := f.in.untold; len(more) > 0 {
			f.in.untold = more[1:]
			return nil, more[0]
		}
		wake := f.l.cache.waiter()
		if f.next < f.l.Next() {
			b, err := f.l.blockFrom(f.next, &f.in)
			if err != nil {
				return nil, err
			}
			if f.first && f.in.stored > 0 {
				f.l.sealer.trailed.signs.Add(1)
			}
			f.in.stored = 0
			if b == nil || b.Base() >= f.l.Sealed() {
				f.in.w, f.in.ahead = nil, nil // nothing decoded is held at the end
			}
			if b != nil {
				f.next = b.Next()
				return b, nil
			}
		}
		if err := f.l.Err(); err != nil {
			return nil, err
		}
		if err := f.l.read(func() error { return nil }); err != nil {
			return nil, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Ready tells whether Next has a block, or an error, without waiting for what is
// still to come.
func (f *Follower) Ready() bool { return f.l.behindHoles(f.next) < f.l.Next() }

// Skip makes the follower go on at offset to.
func (f *Follower) Skip(to uint64) { f.next = to }
