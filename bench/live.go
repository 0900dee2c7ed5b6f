package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/viewer"
	"eyrie/bench/workload"
)

// ServeViewers is the life of a process of viewers: see viewer.Serve.
func ServeViewers(in io.Reader, out io.Writer) error { return viewer.Serve(in, out) }

// Live measures live viewers under a steady load: how many there may be, how much
// is delivered to them, and how long an event takes from the agent to the viewer.
type Live struct {
	Common
	Child   []string       // arguments that make Exe a process of viewers
	Shape   workload.Shape // of the load
	Rate    float64        // events a second of the load
	Marks   float64        // events a second of the agent that latencies are measured by
	Kinds   []string       // of LiveKinds
	Viewers []int          // the ramp, ascending
	For     time.Duration  // one step of it
	Settle  time.Duration  // of load before a step is measured; 0 is 500 ms
	Most    time.Duration  // p99 beyond which there are too many viewers

	Centrifuge string // folder of the module bench/peers/centrifuge; "" leaves it out
	Peers      int    // viewers of it, and as many of eyrie
	Rounds     int    // of both in turns
}

// LiveKinds are what viewers may watch: all of them one agent, all of them
// everything, or the newest event of each agent.
var LiveKinds = []string{"agent", "all", "latest"}

// watches is what one viewer of a kind wants.
func watches(kind string) []viewer.Watch {
	w := viewer.Watch{What: "events", Mode: "all", Credits: viewer.CreditsDefault, Marks: true}
	switch kind {
	case "agent":
		w.Filter.Agent = viewer.ProbeAgent
	case "latest":
		w.Mode = "latest"
	}
	return []viewer.Watch{w}
}

// liveSays is what a kind is, for the report.
var liveSays = map[string]string{
	"agent":  "every viewer watches one and the same agent, which sends %g events a second beside the load",
	"all":    "every viewer watches every event of the space, %g a second of the probe among them",
	"latest": "every viewer watches the newest event of each agent (conflated), the probe with %g a second among them",
}

// Run measures and reports.
func (m Live) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("live")
	if err != nil {
		return nil, err
	}
	defer remove()
	x := &liveRun{Live: m, rep: report.New("live", m.Command, dir)}
	began, used := host.ReadClock(), selfCPU()
	if err := x.memory(ctx, filepath.Join(dir, "idle")); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	x.settings()
	if err := x.loaded(ctx, filepath.Join(dir, "loaded")); err != nil {
		return x.rep, err
	}
	if m.Centrifuge != "" {
		if err := x.beside(ctx, dir); err != nil {
			return x.rep, fmt.Errorf("centrifuge: %w", err)
		}
	}
	noise := host.Since(began, host.ReadClock(), x.rep.Machine.Cores, selfCPU()-used)
	x.rep.Noise = &noise
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the measurement went wrong: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

// loaded measures the kinds on a server with the load.
func (x *liveRun) loaded(ctx context.Context, dir string) (err error) {
	if x.srv, err = x.serve(ctx, dir, nil); err != nil {
		return err
	}
	defer x.srv.Kill()
	if x.load, err = x.linked(ctx, x.srv, x.clients(x.Shape.Connections), load.Job{Shape: x.Shape}); err != nil {
		return err
	}
	defer x.load.Close()
	key, err := x.srv.Key("agent")
	if err != nil {
		return err
	}
	return x.ramps(ctx, key)
}

// liveRun is one run of Live under way.
type liveRun struct {
	Live
	srv   *Server
	load  *load.Fleet
	probe *viewer.Probe
	rep   *report.Report
	p50   []report.Line
	p99   []report.Line
	flow  []report.Line
}

// liveStep is what one step of a ramp gave.
type liveStep struct {
	viewers int
	seen    *viewer.Result
	sent    *load.Result
	took    time.Duration
	server  time.Duration // CPU
	load    time.Duration // the load client's
	busy    float64       // share of the machine
	rss     uint64
	behind  bool // the last events did not reach every viewer in time
}

func (s *liveStep) items() float64 { return float64(s.seen.Items) / s.took.Seconds() }

func (x *liveRun) settings() {
	x.rep.Set("load", "%.0f events/s on schedule over %d connections, %d agents, frames of %d events, seed %d", x.Rate, x.Shape.Connections, x.Shape.Agents, x.Shape.Frame, x.Shape.Seed)
	x.rep.Set("mix", "%s", workload.Mix)
	x.rep.Set("server", "eyrie serve with defaults on a fresh folder; every event is synced before its ack, all views on; load, viewers and server share the machine")
	x.rep.Set("viewers", "WebSocket /v1/live without compression, %d credits, given back by halves, in %d process(es) of one thread, which count items and read the probe's events alone", viewer.CreditsDefault, x.processes())
	x.rep.Set("latency", "from the microsecond at which an event of the probe, an agent on a link of its own, was due, to its arrival at each viewer: the sync is in it, and what viewers and server wait for a core")
	for _, k := range x.Kinds {
		x.rep.Set(k, liveSays[k], x.Marks)
	}
}

