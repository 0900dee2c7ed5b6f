package bench

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/capacity"
	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// TestSustain goes all the way on a small scale: what it measures is there and
// fits together; how much it is depends on the machine.
func TestSustain(t *testing.T) {
	m := Sustain{
		Common: common(t), Shape: workload.Shape{Seed: 1, Agents: 500, Connections: 20, Frame: 50},
		Full: 4 * time.Second, Share: time.Second, Govern: 4 * time.Second, Hold: 3 * time.Second, Loads: []float64{0.3}, Frames: []int{5}, Kills: 2, Life: 500 * time.Millisecond,
	}
	ctx := patient(t)
	r, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) float64 {
		v, ok := r.Figure(name)
		if !ok {
			t.Errorf("no figure %q", name)
		}
		return v
	}
	for _, name := range []string{figureViewed, "frames of 5: acknowledged", "frames of 5: server cpu", "cpu of an event", "views on disk", "written to the device", figureAccepted, figureLoaded, "ack p99 at 30 %"} {
		if v := value(name); v <= 0 {
			t.Errorf("%s: %v", name, v)
		}
	}
	if len(r.Faults) > 0 { // a machine that is busy holds no rate: that is what it has to say
		if !strings.HasPrefix(r.Faults[0], "no rate was held") {
			t.Fatal(r.Faults)
		}
		return
	}
	if c, s := value(figureCapacity), value("capacity: server cores"); c <= 0 || c > 1.3*value(figureViewed) || s <= 0 {
		t.Errorf("capacity %v with %v cores; the closed loop gave %v", c, s, value(figureViewed))
	}
	holds := 0
	for _, s := range r.Settings {
		if strings.HasPrefix(s.Name, "hold ") {
			holds++
		}
	}
	want := value(figureBorne) * sustainRoom * math.Pow(holdDown, float64(holds-1))
	if c := value(figureCapacity); math.Abs(c/want-1) > 1e-6 {
		t.Errorf("capacity %v after %d holds, want %v", c, holds, want)
	}
	if n := value("capacity: series"); n < 500 {
		t.Errorf("500 agents with %v series", n)
	}
	if r.Figures[0].Name != figureCapacity || len(r.Curves) != 5 {
		t.Errorf("begins with %q, %d curves", r.Figures[0].Name, len(r.Curves))
	}
}

// TestSustainWithoutHold: what was borne is stated as it is, and what it costs.
func TestSustainWithoutHold(t *testing.T) {
	m := Sustain{
		Common: common(t), Shape: workload.Shape{Seed: 1, Agents: 500, Connections: 20, Frame: 50},
		Full: 500 * time.Millisecond, Share: time.Second, Govern: 2 * time.Second,
	}
	ctx := patient(t)
	r, err := m.Run(ctx)
	if err != nil || len(r.Faults) > 0 {
		t.Fatal(err, r)
	}
	borne, _ := r.Figure(figureBorne)
	stated, _ := r.Figure(figureCapacity)
	cpu, _ := r.Figure("capacity: server cpu")
	if borne <= 0 || math.Abs(stated/borne/sustainRoom-1) > 1e-6 || cpu <= 0 {
		t.Errorf("borne %v, stated %v at %v µs an event", borne, stated, cpu)
	}
}

// TestSyncs: a group of events is durable with two syncs.
func TestSyncs(t *testing.T) {
	meters := map[string]float64{"eyrie_wal_commits_total": 5, "eyrie_wal_marks_total": 3, "eyrie_wal_records_total": 100}
	if n := syncsOf(meters); n != 8 {
		t.Errorf("5 commits and 3 marks are %v syncs", n)
	}
}

// TestRamp: links are opened in steps, and what a link takes is found.
func TestRamp(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	r, err := Ramp{Common: common(t), Most: 400, Steps: []float64{0.25, 0.5, 1}, Rest: 100 * time.Millisecond}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := r.Figure("links"); n != 400 {
		t.Errorf("%v links", n)
	}
	for _, name := range []string{"connect rate", "agent memory", "descriptors"} {
		if v, ok := r.Figure(name); !ok || v <= 0 {
			t.Errorf("%s: %v", name, v)
		}
	}
	if len(r.Curves) != 2 || len(r.Curves[0].Lines[0].Points) != 3 {
		t.Errorf("curves: %+v", r.Curves)
	}
}

