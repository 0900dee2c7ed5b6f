package wal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestCompact drops most of a log, holds a little, and finds the rest as it was in less space.
func TestCompact(t *testing.T) {
	o := sealing(small(newMem()))
	o.Seal.Bytes = 800 << 10
	o.Seal.Tier = func(*Record) uint8 { return 0 }
	r := mustOpen(t, o)
	p, wel := r.mustFence(t, 1, 1, 0)
	rng := rand.New(rand.NewPCG(5, 6))
	for n := range 8000 {
		i := n % 40
		a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%d", i))
		text := append(secret(rng), secret(rng)...)
		if v := r.w.Append(p, wel.Next+uint64(n), 1, 0, a, uint32(i+1), 1, text); v != Stored {
			t.Fatal(v)
		}
		if n%100 == 99 {
			r.mustCommit(t)
		}
	}
	if err := r.Hold(3, "main/r3", "a test"); err != nil {
		t.Fatal(err)
	}
	if err := r.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.o.Retain.Bytes = 1
	if _, err := r.Retain(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := r.Stretches()
	was, err := r.readAll()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Compact(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := 0
	for i, s := range r.Stretches() {
		if s.gen > before[i].gen {
			again++
		}
	}
	t.Logf("%d of %d stretches were written again; %d records", again, len(before), len(was))
	if again == 0 {
		t.Error("nothing was worth it")
	}
	check := func() {
		t.Helper()
		now, err := r.readAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(now) != len(was) {
			t.Fatalf("%d records, were %d", len(now), len(was))
		}
		for i := range now {
			if !equal(now[i], was[i]) {
				t.Fatalf("%v, was %v", now[i], was[i])
			}
		}
	}
	check()
	u, err := r.Usage()
	if err != nil || u.Store == 0 || u.Sealed == 0 {
		t.Fatalf("%+v, %v", u, err)
	}
	r.mustClose(t)
	intact(t, o)
	r = mustOpen(t, o)
	defer r.mustClose(t)
	was = was[:len(was):len(was)]
	check()
}
