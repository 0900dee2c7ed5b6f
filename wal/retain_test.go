package wal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"pgregory.net/rapid"
)

// TestRetainModel holds a log that seals, drops, holds and reopens against a
// plain slice.
func TestRetainModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fs, clk := newMem(), newClock()
		o := sealing(small(fs))
		o.Now = clk.now
		o.Seal.Bytes = 1 << 10
		o.Seal.Tier = func(r *Record) uint8 {
			if r.Kind != KindEvent {
				return 2
			}
			return r.Class % 2
		}
		gone := map[uint64]bool{} // offsets
		var all []Record
		inTier := func(s Stretch, tier uint8, fn func(r *Record)) {
			for i := range all {
				if r := &all[i]; r.Offset >= s.Base && r.Offset < s.Next && o.Seal.Tier(r) == tier {
					fn(r)
				}
			}
		}
		needed := ^uint64(0)
		var order []uint8
		var stop context.CancelFunc
		stopAt := 0 // so many drops; 0 = not
		o.Events.Dropped = func(s Stretch, tier uint8) {
			if order = append(order, tier); len(order) == stopAt {
				stop()
			}
			if s.Next > needed {
				t.Fatalf("dropped %d to %d, needed from %d", s.Base, s.Next, needed)
			}
			inTier(s, tier, func(r *Record) { gone[r.Offset] = true })
		}
		o.Retain.Needed = func() (uint64, string) { return needed, "a test" }
		var r *rig
		reopen := func() {
			if r != nil {
				r.mustCloseIn(t)
			}
			var err error
			if r, err = open(o); err != nil {
				t.Fatal(err)
			}
		}
		reopen()
		learn := func() {
			rs, _, err := r.Find(context.Background(), Query{FromOffset: uint64(len(all)) + 1, Limit: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rs...)
		}
		defer func() { _ = r.Close() }()
		p, wel, err := r.w.Fence(key(1), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, held := wel.Next, map[uint32]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"events": func(t *rapid.T) {
				for range rapid.IntRange(1, 200).Draw(t, "count") {
					a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%d", next*7%13))
					if v := r.w.Append(p, next, uint8(next*5%3), 0, a, uint32(next/40%6), clk.now().UnixNano(), fmt.Appendf(nil, "%d %x", next, next*0x9e3779b97f4a7c15)); v != Stored {
						t.Fatal(v)
					}
					next++
				}
				clk.add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
				if err := r.commit(); err != nil {
					t.Fatal(err)
				}
				learn()
			},
			"seal": func(t *rapid.T) {
				if err := r.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"hold": func(t *rapid.T) {
				k := rapid.Uint32Range(1, 5).Draw(t, "key")
				if held[k] = rapid.Bool().Draw(t, "hold"); held[k] {
					err = r.Hold(k, fmt.Sprint("main/r", k), "somebody looks at it")
				} else {
					delete(held, k)
					err = r.Release(k, fmt.Sprint("main/r", k))
				}
				if err != nil {
					t.Fatal(err)
				}
			},
			"retain": func(t *rapid.T) {
				r.o.Retain.Age, r.o.Retain.Bytes = 0, 0
				if rapid.Bool().Draw(t, "by age") {
					r.o.Retain.Age = time.Duration(rapid.IntRange(1, 7200).Draw(t, "age")) * time.Second
				} else {
					r.o.Retain.Bytes = rapid.Uint64Range(1, 20_000).Draw(t, "budget")
				}
				if needed = ^uint64(0); rapid.Bool().Draw(t, "needed") {
					needed = rapid.Uint64Range(1, r.Next()).Draw(t, "from")
				}
				order, stopAt = nil, rapid.IntRange(0, 3).Draw(t, "stop at")
				var ctx context.Context
				ctx, stop = context.WithCancel(context.Background())
				defer stop()
				got, err := r.Retain(ctx)
				if stopped := ctx.Err() != nil; stopped && len(order) != stopAt || err != nil && !(stopped && errors.Is(err, ctx.Err())) {
					t.Fatalf("%d dropped, to stop at %d: %v", len(order), stopAt, err)
				}
				if got.Dropped != len(order) {
					t.Fatalf("%d dropped, %d told", got.Dropped, len(order))
				}
				for i := range order {
					if r.o.Retain.Bytes > 0 && i > 0 && order[i] < order[i-1] {
						t.Fatalf("tiers went in order %d", order)
					}
				}
				if r.o.Retain.Bytes > 0 && got.Kept == "" && err == nil {
					used, err := r.sealedBytes()
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range r.Stretches() {
						if used > r.o.Retain.Bytes && s.Tiers != s.Dropped {
							t.Fatalf("%d bytes are left of a budget of %d, and tiers %b of %d to %d", used, r.o.Retain.Bytes, s.Tiers&^s.Dropped, s.Base, s.Next)
						}
					}
				}
			},
			"reopen": func(*rapid.T) {
				reopen()
				learn()
				if err := r.digested(all); err != nil || r.DigestsFrom() != 1 {
					t.Fatal(r.DigestsFrom(), err)
				}
				if list := r.Stretches(); len(list) > 1 { // the last one stays
					left := list[0].Tiers != list[0].Dropped
					for tier := uint8(0); tier < 3 && !left; tier++ {
						if left, err = r.anyChunk(&list[0], tier); err != nil {
							t.Fatal(err)
						}
					}
					if !left {
						t.Fatalf("the log begins at %d, and nothing is left of it up to %d", list[0].Base, list[0].Next)
					}
				}
			},
			"": func(t *rapid.T) {
				rs, err := r.readAll()
				if err != nil {
					t.Fatal(err)
				}
				left := map[uint64]bool{}
				for i := range rs {
					x := &rs[i]
					left[x.Offset] = true
					if !equal(*x, all[x.Offset-1]) {
						t.Fatalf("%v, want %v", *x, all[x.Offset-1])
					}
				}
				for i := range all {
					switch x := &all[i]; {
					case !gone[x.Offset] && !left[x.Offset]:
						t.Fatalf("offset %d is missing and was not dropped", x.Offset)
					case gone[x.Offset] && left[x.Offset] && len(held) == 0 && !r.holds.released && r.cache.holding(x.Offset) == nil: // a hold keeps whole chunks, until the next Retain
						t.Fatalf("offset %d was dropped and is still there", x.Offset)
					}
				}
				for tier := range uint8(3) {
					from, last := r.KeptFrom(tier), uint64(0)
					for i := range all {
						if x := &all[i]; gone[x.Offset] && o.Seal.Tier(x) == tier {
							last = x.Offset
						}
					}
					if last >= from || from > r.First() && last == 0 {
						t.Fatalf("tier %d is kept from %d, and offset %d of it was dropped", tier, from, last)
					}
				}
			},
		})
	})
}

