package views

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

func TestStoreFormatIsTheNewest(t *testing.T) {
	if storeFormat != pebble.FormatNewest {
		t.Errorf("the store is pinned to format %d, the library's newest is %d: raise it on purpose", storeFormat, pebble.FormatNewest)
	}
}

// TestPowerCuts cuts the power at random while two folds run and save. After
// each cut a fold's snapshot equals a fold from zero up to its cursor, and
// going on from there makes it equal to one over the whole log.
func TestPowerCuts(t *testing.T) {
	behind, fresh := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := vfs.NewCrashableMem()
		l := newLog()
		for range 4 {
			l.add(events(rng, 1+rng.IntN(50))...)
		}
		p := openTestStore(t, fs)
		a, b := newTally('a', "alpha"), newTally('b', "beta")
		a.most, b.most = 1+rng.Uint64N(200), 1+rng.Uint64N(200)
		o := Options{Folds: []Mount{{a, "a"}, {b, "b"}}, Store: p, Log: l, SaveEvery: time.Millisecond,
			FlushEvery: time.Millisecond, FlushBytes: 1 + rng.Int64N(4000)}
		r := open(t, o)
		r.Start()
		var clone *vfs.MemFS
		cut := rng.IntN(40)
		for i := range 40 {
			l.add(events(rng, 1+rng.IntN(60))...)
			if rng.IntN(4) == 0 {
				waitFor(t, r, l.Next()-1)
			}
			if i == cut {
				clone = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rand.New(rand.NewPCG(seed, 77))})
			}
		}
		waitFor(t, r, l.Next()-1)
		mustClose(t, r, p)
		if want := fromZero(l, l.Next()); !maps.Equal(a.copy(), want) || !maps.Equal(b.copy(), want) {
			t.Fatalf("seed %d: the folds differ from the log", seed)
		}

		p = openTestStore(t, clone)
		a, b = newTally('a', "alpha"), newTally('b', "beta")
		o.Folds, o.Store = []Mount{{a, "a"}, {b, "b"}}, p
		o.Events.Rebuild = func(fold, reason string) { t.Errorf("seed %d: %s rebuilt: %s", seed, fold, reason) }
		r = open(t, o)
		for i, f := range []*tally{a, b} {
			at := r.Stats()[i].Cursor
			if at > 1 {
				behind++
			} else {
				fresh++
			}
			if want := fromZero(l, at); !maps.Equal(f.copy(), want) {
				t.Fatalf("seed %d: %s at %d differs from a fold from zero", seed, f.name, at)
			}
		}
		r.Start()
		waitFor(t, r, l.Next()-1)
		mustClose(t, r, p)
		if want := fromZero(l, l.Next()); !maps.Equal(a.copy(), want) || !maps.Equal(b.copy(), want) {
			t.Fatalf("seed %d: the folds differ from the log after the cut", seed)
		}
	}
	if behind < 20 {
		t.Errorf("only %d of %d snapshots survived a cut: the test went past its subject", behind, behind+fresh)
	}
}

// TestCloseSavesAll opens again with everything in place, no record applied twice.
func TestCloseSavesAll(t *testing.T) {
	fs := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(1, 1))
	l := newLog()
	l.add(events(rng, 100)...)
	p := openTestStore(t, fs)
	a := newTally('a', "alpha")
	o := Options{Folds: []Mount{{a, "a"}}, Store: p, Log: l, SaveEvery: time.Hour, FlushEvery: time.Hour, Now: stopped}
	r := open(t, o)
	r.Start()
	waitFor(t, r, 100)
	mustClose(t, r, p)
	if a.saves != 1 || a.saved != 1 {
		t.Errorf("%d saves, told of %d, want 1 and 1", a.saves, a.saved)
	}
	p = openTestStore(t, fs.CrashClone(vfs.CrashCloneCfg{})) // nothing unsynced survives
	b := newTally('a', "alpha")
	o.Folds, o.Store = []Mount{{b, "a"}}, p
	r = open(t, o)
	if got := r.Stats()[0]; got.Cursor != 101 || got.Lag != 0 || !maps.Equal(a.copy(), b.copy()) {
		t.Errorf("%+v", got)
	}
	r.Start()
	mustClose(t, r, p)
}

