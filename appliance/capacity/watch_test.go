package capacity

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// server makes readings of one whose costs are known.
type server struct {
	r     Reading
	idle  float64
	event float64 // µs
	frame float64
	noise func() float64 // on the CPU of a window, a factor
}

// runs adds windows of ReadEvery under a load, in events/s and events a frame.
func (s *server) runs(w *Watch, d time.Duration, rate, frame float64) {
	for range int(d / ReadEvery) {
		dt := ReadEvery.Seconds()
		s.r.At = s.r.At.Add(ReadEvery)
		s.r.Events += uint64(rate * dt)
		s.r.Frames += uint64(rate / frame * dt)
		cpu := s.idle + (rate*s.event+rate/frame*s.frame)/1e6
		if s.noise != nil {
			cpu *= s.noise()
		}
		s.r.CPU += cpu * dt
		w.Add(s.r)
	}
}

func newServer() (*server, *Watch) {
	s := &server{r: Reading{At: noon, Events: 1000, CPU: 5}, idle: 0.03, event: 10, frame: 80}
	return s, NewWatch(costs(), Machine{Cores: 2, CPU: "here"})
}

func TestWatchLearnsWhatAnEventCosts(t *testing.T) {
	s, w := newServer()
	// Twice what the costs known before say (5 and 40 µs), and another rest.
	s.runs(w, 5*time.Minute, 0, 10)
	s.runs(w, 10*time.Minute, 20_000, 10)
	s.runs(w, 10*time.Minute, 50_000, 10)
	s.runs(w, 10*time.Minute, 30_000, 10)
	c, m := w.Costs()
	if !m.InForce || m.Confidence != "fair" && m.Confidence != "good" || math.Abs(m.Factor-2) > 0.01 || math.Abs(m.Idle-0.03) > 1e-6 || m.Spread > 0.01 {
		t.Fatalf("%+v", m)
	}
	if math.Abs(c.CPUEvent-10) > 0.1 || math.Abs(c.CPUFrame-80) > 0.8 || math.Abs(c.CPUIdle-0.03) > 1e-6 || math.Abs(m.CPUEvent-18) > 0.1 {
		t.Errorf("an event %v, a frame %v, rest %v", c.CPUEvent, c.CPUFrame, c.CPUIdle)
	}
	if c.By != Live || c.Machine.CPU != "here" || c.Sources["cpu_event_us"].By != Live || c.Sources["cpu_event_us"].Minutes < 25 {
		t.Errorf("%+v", c.Sources)
	}
	// What was known before is not touched, and what was not measured stays it.
	if k := costs(); w.meter.prior.CPUEvent != k.CPUEvent || c.MemoryConn != k.MemoryConn || len(w.meter.prior.Sources) != 0 {
		t.Error("costs known before were changed")
	}
}

func TestWatchNeedsLoadTimeAndEvenness(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *server, w *Watch)
		want string
	}{
		{"nothing read", func(*server, *Watch) {}, "none"},
		// 0.2 cores in all are 2 × 0.1: 9 µs an event here.
		{"little load", func(s *server, w *Watch) { s.runs(w, time.Hour, 5_000, 10) }, "none"},
		{"four minutes", func(s *server, w *Watch) { s.runs(w, 4*time.Minute, 50_000, 10) }, "low"},
		{"uneven", func(s *server, w *Watch) {
			rng := rand.New(rand.NewPCG(1, 1))
			n, f := 0, 1.0
			s.noise = func() float64 { // minutes that have little to do with each other
				if n++; n%12 == 0 {
					f = 0.3 + 5*rng.Float64()*rng.Float64()
				}
				return f
			}
			s.runs(w, 12*time.Minute, 50_000, 10)
		}, "low"},
		{"ten minutes", func(s *server, w *Watch) { s.runs(w, 10*time.Minute, 50_000, 10) }, "fair"},
		{"an hour", func(s *server, w *Watch) {
			rng := rand.New(rand.NewPCG(1, 1))
			s.noise = func() float64 { return 0.9 + 0.2*rng.Float64() }
			s.runs(w, time.Hour, 50_000, 10)
		}, "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newServer()
			c.do(s, w)
			costs, m := w.Costs()
			if m.Confidence != c.want || m.InForce != (c.want == "fair" || c.want == "good") || m.Says == "" {
				t.Errorf("%+v, want %s", m, c.want)
			}
			if !m.InForce && (costs.CPUEvent != 5 || costs.By != Bench) {
				t.Errorf("costs without enough: %+v", costs)
			}
		})
	}
}

// Costs that were measured here are of a machine like this one: what memory is
// taken whatever the load is told for it, once.
func TestWatchTellsTheBaseOfItsOwnMachine(t *testing.T) {
	known, here := costs(), Machine{Cores: 2, Memory: 2 << 30}
	known.Machine.Memory = 32 << 30
	w := NewWatch(known, here)
	s := &server{r: Reading{At: noon}, idle: 0.03, event: 10, frame: 80}
	base := func() float64 {
		c, _ := w.Costs()
		return Plan(c, Load{Agents: 1}, Host{Memory: 2 << 30}, 0).Need(Memory).Parts[0].Value
	}
	before := base()
	s.runs(w, time.Hour, 50_000, 10)
	if _, m := w.Costs(); !m.InForce || before > 0.3*known.MemoryBase || !near(base(), before) {
		t.Errorf("in force: %v, base %v before and %v then", m.InForce, before, base())
	}
}

