//go:build linux

package bench

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/bench/report"
	"eyrie/bench/workload"
)

func soakOf(t *testing.T, d time.Duration) Soak {
	return Soak{
		Common: common(t), For: d, Rate: 1500, Search: time.Second, Viewers: []string{"bench", "viewers"},
		Load: workload.Workload{Name: "test", Says: "a test", Shape: workload.Shape{Seed: 2, Agents: 100, Connections: 10, Frame: 10}},
	}
}

// A soak reports what it saw, with curves, figures of each kind and viewers.
func TestSoak(t *testing.T) {
	ctx := patient(t)
	var m Soak
	var r *report.Report
	for range 4 { // on a busy machine the load is late where it is looked at last
		m = soakOf(t, 7*time.Second)
		m.Load.Viewers, m.Load.Queries = 4, 5
		m.Profile = t.TempDir()
		var err error
		if r, err = m.Run(ctx); r == nil {
			t.Fatal(err)
		}
		if len(r.Faults) == 0 {
			break
		}
	}
	for _, f := range r.Faults {
		t.Error(f)
	}
	for name, least := range map[string]float64{"rate": 1300, "ack p99": 0.1, "server cpu": 0.01, "client cpu": 0.001, "resident memory": 10, "heap": 1, "goroutines": 5, "descriptors": 20, "p99 at the beginning": 0.01, "p99 at the end": 0.01, "viewers": 4, "queries": 25, "query p99": 0.1, "screen p99": 0.1, "delivered": 1} {
		if v, ok := r.Figure(name); !ok || v < least {
			t.Errorf("%s: %v", name, v)
		}
	}
	if len(r.Curves) < 8 || len(r.Curves[0].Lines[0].Points) < 6 {
		t.Errorf("%d curves", len(r.Curves))
	}
	for _, part := range []string{"middle-cpu", "middle-heap", "end-cpu", "end-goroutine"} {
		if st, err := os.Stat(filepath.Join(m.Profile, "soak-"+part+".pprof")); err != nil || st.Size() == 0 {
			t.Errorf("profile %s: %v", part, err)
		}
	}
	for _, f := range r.Figures {
		if f.Unit == "" || len(f.Says) < 15 {
			t.Errorf("%s: unit %q, says %q", f.Name, f.Unit, f.Says)
		}
	}
}

// An interrupted soak tells of what it saw; one that looks for its rate takes the
// share of what it found.
func TestSoakInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := soakOf(t, 20*time.Second)
	m.Rate, m.Share = 0, 0.01
	m.Progress = func(format string, args ...any) {
		if strings.Contains(format, "cores") { // the first look
			time.AfterFunc(2*time.Second, cancel)
		}
		t.Logf(format, args...)
	}
	began := time.Now()
	r, err := m.Run(ctx)
	if r == nil || time.Since(began) > 40*time.Second {
		t.Fatalf("after %v: %v", time.Since(began), err)
	}
	if len(r.Says) == 0 || !strings.HasPrefix(r.Says[0], "Interrupted after ") {
		t.Errorf("it says %q", r.Says)
	}
	most, _ := r.Figure("maximum")
	if rate, ok := r.Figure("rate"); !ok || most < 1000 || rate < 0.005*most || rate > 0.015*most {
		t.Errorf("%v events/s of a maximum of %v", rate, most)
	}
}

