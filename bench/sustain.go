package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Sustain finds the most events a second that the server bears for good: with
// no growth of view lag, unsealed bytes or the stores' first level. It looks with
// short trials, holds what it found for longer, and measures latency at shares of
// it, smaller frames, the disk and a restart on the same server.
type Sustain struct {
	Common
	Shape  workload.Shape
	Full   time.Duration // closed loops
	Share  time.Duration // of each latency
	Trial  time.Duration // of one rate
	Trials int           // at most
	Hold   time.Duration // of the rate found
	Loads  []float64     // shares of it to measure latency at
	Frames []int         // further sizes of frame, each in a closed loop
	Kills  int           // restarts measured
	Life   time.Duration // of load before each; 0 is 5 s
}

// Steps of the search: it begins below what a closed loop gave until all views
// had it, goes up and down by these, and ends when both bounds are this close.
const (
	sustainFirst = 0.5
	sustainUp    = 1.4
	sustainDown  = 0.85
	sustainClose = 1.08
	holdDown     = 0.88
	holdTries    = 4
)

// behindMax is how far views may fall behind before a rate is given up: by what
// came in so long.
const behindMax = 10 * time.Second

// What a server puts off is done, or becomes less, before the next rate is
// tried: else each would pay for the one before.
const (
	settleDepth = 8 // tables deep in level 0 of the views, where merging is in hand
	settleLong  = 25 * time.Second
)

var errBehind = errors.New("views fall behind")

// sustainRun is one run of Sustain under way.
type sustainRun struct {
	Sustain
	*ingestRun
	dir  string
	most float64 // in a closed loop, in every view
	rate float64 // the most that held

	fleets  uint64   // opened so far
	samples []Sample // of the last trial

	writes, written uint64 // of the disk, before the last hold
	noDisk          error
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
	needCatchUp = 6 * time.Second // after a closed loop
	needSettle  = 3 * time.Second // after a rate that is borne
	needDisk    = 8 * time.Second
	needAccept  = 2 * time.Second
	needLoaded  = 8 * time.Second
)

