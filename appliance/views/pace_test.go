package views

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// steps is a clock that moves when a fold works.
type steps struct {
	mu sync.Mutex
	t  time.Time
}

func (s *steps) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.t
}

func (s *steps) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t = s.t.Add(d)
}

func TestPace(t *testing.T) {
	var p pace
	if p.of(1000) != 0 {
		t.Error("it knows before it was told")
	}
	p.took(paceTurn-1, time.Hour)
	if p.of(1000) != 0 {
		t.Error("a small turn tells")
	}
	p.took(1000, time.Millisecond)
	if d := p.of(2_000_000); d != 2*time.Second {
		t.Errorf("2 million at 1 µs each take %v", d)
	}
	for range 20 * paceRecords / 1000 {
		p.took(1000, 3*time.Millisecond)
	}
	if d := p.of(1_000_000); d < 2900*time.Millisecond || d > 3001*time.Millisecond {
		t.Errorf("1 million at 3 µs each take %v: the past is not forgotten", d)
	}
}

// slow is a runner of one fold that takes 10 µs a record, by its own clock: in all, less than
// the second after which it is flushed in any case.
func slow(t *testing.T, fs *vfs.MemFS, l *memLog, o Options) (*Runner, *tally, *pebble.DB) {
	t.Helper()
	clock := &steps{t: time.Unix(1_700_000_000, 0)}
	a := newTally('a', "alpha")
	a.poke = func(string) { clock.add(10 * time.Microsecond) }
	p := openTestStore(t, fs)
	o.Folds, o.Store, o.Log, o.Now, o.SaveEvery, o.FlushEvery = []Mount{{a, "a"}}, p, l, clock.now, 1000*time.Hour, 1000*time.Hour
	r := open(t, o)
	r.Start()
	return r, a, p
}

// TestBehind: how long what views have not folded yet takes is known from what they have.
func TestBehind(t *testing.T) {
	l := newLog()
	r, _, p := slow(t, vfs.NewMem(), l, Options{})
	if n, d := r.Behind(); n != 0 || d != 0 {
		t.Errorf("of an empty log %d, %v", n, d)
	}
	l.add(events(rand.New(rand.NewPCG(1, 2)), 1000)...)
	waitFor(t, r, l.Next()-1)
	mustClose(t, r, p)
	if n, d := r.Behind(); n != 0 || d != 0 {
		t.Errorf("caught up %d, %v", n, d)
	}
	l.add(events(rand.New(rand.NewPCG(1, 3)), 500)...)
	if n, d := r.Behind(); n != 500 || d < 4900*time.Microsecond || d > 5100*time.Microsecond {
		t.Errorf("%d records at 10 µs each: %v", n, d)
	}
}

// flushedTo waits until a crash would leave what lies before offset next.
func flushedTo(t *testing.T, r *Runner, next uint64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); r.Unread() != next; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a crash would leave %d, want %d: %+v", r.Unread(), next, r.Stats())
		}
	}
}

// TestRefold: by an injected clock, a fold is saved as soon as it would take the
// bound to fold again what it has not saved, and that is worth a save.
func TestRefold(t *testing.T) {
	for _, c := range []struct {
		name    string
		refold  time.Duration
		records uint64
		want    []uint64 // what was applied at each save
	}{
		{"never due", time.Hour, 1, nil},
		{"too few records", time.Microsecond, 1 << 30, nil},
		{"by time", 10 * time.Millisecond, 1, []uint64{1000, 2000, 3000, 4000}},
		{"by records", time.Microsecond, 1500, []uint64{1500, 3000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 8))
			l := newLog()
			r, a, p := slow(t, vfs.NewMem(), l, Options{Refold: c.refold, RefoldRecords: c.records})
			want := c.want
			for range 40 { // 4,000 records of 10 µs
				l.add(events(rng, 100)...)
				waitFor(t, r, l.Next()-1)
				if len(want) > 0 && want[0] == l.Next()-1 {
					flushedTo(t, r, l.Next())
					want = want[1:]
				}
			}
			a.mu.Lock()
			saves := a.saves
			a.mu.Unlock()
			if saves != len(c.want) || len(want) > 0 {
				t.Errorf("%d saves, want those at %d", saves, c.want)
			}
			mustClose(t, r, p)
		})
	}
}
