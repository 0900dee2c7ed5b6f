package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// memLog is a log in memory. A lost range is what its follower cannot read.
type memLog struct {
	*dict
	blocks []*block.Block
	lost   uint64
	sealed []wal.Stretch
	gate   chan struct{} // if set, followers wait for it
}

func (l *memLog) Next() uint64 { return l.blocks[len(l.blocks)-1].Next() }

func (l *memLog) Stretches() []wal.Stretch { return l.sealed }

func (l *memLog) FollowTo(from, _ uint64) Follower { return &memFollower{l, from} }

type memFollower struct {
	l    *memLog
	next uint64
}

func (f *memFollower) Next(ctx context.Context) (*block.Block, error) {
	if f.l.gate != nil {
		select {
		case <-f.l.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if f.l.lost >= f.next && f.l.lost > 0 {
		return nil, &wal.LostError{From: f.next, To: f.l.lost}
	}
	for _, b := range f.l.blocks {
		if b.Next() > f.next {
			f.next = b.Next()
			return b, nil
		}
	}
	return nil, errors.New("beyond the log's end")
}

// hole leaves n offsets out before the next block.
func drawLog(t *rapid.T, d *dict) *memLog {
	l, next, now := &memLog{dict: d}, uint64(1), t0
	for range rapid.IntRange(1, 15).Draw(t, "blocks") {
		if len(l.blocks) > 0 && rapid.IntRange(0, 9).Draw(t, "hole") == 0 {
			next += uint64(rapid.IntRange(1, 30).Draw(t, "lost"))
		}
		b := block.NewBuilder(next, 16, 1<<12)
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			r := drawRecord(t, d, &now)
			b.Append(&r, -1)
		}
		l.blocks = append(l.blocks, b.Block())
		next = l.Next()
	}
	return l
}

func (l *memLog) wholeTo(at uint64, leaveOut map[uint64]string) *View {
	v := New(l.dict)
	for _, b := range l.blocks {
		for i := range b.Len() {
			off := b.Base() + uint64(i)
			if _, bad := leaveOut[off]; off <= at && !bad {
				nb := block.NewBuilder(off, 1, 0)
				rec := b.Record(i)
				nb.Append(&rec, -1)
				blk := nb.Block()
				v.Apply(blk, 0, parse(blk))
			}
		}
	}
	return v
}

func saved(t interface{ Fatal(...any) }, db *pebble.DB, v *View) {
	if err := savedApart(t, db, v).Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	v.Saved()
}

// savedApart puts the chunks that lie apart into the store, and returns the batch
// that leads to them.
func savedApart(t interface{ Fatal(...any) }, db *pebble.DB, v *View) *pebble.Batch {
	w := db.NewBatch()
	chunks, err := v.SaveApart(w)
	if err != nil {
		t.Fatal(err)
	}
	if chunks != nil {
		if err := chunks(func(k, val []byte) error { return db.Set(k, val, pebble.NoSync) }); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func chunkRows(t *testing.T, db *pebble.DB) (n int) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{pastPrefix, pastChunk}, UpperBound: []byte{pastPrefix, pastChunk + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// Chunks of snapshots whose batch a crash has lost are gone with the next save.
func TestStrayChunks(t *testing.T) {
	w := newWorld(t, "a", "b")
	opts := SnapshotOptions{Min: 1, Reach: 1}
	w.v.Snapshots(opts)
	db := openStore(t)
	defer db.Close()
	w.say("a", start(wire.TypeRun, "r", "x"))
	saved(t, db, w.v)
	kept := chunkRows(t, db)
	offset, _ := w.v.Offset()
	for i := range 5 {
		w.say("b", start(wire.TypeTool, fmt.Sprint("s", i), "Bash"))
	}
	if b := savedApart(t, db, w.v); b.Len() == 0 || kept == 0 || chunkRows(t, db) <= kept {
		t.Fatalf("%d chunks, then %d: none were put apart", kept, chunkRows(t, db))
	}
	v := New(w.d)
	v.Snapshots(opts)
	if err := v.Load(db); err != nil {
		t.Fatal(err)
	}
	if at, _ := v.Offset(); at != offset {
		t.Fatalf("loaded at %d, saved at %d", at, offset)
	}
	saved(t, db, v)
	if n := chunkRows(t, db); n != kept {
		t.Errorf("%d chunks, want the %d that a snapshot leads to", n, kept)
	}
}

// The fleet at any instant and behind any offset is what a plain fold of the
// log up to there says, over holes and without what was set aside.
func TestPastProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict{}
		for i := range 5 {
			d.add("main", fmt.Sprint("a", i))
		}
		l := drawLog(t, d)
		aside := map[uint64]string{}
		for range rapid.IntRange(0, 3).Draw(t, "set aside") {
			aside[uint64(rapid.IntRange(1, int(l.Next())).Draw(t, "bad"))] = "bad"
		}
		db := openStore(t)
		defer db.Close()
		live := New(d)
		live.Snapshots(SnapshotOptions{Min: 30, Reach: 100})
		for i, b := range l.blocks {
			apply(live, piece{b, parse(b), 0, b.Len()}, aside)
			if i%3 == 0 {
				saved(t, db, live)
			}
		}
		now := l.blocks[len(l.blocks)-1].RecvMax() + 5e9
		p := NewPast(PastOptions{
			Log: l, Fleet: live, Store: db, Aside: func() (map[uint64]string, error) { return aside, nil },
			Now: func() time.Time { return time.Unix(0, now) },
		})
		for range 6 {
			var s *PastState
			var err error
			at := uint64(rapid.IntRange(1, int(l.Next()-1)).Draw(t, "offset"))
			if rapid.Bool().Draw(t, "by time") {
				recv := rapid.Int64Range(t0-2e9, now).Draw(t, "recv")
				at = 0
				for _, b := range l.blocks {
					for i := range b.Len() {
						if r := b.Record(i); r.Recv <= recv {
							at = r.Offset
						}
					}
				}
				s, err = p.At(context.Background(), recv)
				if at == 0 {
					if !errors.Is(err, ErrBefore) {
						t.Fatalf("before the log: %v", err)
					}
					continue
				}
			} else {
				s, err = p.Behind(context.Background(), at)
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Offset != at {
				t.Fatalf("stands at %d, want %d", s.Offset, at)
			}
			if diff := cmp.Diff(all(l.wholeTo(at, aside)), all(s.View)); diff != "" {
				t.Fatalf("behind %d (-whole +past):\n%s", at, diff)
			}
		}
	})
}

// pastRig is a past over a log of n blocks, each of one event of one agent.
func pastRig(t *testing.T, n int) (*memLog, *Past, *int64) {
	t.Helper()
	d := &dict{}
	d.add("main", "a")
	l := &memLog{dict: d}
	live, db := New(d), openStore(t)
	t.Cleanup(func() { db.Close() })
	for i := range n {
		nb := block.NewBuilder(uint64(i+1), 1, 0)
		put(nb, 1, t0+int64(i)*1e9, &wire.Event{Type: wire.TypeMessage, Kind: "text", Msg: "x"})
		b := nb.Block()
		l.blocks = append(l.blocks, b)
		live.Apply(b, 0, parse(b))
	}
	now := t0 + int64(n)*1e9
	p := NewPast(PastOptions{Log: l, Fleet: live, Store: db, Now: func() time.Time { return time.Unix(0, now) }, Waiting: 8, AgentsMax: 2})
	return l, p, &now
}

func TestPastBounds(t *testing.T) {
	l, p, now := pastRig(t, 20)
	ctx := context.Background()
	if _, err := p.At(ctx, *now+1); !errors.Is(err, ErrFuture) {
		t.Errorf("the future: %v", err)
	}
	if _, err := p.Behind(ctx, 21); !errors.Is(err, ErrFuture) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := p.Behind(ctx, 0); !errors.Is(err, ErrBefore) {
		t.Errorf("offset 0: %v", err)
	}
	if s, err := p.At(ctx, *now); err != nil || s.Offset != 20 || s.At != t0+19e9 {
		t.Errorf("now: %+v, %v", s, err)
	}
	l.lost = 3
	if _, err := p.Behind(ctx, 7); !errors.Is(err, ErrGone) {
		t.Errorf("lost offsets: %v", err)
	}
	if _, err := p.Behind(ctx, 20); err != nil {
		t.Errorf("a state that is kept: %v", err)
	}
	l.lost, l.sealed = 0, []wal.Stretch{{Base: 4, Next: 6, RecvMin: t0 + 3e9}}
	if _, err := p.Behind(ctx, 8); !errors.Is(err, ErrGone) {
		t.Errorf("offsets that were dropped: %v", err)
	}
	l.sealed = []wal.Stretch{{Base: 1, Next: 4, RecvMin: t0}, {Base: 4, Next: 6, RecvMin: t0 + 3e9, Dropped: 2}}
	for off, want := range map[uint64]bool{3: false, 5: true, 7: true} {
		if s, err := p.Behind(ctx, off); err != nil || s.Partial != want {
			t.Errorf("behind %d, of which something may be dropped: %+v, %v", off, s, err)
		}
		if s, err := p.At(ctx, t0+int64(off-1)*1e9+5e8); err != nil || s.Partial != want || s.Offset != off {
			t.Errorf("at %d: %+v, %v", off, s, err)
		}
	}
	l.sealed = nil
	for off := uint64(9); off <= 15; off++ {
		if _, err := p.Behind(ctx, off); err != nil {
			t.Fatal(err)
		}
		if len(p.kept) > 2 || p.kept[len(p.kept)-1].Offset != off {
			t.Fatalf("%d states kept, of one agent each; at most 2 agents are", len(p.kept))
		}
	}
	if p.Sweep(); len(p.kept) != 2 {
		t.Error("a sweep drops what was just used")
	}
	*now += 61e9
	if p.Sweep(); len(p.kept) != 0 {
		t.Error("a sweep leaves what nobody has used for a minute")
	}
}

// Askers for one moment share one build; builds take turns; too many askers are
// refused; the last one to leave ends its build.
func TestPastSharesAndCancels(t *testing.T) {
	l, p, _ := pastRig(t, 20)
	l.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	answers := make(chan error, 16)
	ask := func(ctx context.Context, off uint64) {
		asking.Go(func() {
			s, err := p.Behind(ctx, off)
			if err == nil && s.Offset != off {
				err = errors.New("another moment")
			}
			answers <- err
		})
	}
	for range 3 {
		ask(context.Background(), 9)
	}
	waitAskers := func(off uint64, n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			p.mu.Lock()
			b := p.builds[target{offset: off}]
			ok := b == nil && n == 0 || b != nil && b.askers == n
			p.mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("never %d askers for %d", n, off)
			}
		}
	}
	waitAskers(9, 3)
	for range 5 {
		ask(ctx, 12)
	}
	waitAskers(12, 5)
	if _, err := p.Behind(ctx, 13); !errors.Is(err, ErrBusy) {
		t.Errorf("a ninth asker: %v", err)
	}
	cancel()
	for range 5 {
		if err := <-answers; !errors.Is(err, context.Canceled) {
			t.Errorf("left: %v", err)
		}
	}
	waitAskers(12, 0)
	close(l.gate)
	asking.Wait()
	for range 3 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if got := p.built.Get(); got != 1 {
		t.Errorf("%d builds ended well, want 1", got)
	}
	if _, err := p.Behind(context.Background(), 12); err != nil {
		t.Error("after a build that was given up: ", err)
	}
}
