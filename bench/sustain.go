package bench

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Sustain finds the most events a second that the server bears for good: with
// no growth of view lag, unsealed bytes or the stores' first level. It has the load
// follow the server, holds nine tenths of what that gave, and measures latency at
// shares of it, smaller frames, the disk and a restart on the same server.
type Sustain struct {
	Common
	Shape  workload.Shape
	Full   time.Duration // closed loops
	Share  time.Duration // of each latency
	Govern time.Duration // of the load that follows the server
	Hold   time.Duration // of the rate found; 0: the rate found is stated as it is
	Loads  []float64     // shares of it to measure latency at
	Frames []int         // further sizes of frame, each in a closed loop
	Kills  int           // restarts measured
	Life   time.Duration // of load before each; 0 is 5 s
}

// sustainRun is one run of Sustain under way.
type sustainRun struct {
	Sustain
	*ingestRun
	dir  string
	most float64 // in a closed loop, in every view
	rate float64 // that is borne, and then held

	fleets  uint64   // opened so far
	samples []Sample // of the last rate held

	writes, written uint64 // of the disk, before the last hold
	noDisk          error

	core   *coreProbe // while the capacity is sought and held
	sought usage      // when that began
}

// Run measures and reports.
func (m Sustain) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("sustain")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := m.serve(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	rep := report.New("events", m.Command, dir)
	x := &sustainRun{Sustain: m, dir: dir, ingestRun: &ingestRun{Ingest: Ingest{Common: m.Common, Shape: m.Shape, Window: 1, For: m.Full}, srv: srv, rep: rep}}
	rep.Set("load", "%d connections, %d agents, frames of %d events, MessagePack, seed %d", m.Shape.Connections, m.Shape.Agents, m.Shape.Frame, m.Shape.Seed)
	rep.Set("mix", "%s", workload.Mix)
	rep.Set("server", "eyrie serve with defaults on a fresh folder; every event is synced before its ack, all views on; client and server share the machine")
	err = x.measure(ctx)
	if x.fleet != nil {
		x.fleet.Close()
	}
	if x.core != nil {
		x.core.end()
	}
	rep.Figures = ordered(rep.Figures)
	return rep, err
}

// ordered puts what the reader wants first to the front, and leaves out what only
// the part of ingest alone is asked for.
func ordered(figures []report.Figure) (out []report.Figure) {
	for _, f := range figures {
		if strings.HasPrefix(f.Name, figureCapacity) {
			out = append(out, f)
		}
	}
	for _, f := range figures {
		if !strings.HasPrefix(f.Name, figureCapacity) && !strings.HasPrefix(f.Name, "save ") && f.Name != "events" {
			out = append(out, f)
		}
	}
	return out
}

// What the phases take beside the load that they are told: to start, to have views
// catch up, to settle.
const (
	needWarm    = 6 * time.Second
	needCatchUp = 6 * time.Second  // after a closed loop
	needSettle  = 3 * time.Second  // after a rate that is borne
	needHeld    = 10 * time.Second // after the capacity
	needDisk    = 15 * time.Second // to come to rest
	needAccept  = 2 * time.Second
	needLoaded  = 8 * time.Second
)

// phases are those of a run with what they need; bind says what each does.
func (m *Sustain) phases(bind func(name string) func(context.Context) error) []phase {
	times := func(n int, d time.Duration) time.Duration { return time.Duration(n) * d }
	out := []phase{
		{name: phaseFull, need: needWarm + m.Full + needCatchUp, must: true},
		{name: phaseGovern, need: m.Govern + needSettle},
		{name: phaseHold, need: m.needHold()},
		{name: phaseShares, need: times(len(m.Loads), m.Share+needSettle/2)},
		{name: phaseSmaller, need: times(len(m.Frames), m.Full/2+needSettle)},
		{name: phaseDisk, need: needDisk},
		{name: phaseRestarts, need: times(m.Kills, cmp.Or(m.Life, restartAfter)+needAccept) + needLoaded},
	}
	for i := range out {
		out[i].run = bind(out[i].name)
	}
	return out
}

