package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/viewer"
	"eyrie/bench/workload"
)

// Soak runs a workload for long at a steady rate and watches for what grows, and
// for latencies that drift. When ctx ends it reports what was seen up to then.
type Soak struct {
	Common
	Load    workload.Workload
	For     time.Duration
	Rate    float64       // events/s; 0 = Share of Max
	Share   float64       // of Max
	Max     float64       // events/s; 0 = what a closed loop finds first
	Search  time.Duration // of that closed loop
	Viewers []string      // arguments that make Exe a process of viewers
	Profile string        // folder to leave profiles of the server's in, from the middle and the end
}

// What a soak asks for.
const (
	// flatAfter is how long a soak must be for memory, disk and latencies to be
	// judged: before, caches and tables are filling.
	flatAfter = 20 * time.Minute
	// driftMax is how much p99 at the end may exceed that at the beginning.
	driftMax = 1.10
	// driftShare is which part of a soak is its beginning, and its end: one in so
	// many, driftSpan at most.
	driftShare, driftSpan = 6, 10 * time.Minute
	// soakWarm is for how long the load runs before the soak begins: one in so many
	// of the whole, and at most. Agents and series are seen for the first time in it,
	// and stores have one level.
	soakWarmShare, soakWarmMax = 12, 10 * time.Minute
	// soakMarks is how many events a second the agent sends whose way to the viewers
	// is measured.
	soakMarks = 10
	// soakRows is how many rows the UI draws of the table of agents.
	soakRows = 40
	// screenMax is the p99 from agent to viewer that is aimed at.
	screenMax = 100 * time.Millisecond
)

// soakRun is one run of Soak under way.
type soakRun struct {
	Soak
	t       *Target
	srv     *Server
	fleet   *load.Fleet
	viewers *viewer.Fleet
	probe   *viewer.Probe
	rep     *report.Report
	maker   *workload.Maker
	watch   Watch
}

// Run soaks, judges and reports.
func (m Soak) Run(ctx context.Context) (*report.Report, error) {
	// What was begun is ended in order when ctx ends.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	maker, err := workload.NewMaker(m.Load.Shape)
	if err != nil {
		return nil, err
	}
	dir, remove, err := m.temp("soak")
	if err != nil {
		return nil, err
	}
	defer remove()
	x := &soakRun{Soak: m, maker: maker, rep: report.New("soak", m.Command, dir)}
	if x.srv, err = m.server(ctx, dir); err != nil {
		return nil, err
	}
	defer x.srv.Kill()
	x.t = &x.srv.Target
	if err := x.connect(ctx, work); err != nil {
		return nil, err
	}
	defer x.close()
	x.settings()
	if err := x.rates(ctx); err != nil {
		return nil, err
	}
	return x.soak(ctx, work)
}

func (x *soakRun) settings() {
	w, sh := &x.Load, x.Load.Shape
	x.rep.Set("workload", "%s: %s", w.Name, w.Says)
	x.rep.Set("load", "%d connections, %d agents, frames of %d events, %s, %s, seed %d", sh.Connections, x.maker.Agents(), sh.Frame, codecName(w.Codec), x.clientsSaid(x.fleet), sh.Seed)
	x.rep.Set("mix", "%s", x.maker.Mix())
	x.rep.Set("server", "%s", x.serverSaid())
	if w.Viewers > 0 {
		x.rep.Set("viewers", "%d on /v1/live as the UI opens them: half on the page of the fleet (its numbers, all agents, %d of them in sight), half on that of one agent, which sends %d events/s beside the load on a link of its own; what each costs is in the server's CPU", w.Viewers, soakRows, soakMarks)
	}
}

// connect brings up links and viewers.
func (x *soakRun) connect(ctx, work context.Context) (err error) {
	key, err := x.t.Key("agent")
	if err != nil {
		return err
	}
	sh := x.Load.Shape
	x.fleet, err = x.start(work, load.Job{Addr: x.t.Ingest, Key: key, Codec: x.Load.Codec, Shape: sh, To: sh.Connections, Sources: sources(sh.Connections)}, x.Load.Rate)
	if err != nil {
		return err
	}
	x.say("connecting %d links", sh.Connections)
	if err := open(ctx, x.fleet, sh.Connections); err != nil {
		x.fleet.Close()
		return err
	}
	if x.Load.Viewers == 0 {
		return nil
	}
	if err := x.view(work, key); err != nil {
		x.close()
		return err
	}
	return nil
}