// phases are those of a run with what they need; bind says what each does.
func (m *Sustain) phases(bind func(name string) func(context.Context) error) []phase {
	times := func(n int, d time.Duration) time.Duration { return time.Duration(n) * d }
	out := []phase{
		{name: phaseFull, need: needWarm + m.Full + needCatchUp, must: true},
		{name: phaseSearch, need: times(m.Trials, m.Trial+needSettle)},
		{name: phaseHold, need: m.Hold + needSettle},
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
	phaseSearch   = "the search for the capacity"
	phaseHold     = "holding the capacity"
	phaseShares   = "latency at shares of the capacity"
	phaseSmaller  = "smaller frames"
	phaseDisk     = "sealing and compacting"
	phaseRestarts = "restarts"
)

// need is what all of it takes.
func (m *Sustain) need() (d time.Duration) {
	for _, p := range m.phases(func(string) func(context.Context) error { return nil }) {
		d += p.need
	}
	return d + 2*toldIn
}

func (x *sustainRun) measure(ctx context.Context) error {
	do := map[string]func(context.Context) error{
		phaseFull: x.first, phaseSearch: x.search, phaseHold: x.hold, phaseShares: x.shares,
		phaseSmaller: x.smaller, phaseDisk: x.disk, phaseRestarts: x.restarts,
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

// search looks for the highest rate that a trial bears.
func (x *sustainRun) search(ctx context.Context) error {
	rate, good, bad := x.most*sustainFirst, 0.0, 0.0
	x.rate = rate * sustainDown // where nothing more is found
	if err := within(ctx, appliedMax, x.srv.Applied); err != nil {
		return err
	}
	for i := range x.Trials {
		if fits(ctx, x.Trial, needSettle) < x.Trial {
			x.rep.Unfinish("%s: there was no time for more than %d trials of %d", phaseSearch, i, x.Trials)
			break
		}
		why, err := x.trial(ctx, rate, x.Trial, fmt.Sprintf("trial %d at %s events/s", i+1, report.Number(rate)))
		if err != nil {
			return err
		}
		x.rep.Set(fmt.Sprintf("trial %d", i+1), "%s events/s for %v: %s", report.Number(rate), x.Trial, sustainedOr(why))
		if why == "" {
			good = max(good, rate)
		} else if bad == 0 || rate < bad {
			bad = rate
		}
		if x.rate = good; good == 0 {
			x.rate = bad * sustainDown
		}
		switch {
		case good > 0 && bad > 0 && bad/good < sustainClose:
			return nil
		case good > 0 && bad > 0:
			rate = (good + bad) / 2
		case good > 0:
			rate = good * sustainUp
		default:
			rate = bad * sustainDown
		}
	}
	if bad == 0 && good > 0 {
		x.rep.Says = append(x.rep.Says, fmt.Sprintf("The search ended after %d trials, and every rate that it tried was sustained: the server bears this much, and perhaps more.", x.Trials))
	}
	return nil
}

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
	return strings.Join(v.Why, "; "), x.settle(ctx)
}

// settle lets the server do what it has put off.
func (x *sustainRun) settle(ctx context.Context) error {
	for began := time.Now(); time.Since(began) < settleLong; {
		m, err := x.srv.Metrics(ctx)
		if err != nil {
			return err
		}
		if m[meterViewsDepth] < settleDepth {
			return nil
		}
		x.say("the views' store has %.0f tables above each other: waiting for them to be merged", m[meterViewsDepth])
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// hold offers the rate for long, and a little less where it does not last.
func (x *sustainRun) hold(ctx context.Context) error {
	tried := 0.0
	for i := range holdTries {
		d := fits(ctx, x.Hold, needSettle)
		if d < min(x.Trial, x.Hold) {
			x.rep.Unfinish("%s: there was no time to hold %s events/s", phaseHold, report.Number(x.rate))
			break
		}
		if d < x.Hold {
			d = d.Truncate(time.Second)
			x.rep.Unfinish("%s: there was time for %v of %v at %s events/s", phaseHold, d, x.Hold, report.Number(x.rate))
		}
		before, err := x.look(ctx)
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
			return x.held(ctx, before, d)
		}
		if i < holdTries-1 {
			x.rate *= holdDown
		}
	}
	if tried > 0 {
		x.rep.Fault("no rate was held for %v; the last was %s events/s", x.Hold, report.Number(tried))
	}
	return nil
}

// held reports what the capacity costs.
func (x *sustainRun) held(ctx context.Context, before usage, d time.Duration) error {
	after, err := x.look(ctx)
	if err != nil {
		return err
	}
	took := after.clock.At.Sub(before.clock.At).Seconds()
	events := after.meters[meterStored] - before.meters[meterStored]
	server, client := after.server.CPU-before.server.CPU, after.client-before.client
	add := x.rep.Add
	add(figureCapacity, x.rate, "events/s", fmt.Sprintf("durable, acknowledged, in every view, held for %v without growth of view lag, unsealed bytes or level 0 of the stores: plan for 70 %% of it", d))
	add("capacity: server cpu", float64(server.Microseconds())/events, "µs/event", "of the server per event, all views on, sealing included")
	add("capacity: server cores", server.Seconds()/took, "cores", fmt.Sprintf("of %d that the server used meanwhile", x.rep.Machine.Cores))
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
		report.Curve{Title: "Throughput over time", Says: "Events acknowledged a second while the capacity was held.", X: at, Y: report.Axis{Name: "acknowledged", Unit: "events/s"},
			Lines: []report.Line{line("acknowledged", func(s *Sample) float64 { return s.Rate })}},
		report.Curve{Title: "What the server owes", Says: "While the capacity was held. Saws are its way of working; a line that rises all along would mean that it does not last.", X: at, Y: report.Axis{Name: "owed", Unit: "MiB"},
			Lines: []report.Line{
				line("unsealed log", func(s *Sample) float64 { return s.Unsealed / (1 << 20) }),
				line("level 0 of the log", func(s *Sample) float64 { return s.LogL0 / (1 << 20) }),
				line("level 0 of the views", func(s *Sample) float64 { return s.ViewL0 / (1 << 20) }),
			}},
		report.Curve{Title: "View lag over time", Says: "Records that the slowest view was behind the log: divided by the rate, how old what people see is.", X: at, Y: report.Axis{Name: "lag", Unit: "records"},
			Lines: []report.Line{line("lag", func(s *Sample) float64 { return s.Lag })}})
}

// shares measures latency at shares of the capacity.
func (x *sustainRun) shares(ctx context.Context) error {
	x.ingestRun.For = 2 * x.Share // of which latency takes half
	lines := []report.Line{{Name: "p50"}, {Name: "p99"}, {Name: "p99.9"}}
	for _, share := range x.Loads {
		at := fmt.Sprintf("%.0f %%", 100*share)
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
	for _, n := range x.Frames {
		sh := x.Sustain.Shape
		sh.Frame = n
		if err := x.open(ctx, sh); err != nil {
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

// disk has everything sealed that may be, and measures what is left.
func (x *sustainRun) disk(ctx context.Context) error {
	x.say("sealing and compacting")
	if err := x.compact(ctx); err != nil {
		return err
	}
	u, err := x.look(ctx)
	if err != nil {
		return err
	}
	for _, one := range []struct{ name, records, seconds, says string }{
		{"sealing thread", meterSealedRecords, "eyrie_wal_seal_seconds_sum", "that one thread seals: what more cores do not move"},
		{"log's thread", "eyrie_wal_records_total", "eyrie_wal_encode_seconds_sum", "that one thread encodes for the log: what more cores do not move"},
	} {
		if took := u.meters[one.seconds]; took > 0 {
			x.rep.Add(one.name, u.meters[one.records]/took, "events/s", one.says+", as far as it was let run here")
		}
	}
	events := u.meters[meterStored]
	views, err := sizeOf(filepath.Join(x.srv.Data, "views"))
	if err != nil {
		return err
	}
	if sealed := u.meters[meterSealedRecords]; sealed > 0 {
		x.rep.Add("log on disk", u.meters[meterSealedBytes]/sealed, "B/event", "sealed, indexes included: times your events a day is what the log grows by")
	}
	x.rep.Add("log's unsealed end", u.meters[meterHot]/(1<<20), "MiB", "blocks that are not sealed yet: bounded, whatever the log's length")
	x.rep.Add("views on disk", float64(views)/events, "B/event", "what fleet, spans and series keep")
	x.rep.Add("written to the device", float64(u.server.Written)/events, "B/event", "from first write to sealed, log and views, all rewriting included")
	return nil
}

// compact seals what may be sealed and gives space back.
func (x *sustainRun) compact(ctx context.Context) error {
	if code, b, err := x.srv.request(ctx, "POST", "/v1/compact"); err != nil || code != 202 {
		return fmt.Errorf("compact: %d %s: %w", code, b, err)
	}
	for {
		_, b, err := x.srv.get(ctx, "/v1/compact")
		if err != nil {
			return err
		}
		var st struct {
			State string `json:"state"`
			Error string `json:"error"`
		}
		if err := json.Unmarshal(b, &st); err != nil {
			return err
		}
		switch st.State {
		case "running":
		case "done":
			return nil
		default:
			return fmt.Errorf("compact: %s %s", st.State, st.Error)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// restarts kills the server at full load, when most is unflushed, and measures how
// long it takes to accept the first event again, and once until every view is loaded and
// caught up.
func (x *sustainRun) restarts(ctx context.Context) error {
	var accepts, ready []float64
	var records float64
	var unflushed int64
	sh := x.Sustain.Shape
	for i := range x.Kills {
		if err := x.open(ctx, x.Sustain.Shape); err != nil {
			return err
		}
		x.say("restart %d of %d", i+1, x.Kills)
		if err := x.fleet.Run(0, max(1, flightEvents/(sh.Connections*sh.Frame))); err != nil {
			return err
		}
		if err := sleep(ctx, cmp.Or(x.Life, restartAfter)); err != nil {
			return err
		}
		m, err := x.srv.Metrics(ctx)
		if err != nil {
			return err
		}
		x.srv.Kill()
		logs, err := filepath.Glob(filepath.Join(x.srv.Data, "log", "store", "*.log"))
		if err != nil {
			return err
		}
		var wal int64
		for _, name := range logs {
			n, err := sizeOf(name)
			if err != nil {
				return err
			}
			wal += n
		}
		records, unflushed = m[meterNext]-1, max(unflushed, wal)
		x.fleet.Close()
		x.fleet = nil
		at := time.Now()
		if err := x.srv.Start(); err != nil {
			return err
		}
		if err := within(ctx, readyMax, x.accepts); err != nil {
			return err
		}
		accepts = append(accepts, time.Since(at).Seconds())
		if i > 0 {
			continue // the views have more to fold with each kill, and it takes them long enough once
		}
		whole, err := x.loaded(ctx, at, time.Duration(x.Kills-1)*(cmp.Or(x.Life, restartAfter)+needAccept))
		if err != nil {
			return err
		}
		if whole {
			ready = append(ready, time.Since(at).Seconds())
		}
	}
	if len(accepts) > 0 {
		x.rep.AddRounds(figureAccepted, accepts, "s", fmt.Sprintf("from the start of the process, after kill -9 at full load, to the first event stored and acknowledged: agents wait this long and send again. The log had %s records in the end; its write-ahead files, which hold what is in no table yet, had %d MiB at most", report.Number(records), unflushed>>20))
	}
	if len(ready) > 0 {
		x.rep.AddRounds(figureLoaded, ready, "s", "after the first of these kills to ready, every view loaded and caught up: for so long people are told to wait")
	}
	return nil
}

// loaded waits until every view is loaded and caught up since the start at an instant,
// and keeps some of the time for what comes after; where there is no more, it says how
// far they are.
func (x *sustainRun) loaded(ctx context.Context, at time.Time, after time.Duration) (whole bool, err error) {
	wait, done := keep(ctx, after+toldIn)
	defer done()
	err = within(wait, readyMax, x.srv.Ready)
	if err == nil || ctx.Err() != nil || wait.Err() == nil {
		return err == nil, err
	}
	share, err := x.srv.Whole(ctx)
	if err != nil {
		return false, err
	}
	x.rep.Unfinish("%s: views not whole after %.0f s: %.0f %%", phaseRestarts, time.Since(at).Seconds(), 100*share)
	return false, nil
}

// accepts waits until the server takes an event.
func (x *sustainRun) accepts(ctx context.Context) error {
	key, err := x.srv.Key("agent")
	if err != nil {
		return err
	}
	for {
		code, err := x.postOne(ctx, key)
		if err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server accepts no event: %d, %w", code, errors.Join(err, context.Cause(ctx)))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// postOne sends one event and returns the status code.
func (x *sustainRun) postOne(ctx context.Context, key string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+x.srv.Ingest+"/v1/events", strings.NewReader(`{"events":[{"type":"message","agent":"bench","msg":"back?"}]}`))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// restartAfter is how long the load runs before a kill, unless told.
const restartAfter = 5 * time.Second

// Meters of the server and figures of the report that are read by name.
const (
	meterStored        = `eyrie_intake_events_total{verdict="stored"}`
	meterCommits       = `eyrie_wal_commits_total`
	meterMarks         = `eyrie_wal_marks_total`
	meterSeries        = `eyrie_tsdb_series`
	meterNext          = `eyrie_wal_next_offset`
	meterHot           = `eyrie_wal_hot_bytes`
	meterViewsDepth    = `eyrie_store_l0_depth{store="views"}`
	meterSealedRecords = `eyrie_wal_sealed_records_total`
	meterSealedBytes   = `eyrie_wal_sealed_bytes_total`
	figureViewed       = "in every view"
	figureAcknowledged = "acknowledged"
	figureCapacity     = "capacity"
	figureAccepted     = "restart: first accepted"
	figureLoaded       = "restart: views loaded"
)

// ignoreGone lets go of an error of a file that is gone since its folder was read.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sizeOf adds up the files below a folder, as far as they stay while it looks.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		st, err := d.Info()
		if err == nil {
			total += st.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}
