package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/report"
)

// sustainRoom is the share of what is borne that is held and stated: minutes have shown it, and
// an hour has larger merges than they, and a virtual machine neighbours that come and go.
const sustainRoom = 0.9

// Where that does not last, this much of it is held in its place: there is time for one more.
const (
	holdDown  = 0.85
	holdTries = 4
	holdLeast = 30 * time.Second // of holding, else it says nothing
)

// behindMax is how far views may fall behind before a rate is given up: by what
// came in so long.
const behindMax = 10 * time.Second

// What a server puts off is done, or becomes less, before the next rate is
// tried: else each would pay for the one before.
const (
	settleDepth  = 8         // tables deep in level 0 of the views, where merging is in hand
	settleBehind = 128 << 20 // bytes of blocks that may be sealed: two stretches
	settleLong   = 25 * time.Second
)

var errBehind = errors.New("views fall behind")

func sustainedOr(why string) string {
	if why == "" {
		return "sustained"
	}
	return why
}

// trial offers a rate for a while, open loop, and says why it is not sustained;
// "" means that it is. It ends when the views have caught up.
func (x *sustainRun) trial(ctx context.Context, rate float64, d time.Duration, what string) (why string, err error) {
	x.say("%s", what)
	if err := x.fleet.Run(rate, 0); err != nil {
		return "", err
	}
	tctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	w := &Watch{Target: &x.srv.Target, Fleet: x.fleet, Seen: func(s Sample) {
		x.say("%s: %3.0f s, %s events/s acknowledged, views %s behind", what, s.At, report.Number(s.Rate), report.Number(s.Lag))
		if s.Lag > rate*behindMax.Seconds() {
			giveUp(errBehind)
		}
	}}
	v, err := w.Sustained(tctx, rate, d)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(tctx), errBehind) {
		v, err = &Verdict{}, nil
		last := w.Samples[len(w.Samples)-1]
		v.fail("views were %s records behind after %.0f s", report.Number(last.Lag), last.At)
	}
	if err != nil {
		return "", err
	}
	r, err := x.stop(ctx)
	if err != nil {
		return "", err
	}
	if n := w.All.Deferred + r.Deferred; n > 0 && v.Holds {
		v.fail("the schedule was held up %d times", n)
	}
	x.samples = w.Samples
	return strings.Join(v.Why, "; "), nil
}