// TestBaseline: every round gives a rate, and the slow ones are in the tail.
func TestBaseline(t *testing.T) {
	r, err := Baseline{Common: common(t), Rounds: 2, For: 20 * time.Millisecond}.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Figures {
		if f.Value <= 0 {
			t.Errorf("%s: %v", f.Name, f.Value)
		}
		if strings.HasSuffix(f.Name, "p99") {
			if p50, _ := r.Figure(strings.TrimSuffix(f.Name, " p99")); p50 > f.Value {
				t.Errorf("%s: %v, below the median %v", f.Name, f.Value, p50)
			}
		}
	}
}

// TestFindings: the sum of a run follows from its parts, is not to be trusted
// where one of them is not or the machine moved, and leaves open what was not
// measured.
func TestFindings(t *testing.T) {
	part := func(name string, noise *host.Noise, figures ...any) *report.Report {
		r := &report.Report{Part: name, Noise: noise}
		for i := 0; i < len(figures); i += 2 {
			r.Add(figures[i].(string), figures[i+1].(float64), "", "")
		}
		return r
	}
	quiet := &host.Noise{Trusted: true, OtherShare: 0.01}
	sum := func(core float64, noise *host.Noise) *report.Report {
		rep := &report.Report{Part: "capacity", Machine: host.Machine{Cores: 4, Memory: 1024}, Parts: []*report.Report{
			part(partBaseline, quiet, "one core", 500.0, "append", 100.0, "sync", 0.5),
			part(partLinks, quiet, "links", 20_000.0, "link memory", 200.0, "agent memory", 1000.0),
			part(partEvents, noise, figureCapacity, 100_000.0, "capacity: server cpu", 12.0, "cpu of a frame", 100.0, "capacity: server cores", 1.2, "capacity: client cores", 1.0,
				"capacity: resident", 1000.0, "capacity: series", 100_000.0, "log on disk", 16.0, "views on disk", 84.0, "ack p99 at 50 %", 5.0),
			part(partSamples, quiet, "eyrie: memory", 900.0),
			part(partViewers, quiet, "all: viewers", 50.0, "all: deliveries", 1_001_000.0, "all: deliveries at most", 1_810_000.0, "all: p99", 14.0),
			part(partAfter, quiet, "one core", core, "append", 100.0),
		}}
		f := &findings{rep}
		f.noise()
		f.costs()
		f.say()
		return rep
	}
	r := sum(505, quiet)
	if !r.Noise.Trusted || r.Noise.OtherShare != 0.01 {
		t.Errorf("noise %+v", r.Noise)
	}
	c := r.Costs
	if c.CPUEvent != 11 || c.CPUFrame != 100 || math.Abs(c.CoresUsable-0.4) > 1e-9 || c.Connections != 20_000 || c.Machine.Memory != 1<<30 {
		t.Errorf("costs %+v", c)
	}
	if want := 1000.0*(1<<20) - capacity.Garbage*(65_000*1000+1000*200+100_000*900); c.MemoryBase != want {
		t.Errorf("base memory %v, want %v", c.MemoryBase, want)
	}
	if c.CPUDelivery != 0 || c.DiskSample != 0 || len(c.Sustained) != 1 {
		t.Errorf("what was not measured: %+v", c)
	}
	// Of viewers what was borne is said, not what came late, and no other rate is made of it.
	if says := strings.Join(r.Says, " "); !strings.Contains(says, "50 live viewers that are each sent 20,020 events a second have 99 of 100 of them within 14 ms") || strings.Contains(says, "18,100") {
		t.Errorf("of viewers it says %q", r.Says)
	}
	if v, _ := r.Figure("plan for"); v != 70_000 {
		t.Errorf("plan for %v", v)
	}
	if v, _ := r.Figure("disk a day"); v != 100*70_000*86_400/1e9 {
		t.Errorf("disk a day %v", v)
	}
	for _, bad := range []*report.Report{sum(400, quiet), sum(500, &host.Noise{Why: "steal"})} {
		if bad.Noise.Trusted || !strings.HasPrefix(bad.Says[0], "Do not sign") {
			t.Errorf("noise %+v, says %q", bad.Noise, bad.Says)
		}
	}
}
