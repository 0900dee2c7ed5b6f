//go:build linux

package sim

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Plant is a fault of ours, put in to see that the simulation finds it.
type Plant uint8

// The plants.
const (
	NoPlant        Plant = iota
	NoSync               // the disk forgets to sync the log's WAL and mark
	AckBeforeSync        // acks go out though the power went before the sync
	ForgetOnSend         // agents forget what they have written to a socket
	NoFence              // what a former link left in flight is taken as the new one's
	RenumberAtOnce       // an agent that restarts without its state numbers from 1
)

// Config says what is simulated. Equal configurations take the same course.
type Config struct {
	Seed   uint64
	Agents int           // producers; default 4
	Chaos  time.Duration // how long there are faults; default 20 s
	Plant  Plant
	Seal   bool // the log seals its old blocks, at a pace of its own
	Views  bool // fold the views, and compare them with a fresh fold after each life of the server
	Log    func(at time.Duration, what string)
}

// Result is what a run has seen.
type Result struct {
	Trace                                      uint64 // hash of all that happened, in order
	Steps                                      int
	Sealed                                     uint64 // offset up to which the log was sealed at the end; not part of the trace
	Virtual                                    time.Duration
	Crashes, Cuts, DiskErrors, Jumps, Restarts int
	Books
}

// event is something that happens at an instant; n orders those of one instant.
type event struct {
	at int64
	n  uint64
	do func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*a = old[:len(old)-1]
	return e
}

// world is one run.
type world struct {
	cfg    Config
	rng    *rand.Rand
	now    int64 // ns since the beginning; never goes back
	skew   int64 // what the wall clock is off
	agenda agenda
	n      uint64
	calm   bool // no more faults
	res    Result
	err    error

	producers []*producer
	site      *site
	conns     int
}

// epoch0 is the wall clock at the beginning.
const epoch0 = 1_700_000_000_000_000_000

func (w *world) wall() time.Time { return time.Unix(0, epoch0+w.now+w.skew) }

// after puts fn on the agenda.
func (w *world) after(d time.Duration, fn func()) {
	w.n++
	heap.Push(&w.agenda, event{w.now + int64(d), w.n, fn})
}

// between draws a time from lo to hi, short ones more often.
func (w *world) between(lo, hi time.Duration) time.Duration {
	f := w.rng.Float64()
	return lo + time.Duration(f*f*f*float64(hi-lo))
}

func (w *world) one(in int) bool { return w.rng.IntN(in) == 0 }

// note makes something part of the trace.
func (w *world) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %d %s", w.res.Trace, w.now, s)
	w.res.Trace = h.Sum64()
	if w.cfg.Log != nil {
		w.cfg.Log(time.Duration(w.now), s)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d, at %v: %w", w.cfg.Seed, time.Duration(w.now), fmt.Errorf(format, args...))
	}
}

// calmMax bounds how long agents may take to get everything through once there
// are no more faults.
const calmMax = 5 * time.Minute

// Run simulates until every agent has got through what it made, or a promise is
// broken. The error names the seed.
func Run(cfg Config) (Result, error) {
	if cfg.Agents == 0 {
		cfg.Agents = 4
	}
	if cfg.Chaos == 0 {
		cfg.Chaos = 20 * time.Second
	}
	w := &world{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x51))}
	w.run()
	w.res.Virtual = time.Duration(w.now)
	return w.res, w.err
}

func (w *world) run() {
	disk := newDisk(w)
	if !w.serve(disk) {
		return
	}
	for i := range w.cfg.Agents {
		p := &producer{w: w, id: i + 1, fates: map[uint64]fate{}}
		w.producers = append(w.producers, p)
		p.begin(nil)
	}
	w.faults()
	w.after(w.cfg.Chaos, func() {
		w.calm = true
		w.note("calm")
		if s := w.site; s != nil {
			s.calm()
		}
	})
	for w.err == nil && len(w.agenda) > 0 && !w.done() {
		e := heap.Pop(&w.agenda).(event)
		w.now = max(w.now, e.at)
		e.do()
		w.res.Steps++
		if w.now > int64(w.cfg.Chaos+calmMax) {
			w.fail("no progress: %s", w.waiting())
		}
	}
	if w.site != nil {
		w.end()
	}
}

// done tells that nothing is under way any more.
func (w *world) done() bool {
	if !w.calm || w.site == nil {
		return false
	}
	for _, p := range w.producers {
		if a := p.newest(); !a.idle() {
			return false
		}
	}
	return true
}

func (w *world) waiting() string {
	for _, p := range w.producers {
		if a := p.newest(); !a.idle() {
			return fmt.Sprintf("producer %d, life %d, holds %d from %d, next %d, welcomed %v, over %q", p.id, a.life, len(a.held), a.first(), a.next, a.welcomed, a.over)
		}
	}
	return "the server"
}

// end closes the server in good order and looks at everything once more.
func (w *world) end() {
	s := w.site
	if w.err == nil {
		w.verify(s, true)
	}
	w.res.Sealed = s.log.Sealed()
	w.site = nil
	s.close()
}

// faults puts the next fault on the agenda.
func (w *world) faults() {
	w.after(w.between(20*time.Millisecond, 1500*time.Millisecond), func() {
		if w.calm {
			return
		}
		w.faults()
		p := w.producers[w.rng.IntN(len(w.producers))]
		a := p.lives[w.rng.IntN(len(p.lives))]
		switch k := w.rng.IntN(20); {
		case k < 7 && a.conn != nil:
			w.res.Cuts++
			a.conn.cut(w.one(3))
		case k < 9 && a.conn != nil && !a.conn.blocked:
			c := a.conn
			w.note("link %d stops reading", c.id)
			c.blocked = true
			w.after(w.between(10*time.Millisecond, 3*time.Second), c.unblock)
		case k < 11 && w.site != nil:
			w.site.disk.crashSoon(1 + w.rng.IntN(8))
		case k < 12 && w.site != nil:
			w.crash("kill")
		case k < 13 && w.site != nil && !w.cfg.Seal && w.one(3): // a store with small memtables would meet it where it ends the process
			w.res.DiskErrors++
			w.site.disk.failSoon(1 + w.rng.IntN(4))
		case k < 14:
			w.res.Jumps++
			w.skew += w.rng.Int64N(int64(4*time.Hour)) - int64(2*time.Hour)
			w.note("the clock jumps")
		case k < 17:
			p.restart()
		case k < 18: // a hello storm
			for _, p := range w.producers {
				if a := p.newest(); a.conn != nil {
					w.res.Cuts++
					a.conn.cut(false)
				}
			}
		}
	})
}