// What must be flat is, or is named, in soaks of two hours.
func TestJudgeFlat(t *testing.T) {
	hours := func(seed uint64, change func(rng *rand.Rand, i int, s *Sample)) []Sample {
		rng := rand.New(rand.NewPCG(seed, 2))
		out := make([]Sample, 1440)
		for i := range out {
			s := &out[i]
			*s = Sample{At: float64(5 * (i + 1)), Window: 5, Rate: 50_000, P99: 8 + rng.Float64(), Next: 250_000 * float64(i+1),
				RSS: (600 + 40*rng.NormFloat64()) * (1 << 20), Heap: (200 + 10*rng.NormFloat64()) * (1 << 20),
				Goroutines: 60 + float64(rng.IntN(6)), Descriptors: 1200 + float64(rng.IntN(10)),
				LogDisk: 20*250_000*float64(i) + float64(i%40)*(8<<20), ViewDisk: 60*250_000*float64(i) + float64(i%100)*(8<<20)}
			change(rng, i, s)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		change func(rng *rand.Rand, i int, s *Sample)
		grows  string
	}{
		{"nothing", func(*rand.Rand, int, *Sample) {}, ""},
		{"memory that filled up in the first half", func(_ *rand.Rand, i int, s *Sample) { s.RSS = min(float64(i), 600) * (1 << 20) }, ""},
		{"memory", func(_ *rand.Rand, i int, s *Sample) { s.RSS += float64(i) * (1 << 17) }, "resident memory"},
		{"heap", func(_ *rand.Rand, i int, s *Sample) { s.Heap += float64(i) * (1 << 16) }, "heap"},
		{"goroutines", func(_ *rand.Rand, i int, s *Sample) { s.Goroutines += float64(i / 20) }, "goroutines"},
		{"descriptors", func(_ *rand.Rand, i int, s *Sample) { s.Descriptors += float64(i / 4) }, "descriptors"},
	} {
		for seed := range uint64(20) {
			s := hours(seed, c.change)
			var grown []string
			for _, g := range judgeFlat(s) {
				if g.Grows {
					grown = append(grown, g.Name)
				}
			}
			if got := strings.Join(grown, ", "); got != c.grows {
				t.Errorf("%s, seed %d: %q grew", c.name, seed, got)
				break
			}
			if a, b := diskPerEvent(s); a < 75 || a > 85 || b < 75 || b > 85 {
				t.Errorf("%s, seed %d: %.1f and %.1f B an event, want 80", c.name, seed, a, b)
				break
			}
			if first, last := drift(s); last > driftMax*first || first < 8 || first > 9 {
				t.Errorf("%s, seed %d: p99 from %v to %v", c.name, seed, first, last)
				break
			}
		}
	}
	if first, last := drift(hours(1, func(_ *rand.Rand, i int, s *Sample) { s.P99 += float64(i) / 1440 * 2 })); last <= driftMax*first {
		t.Errorf("a p99 that rises by a quarter was not seen: %v to %v", first, last)
	}
	twice := hours(1, func(_ *rand.Rand, i int, s *Sample) { s.ViewDisk += max(0, float64(i-720)) * 60 * 250_000 })
	if a, b := diskPerEvent(twice); b < 1.5*a {
		t.Errorf("disk per event that nearly doubles was not seen: %v to %v", a, b)
	}
	if p := thin(twice, func(s *Sample) float64 { return s.At }); len(p) > pointsMax || p[len(p)-1][0] != 7200 {
		t.Errorf("%d points up to %v", len(p), p[len(p)-1])
	}
}

// TestHeld: a rate is held where nothing that was judged grew and nine tenths of it
// were acknowledged; else the sentence says what gave.
func TestHeld(t *testing.T) {
	for want, v := range map[string]*Verdict{
		"Held 99,000 of the stated 100,000 events/s for 10m0s: within 10 %: yes, with no growth of view lag, unsealed bytes or level 0 of the stores.": {Holds: true, Rate: 99_000},
		"Held 89,000 of the stated 100,000 events/s for 10m0s: within 10 %: no, too few were acknowledged.":                                            {Holds: true, Rate: 89_000},
		"Held 99,000 of the stated 100,000 events/s for 10m0s: within 10 %: no, view lag grew; so did level 0.":                                        {Rate: 99_000, Why: []string{"view lag grew", "so did level 0"}},
	} {
		if got := heldSaid(v, 100_000, 10*time.Minute+100*time.Millisecond); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if n := viewLag([]Sample{{Lag: 3}, {Lag: 9}, {Lag: 1}}); n != 9 {
		t.Errorf("view lag of at most 9 is %v", n)
	}
}
