package views

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestUnread: what is neither flushed nor applied is unread, and a fold that has
// halted reads no more.
func TestUnread(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	l := newLog()
	l.add(events(rng, 100)...)
	fs := vfs.NewMem()
	p := openTestStore(t, fs)
	set := metrics.NewSet()
	o := Options{Folds: []Mount{{newTally('a', "alpha"), "a"}, {newTally('b', "beta"), "b"}}, Store: p, Log: l, Metrics: set, SaveEvery: time.Hour, FlushEvery: time.Hour, Now: stopped}
	refold := func() float64 {
		return set.GetOrCreateGauge(`eyrie_view_refold{view="alpha"}`, nil).Get()
	}
	r := open(t, o)
	r.Start()
	waitFor(t, r, 100)
	if at, n := r.Unread(), refold(); at != 1 || n != 100 {
		t.Errorf("nothing is saved: unread from %d on, %v to fold again", at, n)
	}
	mustClose(t, r, p)
	if at, n := r.Unread(), refold(); at != 101 || n != 0 {
		t.Errorf("all is flushed: unread from %d on, %v to fold again", at, n)
	}

	p = openTestStore(t, fs)
	l.add(events(rng, 10)...)
	b := newTally('b', "beta")
	b.poke = func(string) { panic("always") }
	o.Folds, o.Store, o.PoisonMax, o.FlushEvery, o.SaveEvery, o.Metrics, o.Now = []Mount{{newTally('a', "alpha"), "a"}, {b, "b"}}, p, 3, time.Millisecond, 0, nil, nil
	r = open(t, o)
	if at := r.Unread(); at != 101 {
		t.Errorf("after a restart: unread from %d on", at)
	}
	r.Start()
	for end := time.Now().Add(20 * time.Second); r.Stats()[1].Halted == nil || r.Unread() != 111; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("one fold is through, and flushed, the other has halted: unread from %d on; %+v", r.Unread(), r.Stats())
		}
	}
	mustClose(t, r, p)
}
