package capacity

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// round costs, to be multiplied by hand.
func costs() *Costs {
	return &Costs{
		By: Bench, Machine: Machine{Cores: 2, CPU: "a"},
		CPUEvent: 5, CPUFrame: 40, CPUSample: 0.5, CPUDelivery: 2, CPUIdle: 0.02, CoresUsable: 0.8,
		MemoryBase: 1e9, MemoryConn: 1000, MemoryConnOther: 4000, MemoryAgent: 5000, MemorySeries: 500,
		Descriptors:  100,
		DiskLogEvent: 16, DiskViewsEvent: 64, DiskSample: 2, DiskBase: 1e8, DeviceEvent: 240, DeviceWrite: 10_000,
		Syncs: 160, SyncLatency: 3, WireEvent: 132, WireDelivery: 300,
		Serial: []Serial{{"sealing", 400_000}},
	}
}

func near(got, want float64) bool {
	return math.Abs(got-want) <= 1e-9*math.Max(math.Abs(got), math.Abs(want))
}

func TestNeedsByHand(t *testing.T) {
	l := Load{Agents: 1000, Events: 2, Samples: 10, Frame: 10, Days: 10, Viewers: 5}
	h := Host{Cores: 4, Memory: 16e9, Descriptors: 10_000, Disk: 100e9, DiskFree: 90e9}
	a := Plan(costs(), l, h, 0)
	for _, c := range []struct {
		name   string
		value  float64
		usable float64
	}{
		// 2,000 events/s in 200 frames/s with 10,000 samples/s; each of 5 viewers sees all 2,000.
		{CPU, 0.02 + 2000*5e-6 + 200*40e-6 + 10_000*0.5e-6 + 5*2000*2e-6, 4 * 0.8 * 0.7},
		// What lives counts twice; 10,000 series.
		{Memory, 1e9 + 1000*2000 + 1000*4000 + 1000*10_000 + 10_000*1000 + 5*1048576, 16e9 * 0.8},
		{Descriptors, 100 + 1000 + 5, 9000},
		// Ten days of 86,400 s, 80 B an event and 2 B a sample.
		{Disk, 1e8 + 864_000*(2000*80+10_000*2), 90e9 - 15e9},
		// Samples are rewritten as events are: three times.
		{DiskWrites, 2000*240 + 10_000*2*3, 0},
		// 160 syncs at the most, and writes of 10 kB.
		{DiskOps, 160 + 540_000/10_000.0, 0},
		// 1,320 B a frame fit one packet.
		{NetworkIn, 2000*132 + 200*66, 0},
		{NetworkOut, 10_000 * 300, 0},
	} {
		n := a.Need(c.name)
		if n == nil {
			t.Errorf("no %s", c.name)
			continue
		}
		if !near(n.Value, c.value) || !near(n.Usable, c.usable) {
			t.Errorf("%s: %v of %v, want %v of %v", c.name, n.Value, n.Usable, c.value, c.usable)
		}
		sum := 0.0
		for _, p := range n.Parts {
			sum += p.Value
		}
		if !near(sum, n.Value) {
			t.Errorf("%s: parts add up to %v, not %v", c.name, sum, n.Value)
		}
		if len(n.Missing) > 0 || n.Says == "" {
			t.Errorf("%s: %+v", c.name, n)
		}
	}
	if len(a.Unanswered) > 0 {
		t.Errorf("unanswered: %q", a.Unanswered)
	}
	// 180,000 B/s are 15.552 GB a day; 75 GB may be used.
	if !near(a.DiskPerDay, 180_000*86_400) || !near(a.DiskDays, 75e9/(180_000*86_400)) {
		t.Errorf("%v B a day, %v days", a.DiskPerDay, a.DiskDays)
	}
}