// What uses the CPU beside the load, as a verify of a quiet server does, is neither
// rest nor what events cost.
func TestWatchLeavesOutWhatIsNoLoad(t *testing.T) {
	s, w := newServer()
	s.runs(w, time.Hour, 0.4, 1) // its own reports alone
	s.idle = 1
	s.runs(w, 10*time.Minute, 0.4, 1)
	s.idle = 0.03
	if c, m := w.Costs(); m.InForce || m.Confidence != "none" || c.CPUEvent != 5 || math.Abs(m.Idle-0.03) > 0.003 { // five seconds of it are in a minute of rest
		t.Errorf("after a verify of a quiet server: %+v", m)
	}
	s.runs(w, 30*time.Minute, 50_000, 10)
	s.idle = 1.8 // beside a load that takes little
	s.runs(w, 10*time.Minute, 1000, 10)
	if _, m := w.Costs(); !m.InForce || math.Abs(m.Factor-2) > 0.01 {
		t.Errorf("after a verify beside a small load: %+v", m)
	}
}

func TestWatchForgets(t *testing.T) {
	s, w := newServer()
	s.runs(w, 2*time.Hour, 50_000, 10)
	s.event, s.frame = 20, 160 // an upgrade that costs twice
	s.runs(w, 24*time.Hour, 50_000, 10)
	if _, m := w.Costs(); math.Abs(m.Factor-4) > 0.05 {
		t.Errorf("after a day: %+v", m)
	}
}

func TestWatchLiveAndBusiest(t *testing.T) {
	s, w := newServer()
	if _, ok := w.Live(); ok {
		t.Error("a load out of nothing")
	}
	if _, ok := w.Busiest(); ok {
		t.Error("a minute out of nothing")
	}
	s.r.Agents, s.r.Connections, s.r.Viewers = 100, 90, 2
	s.runs(w, 10*time.Minute, 1000, 10)
	s.runs(w, 3*time.Minute, 9000, 30)
	s.runs(w, 10*time.Minute, 500, 1)
	v, ok := w.Live()
	if !ok || v.Seconds != 60 || v.Events != 500 || v.Frames != 500 || v.Agents != 100 {
		t.Errorf("%+v", v)
	}
	b, ok := w.Busiest()
	if !ok || math.Abs(b.Events-9000) > 1 {
		t.Errorf("%+v", b)
	}
	l := b.Load()
	if l.Agents != 100 || l.Connections != 90 || math.Abs(l.Events-90) > 0.1 || math.Abs(l.Frame-30) > 0.1 || l.Viewers != 2 {
		t.Errorf("%+v", l)
	}
	// What is posted has no link, and counts as one; nothing is nothing.
	posted, none := Observed{Events: 10, Agents: 5}, Observed{}
	if l := posted.Load(); l.Connections != 1 || l.Agents != 5 {
		t.Errorf("%+v", l)
	}
	if a := Plan(costs(), none.Load(), Host{Cores: 2, Memory: 64e9, Descriptors: 1e6}, 0); a.First != "" || len(a.Limits) != 0 {
		t.Errorf("no load has limits: %+v", a.Limits)
	}
	// A day later that minute is no longer of the last day.
	s.runs(w, 25*time.Hour, 500, 1)
	if b, _ := w.Busiest(); b.Events > 501 {
		t.Errorf("after a day: %+v", b)
	}
	// Counters that begin anew, or a clock that stood still, make no load.
	s.r.Events, s.r.At = 0, s.r.At.Add(ReadEvery)
	w.Add(s.r)
	if v, ok := w.Live(); ok {
		t.Errorf("%+v", v)
	}
	s.runs(w, time.Minute, 100, 1)
	if v, ok := w.Live(); !ok || v.Events != 100 {
		t.Errorf("%+v", v)
	}
}

func TestWatchIsBounded(t *testing.T) {
	if n := unsafe.Sizeof(Watch{}); n > 256<<10 {
		t.Errorf("a watch takes %d bytes", n)
	}
	s, w := newServer()
	if n := testing.AllocsPerRun(1000, func() { s.r.At = s.r.At.Add(ReadEvery); w.Add(s.r) }); n > 0 {
		t.Errorf("a reading allocates %v times", n)
	}
}

func TestWatchMeasuresTheDisk(t *testing.T) {
	s, w := newServer()
	s.r.Sealed, s.r.SealedBytes, s.r.Records, s.r.ViewsBytes = 2_000_000, 40_000_000, 4_000_000, 100_000_000
	s.runs(w, time.Minute, 100, 1)
	c, _ := w.Costs()
	if c.DiskLogEvent != 20 || c.DiskViewsEvent != 25 || c.Sources["disk_log_event_bytes"].By != Live {
		t.Errorf("%v, %v: %+v", c.DiskLogEvent, c.DiskViewsEvent, c.Sources)
	}
	s.r.Sealed, s.r.Records = 999_999, 999_999
	s.runs(w, time.Minute, 100, 1)
	if c, _ := w.Costs(); c.DiskLogEvent != 16 || c.DiskViewsEvent != 64 {
		t.Errorf("out of too little: %v, %v", c.DiskLogEvent, c.DiskViewsEvent)
	}
}