// TestRebuilds changes what a snapshot must fit, one by one.
func TestRebuilds(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	l := newLog()
	for range 5 {
		l.add(events(rng, 20)...)
	}
	run := func(t *testing.T, change func(o *Options, a *tally), want string, loaded uint64) {
		t.Helper()
		fs := vfs.NewMem()
		p := openTestStore(t, fs)
		a := newTally('a', "alpha")
		o := Options{Folds: []Mount{{a, "a"}}, Store: p, Log: l}
		r := open(t, o)
		r.Start()
		waitFor(t, r, 100)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := p.Set([]byte("astale"), make([]byte, 8), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		reason := ""
		a = newTally('a', "alpha")
		o = Options{Folds: []Mount{{a, "a"}}, Store: p, Log: l, Events: Events{Rebuild: func(_, why string) { reason = why }}}
		change(&o, a)
		r = open(t, o)
		if got := r.Stats()[0].Cursor; got != loaded {
			t.Errorf("cursor %d, want %d", got, loaded)
		}
		r.Start()
		ml := o.Log.(*memLog)
		waitFor(t, r, ml.Next()-1)
		state := a.copy()
		mustClose(t, r, p)
		if !strings.Contains(reason, want) || (want == "") != (reason == "") {
			t.Errorf("rebuilt because %q, want %q", reason, want)
		}
		if want == "" {
			delete(state, "stale")
		}
		if !maps.Equal(state, fromZero(ml, ml.Next())) {
			t.Errorf("state differs from a fold from zero")
		}
	}
	with := func(f func(*memLog)) func(*Options, *tally) {
		return func(o *Options, _ *tally) {
			c := l.upTo(l.next)
			f(c)
			o.Log = c
		}
	}
	t.Run("same", func(t *testing.T) { run(t, func(*Options, *tally) {}, "", 101) })
	t.Run("version", func(t *testing.T) { run(t, func(_ *Options, a *tally) { a.version = 2 }, "version 1, this is 2", 1) })
	t.Run("log", func(t *testing.T) { run(t, with(func(c *memLog) { c.id = 9 }), "snapshot of log", 1) })
	t.Run("epoch", func(t *testing.T) { run(t, with(func(c *memLog) { c.epoch = 2 }), "snapshot of epoch 1, this is 2", 1) })
	t.Run("ahead", func(t *testing.T) {
		run(t, func(o *Options, _ *tally) { o.Log = l.upTo(61) }, "stands at 101, the log ends at 61", 1)
	})
	t.Run("dropped", func(t *testing.T) {
		run(t, with(func(c *memLog) { c.id, c.first = 9, 21 }), "what lies before offset 21 was dropped", 1)
	})
	t.Run("cursor", func(t *testing.T) {
		run(t, func(o *Options, _ *tally) {
			if err := o.Store.Set(cursorKey("alpha"), []byte("x"), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}, "corrupt cursor", 1)
	})
	t.Run("load", func(t *testing.T) {
		run(t, func(o *Options, _ *tally) {
			if err := o.Store.Set([]byte("astale"), []byte("broken"), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}, "broken row", 1)
	})
}

// Records that the log cannot read among others are told and passed over; any
// other loss ends the runner.
func TestLostRecordsArePassedOver(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	l := newLog()
	l.add(events(rng, 20)...)
	some := &wal.LostError{From: 3, To: 9, Records: 2, Reason: "a chunk is damaged"}
	l.lost = some
	var told error
	p := openTestStore(t, vfs.NewMem())
	r := open(t, Options{Folds: []Mount{{newTally('a', "alpha"), "a"}}, Store: p, Log: l, Events: Events{Lost: func(err error) { told = err }}})
	r.Start()
	waitFor(t, r, 20)
	mustClose(t, r, p)
	if told != some {
		t.Errorf("told %v", told)
	}
	l.lost = &wal.LostError{From: 3, To: 9, Reason: "blocks are missing"}
	p = openTestStore(t, vfs.NewMem())
	failed := make(chan error, 1)
	r = open(t, Options{Folds: []Mount{{newTally('a', "alpha"), "a"}}, Store: p, Log: l, Events: Events{Failed: func(err error) { failed <- err }}})
	r.Start()
	if err := <-failed; !errors.Is(err, l.lost) {
		t.Errorf("failed with %v", err)
	}
	if err := errors.Join(r.Close(), p.Close()); !errors.Is(err, l.lost) {
		t.Errorf("closed with %v", err)
	}
}

// TestPoison makes a fold panic on some records: exactly those are left out,
// the other fold has them, and a restart remembers.
func TestPoison(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs := vfs.NewMem()
		l := newLog()
		var bad []uint64
		for range 12 {
			es := events(rng, 1+rng.IntN(80))
			for i := range es {
				if rng.IntN(60) == 0 {
					es[i].Msg = "poison"
					bad = append(bad, l.next+uint64(i))
				}
			}
			l.add(es...)
		}
		poke := func(msg string) {
			if msg == "poison" {
				panic("cannot fold this")
			}
		}
		p := openTestStore(t, fs)
		a, b := newTally('a', "alpha"), newTally('b', "beta")
		a.poke = poke
		var got []uint64
		o := Options{Folds: []Mount{{a, "a"}, {b, "b"}}, Store: p, Log: l, SaveEvery: time.Duration(1 + rng.IntN(5e6)),
			Events: Events{Poison: func(fold string, off uint64, v any, stack []byte) {
				if fold != "alpha" || v != "cannot fold this" || !strings.Contains(string(stack), "rig_test") {
					t.Errorf("%s at %d: %v\n%s", fold, off, v, stack)
				}
				got = append(got, off)
			}}}
		r := open(t, o)
		r.Start()
		waitFor(t, r, l.Next()-1)
		if s := r.Stats(); s[0].Poison != uint64(len(bad)) || s[1].Poison != 0 {
			t.Errorf("%+v", s)
		}
		mustClose(t, r, p)
		if !slices.Equal(got, bad) {
			t.Fatalf("seed %d: set aside %v, want %v", seed, got, bad)
		}
		if !maps.Equal(a.copy(), fromZero(l, l.Next(), bad...)) || !maps.Equal(b.copy(), fromZero(l, l.Next())) {
			t.Fatalf("seed %d: states differ", seed)
		}
		// A restart whose snapshot is lost folds around the same records.
		p = openTestStore(t, fs)
		if err := p.Delete(cursorKey("alpha"), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		if err := p.DeleteRange([]byte("a"), []byte("b"), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		got = nil
		a = newTally('a', "alpha")
		a.poke = poke
		o.Folds, o.Store = []Mount{{a, "a"}, {newTally('b', "beta"), "b"}}, p
		r = open(t, o)
		r.Start()
		waitFor(t, r, l.Next()-1)
		mustClose(t, r, p)
		if len(got) != 0 || !maps.Equal(a.copy(), fromZero(l, l.Next(), bad...)) {
			t.Fatalf("seed %d: after a restart %v were set aside again", seed, got)
		}
	}
}

// TestHalt bounds how much a fold may fail, without stopping the others.
func TestHalt(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	l := newLog()
	for range 5 {
		l.add(events(rng, 20)...)
	}
	p := openTestStore(t, vfs.NewMem())
	a, b := newTally('a', "alpha"), newTally('b', "beta")
	a.poke = func(string) { panic("always") }
	halted := ""
	r := open(t, Options{Folds: []Mount{{a, "a"}, {b, "b"}}, Store: p, Log: l, PoisonMax: 7,
		Events: Events{Halted: func(fold string, err error) { halted = fold }}})
	r.Start()
	if err := r.WaitFor(context.Background(), 100); !errors.Is(err, ErrHalted) {
		t.Errorf("WaitFor: %v", err)
	}
	for r.Stats()[1].Cursor <= 100 {
		time.Sleep(time.Millisecond)
	}
	mustClose(t, r, p)
	if s := r.Stats(); halted != "alpha" || s[0].Poison != 7 || s[0].Halted == nil || s[1].Cursor != 101 {
		t.Errorf("halted %q, %+v", halted, s)
	}
	if !maps.Equal(b.copy(), fromZero(l, 101)) {
		t.Error("the other fold differs")
	}
}

// TestAfterApplyAndMalformed: every block once, in order, after the folds; a
// payload that is no map is told and folded as an empty event.
func TestAfterApplyAndMalformed(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	l := newLog()
	p := openTestStore(t, vfs.NewMem())
	a := newTally('a', "alpha")
	var r *Runner
	next := uint64(1)
	var malformed []uint64
	r = open(t, Options{Folds: []Mount{{a, "a"}}, Store: p, Log: l,
		AfterApply: func(b *block.Block) {
			if b.Base() != next || r.Stats()[0].Cursor < b.Next() {
				t.Errorf("block at %d, want %d; %+v", b.Base(), next, r.Stats())
			}
			next = b.Next()
		},
		Events: Events{Malformed: func(off uint64, err error) { malformed = append(malformed, off) }}})
	r.Start()
	for range 20 {
		es := events(rng, 5)
		es[2].Msg = "malformed"
		l.add(es...)
	}
	waitFor(t, r, 100)
	mustClose(t, r, p)
	if next != 101 || fmt.Sprint(malformed[:3]) != "[3 8 13]" || len(malformed) != 20 {
		t.Errorf("next %d, malformed %v", next, malformed)
	}
}

func TestWaitForEnds(t *testing.T) {
	l := newLog()
	p := openTestStore(t, vfs.NewMem())
	r := open(t, Options{Folds: []Mount{{newTally('a', "alpha"), "a"}}, Store: p, Log: l})
	r.Start()
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 2)
	go func() { errs <- r.WaitFor(ctx, 5) }()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
	go func() { errs <- r.WaitFor(context.Background(), 5) }()
	mustClose(t, r, p)
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestMountsMustNotOverlap(t *testing.T) {
	p := openTestStore(t, vfs.NewMem())
	defer p.Close()
	bad := func(want string, ms ...Mount) {
		t.Helper()
		if _, err := Open(Options{Folds: ms, Store: p, Log: newLog()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	bad("share prefix", Mount{newTally('a', "x"), "a"}, Mount{newTally('a', "y"), "ba"})
	bad("two folds", Mount{newTally('a', "x"), "a"}, Mount{newTally('b', "x"), "b"})
	bad("is taken", Mount{newTally(1, "x"), "\x01"})
}
