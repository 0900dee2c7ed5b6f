package bench

import (
	"context"
	"slices"
	"testing"
	"time"

	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// Viewers of every kind see what they ask for, in order and within their credits. A
// machine that is busy with other things may hold up the load of a short step, so that
// not even one viewer is borne: then all of it is tried again with longer ones.
func TestLive(t *testing.T) {
	var r *report.Report
	for _, d := range []time.Duration{300 * time.Millisecond, time.Second, 3 * time.Second, 9 * time.Second} {
		m := Live{Common: common(t), Child: []string{"bench", "viewers"}, Kinds: LiveKinds, Viewers: []int{1, 12}, Rate: 1000, Marks: 50,
			For: d, Settle: d / 3, Most: 10 * time.Second, Shape: workload.Shape{Seed: 1, Agents: 100, Connections: 10, Frame: 10}}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		var err error
		r, err = m.Run(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(LiveKinds, func(k string) bool { n, ok := r.Figure(k + ": viewers"); return ok && n == 0 }) && given(r, "agent", 50) && given(r, "all", 1050) {
			break
		}
		t.Logf("steps of %v: not every kind was borne, or got as much as there was: %v", d, r.Settings)
	}
	value := func(name string) float64 {
		v, ok := r.Figure(name)
		if !ok {
			t.Errorf("no figure %q", name)
		}
		return v
	}
	for _, k := range LiveKinds {
		if n := value(k + ": viewers"); n != 12 && n != 1 { // the second step may be held up, too
			t.Errorf("%s: %v viewers", k, n)
		}
		if p50, p99 := value(k+": p50"), value(k+": p99"); p50 <= 0 || p99 < p50 {
			t.Errorf("%s: p50 %v ms, p99 %v ms", k, p50, p99)
		}
	}
	for kind, rate := range map[string]float64{"agent": 50, "all": 1050} {
		if !given(r, kind, rate) {
			t.Errorf("%v viewers of %v events/s got %v a second", value(kind+": viewers"), rate, value(kind+": deliveries"))
		}
	}
	if len(r.Curves) != 3 || len(r.Curves[0].Lines) != 3 {
		t.Errorf("%d curves", len(r.Curves))
	}
}

// given tells whether each viewer of a kind was sent the events that there were: what comes late in a short step
// is missing there, or comes on top.
func given(r *report.Report, kind string, rate float64) bool {
	n, _ := r.Figure(kind + ": viewers")
	d, _ := r.Figure(kind + ": deliveries")
	return d >= 0.8*rate*n && d <= 1.2*rate*n
}