// view opens the viewers, who watch what the UI's pages do.
func (x *soakRun) view(work context.Context, key string) (err error) {
	if x.probe, err = viewer.StartProbe(work, x.t.Ingest, key, soakMarks); err != nil {
		return err
	}
	reader, err := x.t.Key("operator")
	if err != nil {
		return err
	}
	const credits = 2000 // as the UI gives
	n := x.Load.Viewers
	sight := []string{viewer.ProbeAgent}
	for i := range min(x.maker.Agents(), soakRows-1) {
		sight = append(sight, workload.AgentID(i))
	}
	fleet, one := viewer.Watch{What: "fleet", Credits: credits}, viewer.Filter{Agent: viewer.ProbeAgent}
	x.viewers, err = viewer.Start(work, append([]string{x.Exe}, x.Viewers...), 1, viewer.Job{
		Addr: x.t.Web, Key: reader, To: n, Sources: sources(n),
		Kinds: [][]viewer.Watch{
			{fleet, {What: "events", Filter: one, Credits: credits, Marks: true}, {What: "agents", Filter: one, Credits: credits}},
			{fleet, {What: "agents", Credits: credits, Focus: sight}},
		},
	})
	if err != nil {
		return err
	}
	x.say("opening %d viewers", n)
	return x.viewers.Open(n)
}

func (x *soakRun) close() {
	if x.viewers != nil {
		x.viewers.Close()
	}
	x.fleet.Close()
}

// rates settles which rate the soak is at.
func (x *soakRun) rates(ctx context.Context) error {
	if x.Rate > 0 {
		return nil
	}
	if x.Max == 0 {
		most, err := x.search(ctx)
		if err != nil {
			return err
		}
		x.Max = most
		x.rep.Add("maximum", most, "events/s", fmt.Sprintf("acknowledged and in every view, in a closed loop of %v before the soak", x.Search))
	}
	x.Rate = x.Share * x.Max
	return nil
}

// search finds what the server takes at most: events until every view had them,
// over the time that took.
func (x *soakRun) search(ctx context.Context) (float64, error) {
	x.say("looking for the maximum")
	if err := x.fleet.Run(0, searchWindow); err != nil {
		return 0, err
	}
	if err := sleep(ctx, x.Search/4); err != nil { // first sights are not what is measured
		return 0, err
	}
	if _, err := x.fleet.Window(ctx); err != nil {
		return 0, err
	}
	st, err := x.t.Status(ctx)
	if err != nil {
		return 0, err
	}
	began, before := time.Now(), st.Log.Next
	if err := sleep(ctx, x.Search); err != nil {
		return 0, err
	}
	if _, err := stopped(ctx, x.fleet); err != nil {
		return 0, err
	}
	if st, err = x.t.Status(ctx); err != nil {
		return 0, err
	}
	x.say("waiting for the views")
	if err := within(ctx, appliedMax, x.t.Applied); err != nil {
		return 0, err
	}
	return float64(st.Log.Next-before) / time.Since(began).Seconds(), nil
}

// searchWindow is how many frames a link has in flight in the search.
const searchWindow = 2

// soak runs the load and reports; after an interrupt, too.
func (x *soakRun) soak(ctx, work context.Context) (*report.Report, error) {
	x.rep.Set("rate", "%s events/s for %v, on schedule whatever the answers", report.Number(x.Rate), x.For)
	if err := x.fleet.Run(x.Rate, 0); err != nil {
		return nil, err
	}
	warm := min(x.For/soakWarmShare, soakWarmMax)
	x.rep.Set("warm-up", "%v at the same rate, before anything is measured", warm.Round(time.Second))
	x.say("warming up for %v", warm.Round(time.Second))
	if err := sleep(ctx, warm); err != nil {
		return nil, fmt.Errorf("interrupted before the soak began: %w", err)
	}
	if x.viewers != nil {
		if err := x.viewers.Begin(); err != nil {
			return nil, err
		}
	}
	x.watch = Watch{Target: x.t, Fleet: x.fleet, Seen: x.progress}
	clock, clients := host.ReadClock(), x.clientCPU()
	asked := x.ask(work)
	began := time.Now()
	err := x.watched(ctx)
	asked()
	took := time.Since(began)
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		return nil, err
	}
	if interrupted {
		x.rep.Says = append(x.rep.Says, fmt.Sprintf("Interrupted after %v of %v: this is what was seen up to then.", took.Round(time.Second), x.For))
	}
	s := x.watch.Samples
	if len(s) < 2 {
		return nil, errors.New("interrupted before there was anything to tell")
	}
	used := x.clientCPU() - clients
	server := serverCPU(s)
	ours := used
	if x.t.serverHere() {
		ours += time.Duration(server * float64(time.Second))
	}
	noise := host.Since(clock, host.ReadClock(), x.rep.Machine.Cores, ours)
	x.rep.Noise = &noise
	if err := x.end(work); err != nil {
		return nil, err
	}
	x.tell(took, used.Seconds(), server)
	x.curves()
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the soak does not hold: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

