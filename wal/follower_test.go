package wal

import "testing"

// What a reader goes on to is decoded once, while it reads what lies before;
// behind where it goes nothing is. What it reads is the same.
func TestFollowTo(t *testing.T) {
	r := filled(t, sealing(small(newMem())), 10_000)
	want := r.all(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := r.Stretches()
	if len(list) < 4 {
		t.Fatalf("%d stretches", len(list))
	}
	to := list[2].Base
	f := r.FollowTo(1, to)
	var w, ahead *whole
	n := 0
	for f.Offset() < list[3].Next {
		b, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if rec := b.Record(i); !equal(rec, want[n]) {
				t.Fatalf("%v, want %v", rec, want[n])
			}
			n++
		}
		if f.in.w == w {
			continue
		}
		if ahead != nil && f.in.w != ahead {
			t.Error("a stretch was decoded twice")
		}
		w, ahead = f.in.w, nil
		if c := f.in.ahead; (c != nil) != (w.s.Next <= to) {
			t.Errorf("in the stretch of %d to %d, going on to %d: the next is decoded: %t", w.s.Base, w.s.Next, to, c != nil)
		} else if c != nil {
			ahead = <-c
			c <- ahead
		}
	}
	r.mustClose(t)
}

// A log may be closed while a stretch is decoded ahead.
func TestFollowToCloses(t *testing.T) {
	r := filled(t, sealing(small(newMem())), 10_000)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := r.FollowTo(1, r.Sealed())
	if _, err := f.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	if _, err := f.Next(t.Context()); err != ErrClosed {
		t.Error(err)
	}
}