// settle lets the server do what it has put off.
func (x *sustainRun) settle(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < settleLong; {
		m, err := x.srv.Metrics(ctx)
		if err != nil {
			return err
		}
		if m[meterViewsDepth] < settleDepth && m[meterBehind] < settleBehind {
			return nil
		}
		x.say("%.0f tables above each other in the views' store, %.0f MiB of blocks to seal: waiting", m[meterViewsDepth], m[meterBehind]/(1<<20))
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// hold offers the rate for long, and a little less where it does not last.
func (x *sustainRun) hold(ctx context.Context) error {
	if x.Hold == 0 {
		return nil
	}
	tried := 0.0
	for i := range holdTries {
		d := fits(ctx, x.Hold, needSettle)
		if d < min(holdLeast, x.Hold/2) {
			x.rep.Unfinish("%s: there was no time to hold %s events/s", phaseHold, report.Number(x.rate))
			break
		}
		if d < x.Hold {
			d = d.Truncate(time.Second)
			x.rep.Unfinish("%s: there was time for %v of %v at %s events/s", phaseHold, d, x.Hold, report.Number(x.rate))
		}
		before, err := x.seek(ctx)
		if err != nil {
			return err
		}
		x.writes, x.written, x.noDisk = host.DiskWrites(x.dir)
		tried = x.rate
		why, err := x.trial(ctx, x.rate, d, fmt.Sprintf("holding %s events/s for %v", report.Number(x.rate), d))
		if err != nil {
			return err
		}
		x.rep.Set(fmt.Sprintf("hold %d", i+1), "%s events/s for %v: %s", report.Number(x.rate), d, sustainedOr(why))
		if why == "" {
			return x.held(ctx, before, fmt.Sprintf("held for %v without growth of view lag, unsealed bytes or the depth of level 0 beyond what is normal", d))
		}
		if i < holdTries-1 {
			x.rate *= holdDown
		}
		if err := x.settle(ctx); err != nil {
			return err
		}
	}
	if tried > 0 {
		x.rep.Fault("no rate was held for %v; the last was %s events/s", x.Hold, report.Number(tried))
	}
	return nil
}

// seek is look, before the capacity is sought or held.
func (x *sustainRun) seek(ctx context.Context) (usage, error) {
	u, err := x.look(ctx)
	if err == nil && x.core == nil {
		x.core, x.sought = probeCore(), u
	}
	return u, err
}

// found says what the machine was like until then.
func (x *sustainRun) found(after *usage) {
	core := x.core.end()
	x.core = nil
	from := &x.sought
	ours := after.client - from.client + after.self - from.self
	if x.srv.serverHere() {
		ours += after.server.CPU - from.server.CPU
	}
	noise := host.Since(from.clock, after.clock, x.rep.Machine.Cores, ours)
	if was := x.rep.Noise; was == nil || was.Trusted || !noise.Trusted {
		x.rep.Noise = &noise
	}
	if busy := after.clock.Busy - from.clock.Busy; busy > 0 && core > 0 {
		core *= 1 - float64(after.clock.Steal-from.clock.Steal)/float64(busy)
		x.rep.Add(figureCore, core, "MB/s", "S2 compression of events by one core while the capacity was sought and held, by the time that it worked; what the hypervisor took of it is off. A core that others slow down does less than at rest")
	}
}

// held reports the capacity and what it costs.
func (x *sustainRun) held(ctx context.Context, before usage, how string) error {
	after, err := x.look(ctx)
	if err != nil {
		return err
	}
	took := after.clock.At.Sub(before.clock.At).Seconds()
	events := after.meters[meterStored] - before.meters[meterStored]
	server, client := after.server.CPU-before.server.CPU, after.client-before.client
	add := x.rep.Add
	add(figureCapacity, x.rate, "events/s", fmt.Sprintf("durable, acknowledged, in every view: %s. Plan for 70 %% of it", how))
	x.found(&after)
	add("capacity: server cpu", float64(server.Microseconds())/events, "µs/event", "of the server per event while the capacity was measured, all views on, sealing included")
	add("capacity: server cores", server.Seconds()/took, "cores", fmt.Sprintf("of %d that the server used while the capacity was measured", x.rep.Machine.Cores))
	add("capacity: client cores", client.Seconds()/took, "cores", "that the load clients used beside it: agents on other machines leave them to the server")
	add("capacity: device", (float64(after.server.Written)-float64(before.server.Written))/events, "B/event", "written to the disk, all rewriting included: for the wear of flash, and clouds that bill throughput")
	syncs := syncsOf(after.meters) - syncsOf(before.meters)
	add("capacity: syncs", syncs/took, "syncs/s", "of the log and of its mark: with both a group of events is durable")
	if writes, written, err := host.DiskWrites(x.dir); err == nil && x.noDisk == nil {
		// Each sync is a write of its own beside those that merge tables.
		if n := float64(writes-x.writes) - syncs; n > 0 {
			add("capacity: write size", float64(written-x.written)/n, "B/write", "mean of the disk's own count, syncs aside: bytes divided by it are operations, which clouds bill")
		}
	}
	add("capacity: resident", float64(after.server.RSS)/(1<<20), "MiB", fmt.Sprintf("memory of the server, %d agents known", after.status.Agents))
	add("capacity: series", after.meters[meterSeries], "series", "of metrics that the server knows then: their part of its memory")
	x.curves()
	return nil
}

// syncsOf are the syncs that made events durable so far: of commits, and of the marks
// that vouch for them, one of which may be for several.
func syncsOf(meters map[string]float64) float64 { return meters[meterCommits] + meters[meterMarks] }

// curves shows the hold: a line that rises all along is what ends a load.
func (x *sustainRun) curves() {
	line := func(name string, of func(*Sample) float64) report.Line {
		l := report.Line{Name: name}
		for i := range x.samples {
			l.Points = append(l.Points, [2]float64{x.samples[i].At, of(&x.samples[i])})
		}
		return l
	}
	at := report.Axis{Name: "time", Unit: "s"}
	x.rep.Curves = append(x.rep.Curves,
		report.Curve{Title: "Throughput over time", Says: "Events acknowledged a second while the capacity was measured.", X: at, Y: report.Axis{Name: "acknowledged", Unit: "events/s"},
			Lines: []report.Line{line("acknowledged", func(s *Sample) float64 { return s.Rate })}},
		report.Curve{Title: "What the server owes", Says: "While the capacity was measured. Saws are its way of working; a line that rises all along would mean that it does not last.", X: at, Y: report.Axis{Name: "owed", Unit: "MiB"},
			Lines: []report.Line{
				line("unsealed log", func(s *Sample) float64 { return s.Unsealed / (1 << 20) }),
				line("level 0 of the log", func(s *Sample) float64 { return s.LogL0 / (1 << 20) }),
				line("level 0 of the views", func(s *Sample) float64 { return s.ViewL0 / (1 << 20) }),
			}},
		report.Curve{Title: "View lag over time", Says: "Records that the slowest view was behind the log: divided by the rate, how old what people see is.", X: at, Y: report.Axis{Name: "lag", Unit: "records"},
			Lines: []report.Line{line("lag", func(s *Sample) float64 { return s.Lag })}})
}
