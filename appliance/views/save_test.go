package views

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// until waits for what another goroutine does.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// meters tells which of lines are not in what set shows.
func meters(set *metrics.Set, lines ...string) (missing []string) {
	var b bytes.Buffer
	set.WritePrometheus(&b)
	for _, l := range lines {
		if !strings.Contains(b.String(), l+"\n") {
			missing = append(missing, l)
		}
	}
	return missing
}

// What is shown as saved is what a crash leaves: not what is committed and not
// flushed.
func TestSavedOffsetIsWhatACrashLeaves(t *testing.T) {
	fs, l, rng := vfs.NewCrashableMem(), newLog(), rand.New(rand.NewPCG(1, 1))
	l.add(events(rng, 100)...)
	p := openTestStore(t, fs)
	var clock atomic.Int64
	o := Options{Folds: []Mount{{newTally('a', "alpha"), "a"}}, Store: p, Log: l, Metrics: metrics.NewSet(), SaveEvery: time.Millisecond, FlushEvery: time.Hour,
		Now: func() time.Time { return time.Unix(0, clock.Load()) }}
	r := open(t, o)
	r.Start()
	waitFor(t, r, 100)
	clock.Add(int64(10 * time.Millisecond)) // a save is due, no flush
	until(t, "a save", func() bool { return r.Stats()[0].Saved == 101 })
	crash := fs.CrashClone(vfs.CrashCloneCfg{})
	if m := meters(o.Metrics, `eyrie_view_loaded_offset{view="alpha"} 1`, `eyrie_view_next_offset{view="alpha"} 101`, `eyrie_view_saved_offset{view="alpha"} 1`); m != nil {
		t.Errorf("before a flush not %q", m)
	}
	mustClose(t, r, p)
	if m := meters(o.Metrics, `eyrie_view_saved_offset{view="alpha"} 101`); m != nil {
		t.Errorf("after the flush not %q", m)
	}
	for _, c := range []struct {
		fs   vfs.FS
		want int
	}{{crash, 1}, {fs.CrashClone(vfs.CrashCloneCfg{}), 101}} {
		o.Store, o.Metrics = openTestStore(t, c.fs), metrics.NewSet()
		r = open(t, o)
		if m := meters(o.Metrics, fmt.Sprintf(`eyrie_view_loaded_offset{view="alpha"} %d`, c.want), fmt.Sprintf(`eyrie_view_saved_offset{view="alpha"} %d`, c.want), `eyrie_view_rebuilds_total{view="alpha"} 0`); m != nil {
			t.Errorf("opened again not %q", m)
		}
		mustClose(t, r, o.Store)
	}
}

// Lives that are all cut short before a flush is due by FlushEvery get through a
// log nonetheless: each goes on near where the one before was cut. Clock and cuts are the test's.
func TestShortLivesGetOn(t *testing.T) {
	const (
		blocks = 12
		tick   = 500 * time.Millisecond // that a block takes
	)
	rng := rand.New(rand.NewPCG(1, 1))
	var fs vfs.FS = vfs.NewCrashableMem()
	l, last := newLog(), uint64(1)
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	for life := range 5 {
		p := openTestStore(t, fs)
		a := newTally('a', "alpha")
		r := open(t, Options{Folds: []Mount{{a, "a"}}, Store: p, Log: l, Now: now, FlushEvery: 20 * time.Second,
			Events: Events{Rebuild: func(fold, reason string) { t.Errorf("life %d: %s", life, reason) }}})
		if got := r.Stats()[0].Cursor; life > 0 && got <= last {
			t.Fatalf("life %d begins at %d, and the one before began at %d", life, got, last)
		} else {
			last = got
		}
		r.Start()
		began := l.Next()
		for range blocks {
			l.add(events(rng, 10)...)
			waitFor(t, r, l.Next()-1)
			clock.Add(int64(tick))
		}
		half := began + (l.Next()-began)/3 // 6 s: the last flush is due at 4 s
		until(t, "a flush", func() bool { return r.folds[0].kept.Load() >= half })
		cut := fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{}) // nothing unsynced survives
		mustClose(t, r, p)
		fs = cut
	}
}
