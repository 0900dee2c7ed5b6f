package views

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/appliance/forget"
	"eyrie/wal/block"
)

// fickle is a tally whose Load may fail, and that can be told to forget nothing.
type fickle struct {
	*tally
	load func() error
}

func (f *fickle) Load(r pebble.Reader) error {
	if f.load != nil {
		if err := f.load(); err != nil {
			return err
		}
	}
	return f.tally.Load(r)
}

func (f *fickle) Forget(*pebble.DB, *forget.Scope) error { return nil }

// TestSystemErrorsRebuildNothing: a view that the system cannot read now is kept for the next start, one
// whose rows are bad is folded anew.
func TestSystemErrorsRebuildNothing(t *testing.T) {
	l := newLog()
	l.add(events(rand.New(rand.NewPCG(2, 1)), 200)...)
	p := openTestStore(t, vfs.NewMem())
	rebuilt := 0
	with := func(load func() error) (*Runner, *fickle, error) {
		f := &fickle{newTally('a', "alpha"), load}
		r, err := Open(Options{Folds: []Mount{{f, "a"}}, Store: p, Log: l, Events: Events{Rebuild: func(string, string) { rebuilt++ }}})
		return r, f, err
	}
	r, _, err := with(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	waitFor(t, r, 200)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, no := range []syscall.Errno{syscall.EIO, syscall.EMFILE} {
		if _, _, err := with(func() error { return no }); !errors.Is(err, no) || rebuilt != 0 {
			t.Errorf("%v: %v, %d views folded anew", no, err, rebuilt)
		}
	}
	r, f, err := with(nil)
	if err != nil || rebuilt != 0 || r.Stats()[0].Cursor != 201 || !maps.Equal(f.state, fromZero(l, 201)) {
		t.Errorf("afterwards: %v, %d views folded anew", err, rebuilt)
	}
	once := true
	r, f, err = with(func() (err error) {
		if once {
			err = errors.New("bad rows")
		}
		once = false
		return err
	})
	if err != nil || rebuilt != 1 {
		t.Fatalf("bad rows: %v, %d views folded anew", err, rebuilt)
	}
	r.Start()
	waitFor(t, r, 200)
	if !maps.Equal(f.copy(), fromZero(l, 201)) {
		t.Error("folded anew, it is not what a fold from the beginning gives")
	}
	mustClose(t, r, p)
}

// TestForgetInTrouble: nothing is said to be forgotten where a view stands still, or cannot be
// loaded again; the first leaves the others as they are, the second is folded anew at the next start.
func TestForgetInTrouble(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	l := newLog()
	l.add(events(rng, 50)...)
	p := openTestStore(t, vfs.NewMem())
	var bad, broken atomic.Bool
	a, b := &fickle{tally: newTally('a', "alpha")}, &fickle{tally: newTally('b', "beta")}
	a.poke = func(string) {
		if bad.Load() {
			panic("not this one")
		}
	}
	b.load = func() error {
		if broken.CompareAndSwap(true, false) {
			return errors.New("bad rows")
		}
		return nil
	}
	start := func() *Runner {
		r := open(t, Options{Folds: []Mount{{a, "a"}, {b, "b"}}, Store: p, Log: l, PoisonMax: 2})
		r.Start()
		return r
	}
	r := start()
	waitFor(t, r, 50)
	bad.Store(true)
	l.add(events(rng, 50)...)
	if err := r.WaitFor(t.Context(), 100); !errors.Is(err, ErrHalted) {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context(), &forget.Scope{}); !errors.Is(err, ErrHalted) {
		t.Errorf("with a view that stands still: %v", err)
	}
	l.add(events(rng, 50)...)
	if err := r.CatchUp(t.Context(), l.Next()); err != nil || !maps.Equal(b.copy(), fromZero(l, l.Next())) {
		t.Errorf("the other view does not go on: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	bad.Store(false)
	r = start()
	waitFor(t, r, 150)
	if err := r.Forget(t.Context(), &forget.Scope{}); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := r.Forget(t.Context(), &forget.Scope{}); err == nil {
		t.Error("a view that could not be loaded again has forgotten")
	}
	_ = r.Close()
	r = start()
	waitFor(t, r, 150)
	if !maps.Equal(b.copy(), fromZero(l, l.Next())) {
		t.Error("what could not be loaded again is not folded anew")
	}
	mustClose(t, r, p)
}

// stalling is a log whose followers give nothing any more, once it is told so, until they are called off.
type stalling struct {
	*memLog
	stall   atomic.Bool
	stalled chan struct{}
}

type stallingFollower struct {
	Follower
	l *stalling
}

func (l *stalling) Follow(from uint64) Follower { return stallingFollower{l.memLog.Follow(from), l} }

func (f stallingFollower) Next(ctx context.Context) (*block.Block, error) {
	if f.l.stall.CompareAndSwap(true, false) {
		close(f.l.stalled)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return f.Follower.Next(ctx)
}

// TestCloseAmidRecovery: a close while one of two views that panicked is brought back saves none of what is half
// done, nor what was not told of yet; the next life folds it again.
func TestCloseAmidRecovery(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	l := &stalling{memLog: newLog(), stalled: make(chan struct{})}
	l.add(events(rng, 30)...)
	p := openTestStore(t, vfs.NewMem())
	var bad atomic.Bool
	folds := func() (a, b, c *fickle, mounts []Mount) {
		a, b, c = &fickle{tally: newTally('a', "alpha")}, &fickle{tally: newTally('b', "beta")}, &fickle{tally: newTally('c', "gamma")}
		return a, b, c, []Mount{{a, "a"}, {b, "b"}, {c, "c"}}
	}
	a, b, _, mounts := folds()
	for _, f := range []*fickle{a, b} {
		n := 0
		f.poke = func(string) {
			if bad.Load() {
				if n++; n == 10 { // in the middle of the block
					panic("not this one")
				}
			}
		}
	}
	r := open(t, Options{Folds: mounts, Store: p, Log: l})
	a.load = func() error { // to bring it back
		l.stall.Store(true)
		return nil
	}
	r.Start()
	waitFor(t, r, 30)
	bad.Store(true)
	l.add(events(rng, 30)...)
	<-l.stalled
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	a, b, c, mounts := folds()
	r = open(t, Options{Folds: mounts, Store: p, Log: l.memLog})
	r.Start()
	waitFor(t, r, 60)
	for i, f := range []*fickle{a, b, c} {
		if !maps.Equal(f.copy(), fromZero(l.memLog, 61)) {
			t.Errorf("fold %d is not what a fold from the beginning gives", i)
		}
	}
	mustClose(t, r, p)
}