// The names of the phases.
const (
	phaseFull     = "full load"
	phaseGovern   = "the load that follows the server"
	phaseHold     = "holding the capacity"
	phaseDisk     = "bytes on disk"
	phaseShares   = "latency at shares of the capacity"
	phaseSmaller  = "smaller frames"
	phaseRestarts = "restarts"
)

func (m *Sustain) needHold() time.Duration {
	if m.Hold == 0 {
		return 0
	}
	return m.Hold + needHeld
}

// need is what all of it takes.
func (m *Sustain) need() (d time.Duration) {
	for _, p := range m.phases(func(string) func(context.Context) error { return nil }) {
		d += p.need
	}
	return d + 2*toldIn
}

func (x *sustainRun) measure(ctx context.Context) error {
	do := map[string]func(context.Context) error{
		phaseFull: x.first, phaseGovern: x.govern, phaseHold: x.hold, phaseDisk: x.disk,
		phaseShares: x.shares, phaseSmaller: x.smaller, phaseRestarts: x.restarts,
	}
	ctx, done := keep(ctx, toldIn)
	defer done()
	return inTurn(ctx, x.phases(func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			if x.fleet == nil { // that of the phase before was in the middle of something
				if err := x.open(ctx, x.Sustain.Shape); err != nil {
					return err
				}
			}
			return do[name](ctx)
		}
	}), func(p phase, had time.Duration, err error) error {
		if p.name == phaseFull {
			return fmt.Errorf("%s: after %.0f s %w", p.name, had.Seconds(), errBudget) // all that follows is measured by it
		}
		x.rep.Unfinish("%s: after %.0f s the time for it was over", p.name, had.Seconds())
		if x.fleet != nil {
			x.fleet.Close()
			x.fleet = nil
		}
		return nil
	})
}

// first brings up the load and finds what the server takes at most.
func (x *sustainRun) first(ctx context.Context) error {
	if err := x.warm(ctx); err != nil {
		return err
	}
	return x.closed(ctx)
}

// open brings up the clients of a shape, in place of those before.
func (x *sustainRun) open(ctx context.Context, sh workload.Shape) error {
	if x.fleet != nil {
		x.fleet.Close()
		x.fleet = nil
	}
	sh.Seed += x.fleets // producers of their own: numbers that were sent before would be duplicates
	x.fleets++
	// The clients outlive the phase that ctx is of: Close ends them.
	f, err := x.Sustain.fleet(context.WithoutCancel(ctx), x.srv, x.clients(sh.Connections), load.Job{Codec: wire.MsgPack, Shape: sh})
	if err != nil {
		return err
	}
	if err := open(ctx, f, sh.Connections); err != nil {
		f.Close()
		return err
	}
	x.fleet = f
	return nil
}

// closed loads the server with as much as it takes, and finds the rate at which
// events were in every view too.
func (x *sustainRun) closed(ctx context.Context) error {
	if err := x.full(ctx); err != nil {
		return err
	}
	most, ok := x.rep.Figure(figureViewed)
	if !ok || most <= 0 {
		return fmt.Errorf("the closed loop has no figure %q", figureViewed)
	}
	x.most = most
	return x.settle(ctx)
}

// shares measures latency at shares of the capacity.
func (x *sustainRun) shares(ctx context.Context) error {
	x.ingestRun.For = 2 * x.Share // of which latency takes half
	lines := []report.Line{{Name: "p50"}, {Name: "p99"}, {Name: "p99.9"}}
	for i, share := range x.Loads {
		at := fmt.Sprintf("%.0f %%", 100*share)
		x.say("letting the server come to rest")
		if err := x.srv.Rest(ctx, time.Duration(len(x.Loads)-i)*(x.Share+needSettle)); err != nil {
			return err
		}
		if err := x.latency(ctx, x.rate*share, at); err != nil {
			return err
		}
		if err := x.settle(ctx); err != nil {
			return err
		}
		for i := range lines {
			if v, ok := x.rep.Figure("ack " + lines[i].Name + " at " + at); ok && v > 0 {
				lines[i].Points = append(lines[i].Points, [2]float64{x.rate * share, v})
			}
		}
	}
	x.rep.Curves = append(x.rep.Curves, report.Curve{
		Title: "Latency against load", Says: "From when a frame was due at the agent to its acknowledgement, after the sync, whatever the answers before it. Where the lines turn upwards, more load costs everyone time: stay left of it.",
		X: report.Axis{Name: "load", Unit: "events/s"}, Y: report.Axis{Name: "ack", Unit: "ms", Log: true}, Lines: lines,
	})
	return nil
}

