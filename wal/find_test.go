package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFind compares Find with a walk over all records, for random queries and
// pages.
func TestFind(t *testing.T) {
	t.Parallel()
	o := small(newMem())
	o.CacheBytes = 64 << 10 // newest blocks from the cache, the others from the store
	r := mustOpen(t, o)
	defer r.mustClose(t)
	rng := rand.New(rand.NewPCG(3, 4))
	p, _ := r.mustFence(t, 1, 1, 1)
	recv := o.Now().UnixNano()
	for i := range uint64(6000) {
		a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "a%d", rng.IntN(300)*rng.IntN(3)))
		recv += rng.Int64N(3)
		r.w.Append(p, i+1, uint8(1+rng.IntN(5)+int(i/2000)*5), 0, a, uint32(rng.IntN(50))*0x01010101, recv, []byte("text"))
		if rng.IntN(200) == 0 {
			r.w.System(KindTick, 0, 0, nil)
		}
		if rng.IntN(300) == 0 {
			r.mustCommit(t)
		}
	}
	r.mustCommit(t)
	all := r.all(t)
	end := r.Next()
	first, last := all[0].Recv, all[len(all)-1].Recv
	ctx := context.Background()
	for n := range 150 {
		q := Query{Reverse: rng.IntN(2) == 0, Limit: 1 + rng.IntN(50)}
		if rng.IntN(2) == 0 {
			for range 1 + rng.IntN(3) {
				q.Agents = append(q.Agents, rng.Uint32N(400))
			}
		}
		if rng.IntN(3) == 0 {
			q.Classes = 1 << rng.IntN(20)
			q.Classes |= 1 << rng.IntN(20)
		}
		if rng.IntN(5) == 0 {
			q.Kinds = KindTick.Mask() | KindAgentDict.Mask()
		}
		if rng.IntN(5) == 0 {
			q.Key = uint32(1+rng.IntN(50)) * 0x01010101
		}
		if rng.IntN(3) == 0 {
			q.FromOffset, q.ToOffset = rng.Uint64N(end), rng.Uint64N(end+10)
		}
		if rng.IntN(3) == 0 {
			q.FromRecv, q.ToRecv = first+rng.Int64N(last-first), first+rng.Int64N(last-first+5)
		}
		if rng.IntN(4) == 0 {
			q.Budget.Bytes = 1
		}
		var want []uint64
		for i := range all {
			x := q
			x.FromOffset = max(x.FromOffset, 1)
			if x.ToOffset == 0 {
				x.ToOffset = end
			}
			slices.Sort(x.Agents)
			if x.is(&all[i]) {
				want = append(want, all[i].Offset)
			}
		}
		if q.Reverse {
			slices.Reverse(want)
		}
		var got []uint64
		for pages := 0; ; pages++ {
			recs, next, err := r.Find(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			if len(recs) > q.Limit {
				t.Fatalf("%d records, limit %d", len(recs), q.Limit)
			}
			for i := range recs {
				got = append(got, recs[i].Offset)
				if fmt.Sprint(recs[i]) != fmt.Sprint(all[recs[i].Offset-1]) {
					t.Fatal("another record at offset ", recs[i].Offset)
				}
			}
			if next == 0 {
				break
			}
			if q.Reverse {
				q.ToOffset = next
			} else {
				q.FromOffset = next
			}
			if pages > 20_000 {
				t.Fatal("the pages do not end")
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("query %d %+v: %d records, want %d", n, q, len(got), len(want))
		}
	}
	cut, stop := context.WithCancel(ctx)
	stop()
	if _, _, err := r.Find(cut, Query{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, off := range []uint64{1, 2, 777, end - 1} {
		rec, err := r.Read(off)
		if err != nil || fmt.Sprint(rec) != fmt.Sprint(all[off-1]) {
			t.Error(off, rec, err)
		}
	}
	for _, off := range []uint64{0, end, end + 9} {
		if _, err := r.Read(off); !errors.Is(err, ErrNotFound) {
			t.Error(off, err)
		}
	}
}

func TestFollowerWaits(t *testing.T) {
	r := mustOpen(t, small(newMem()))
	p, _ := r.mustFence(t, 1, 1, 1)
	r.mustCommit(t)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got := make(chan uint64, 10)
	ended := make(chan error, 1)
	go func() {
		f := r.Follow(0)
		for {
			b, err := f.Next(ctx)
			if err != nil {
				ended <- err
				return
			}
			got <- b.Next()
		}
	}()
	if n := <-got; n != r.Next() {
		t.Fatal(n)
	}
	for i := range uint64(5) {
		r.w.Append(p, i+1, 1, 1, 0, 0, 1, nil)
		r.mustCommit(t)
		if n := <-got; n != r.Next() {
			t.Fatal(n, r.Next())
		}
	}
	// Nothing that is not committed is shown, and a context ends the wait.
	r.w.Append(p, 6, 1, 1, 0, 0, 1, nil)
	short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
	defer stop()
	if _, err := r.Follow(r.Next()).Next(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	// Close stores what the writer still held, and ends followers.
	r.mustClose(t)
	if n := <-got; n != r.Next() || n != r.w.Next() {
		t.Fatal(n)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if _, _, err := r.Find(ctx, Query{}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}