func (r *rig) mustCloseIn(t *rapid.T) {
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestForgettingIsKnownFromLoss: what retention has dropped from the log's front
// is no damage, and what is lost from there is, by its offsets.
func TestForgettingIsKnownFromLoss(t *testing.T) {
	clk := newClock()
	o := sealing(small(newMem()))
	o.Now, o.Seal.Bytes = clk.now, 4<<10
	r := mustOpen(t, o)
	fill(t, r, 4000)
	clk.add(time.Hour)
	fill(t, r, 1000)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.o.Retain.Age = time.Minute
	if done, err := r.Retain(t.Context()); err != nil || done.Dropped == 0 {
		t.Fatalf("%+v %v", done, err)
	}
	list := r.Stretches()
	noted, err := r.trimmed()
	if err != nil || noted.next != list[0].Base || noted.next == 1 || noted.records != noted.next-1 || noted.digest != list[0].chain {
		t.Fatalf("%+v %v, the log begins at %d", noted, err, list[0].Base)
	}
	if len(list) < 3 {
		t.Fatalf("%d stretches are left", len(list))
	}
	r.mustClose(t)
	if res := intact(t, o); res.First != noted.next {
		t.Errorf("begins at %d", res.First)
	}
	// One more goes, and nobody has said so.
	r = mustOpen(t, o)
	next := list[1].Base
	span := pebble.KeyRange{Start: key8(prefixStretch, 0), End: key8(prefixStretch, next)}
	if err := r.db.Excise(t.Context(), span); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	res, err := Verify(t.Context(), VerifyOptions{Log: o})
	if want := fmt.Sprintf("stretch, offset %d to %d: no block holds them", noted.next, next-1); err != nil || !strings.Contains(fmt.Sprint(damages(res)), want) {
		t.Errorf("%v %v, want %s", err, damages(res), want)
	}
}

// TestRetainPassesWhatIsDamaged: a stretch whose index cannot be read stays, and keeps no other.
func TestRetainPassesWhatIsDamaged(t *testing.T) {
	o := sealing(small(newMem()))
	r := filled(t, o, 10_000)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := r.Stretches()
	bad := list[1].Base
	if err := r.db.Delete(stretchKey(bad, partIndex), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	o.Retain.Bytes = 1
	r = mustOpen(t, o)
	defer r.mustClose(t)
	got, err := r.Retain(t.Context())
	if err != nil || got.Kept == "" || got.Dropped == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range r.Stretches() {
		if (s.Base == bad) == (s.Dropped == s.Tiers) {
			t.Errorf("of the stretch at %d tiers %b are dropped of %b", s.Base, s.Dropped, s.Tiers)
		}
	}
}