func TestFirstLimitByHand(t *testing.T) {
	for _, c := range []struct {
		name string
		l    Load
		h    Host
		want string
		max  float64
	}{
		{"cpu", Load{Agents: 1000, Events: 10}, Host{Cores: 2, Memory: 64e9, Descriptors: 1e6}, CPU, (2*0.8*0.7 - 0.02) / (10_000 * 45e-6)},
		{"memory", Load{Agents: 1000, Events: 0.01}, Host{Cores: 2, Memory: 2e9, Descriptors: 1e6}, Memory, (2e9*0.8 - 1e9) / (1000 * (2000 + 4000 + 10_000))},
		{"descriptors", Load{Agents: 1000, Events: 0.01}, Host{Cores: 2, Memory: 64e9, Descriptors: 1024}, Descriptors, (1024*0.9 - 100) / 1000},
		{"disk", Load{Agents: 1000, Events: 1, Days: 100}, Host{Cores: 2, Memory: 64e9, Descriptors: 1e6, Disk: 1e11, DiskFree: 1e11}, Disk, (0.85e11 - 1e8) / (1000 * 80 * 8.64e6)},
		{"one thread", Load{Agents: 1000, Events: 100, Frame: 100}, Host{Cores: 64, Memory: 512e9, Descriptors: 1e6}, "sealing", 0.7 * 4},
		{"the base alone is too much", Load{Agents: 1, Events: 1}, Host{Cores: 2, Memory: 1e9, Descriptors: 1000}, Memory, 0},
		{"viewers alone are too much", Load{Agents: 1, Viewers: 2000}, Host{Memory: 2e9, Descriptors: 1e6}, Memory, 0},
		{"a disk that is full", Load{Agents: 1, Events: 1, Days: 1}, Host{Cores: 2, Memory: 64e9, Disk: 1e11, DiskFree: 1e9}, Disk, 0},
		{"own data counts as room", Load{Agents: 1000, Events: 1, Days: 100}, Host{Disk: 1e11, DiskFree: 4e10, DiskUsed: 6e10}, Disk, (0.85e11 - 1e8) / (1000 * 80 * 8.64e6)},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Plan(costs(), c.l, c.h, 0)
			if a.First != c.want || !near(a.Max, c.max) {
				t.Errorf("%s at %v times, want %s at %v: %+v", a.First, a.Max, c.want, c.max, a.Limits)
			}
			if a.Bears() != (c.max >= 1) {
				t.Errorf("bears: %v at %v", a.Bears(), a.Max)
			}
		})
	}
}

func TestPriceByHand(t *testing.T) {
	h := Host{Cores: 2, Memory: 64e9, Descriptors: 1e6}
	l := Load{Agents: 1000, Events: 1}
	a := Plan(costs(), l, h, 50)
	times := (2*0.8*0.7 - 0.02) / (1000 * 45e-6) // 24.4
	p := a.Price
	if p == nil || p.Month != 50 || p.Hosts != 1 || p.Connection != 0.05 || !near(p.Full, 50/(1000*times)) || !near(p.Million, 50/(1000*2629800/1e6)) {
		t.Errorf("%+v", p)
	}
	// A hundred times that takes five such hosts.
	p = Plan(costs(), l.Times(100), h, 50).Price
	if p.Hosts != 5 || p.Month != 250 || !near(p.Connection, 250/1e5) {
		t.Errorf("%+v", p)
	}
	// A disk that is too small for the days is no reason for another host.
	h.Disk, h.DiskFree = 1e11, 1e11
	l.Days = 100
	if a = Plan(costs(), l, h, 50); a.First != Disk || a.Price.Hosts != 1 || !near(a.Price.Full, 50/(1000*times)) || !mentions(a.Unanswered, "disk for 100 days") {
		t.Errorf("%+v, %q", a.Price, a.Unanswered)
	}
	// None of these hosts bears a single agent.
	a = Plan(costs(), l, Host{Memory: 1e9}, 50)
	if a.Price != nil || !mentions(a.Unanswered, "price") {
		t.Errorf("%+v, %q", a.Price, a.Unanswered)
	}
}

// What a server takes whatever the load follows the memory that there is: a host
// that is small takes less than the machine it was measured on, a larger one no more.
func TestBaseOfAnotherHost(t *testing.T) {
	c := costs()
	c.Machine.Memory = 32 << 30
	base := func(gib float64) float64 {
		return Plan(c, Load{Agents: 1}, Host{Memory: gib * (1 << 30)}, 0).Need(Memory).Parts[0].Value
	}
	// Of 26 GiB all are at their most: 512 + 4 × 128 + 256 + 4 × 64 MiB. Of 1.6 they
	// are 1/32, 4/64, 1/64 and 4/64; of 0.2 the least, 16 + 4 × 16 + 16 + 4 × 4.
	for gib, want := range map[float64]float64{64: 1e9, 32: 1e9, 2: 1e9 * 1.6 * 1024 * (11.0 / 64) / 1536, 0.25: 1e9 * 112 / 1536} {
		if got := base(gib); math.Abs(got/want-1) > 1e-3 {
			t.Errorf("%g GiB: %v, want %v", gib, got, want)
		}
	}
	a := Plan(Reference(), Load{Agents: 100, Events: 0.1}, Host{Cores: 2, Memory: 2 << 30}, 0)
	if !a.Bears() || !mentions(a.Says, "on one of 2 a server chooses") {
		t.Errorf("100 quiet agents on 2 GiB: %v times, %s: %q", a.Max, a.First, a.Says)
	}
}

