package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"eyrie/appliance/capacity"
	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// Capacity finds the limits of this host by itself: every part in turn, each on
// servers of its own, into one report with the costs that a plan is made from.
type Capacity struct {
	Common
	Quick bool // under three minutes, for a first look: its trials are too short to sign
	Links int  // the most that the ramp of connections goes to
	Step  func(what string)

	// Budget is the time after which all has ended and is reported, finished or not; 0
	// is as long as it takes.
	Budget time.Duration

	Viewers []string // arguments that make Exe a process of viewers
	Samples []string // and one of the store of series
}

// The load of the published figures.
const (
	capacityAgents = 65_000
	capacityLinks  = 1_000
	capacityFrame  = 100
)

// baselineDrift is how far the machine without eyrie may have moved between the
// beginning and the end of a run.
const baselineDrift = 0.10

// Budgets of the two kinds of run: less than what is promised of them, by what it
// takes to end, and a build that has little to do.
const (
	BudgetWhole = 19 * time.Minute               // of 20
	BudgetQuick = 2*time.Minute + 40*time.Second // of 3
	BudgetMin   = time.Minute                    // with less hardly a part comes to anything
)

// capacityPart is one of a whole run.
type capacityPart struct {
	name string
	need time.Duration // see phase
	run  func(ctx context.Context) (*report.Report, error)
}

// Run measures and reports. A part that fails is a fault of the report, one that its
// time is too short for is unfinished in it; the others go on. The error is the first of
// the faults.
func (m Capacity) Run(ctx context.Context) (*report.Report, error) {
	rep, err := m.measure(ctx, m.parts())
	if rep == nil {
		return nil, err
	}
	if m.Quick {
		rep.Says = append(rep.Says, "A first look: in two minutes the stores have little to merge, and a whole run may give a third less. Sign that one.")
	}
	f := &findings{rep: rep}
	f.noise()
	f.costs()
	f.say()
	return rep, err
}

// measure runs the parts in turn within the budget.
func (m Capacity) measure(ctx context.Context, parts []capacityPart) (*report.Report, error) {
	rep := report.New("capacity", m.Command, m.dir())
	x := &capacityRun{Capacity: m, rep: rep, parts: len(parts)}
	within := ctx
	if m.Budget > 0 {
		var done context.CancelFunc
		within, done = context.WithTimeoutCause(ctx, m.Budget, errBudget)
		defer done()
	}
	var phases []phase
	for _, p := range parts {
		phases = append(phases, phase{name: p.name, need: p.need, run: func(ctx context.Context) error { return x.part(ctx, p) }})
	}
	began := time.Now()
	// A part ends without an error, whatever became of it.
	_ = inTurn(within, phases, nil)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if m.Budget > 0 {
		rep.Set("took", "%.0f s of %.0f", time.Since(began).Seconds(), m.Budget.Seconds())
	}
	return rep, x.first
}

// capacityRun is one run of Capacity under way.
type capacityRun struct {
	Capacity
	rep   *report.Report
	parts int
	first error // of the faults
	stuck bool  // a part goes on that was to end: what is measured beside it is worth nothing
}

