package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Common is what every part needs.
type Common struct {
	Exe       string     // the eyrie binary: server and clients
	Client    []string   // arguments that make Exe a load client
	Dir       string     // folder to put data folders in; "" = the system's temporary one
	Command   string     // as typed, for the report
	Clients   int        // load client processes; 0 chooses
	Target    string     // address of a server that runs already, to be loaded in place of one of its own; "" = none
	TargetKey string     // an operator's key for it
	Hosts     load.Hosts // where load clients wait; none = this host
	Progress  func(format string, args ...any)
}

func (c *Common) say(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(format, args...)
	}
}

// clients returns how many client processes hold n links: one for every four
// cores, and enough for their descriptors.
func (c *Common) clients(n int) int {
	if c.Clients > 0 {
		return c.Clients
	}
	return max(1, host.Describe("/").Cores/4, (n+descriptorsOfAClient-1)/descriptorsOfAClient)
}

const descriptorsOfAClient = 9_000

// sources is how many loopback addresses n links come from, so that none runs
// out of ports.
func sources(n int) int { return min(200, 1+n/5_000) }

// dir is where data folders are put.
func (c *Common) dir() string {
	if c.Dir == "" {
		return os.TempDir()
	}
	return c.Dir
}

// temp makes a folder for one server.
func (c *Common) temp(part string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(c.Dir, "eyrie-bench-"+part+"-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// Ingest measures durable events a second with every view on.
type Ingest struct {
	Common
	Shape   workload.Shape
	Codec   wire.Codec    // of the links
	Window  int           // frames at once per link, closed loop
	For     time.Duration // the measurement at full load; each latency takes half of it
	Loads   []float64     // shares of the full load to measure latency at, open loop
	Rates   []float64     // events a second to measure latency at, in place of full load and its shares
	Profile string        // folder to leave CPU and heap profiles of the server in
}

// Run measures and reports.
func (m Ingest) Run(ctx context.Context) (*report.Report, error) {
	maker, err := workload.NewMaker(m.Shape)
	if err != nil {
		return nil, err
	}
	dir, remove, err := m.temp("ingest")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := m.server(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	key, err := srv.Key("agent")
	if err != nil {
		return nil, err
	}
	fleet, err := m.start(ctx, load.Job{
		Addr: srv.Ingest, Key: key, Codec: m.Codec, Shape: m.Shape, To: m.Shape.Connections, Sources: sources(m.Shape.Connections),
	}, 0)
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	m.say("connecting %d links", m.Shape.Connections)
	if err := open(ctx, fleet, m.Shape.Connections); err != nil {
		return nil, err
	}
	x := &ingestRun{Ingest: m, srv: srv, fleet: fleet, rep: report.New("ingest", m.Command, dir)}
	codec := codecName(m.Codec)
	x.rep.Set("load", "%d connections, %d agents, frames of %d events, %s, %s, seed %d", m.Shape.Connections, m.Shape.Agents, m.Shape.Frame, codec, m.clientsSaid(fleet), m.Shape.Seed)
	x.rep.Set("mix", "%s", maker.Mix())
	x.rep.Set("server", "%s", m.serverSaid())
	if err := x.warm(ctx); err != nil {
		return nil, err
	}
	for _, rate := range m.Rates {
		if err := x.latency(ctx, rate, report.Thousands(fmt.Sprintf("%.0f", rate))+"/s"); err != nil {
			return nil, err
		}
	}
	if len(m.Rates) > 0 {
		return x.rep, x.end()
	}
	if err := x.full(ctx); err != nil {
		return nil, err
	}
	for _, share := range m.Loads {
		if err := x.latency(ctx, x.acknowledged*share, fmt.Sprintf("%.0f %%", 100*share)); err != nil {
			return nil, err
		}
	}
	return x.rep, x.end()
}

// ingestRun is one run of Ingest under way.
type ingestRun struct {
	Ingest
	srv          *Server
	fleet        *load.Fleet
	rep          *report.Report
	acknowledged float64 // events a second at full load
}

// warmMax bounds warming up on a slow machine.
const warmMax = time.Minute

// warm sends until nearly every agent has been seen: first sights are not what
// is measured.
func (x *ingestRun) warm(ctx context.Context) error {
	x.say("warming up until all %d agents are known", x.Shape.Agents)
	if err := x.fleet.Run(0, x.Window); err != nil {
		return err
	}
	for until := time.Now().Add(fits(ctx, warmMax, x.For+2*toldIn)); time.Now().Before(until); {
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		n, err := x.fleet.Events()
		if err != nil {
			return err
		}
		if n > uint64(x.Shape.Agents)*12 {
			break
		}
	}
	_, err := x.stop(ctx)
	return err
}

// stop ends sending and waits for acks and views.
func (x *ingestRun) stop(ctx context.Context) (*load.Result, error) {
	r, err := x.halt(ctx)
	if err != nil {
		return nil, err
	}
	return r, within(ctx, appliedMax, x.srv.Applied)
}

// appliedMax is how long views may take to catch up before it is a failure.
const appliedMax = 10 * time.Minute

// halt ends sending and waits for the acks.
func (x *ingestRun) halt(ctx context.Context) (*load.Result, error) {
	r, err := stopped(ctx, x.fleet)
	if err != nil {
		return nil, err
	}
	faultsOf(x.rep, r)
	return r, nil
}

// usage is what everyone has used up to an instant.
type usage struct {
	clock  host.Clock
	server host.Process
	client time.Duration
	self   time.Duration // of this process
	status Status
	meters map[string]float64
}

func (x *ingestRun) look(ctx context.Context) (u usage, err error) {
	if u.status, err = x.srv.Status(ctx); err != nil {
		return u, err
	}
	if u.meters, err = x.srv.Metrics(ctx); err != nil {
		return u, err
	}
	if u.server, err = x.srv.Used(u.meters); err != nil {
		return u, err
	}
	u.client = host.CPU(x.fleet.Pids()...)
	u.clock, u.self = host.ReadClock(), selfCPU()
	return u, nil
}

// watch lets the load run and returns the largest lag of a view, in records.
func (x *ingestRun) watch(ctx context.Context, d time.Duration, what string) (lag uint64, err error) {
	began := time.Now()
	for time.Since(began) < d {
		if err := sleep(ctx, min(time.Second, d-time.Since(began))); err != nil {
			return lag, err
		}
		st, err := x.srv.Status(ctx)
		if err != nil {
			return lag, err
		}
		now := uint64(0)
		for _, v := range st.Views {
			now = max(now, v.Lag)
		}
		lag = max(lag, now)
		n, err := x.fleet.Events()
		if err != nil {
			return lag, err
		}
		x.say("%s: %3.0f s, %s events acknowledged, views %s behind", what, time.Since(began).Seconds(), report.Thousands(fmt.Sprint(n)), report.Thousands(fmt.Sprint(now)))
	}
	return lag, nil
}

// full measures a closed loop: as much as the server takes.
func (x *ingestRun) full(ctx context.Context) error {
	before, err := x.look(ctx)
	if err != nil {
		return err
	}
	profiled := make(chan error, 1)
	go func() {
		profiled <- x.profile(ctx, fmt.Sprintf("profile?seconds=%d", max(1, int(x.For.Seconds())-2)), "ingest-cpu")
	}()
	if err := x.fleet.Run(0, x.Window); err != nil {
		return err
	}
	lag, err := x.watch(ctx, x.For, "full load")
	if err != nil {
		return err
	}
	r, err := x.halt(ctx)
	if err == nil {
		err = <-profiled
	}
	if err != nil {
		return err
	}
	go func() { profiled <- x.profile(ctx, "profile?seconds=5", "views-cpu") }()
	events := float64(r.Events)
	share, err := x.caughtUp(ctx, time.Unix(0, r.FirstSend), events)
	if err != nil {
		return err
	}
	applied := time.Now()
	after, err := x.look(ctx)
	if err != nil {
		return err
	}
	if err := <-profiled; err != nil {
		return err
	}
	if err := x.profile(ctx, "heap", "ingest-heap"); err != nil {
		return err
	}
	acked := time.Duration(r.LastAck - r.FirstSend).Seconds()
	viewed := applied.Sub(time.Unix(0, r.FirstSend)).Seconds()
	server, client := after.server.CPU-before.server.CPU, after.client-before.client
	ours := client
	if x.srv.serverHere() {
		ours += server
	}
	noise := host.Since(before.clock, after.clock, x.rep.Machine.Cores, ours)
	x.rep.Noise, x.rep.Used = &noise, server+client
	x.acknowledged = events / acked
	add := x.rep.Add
	add(figureViewed, share*events/viewed, "events/s", "durable, acknowledged and in every view: plan for less than this")
	add(figureAcknowledged, events/acked, "events/s", "durable and acknowledged; where it exceeds the line above, views fall behind for as long as it lasts")
	add("events", events, "events", fmt.Sprintf("sent in %.1f s, the last in all views after %.1f s", acked, viewed))
	add("server cpu", float64(server.Microseconds())/events, "µs/event", "CPU of the server per event, all views on")
	add("client cpu", float64(client.Microseconds())/events, "µs/event", "CPU of the load client beside it, which agents on other machines would not take")
	add("view lag", float64(lag), "records", "the most that the slowest view was behind the log")
	add("ack p50 full", ms(r.Latency.Quantile(0.5)), "ms", fmt.Sprintf("at full load with %d frame(s) in flight on each link: what is in flight divided by the rate", x.Window))
	add("ack p99 full", ms(r.Latency.Quantile(0.99)), "ms", "the slowest of 100 frames at full load")
	add("wire", float64(r.Bytes)/events, "B/event", "sent by the client, WebSocket headers included")
	add("log", float64(after.status.Log.Bytes-min(before.status.Log.Bytes, after.status.Log.Bytes))/events, "B/event", "growth of the log's files; its write-ahead part is recycled, so short runs scatter")
	add("device", float64(after.server.Written-before.server.Written)/events, "B/event", "written to the disk for log and views together")
	for _, v := range after.status.Views {
		name := fmt.Sprintf("eyrie_view_save_bytes_total{view=%q}", v.Name)
		add("save "+v.Name, (after.meters[name]-before.meters[name])/events, "B/event", "that this view put into its store, before the store's own rewriting")
	}
	add("server rss", float64(after.server.RSS)/(1<<20), "MiB", fmt.Sprintf("resident memory of the server with %d agents known", after.status.Agents))
	deferredOf(x.rep, r)
	return nil
}

// caughtUp waits until every view has the events sent since an instant, or ctx leaves no
// more time, and returns the share of them that they have.
func (x *ingestRun) caughtUp(ctx context.Context, since time.Time, events float64) (float64, error) {
	wait, done := keep(ctx, 2*toldIn)
	defer done()
	err := within(wait, appliedMax, x.srv.Applied)
	if err == nil || ctx.Err() != nil || wait.Err() == nil {
		return 1, err
	}
	st, err := x.srv.Status(ctx)
	if err != nil {
		return 0, err
	}
	var lag uint64
	for _, v := range st.Views {
		lag = max(lag, v.Lag)
	}
	share := max(0, 1-float64(lag)/events)
	x.rep.Unfinish("full load: views not whole after %.0f s: %.0f %%; events in every view are of these", time.Since(since).Seconds(), 100*share)
	return share, nil
}

// profile leaves a profile of the server in the folder asked for, if one was.
func (x *ingestRun) profile(ctx context.Context, what, name string) error {
	if x.Profile == "" {
		return nil
	}
	return x.srv.Profile(ctx, what, filepath.Join(x.Profile, name+".pprof"))
}

// latency measures an open loop at a rate, in events a second.
func (x *ingestRun) latency(ctx context.Context, rate float64, at string) error {
	before, err := x.look(ctx)
	if err != nil {
		return err
	}
	traced := make(chan error, 1)
	go func() {
		traced <- x.profile(ctx, "trace?seconds=3", "trace at "+strings.Map(fileRune, at))
	}()
	if err := x.fleet.Run(rate, 0); err != nil {
		return err
	}
	if _, err := x.watch(ctx, x.For/2, at+" load"); err != nil {
		return err
	}
	r, err := x.stop(ctx)
	if err == nil {
		err = <-traced
	}
	if err != nil {
		return err
	}
	after, err := x.look(ctx)
	if err != nil {
		return err
	}
	got := float64(r.Events) / time.Duration(r.LastAck-r.FirstSend).Seconds()
	x.rep.Add("rate at "+at, got, "events/s", fmt.Sprintf("of %s asked for, sent on schedule whatever the answers", report.Thousands(fmt.Sprintf("%.0f", rate))))
	x.rep.Add("ack p50 at "+at, ms(r.Latency.Quantile(0.5)), "ms", "from when a frame was due to its acknowledgement, after the sync")
	x.rep.Add("ack p99 at "+at, ms(r.Latency.Quantile(0.99)), "ms", "one frame in 100 waits longer: choose the rate at which agents can wait as long")
	x.rep.Add("ack p99.9 at "+at, ms(r.Latency.Quantile(0.999)), "ms", fmt.Sprintf("one frame in 1,000 waits longer, the slowest %.0f ms", ms(r.Latency.Max())))
	x.rep.Add("server cpu at "+at, float64((after.server.CPU-before.server.CPU).Microseconds())/float64(r.Events), "µs/event", "CPU of the server per event, until every view had it: times your rate, these are the cores to buy")
	deferredOf(x.rep, r)
	return nil
}

// fileRune keeps a name plain.
func fileRune(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// end holds the log against what was sent.
func (x *ingestRun) end() error {
	if len(x.rep.Faults) > 0 {
		return fmt.Errorf("the measurement went wrong: %s", x.rep.Faults[0])
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// within runs fn with a deadline.
func within(ctx context.Context, d time.Duration, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return fn(ctx)
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