// processes is how many hold the viewers.
func (x *liveRun) processes() int { return max(1, x.rep.Machine.Cores/4) }

// liveWarm is for how many steps the load runs before the first: what a server does at its
// beginning, first sights, saves that follow each other closely, is not what viewers cost.
const liveWarm = 3

// ramps measures each kind.
func (x *liveRun) ramps(ctx context.Context, key string) (err error) {
	if x.probe, err = viewer.StartProbe(ctx, x.srv.Ingest, key, x.Marks); err != nil {
		return err
	}
	x.say("warming up")
	if err := x.load.Run(x.Rate, 0); err != nil {
		return err
	}
	if err := sleep(ctx, liveWarm*x.For); err != nil {
		return err
	}
	if _, err := x.halt(ctx); err != nil {
		return err
	}
	for _, k := range x.Kinds {
		if err := x.ramp(ctx, k); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	if _, err := x.probe.Stop(ctx); err != nil {
		return err
	}
	x.rep.Curves = append(x.rep.Curves,
		report.Curve{Title: "Agent to viewer, median", Says: "How long an event takes to half of the viewers; where the line bends, the machine is full.", X: report.Axis{Name: "viewers", Unit: "viewers", Log: true}, Y: report.Axis{Name: "p50", Unit: "ms", Log: true}, Lines: x.p50},
		report.Curve{Title: "Agent to viewer, 99 of 100", Says: "Take the largest number of viewers whose line is still below what your people accept.", X: report.Axis{Name: "viewers", Unit: "viewers", Log: true}, Y: report.Axis{Name: "p99", Unit: "ms", Log: true}, Lines: x.p99},
		report.Curve{Title: "Deliveries", Says: "Events that reach viewers each second, all viewers together; where a line stops rising, the next viewer takes from the others.", X: report.Axis{Name: "viewers", Unit: "viewers", Log: true}, Y: report.Axis{Name: "deliveries", Unit: "events/s", Log: true}, Lines: x.flow})
	return nil
}

// fleetOf starts up to n viewers of a kind.
func (x *liveRun) fleetOf(ctx context.Context, srv *Server, kind string, n int) (*viewer.Fleet, error) {
	key, err := srv.Key("operator")
	if err != nil {
		return nil, err
	}
	return viewer.Start(ctx, append([]string{x.Exe}, x.Child...), x.processes(), viewer.Job{
		Addr: srv.Web, Key: key, Kinds: [][]viewer.Watch{watches(kind)}, To: n, Sources: sources(n),
	})
}

// ramp measures one kind at more and more viewers, until there are too many.
func (x *liveRun) ramp(ctx context.Context, kind string) error {
	f, err := x.fleetOf(ctx, x.srv, kind, slices.Max(x.Viewers))
	if err != nil {
		return err
	}
	defer f.Close()
	x.say("%s: the load without viewers", kind)
	rest, err := x.step(ctx, nil, 0)
	if err != nil {
		return err
	}
	if kind == x.Kinds[0] {
		x.rep.Add("ack p99 without viewers", ms(rest.sent.Latency.Quantile(0.99)), "ms", "of the load, to hold the lines of each kind against: what viewers cost those who write")
		x.rep.Add("server cpu without viewers", rest.server.Seconds()/rest.took.Seconds(), "cores", "what the load alone takes of the server")
	}
	var first, best *liveStep
	items, cores := []float64{0}, []float64{rest.server.Seconds() / rest.took.Seconds()} // of the steps that were borne
	most, limit := 0.0, fmt.Sprintf("none: %d viewers are as many as were asked for", slices.Max(x.Viewers))
	p50, p99, flow := report.Line{Name: kind}, report.Line{Name: kind}, report.Line{Name: kind}
	for i, n := range x.Viewers {
		// What no more than twice the time of a step is left for.
		if d := 2 * (cmp.Or(x.Settle, liveSettle) + x.For + toldIn); fits(ctx, d, toldIn) < d {
			x.rep.Unfinish("%s: of %d steps up to %d viewers there was time for %d", kind, len(x.Viewers), slices.Max(x.Viewers), i)
			limit = fmt.Sprintf("the time for it was over: %d steps of %d were tried", i, len(x.Viewers))
			break
		}
		x.say("%s: %d viewers", kind, n)
		if err := f.Open(n); err != nil {
			return err
		}
		s, err := x.step(ctx, f, n)
		if err != nil {
			return err
		}
		x.rep.Faults = append(x.rep.Faults, s.seen.Errors...)
		at := float64(n)
		p50.Points = append(p50.Points, [2]float64{at, ms(max(s.seen.Latency.Quantile(0.5), time.Microsecond))})
		p99.Points = append(p99.Points, [2]float64{at, ms(max(s.seen.Latency.Quantile(0.99), time.Microsecond))})
		flow.Points = append(flow.Points, [2]float64{at, max(s.items(), 1)})
		most = max(most, s.items())
		if why := x.over(kind, s); why != "" {
			limit = fmt.Sprintf("at %d viewers %s; the machine was %.0f %% busy: server %.2f, viewers %.2f, load %.2f of %d cores",
				n, why, 100*s.busy, s.server.Seconds()/s.took.Seconds(), float64(s.seen.CPU)/float64(s.took), s.load.Seconds()/s.took.Seconds(), x.rep.Machine.Cores)
			break
		}
		if best = s; first == nil {
			first = s
		}
		items, cores = append(items, s.items()), append(cores, s.server.Seconds()/s.took.Seconds())
	}
	x.p50, x.p99, x.flow = append(x.p50, p50), append(x.p99, p99), append(x.flow, flow)
	x.rep.Set(kind+": limit", "%s", limit)
	if best == nil {
		x.rep.Add(kind+": viewers", 0, "viewers", "not even the first step was borne: "+limit)
		return nil
	}
	x.tell(kind, first, best, most, 1e6*stats.Slope(items, cores))
	return nil
}

// over says why a step has too many viewers, "" where it has not.
func (x *liveRun) over(kind string, s *liveStep) string {
	p99, want := s.seen.Latency.Quantile(0.99), 0.0
	switch kind {
	case "agent":
		want = x.Marks * float64(s.viewers)
	case "all":
		want = (x.Rate + x.Marks) * float64(s.viewers)
	}
	const room = 0.95 // what begins before a step and ends behind it
	switch {
	case s.behind:
		return fmt.Sprintf("some had not seen the last events %.0f s after they were sent", catchUp.Seconds())
	case p99 > x.Most:
		return fmt.Sprintf("p99 was %.0f ms, beyond %.0f", ms(p99), ms(x.Most))
	case s.items() < want*room:
		return fmt.Sprintf("%s events/s were delivered instead of %s", report.Thousands(fmt.Sprintf("%.0f", s.items())), report.Thousands(fmt.Sprintf("%.0f", want)))
	case s.sent.Deferred > 0 || float64(s.sent.Events) < room*x.Rate*s.took.Seconds():
		return "the load was held up: readers took from those who write"
	}
	return ""
}

// tell reports a kind: its first step, the last that was borne, the most deliveries a
// second, and the µs of CPU that one takes.
func (x *liveRun) tell(kind string, first, best *liveStep, most, cpu float64) {
	add := func(name string, v float64, unit, says string) { x.rep.Add(kind+": "+name, v, unit, says) }
	n, l := float64(best.seen.Items), &best.seen.Latency
	add("viewers", float64(best.viewers), "viewers", fmt.Sprintf("the most whose p99 stayed below %.0f ms: plan for fewer", ms(x.Most)))
	add("deliveries", best.items(), "events/s", "that reached these viewers, all together")
	add("deliveries at most", most, "events/s", "that reached viewers at any step, however late")
	add("server cpu", max(cpu, 0), "µs/delivery", "CPU of the server for each further event delivered to a viewer, by the slope over the steps that were borne; 0 where it is lost in what the load takes")
	add("client cpu", float64(best.seen.CPU)/1e3/max(n, 1), "µs/delivery", "CPU of the viewers' process for each event, which browsers on other machines would not take")
	add("bytes", float64(best.seen.Bytes)/max(n, 1), "B/delivery", "sent to a viewer for each event, without compression: multiply by deliveries for the network")
	add("events a message", n/max(float64(best.seen.Messages), 1), "events", "delivered together: more of them mean less work each, and later")
	add("p50 of the first step", ms(first.seen.Latency.Quantile(0.5)), "ms", fmt.Sprintf("from the agent to %d viewer(s): hardly more than the sync before the acknowledgement", first.viewers))
	add("p99 of the first step", ms(first.seen.Latency.Quantile(0.99)), "ms", "one event in 100 took longer")
	add("p50", ms(l.Quantile(0.5)), "ms", fmt.Sprintf("from the agent to the viewer with %d of them", best.viewers))
	add("p95", ms(l.Quantile(0.95)), "ms", "one event in 20 took longer")
	add("p99", ms(l.Quantile(0.99)), "ms", "one event in 100 took longer: what to promise")
	add("p99.9", ms(l.Quantile(0.999)), "ms", fmt.Sprintf("one event in 1,000 took longer, the slowest %.0f ms", ms(l.Max())))
	if kind == "latest" {
		add("left out", 100*float64(best.seen.Left)/max(float64(best.seen.Left+l.Count()), 1), "%", "of the probe's events, replaced by newer ones before they were sent: that is what the mode is for")
	}
	add("ack p99", ms(best.sent.Latency.Quantile(0.99)), "ms", "of the load meanwhile: what these viewers cost those who write")
	add("server rss", float64(best.rss)/(1<<20), "MiB", "resident memory of the server meanwhile, log and views included")
}

const (
	liveSettle = 500 * time.Millisecond // Settle, unless told
	catchUp    = 5 * time.Second        // what the last events may take to every viewer
)

// step measures so many viewers under the load; f is nil for none.
func (x *liveRun) step(ctx context.Context, f *viewer.Fleet, n int) (*liveStep, error) {
	s := &liveStep{viewers: n, seen: &viewer.Result{}}
	if err := x.load.Run(x.Rate, 0); err != nil {
		return nil, err
	}
	if err := sleep(ctx, cmp.Or(x.Settle, liveSettle)); err != nil {
		return nil, err
	}
	before, err := host.Look(x.srv.Pid())
	if err != nil {
		return nil, err
	}
	client, clock := host.CPU(x.load.Pids()...), host.ReadClock()
	if f != nil {
		if err := f.Begin(); err != nil {
			return nil, err
		}
	}
	if err := sleep(ctx, x.For); err != nil {
		return nil, err
	}
	last := x.probe.Sent()
	if f != nil {
		if err := f.End(); err != nil {
			return nil, err
		}
	}
	after, err := host.Look(x.srv.Pid())
	if err != nil {
		return nil, err
	}
	now := host.ReadClock()
	s.took, s.server, s.rss = now.At.Sub(clock.At), after.CPU-before.CPU, after.RSS
	s.load = host.CPU(x.load.Pids()...) - client
	s.busy = float64(now.Busy-clock.Busy) / float64(s.took) / float64(x.rep.Machine.Cores)
	if s.sent, err = x.halt(ctx); err != nil || f == nil {
		return s, err
	}
	seen, err := f.Seen(ctx, last, catchUp)
	if err != nil {
		return nil, err
	}
	s.behind = !seen
	s.seen, err = f.Result()
	return s, err
}

// halt ends the load and waits for its acknowledgements.
func (x *liveRun) halt(ctx context.Context) (*load.Result, error) {
	r, err := stopped(ctx, x.load)
	if err == nil {
		faultsOf(x.rep, r)
	}
	return r, err
}

// memory measures what an idle viewer costs, on a server of its own whose heap
// is sampled finely, which would cost the others time.
func (x *liveRun) memory(ctx context.Context, dir string) error {
	srv, err := x.serve(ctx, dir, fineHeap)
	if err != nil {
		return err
	}
	defer srv.Kill()
	n := slices.Max(x.Viewers)
	f, err := x.fleetOf(ctx, srv, "agent", n)
	if err != nil {
		return err
	}
	defer f.Close()
	few := min(n/2, 20) // each buffer has been used once
	var at [2]map[string]float64
	var kernel [2]uint64
	for i, to := range []int{few, n} {
		x.say("memory of %d idle viewers", to)
		if err := f.Open(to); err != nil {
			return err
		}
		for range 2 { // pools give up what they hold at the second
			if at[i], err = held(ctx, srv); err != nil {
				return err
			}
		}
		kernel[i] = host.Kernel()
	}
	sum := 0.0
	var parts []string
	for _, o := range []string{"engine", "views", "api", "rest"} {
		d := (at[1][o] - at[0][o]) / float64(n-few)
		sum += d
		parts = append(parts, fmt.Sprintf("%s %.0f", o, d))
	}
	x.rep.Add("memory", sum, "B/viewer", "live in Go's heap for each further idle viewer with one subscription ("+strings.Join(parts, ", ")+"): multiply by the viewers you plan for")
	x.rep.Add("kernel memory", (float64(kernel[1])-float64(kernel[0]))/float64(n-few)/2, "B/socket", "the system's own: half of what both ends take together on this machine")
	return nil
}