// part measures one of the parts into the report.
func (x *capacityRun) part(ctx context.Context, p capacityPart) error {
	if x.Step != nil {
		x.Step(fmt.Sprintf("%d of %d: %s", len(x.rep.Parts)+1, x.parts, p.name))
	}
	began, r, err := time.Now(), (*report.Report)(nil), error(nil)
	within, done := keep(ctx, leave(ctx))
	defer done()
	if !x.stuck {
		r, err = ended(ctx, func() (*report.Report, error) { return p.run(within) })
	}
	took := time.Since(began)
	if r == nil {
		r = report.New(p.name, x.Command, x.dir())
	}
	r.Part = p.name
	r.Set("took", "%.0f s", took.Seconds())
	switch {
	case x.stuck:
		r.Unfinish("not begun, for the part before did not end")
	case err == errStuck:
		x.stuck = true
		r.Unfinish("after %.0f s %v", took.Seconds(), err)
	case errors.Is(err, errBudget) && within.Err() == nil:
		r.Unfinish("%v", err)
		err = nil
	case err != nil && within.Err() != nil:
		r.Unfinish("after %.0f s the time for it was over", took.Seconds())
		err = nil
	}
	if err != nil {
		r.Fault("%v", err)
		x.rep.Fault("%s: %v", p.name, err)
		if x.first == nil {
			x.first = fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, what := range r.Unfinished {
		x.rep.Unfinish("%s: %s", p.name, what)
	}
	x.rep.Parts = append(x.rep.Parts, r)
	return nil
}

func (m Capacity) parts() []capacityPart {
	shape := workload.Shape{Seed: workload.FigureSeed, Agents: capacityAgents, Connections: capacityLinks, Frame: capacityFrame}
	base := Baseline{Common: m.Common, Rounds: 5, For: 400 * time.Millisecond}
	links := Ramp{Common: m.Common, Most: m.Links}
	events := Sustain{
		Common: m.Common, Shape: shape, Full: 10 * time.Second, Share: 15 * time.Second, Govern: 5 * time.Minute, Hold: 3*time.Minute + 30*time.Second,
		Loads: []float64{0.25, 0.5, 0.8}, Frames: []int{10, 1}, Kills: 3,
	}
	viewers := Live{
		Common: m.Common, Child: m.Viewers, Kinds: []string{"agent", "all"}, Viewers: []int{1, 10, 50, 200, 500, 1000}, Rate: 20_000, Marks: 20, For: 3 * time.Second, Most: 500 * time.Millisecond,
		Shape: workload.Shape{Seed: workload.FigureSeed, Agents: 2_000, Connections: 100, Frame: 20},
	}
	queries := Query{
		Common: m.Common, Seed: workload.FigureSeed, Events: 2_000_000, Links: 16, Teams: 48, Rate: 30_000, Frame: 20, Asks: 25,
		For: 12 * time.Second, Each: time.Second,
	}
	samples := Series{
		Common: m.Common, Child: m.Samples, Seed: workload.FigureSeed, Hosts: 2_000, Hours: 2, Rounds: 6, Server: 8 * time.Second,
		Only: []string{"eyrie"}, // what others take does not tell what this host bears
	}
	if m.Quick {
		samples.Hosts, samples.Hours, samples.Rounds, samples.Server = 500, 1, 3, 3*time.Second
		queries.Events, queries.Teams, queries.For, queries.Each = 300_000, 8, 3*time.Second, 100*time.Millisecond
		viewers.Kinds, viewers.Viewers, viewers.For = []string{"all"}, []int{1, 10, 50}, time.Second
		base.Rounds, base.For = 2, 300*time.Millisecond
		links.Most = min(links.Most, 10_000)
		events.Full, events.Share, events.Govern, events.Hold = 3*time.Second, 4*time.Second, 30*time.Second, 0
		events.Loads, events.Frames, events.Kills, events.Life = []float64{0.5}, []int{1}, 1, time.Second
	}
	// What each took here, and a little more.
	need := map[string]time.Duration{partBaseline: 11, partLinks: 65, partEvents: events.need() / time.Second, partSamples: 35, partViewers: 63, partQueries: 90, partAfter: 11}
	if m.Quick {
		need = map[string]time.Duration{partBaseline: 4, partLinks: 17, partEvents: events.need() / time.Second, partSamples: 14, partViewers: 12, partQueries: 15, partAfter: 4}
	}
	part := func(name string, run func(context.Context) (*report.Report, error)) capacityPart {
		return capacityPart{name, need[name] * time.Second, run}
	}
	return []capacityPart{
		part(partBaseline, base.Run),
		part(partLinks, links.Run),
		part(partEvents, events.Run),
		part(partSamples, samples.Run),
		part(partViewers, viewers.Run),
		part(partQueries, queries.Run),
		part(partAfter, base.Run),
	}
}

// The names of the parts.
const (
	partBaseline = "machine"
	partLinks    = "connections"
	partEvents   = "events"
	partSamples  = "samples"
	partViewers  = "viewers"
	partQueries  = "queries"
	partAfter    = "machine afterwards"
)

// findings draws the sum of a run's parts.
type findings struct {
	rep *report.Report
}

// figure is the value of a part's figure; 0 where it was not measured.
func (f *findings) figure(part, name string) float64 {
	for _, p := range f.rep.Parts {
		if p.Part == part {
			v, _ := p.Figure(name)
			return v
		}
	}
	return 0
}

// noise sums up what disturbed the parts, the worst of each kind: the run is trusted where each is, and
// where the machine without eyrie was the same at its end.
func (f *findings) noise() {
	most, disturbed := host.Noise{Trusted: true}, []string(nil)
	for _, p := range f.rep.Parts {
		if p.Noise == nil {
			continue
		}
		most.StealShare, most.OtherShare = max(most.StealShare, p.Noise.StealShare), max(most.OtherShare, p.Noise.OtherShare)
		if !p.Noise.Trusted {
			disturbed = append(disturbed, fmt.Sprintf("%s (%s)", p.Part, p.Noise.Why))
		}
	}
	if f.rep.Noise = &most; disturbed != nil {
		f.rep.Doubt("disturbed were: %s", strings.Join(disturbed, "; "))
	}
	for _, name := range []string{"one core", "all cores"} {
		a, b := f.figure(partBaseline, name), f.figure(partAfter, name)
		if a > 0 && b > 0 && math.Abs(b/a-1) > baselineDrift {
			f.rep.Doubt("%s gave %s MB/s at the beginning and %s at the end", name, report.Number(a), report.Number(b))
		}
	}
}

// costs fills what a plan is made from; what was not measured stays 0.
func (f *findings) costs() {
	m := f.rep.Machine
	c := &capacity.Costs{
		At: f.rep.At, By: capacity.Bench, Says: f.rep.Command,
		Machine: capacity.Machine{Cores: m.Cores, CPU: m.CPU, Memory: m.Memory << 20, System: m.Kernel + " " + m.Arch, Disk: m.Disk},
	}
	ev := func(name string) float64 { return f.figure(partEvents, name) }
	c.CPUFrame = ev("cpu of a frame")
	if at := ev("capacity: server cpu"); at > 0 {
		c.CPUEvent = max(0, at-c.CPUFrame/capacityFrame)
	}
	c.CPUDelivery = f.figure(partViewers, "all: server cpu")
	c.CPUIdle = f.figure(partLinks, "cpu at rest")
	if cores := float64(m.Cores) - ev("capacity: client cores"); cores > 0 {
		c.CoresUsable = min(1, ev("capacity: server cores")/cores)
	}
	c.MemoryConn, c.MemoryConnOther, c.MemoryAgent = f.figure(partLinks, "link memory"), f.figure(partLinks, "kernel memory"), f.figure(partLinks, "agent memory")
	c.CPUSample, c.DiskSample, c.MemorySeries = f.sample(c), f.figure(partSamples, "eyrie: bytes"), f.figure(partSamples, "eyrie: memory")
	live := capacityAgents*c.MemoryAgent + capacityLinks*c.MemoryConn + ev("capacity: series")*c.MemorySeries
	c.MemoryBase = max(0, ev("capacity: resident")*(1<<20)-capacity.Garbage*live)
	c.Descriptors = f.figure(partLinks, "descriptors")
	c.DiskLogEvent, c.DiskViewsEvent = ev("log on disk"), ev("views on disk")
	c.DiskBase = ev("log's unsealed end") * (1 << 20)
	c.DeviceEvent = ev("written to the device")
	c.Syncs, c.SyncLatency = ev("capacity: syncs"), f.figure(partBaseline, "sync")
	c.DeviceWrite = ev("capacity: write size")
	for _, s := range []capacity.Serial{{Part: "sealing", Events: ev("sealing thread")}, {Part: "log writer", Events: ev("log's thread")}} {
		if s.Events > 0 {
			c.Serial = append(c.Serial, s)
		}
	}
	c.WireEvent, c.WireDelivery = ev("wire"), f.figure(partViewers, "all: bytes")
	if most := ev(figureCapacity); most > 0 {
		c.Sustained = []capacity.Sustained{{Frame: capacityFrame, Events: most}}
	}
	c.Connections = int(max(f.figure(partLinks, "links"), f.figure(partLinks, "links with own tables")))
	f.rep.Costs = c
}

// An event of the mix has this many samples; one of those that samples are
// measured by has ten.
const (
	mixSamples    = 0.6
	sampledEvents = 10
)

// sample is the CPU of a sample beyond its event: what an event of ten costs more
// than one of the mix, and at least what the store of series alone takes.
func (f *findings) sample(c *capacity.Costs) float64 {
	store, all := f.figure(partSamples, "eyrie: samples per cpu"), f.figure(partSamples, "server: cpu")
	if store == 0 || all == 0 {
		return 0
	}
	return max(1e6/store, (all*sampledEvents-c.CPUEvent-c.CPUFrame/capacityFrame)/(sampledEvents-mixSamples))
}

// say writes the sum: figures and the sentences that the reader is to know first.
func (f *findings) say() {
	rep, most := f.rep, f.figure(partEvents, figureCapacity)
	say := func(format string, args ...any) { rep.Says = append(rep.Says, fmt.Sprintf(format, args...)) }
	if rep.Noise != nil && !rep.Noise.Trusted {
		say("Do not sign these figures: the machine was not quiet. Repeat the run when it is.")
	}
	if most > 0 {
		n := report.Number
		rep.Add("events", most, "events/s", "sustained: durable, acknowledged and in every view (the part says how it was found). Beyond it debts grow: split the fleet or take more cores")
		rep.Add("plan for", most*capacity.CPUShare, "events/s", fmt.Sprintf("%.0f %% of it: the rest is for peaks, for catching up after a restart, for a busier host", 100*capacity.CPUShare))
		say("This machine bears %s events a second of %s agents on %s connections, each durable before it is acknowledged and shown in every view, with the load clients beside it. Plan for %s.", n(most), n(capacityAgents), n(capacityLinks), n(most*capacity.CPUShare))
		say("To see it held for ten minutes: eyrie bench soak --rate %.0f --for 10m", most)
		if p99 := f.figure(partEvents, "ack p99 at 50 %"); p99 > 0 {
			rep.Add("ack p99", p99, "ms", "at half of the capacity: an agent that waits for its acknowledgement waits this long in one case of 100")
			say("At half of that, 99 of 100 frames are acknowledged within %s ms of when they were due.", n(p99))
		}
	}
	if links := f.figure(partLinks, "links"); links > 0 {
		rep.Add("connections", links, "links", "held at once by a server that is told nothing; the part says what ended it")
	}
	if c := rep.Costs; c.DiskLogEvent > 0 && most > 0 {
		day := (c.DiskLogEvent + c.DiskViewsEvent) * most * capacity.CPUShare * 86_400 / 1e9
		rep.Add("disk a day", day, "GB/day", "log and views at the planned rate around the clock: times the days you keep, this is the disk to buy")
		say("An event stays as %s B in the log and %s B in the views: %s GB a day at the planned rate.", report.Number(c.DiskLogEvent), report.Number(c.DiskViewsEvent), report.Number(day))
	}
	if n := f.figure(partSamples, "server: samples"); n > 0 {
		rep.Add("samples", n, "samples/s", "metric samples in events of ten, durable and in every view, closed loop: the part says what each takes")
	}
	for _, kind := range []string{"all", "agent"} {
		// What was measured: how many there may be at another rate does not follow, for
		// the fewer events a message holds, the more each costs.
		if n := f.figure(partViewers, kind+": viewers"); n > 0 {
			say("%s live viewers that are each sent %s events a second have 99 of 100 of them within %s ms of when they were due; the part says what ends it.",
				report.Number(n), report.Number(f.figure(partViewers, kind+": deliveries")/n), report.Number(f.figure(partViewers, kind+": p99")))
		}
	}
	if slowest, ms := f.slowest(); ms > 0 {
		say("Of what pages and programs ask under load, %s waits longest: %s ms for one request in 100.", slowest, report.Number(ms))
	}
	if s, loaded := f.figure(partEvents, figureAccepted), f.figure(partEvents, figureLoaded); s > 0 {
		views := fmt.Sprintf("shows every view, loaded and caught up, after %s s", report.Number(loaded))
		if loaded == 0 {
			views = "its views load behind that, for longer than was waited"
		}
		say("Killed at full load, it accepts events again after %s s and %s; agents send again what was not acknowledged.", report.Number(s), views)
	}
	if most > 0 {
		ours, disk := f.figure(partEvents, figureAcknowledged)*f.figure(partEvents, "log"), f.figure(partBaseline, "append")*1e6
		if ours > 0 && disk > 0 {
			rep.Add("of the disk", 100*ours/disk, "%", "of what the disk makes durable one append after the other, used by the log at full load: far below 100, the CPU is what ends it")
		}
		if core := cmp.Or(f.figure(partEvents, figureCore), f.figure(partBaseline, "one core")); core > 0 {
			rep.Add("events per MB", most/core, report.PerMB, "capacity over what one core compressed meanwhile: compare this between hosts and runs, it moves less than the rates do")
		}
	}
}

// slowest is the kind of question that waits longest under load.
func (f *findings) slowest() (name string, ms float64) {
	for _, p := range f.rep.Parts {
		for _, g := range p.Figures {
			if kind, ok := strings.CutSuffix(g.Name, ": loaded p99"); ok && p.Part == partQueries && g.Value > ms {
				name, ms = kind, g.Value
			}
		}
	}
	return name, ms
}