// smaller measures further sizes of frame in a closed loop.
func (x *sustainRun) smaller(ctx context.Context) error {
	cpu, ok := x.rep.Figure("server cpu")
	if !ok {
		return nil
	}
	sizes, cost := []float64{1 / float64(x.Sustain.Shape.Frame)}, []float64{cpu}
	for i, n := range x.Frames {
		sh := x.Sustain.Shape
		sh.Frame = n
		if err := x.open(ctx, sh); err != nil {
			return err
		}
		x.say("letting the server come to rest")
		if err := x.srv.Rest(ctx, time.Duration(len(x.Frames)-i)*(x.Full/2+needSettle)); err != nil {
			return err
		}
		x.say("frames of %d", n)
		before, err := x.look(ctx)
		if err != nil {
			return err
		}
		if err := x.fleet.Run(0, max(1, flightEvents/(sh.Connections*n))); err != nil {
			return err
		}
		if _, err := x.watch(ctx, x.Full/2, fmt.Sprintf("frames of %d", n)); err != nil {
			return err
		}
		r, err := x.stop(ctx)
		if err != nil {
			return err
		}
		applied := time.Now()
		after, err := x.look(ctx)
		if err != nil {
			return err
		}
		events := float64(r.Events)
		per := float64((after.server.CPU - before.server.CPU).Microseconds()) / events
		name := fmt.Sprintf("frames of %d: ", n)
		x.rep.Add(name+"acknowledged", events/time.Duration(r.LastAck-r.FirstSend).Seconds(), "events/s", "durable and acknowledged, closed loop")
		x.rep.Add(name+figureViewed, events/applied.Sub(time.Unix(0, r.FirstSend)).Seconds(), "events/s", "the same until every view had them: agents that send so few at once leave you this much")
		x.rep.Add(name+"server cpu", per, "µs/event", "of the server per event")
		x.rep.Add(name+"wire", float64(r.Bytes)/events, "B/event", "sent by the client, WebSocket headers included")
		deferredOf(x.rep, r)
		if stored := after.meters[meterStored] - before.meters[meterStored]; stored < events {
			x.rep.Fault("frames of %d: %.0f events were acknowledged, %.0f stored", n, events, stored)
		}
		sizes, cost = append(sizes, 1/float64(n)), append(cost, per)
	}
	if len(sizes) > 1 {
		frame := max(0, stats.Slope(sizes, cost))
		x.rep.Add("cpu of a frame", frame, "µs/frame", "of the server for a frame whatever is in it, by the slope over the sizes measured")
		x.rep.Add("cpu of an event", max(0, cpu-frame*sizes[0]), "µs/event", "of the server for an event without its share of the frame")
	}
	return nil
}

// Meters of the server and figures of the report that are read by name.
const (
	meterStored        = `eyrie_intake_events_total{verdict="stored"}`
	meterCommits       = `eyrie_wal_commits_total`
	meterMarks         = `eyrie_wal_marks_total`
	meterSeries        = `eyrie_tsdb_series`
	meterNext          = `eyrie_wal_next_offset`
	meterBehind        = `eyrie_wal_seal_behind_bytes`
	meterHot           = `eyrie_wal_hot_bytes`
	meterViewsDepth    = `eyrie_store_l0_depth{store="views"}`
	meterSealedRecords = `eyrie_wal_sealed_records_total`
	meterSealedBytes   = `eyrie_wal_sealed_bytes_total`
	figureViewed       = "in every view"
	figureAcknowledged = "acknowledged"
	figureBorne        = "borne"
	figureCapacity     = "capacity"
	figureCore         = "capacity: core"
	figureAccepted     = "restart: first accepted"
	figureLoaded       = "restart: views loaded"
)
