package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
)

// Hold keeps many links open under a steady load and watches the server's
// memory: nothing may be lost or refused, nothing may grow with time but what
// the events themselves leave in log and views.
type Hold struct {
	Common
	Count     int // links, of as many agents
	Rate      float64
	For       time.Duration
	OwnTables bool
}

// heldSamples is how often memory is read; each reading makes the server
// collect its garbage beside the collections that the load causes.
const heldSamples = 20

// engineDriftMax is how much the engine's memory may grow over the second half of
// the readings, when every buffer has seen its load, and what it may scatter by.
const (
	engineDriftMax  = 0.02
	engineScatterOf = 256 << 10
	rateShareMin    = 0.97 // of the rate, for the load to count as steady
)

// Meters of the server that are read.
const (
	gcRuns    = "go_gc_duration_seconds_count"
	connsOpen = "eyrie_netpoll_connections"
)

// Run holds, judges and reports.
func (h Hold) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := h.temp("hold")
	if err != nil {
		return nil, err
	}
	defer remove()
	args := []string{"--connections", strconv.Itoa(h.Count)}
	if h.OwnTables {
		args = append(args, "--own-tables")
	}
	srv, err := h.serve(ctx, dir, roughHeap, args...)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	rep := report.New("connections", h.Command, dir)
	clients := h.clients(h.Count)
	rep.Set("load", "%d links of as many agents held for %v, %.0f events/s of the fixed mix, one a frame, sent on schedule; %d client processes", h.Count, h.For, h.Rate, clients)
	fleet, err := h.fleet(ctx, srv, clients, load.Job{
		Touch: true, Shape: workload.Shape{Seed: workload.FigureSeed, Agents: h.Count, Connections: h.Count, Frame: 1},
	})
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	h.say("opening %d links", h.Count)
	start := time.Now()
	if err := open(ctx, fleet, h.Count); err != nil {
		return nil, err
	}
	rep.Add("connect rate", float64(h.Count)/time.Since(start).Seconds(), "links/s", "connected, upgraded, welcome and one event acknowledged, client beside the server")
	x := &holding{Hold: h, srv: srv, fleet: fleet, rep: rep}
	if err := x.run(ctx); err != nil {
		return nil, err
	}
	if len(rep.Faults) > 0 {
		return rep, fmt.Errorf("the links were not held: %s", rep.Faults[0])
	}
	return rep, nil
}

// holding is one run of Hold under way.
type holding struct {
	Hold
	srv   *Server
	fleet *load.Fleet
	rep   *report.Report
	seen  []memory
	at    []time.Duration
}

func (x *holding) run(ctx context.Context) error {
	idle, err := read(ctx, x.srv, x.Count)
	if err != nil {
		return err
	}
	before, err := x.srv.Metrics(ctx)
	if err != nil {
		return err
	}
	cpu, clock := host.CPU(x.srv.Pid()), host.ReadClock()
	all := host.CPU(append(x.fleet.Pids(), x.srv.Pid())...)
	if err := x.fleet.Run(x.Rate, 0); err != nil {
		return err
	}
	began := time.Now()
	for i := range heldSamples {
		if err := sleep(ctx, time.Until(began.Add(x.For*time.Duration(i+1)/heldSamples))); err != nil {
			return err
		}
		m, err := read(ctx, x.srv, x.Count)
		if err != nil {
			return err
		}
		x.seen, x.at = append(x.seen, m), append(x.at, time.Since(began))
		x.say("%3.0f s: engine %.1f MiB, intake %.1f, log %.1f, views %.1f, resident %.0f, %.0f descriptors", time.Since(began).Seconds(),
			m.owner["engine"]/(1<<20), m.owner["intake"]/(1<<20), m.owner["log"]/(1<<20), m.owner["views"]/(1<<20), m.anon/(1<<20), m.open)
	}
	r, err := stopped(ctx, x.fleet)
	if err != nil {
		return err
	}
	used := host.CPU(x.srv.Pid()) - cpu
	noise := host.Since(clock, host.ReadClock(), x.rep.Machine.Cores, host.CPU(append(x.fleet.Pids(), x.srv.Pid())...)-all)
	x.rep.Noise = &noise
	after, err := x.srv.Metrics(ctx)
	if err != nil {
		return err
	}
	x.report(idle, r, used, before, after)
	return nil
}

func (x *holding) report(idle memory, r *load.Result, used time.Duration, before, after map[string]float64) {
	add := x.rep.Add
	last := x.seen[len(x.seen)-1]
	got := float64(r.Events) / time.Duration(r.LastAck-r.FirstSend).Seconds()
	add("rate", got, "events/s", fmt.Sprintf("acknowledged, %d in all", r.Events))
	add("ack p50", ms(r.Latency.Quantile(0.5)), "ms", "from when an event was due to its acknowledgement, after the sync")
	add("ack p99", ms(r.Latency.Quantile(0.99)), "ms", "one event in 100 waits longer")
	add("ack p99.9", ms(r.Latency.Quantile(0.999)), "ms", fmt.Sprintf("the slowest %.0f ms", ms(r.Latency.Max())))
	add("server cpu", float64(used.Microseconds())/float64(r.Events), "µs/event", "CPU of the server per event, every view on; readings of its memory are in it")
	add("collections", after[gcRuns]-before[gcRuns], "collections", fmt.Sprintf("of garbage meanwhile, %d of them asked for by the readings", heldSamples))
	per := func(v float64) float64 { return v / float64(x.Count) }
	for _, o := range []struct{ owner, says string }{
		{"engine", "live in netpoll and engine under load, all buffers and rings of the loops included"},
		{"intake", "live in intake"},
		{"log", "live in the log, its cache of blocks included"},
		{"views", "live in fleet, spans and series: grows with what they keep of events"},
	} {
		first := x.seen[0].owner[o.owner]
		add(o.owner, last.owner[o.owner]/(1<<20), "MiB", fmt.Sprintf("%s; %.1f when idle, %.1f at the first reading under load; %.0f B a link", o.says, idle.owner[o.owner]/(1<<20), first/(1<<20), per(last.owner[o.owner])))
	}
	drift := x.slope("engine")
	add("engine drift", drift*60/(1<<10), "KiB/min", "slope of the engine's memory over the second half of the readings")
	add("resident", last.anon/(1<<20), "MiB", fmt.Sprintf("of its own; %.0f when idle, %.0f at the first reading", idle.anon/(1<<20), x.seen[0].anon/(1<<20)))
	add("descriptors", last.open, "open", "in all the server's descriptor tables together")
	if n := after[connsOpen]; n < float64(x.Count) {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("%.0f connections at the end, want %d", n, x.Count))
	}
	if got < x.Rate*rateShareMin {
		// What cannot go on is kept for each link, so memory says nothing then.
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("%.0f events/s of %.0f: the server does not bear this rate here", got, x.Rate))
	} else if d := drift * x.For.Seconds() / 2; d > last.owner["engine"]*engineDriftMax+engineScatterOf {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("the engine's memory grew by %.0f KiB under a steady load", d/(1<<10)))
	}
	if r.Reconnects > 0 {
		x.rep.Fault("%d links came back", r.Reconnects)
	}
	faultsOf(x.rep, r)
	deferredOf(x.rep, r)
}

// slope is the growth in bytes a second of one owner's memory over the second
// half of the readings.
func (x *holding) slope(owner string) float64 {
	var t, v []float64
	for i := len(x.seen) / 2; i < len(x.seen); i++ {
		t, v = append(t, x.at[i].Seconds()), append(v, x.seen[i].owner[owner])
	}
	return stats.Slope(t, v)
}