// ask begins to put questions, if the workload has any; what it returns ends that,
// and reports.
func (x *soakRun) ask(ctx context.Context) (end func()) {
	if x.Load.Queries == 0 {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	r := &reader{t: x.t, every: time.Duration(float64(time.Second) / x.Load.Queries)}
	done := make(chan struct{})
	go func() {
		r.run(ctx)
		close(done)
	}()
	return func() {
		stop()
		<-done
		took, failed, why := r.result()
		x.rep.Add("queries", float64(took.Count()), "queries", fmt.Sprintf("asked at %s a second: %d kinds that the UI's pages ask, in turn", report.Number(x.Load.Queries), len(readerPaths)))
		x.rep.Add("query p50", ms(took.Quantile(0.5)), "ms", "from when a question was due to its whole answer, under the load")
		x.rep.Add("query p99", ms(took.Quantile(0.99)), "ms", "one in 100 takes longer: what a person waits for a page at worst; above a second, fewer events or more cores")
		if failed > 0 {
			x.rep.Fault("%d of %d queries failed, the first: %s", failed, took.Count(), why)
		}
	}
}

// watched is the soak itself, with profiles taken beside it.
func (x *soakRun) watched(ctx context.Context) error {
	if x.Profile == "" {
		return x.watch.For(ctx, x.For)
	}
	x.rep.Set("profile", "of the server's CPU, heap and goroutines in the middle and at the end; where the CPU went: go tool pprof -top %s", filepath.Join(x.Profile, "soak-middle-cpu.pprof"))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	profiled := make(chan error, 1)
	go func() {
		err := x.profiles(ctx)
		if err != nil {
			cancel(err)
		}
		profiled <- err
	}()
	err := x.watch.For(ctx, x.For)
	return cmp.Or(err, <-profiled)
}

// profiles takes those of the middle and of the end.
func (x *soakRun) profiles(ctx context.Context) error {
	began, seconds := time.Now(), min(10, max(1, int(x.For.Seconds())/6))
	for _, part := range []struct {
		name string
		at   time.Duration
	}{{"middle", x.For / 2}, {"end", x.For - time.Duration(seconds+1)*time.Second}} {
		if err := sleep(ctx, time.Until(began.Add(part.at))); err != nil {
			return err
		}
		for _, p := range [][2]string{{"heap", "heap"}, {"goroutine", "goroutine"}, {fmt.Sprintf("profile?seconds=%d", seconds), "cpu"}} {
			if err := x.t.Profile(ctx, p[0], filepath.Join(x.Profile, "soak-"+part.name+"-"+p[1]+".pprof")); err != nil {
				return err
			}
		}
	}
	return nil
}

// clientCPU is that of the processes that load from this host, and of this one.
func (x *soakRun) clientCPU() time.Duration {
	pids := x.fleet.Pids()
	if x.viewers != nil {
		pids = append(pids, x.viewers.Pids()...)
	}
	return host.CPU(pids...) + selfCPU()
}

// serverCPU is what the server used over the samples, in seconds.
func serverCPU(samples []Sample) (sum float64) {
	for i := range samples {
		sum += samples[i].CPU * samples[i].Window
	}
	return sum
}

func (x *soakRun) progress(s Sample) {
	x.say("%s of %v: %s events/s, p99 %.1f ms, %.2f cores, %.0f MiB, views %s behind", time.Duration(s.At*float64(time.Second)).Round(time.Second), x.For,
		report.Number(s.Rate), s.P99, s.CPU, s.RSS/(1<<20), report.Number(s.Lag))
}

// end stops the load and waits until everything is acknowledged and in every view.
func (x *soakRun) end(ctx context.Context) error {
	x.say("ending")
	if x.viewers != nil {
		if err := x.seen(ctx); err != nil {
			return err
		}
	}
	r, err := stopped(ctx, x.fleet)
	if err != nil {
		return err
	}
	faultsOf(x.rep, r)
	deferredOf(x.rep, r)
	return within(ctx, appliedMax, x.t.Applied)
}

// seen reports what the viewers saw.
func (x *soakRun) seen(ctx context.Context) error {
	if err := x.viewers.End(); err != nil {
		return err
	}
	last, err := x.probe.Stop(ctx)
	if err != nil {
		return err
	}
	all, err := x.viewers.Seen(ctx, last, catchUp)
	if err != nil {
		return err
	}
	r, err := x.viewers.Result()
	if err != nil {
		return err
	}
	x.rep.Faults = append(x.rep.Faults, r.Errors...)
	if r.Closed > 0 {
		x.rep.Fault("%d viewers were lost", r.Closed)
	}
	if !all {
		x.rep.Fault("some viewers had not seen the last event %v after it was sent", catchUp)
	}
	took := x.watch.Samples[len(x.watch.Samples)-1].At
	p99 := r.Latency.Quantile(0.99)
	x.rep.Add("viewers", float64(x.Load.Viewers), "viewers", "that watched all the time")
	x.rep.Add("delivered", float64(r.Items)/took, "items/s", "rows and events, to all viewers together")
	if r.Latency.Count() == 0 {
		x.rep.Fault("no event of the agent that they watch reached the viewers within %.0f s", took)
		return nil
	}
	x.rep.Add("screen p50", ms(r.Latency.Quantile(0.5)), "ms", "from when an agent's event was due to the viewers of its page: what people feel")
	x.rep.Add("screen p99", ms(p99), "ms", fmt.Sprintf("one event in 100 takes longer to a viewer; aimed at are %.0f ms. Above it: fewer viewers, or more cores", ms(screenMax)))
	x.rep.Add("viewer cpu", time.Duration(r.CPU).Seconds()/took, "cores", "of the viewers' process on this machine, which browsers elsewhere do not take")
	return nil
}