func mentions(says []string, what string) bool {
	return slices.ContainsFunc(says, func(s string) bool { return strings.Contains(s, what) })
}

func TestWhatWasNotMeasuredIsNotAnswered(t *testing.T) {
	l := Load{Agents: 1000, Events: 2, Samples: 10, Frame: 10, Days: 10, Viewers: 5}
	h := Host{Cores: 4, Memory: 16e9, Descriptors: 10_000, Disk: 100e9, DiskFree: 90e9}
	a := Plan(&Costs{}, l, h, 0)
	for _, n := range a.Needs {
		switch n.Name {
		case Descriptors: // a connection is one, whoever measures
			if !n.AtLeast() {
				t.Errorf("%+v", n)
			}
		case Memory: // so is the bound of what waits for a viewer
			if !n.AtLeast() || len(n.Parts) != 1 {
				t.Errorf("%+v", n)
			}
		default:
			if n.Known() || n.Value != 0 || len(n.Missing) == 0 {
				t.Errorf("%s is %v out of nothing", n.Name, n.Value)
			}
		}
	}
	if a.First != Descriptors || !a.Limits[0].Loose || a.DiskDays != 0 || a.Need(CPU).Known() {
		t.Errorf("%+v", a)
	}
	if len(a.Unanswered) != len(a.Needs) {
		t.Errorf("%d needs, %d unanswered: %q", len(a.Needs), len(a.Unanswered), a.Unanswered)
	}
	// Without a share of the cores there is a need, and no limit.
	c := costs()
	c.CoresUsable = 0
	a = Plan(c, l, h, 0)
	if !a.Need(CPU).Known() || slices.ContainsFunc(a.Limits, func(l Limit) bool { return l.Name == CPU }) || !mentions(a.Unanswered, "CPU as a limit") {
		t.Errorf("%+v %q", a.Limits, a.Unanswered)
	}
	// One cost that is missing makes a lower bound, of which the limit is loose.
	c = costs()
	c.CPUSample = 0
	a = Plan(c, l, h, 0)
	if n := a.Need(CPU); !n.AtLeast() || !slices.Equal(n.Missing, []string{"samples"}) {
		t.Errorf("%+v", n)
	}
	// A host of which nothing is known sets no limit but that of one thread.
	a = Plan(costs(), l, Host{}, 0)
	if a.First != "sealing" || len(a.Unanswered) != 4 {
		t.Errorf("%s, %q", a.First, a.Unanswered)
	}
}

// any* draw loads, hosts and costs from zero to beyond what exists.
func anyLoad(t *rapid.T, from Load) Load {
	f := func(name string, most float64) float64 { return rapid.Float64Range(0, most).Draw(t, name) }
	return Load{
		Agents: from.Agents + f("agents", 1e6), Events: from.Events + f("events", 1000), Samples: from.Samples + f("samples", 1000),
		Days: from.Days + f("days", 1000), Viewers: from.Viewers + f("viewers", 1000),
	}
}

func anyHost(t *rapid.T) Host {
	f := func(name string, most float64) float64 { return rapid.Float64Range(0, most).Draw(t, name) }
	h := Host{Cores: f("cores", 256), Memory: f("memory", 1e13), Descriptors: f("descriptors", 1e7), Disk: f("disk", 1e14)}
	h.DiskFree = h.Disk * f("free", 1)
	h.DiskUsed = (h.Disk - h.DiskFree) * f("used", 1)
	return h
}

func anyCosts(t *rapid.T) *Costs {
	c := costs()
	for _, p := range []*float64{
		&c.CPUEvent, &c.CPUFrame, &c.CPUSample, &c.CPUDelivery, &c.CPUIdle, &c.MemoryBase, &c.MemoryConn, &c.MemoryConnOther, &c.MemoryAgent,
		&c.MemorySeries, &c.Descriptors, &c.DiskLogEvent, &c.DiskViewsEvent, &c.DiskSample, &c.DiskBase, &c.DeviceEvent, &c.DeviceWrite, &c.Syncs,
		&c.WireEvent, &c.WireDelivery,
	} {
		*p *= rapid.SampledFrom([]float64{0, 0.1, 1, 10}).Draw(t, "cost")
	}
	return c
}

func TestMoreLoadNeedsNoLessAndFitsNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, h := anyCosts(t), anyHost(t)
		small := anyLoad(t, Load{})
		large := anyLoad(t, small)
		a, b := Plan(c, small, h, 0), Plan(c, large, h, 0)
		for _, n := range a.Needs {
			m := b.Need(n.Name)
			if m == nil || m.Value < n.Value*(1-1e-9) {
				t.Fatalf("%s: %v of more load, %v of less", n.Name, m, n.Value)
			}
		}
		for _, l := range a.Limits {
			i := slices.IndexFunc(b.Limits, func(o Limit) bool { return o.Name == l.Name })
			if i < 0 || b.Limits[i].Times > l.Times*(1+1e-9) {
				t.Fatalf("%s: %v of more load, %v of less", l.Name, b.Limits, l.Times)
			}
		}
	})
}

func TestMoreHostNeverBearsLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, l, h := anyCosts(t), anyLoad(t, Load{}), anyHost(t)
		a := Plan(c, l, h, 0)
		for _, double := range []func(h *Host){
			func(h *Host) { h.Cores *= 2 }, func(h *Host) { h.Memory *= 2 }, func(h *Host) { h.Descriptors *= 2 },
			func(h *Host) { h.Disk, h.DiskFree = 2*h.Disk, h.DiskFree+h.Disk },
		} {
			larger := h
			double(&larger)
			if b := Plan(c, l, larger, 0); b.Max < a.Max*(1-1e-9) || b.First == "" && a.Max > 0 || b.First != "" && a.First == "" {
				t.Fatalf("%v times on the larger, %v on the smaller", b.Max, a.Max)
			}
		}
	})
}

func TestMaxIsWhereTheFirstLimitIsFull(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, l, h := anyCosts(t), anyLoad(t, Load{}), anyHost(t)
		a := Plan(c, l, h, 0)
		if a.Max <= 1e-6 || a.Max > 1e12 {
			return
		}
		b := Plan(c, a.Load.Times(a.Max), h, 0)
		if math.Abs(b.Max-1) > 1e-6 {
			t.Fatalf("%v times %v is borne %v times: %+v", a.Max, a.First, b.Max, b.Limits)
		}
		if n := b.Need(a.First); n != nil && math.Abs(n.Used()-1) > 1e-6 {
			t.Fatalf("%s is used to %v", a.First, n.Used())
		}
		for _, n := range b.Needs {
			if n.Used() > 1+1e-6 && n.open == "" {
				t.Fatalf("%s is used to %v at %s's limit", n.Name, n.Used(), a.First)
			}
		}
	})
}

func TestLargerFramesCostNoMoreCPU(t *testing.T) {
	last := math.Inf(1)
	for _, f := range []float64{0, 1, 10, 100, 1000} {
		v := Plan(costs(), Load{Agents: 100, Events: 10, Frame: f}, Host{}, 0).Need(CPU).Value
		if v > last {
			t.Errorf("frames of %v: %v cores, smaller ones %v", f, v, last)
		}
		last = v
	}
}

func TestSaysWhatItRestsOn(t *testing.T) {
	c := costs()
	says := Plan(c, Load{Agents: 1, Events: 1}, Host{Cores: 8, CPU: "b"}, 0).Says
	for _, want := range []string{"70 %", "from the 2 cores", "does not scale", "Measured on a", "3 ms a sync"} {
		if want == "does not scale" {
			c.Serial = nil
			says = Plan(c, Load{Agents: 1, Events: 1}, Host{Cores: 8, CPU: "b"}, 0).Says
		}
		if !mentions(says, want) {
			t.Errorf("nothing of %q in %q", want, says)
		}
	}
}

func ExamplePlan() {
	c := &Costs{CPUEvent: 5, CPUFrame: 40, CoresUsable: 0.8}
	a := Plan(c, Load{Agents: 1000, Events: 1}, Host{Cores: 2}, 0)
	fmt.Printf("%.3f cores, %.0f times: %s\n", a.Need(CPU).Value, a.Max, a.First)
	// Output: 0.045 cores, 25 times: cpu
}

// Whatever is asked within what the API takes, an answer is numbers, which JSON
// can carry.
func TestAnswersAreNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := func(name string, most float64) float64 {
			return rapid.SampledFrom([]float64{0, 5e-324, 1e-300, 1e-12, 1, most}).Draw(t, name)
		}
		l := Load{Agents: f("agents", 1e9), Connections: f("connections", 1e9), Events: f("events", 1e9), Samples: f("samples", 1e9), Series: f("series", 1e9),
			Frame: f("frame", 1e6), Days: f("days", 1e5), Viewers: f("viewers", 1e6), Seen: f("seen", 1e9)}
		h := Host{Cores: f("cores", 1e5), Memory: f("memory", 1e16), Descriptors: f("descriptors", 1e10), Disk: f("disk", 1e18)}
		h.DiskFree = h.Disk
		a := Plan(anyCosts(t), l.Times(f("times", 1e6)), h, f("price", 1e12))
		if _, err := json.Marshal(a); err != nil {
			t.Fatalf("%v: %+v", err, a)
		}
	})
}
