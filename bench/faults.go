package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/hostile"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
)

// Faults measures what bad peers cost the good ones: the latency of
// acknowledgements of well-behaved links, with and without peers of each bad
// kind beside them, in turns.
type Faults struct {
	Common
	Shape   workload.Shape // of the good links
	Rate    float64        // their events/s
	Hostile []string       // arguments that make Exe a process of hostile peers
	Peers   int            // bad ones of each kind
	Window  time.Duration  // of one measurement
	Rounds  int            // with and without, of each kind
	Exhaust time.Duration  // how long descriptors are exhausted
}

// Loopback addresses of peers whose packets are dropped.
const (
	lossyAddr    = "127.0.0.66"
	halfOpenAddr = "127.0.0.67"
	lossPercent  = 20
)

// descriptorsLeft is how many more descriptors the server gets before they are
// exhausted.
const descriptorsLeft = 200

// fault is one kind of trouble: begin makes it.
type fault struct {
	name, says string
	window     time.Duration
	rounds     int
	network    bool    // needs a network of its own
	beside     trouble // what is there with it and without; nil: nothing
	begin      trouble
}

// trouble is begun, in the processes of pids, and ended.
type trouble func(ctx context.Context) (end func() error, pids []int, err error)

// Run measures and reports.
func (f Faults) Run(ctx context.Context) (*report.Report, error) {
	if HasOwnNetwork() {
		if err := raiseLoopback(); err != nil {
			return nil, fmt.Errorf("loopback: %w", err)
		}
	}
	dir, remove, err := f.temp("faults")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := f.serve(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	x := &faultsRun{Faults: f, srv: srv, rep: report.New("faults", f.Command, dir)}
	if err := x.prepare(ctx); err != nil {
		return nil, err
	}
	defer x.fleet.Close()
	x.rep.Set("load", "%d well-behaved links, %d agents, frames of %d events, %.0f events/s sent on schedule; beside them %d bad peers of one kind at a time, %d times %v without and with them, in turns", f.Shape.Connections, f.Shape.Agents, f.Shape.Frame, f.Rate, f.Peers, f.Rounds, f.Window)
	began, clock := host.CPU(append(x.fleet.Pids(), srv.Pid())...), host.ReadClock()
	for _, ft := range x.faults() {
		if ft.network && !HasOwnNetwork() {
			x.rep.Set(ft.name, "NOT MEASURED: needs root, nft and the right to make a network namespace")
			continue
		}
		if err := x.measure(ctx, ft); ctx.Err() != nil {
			return nil, ctx.Err()
		} else if err != nil {
			x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("%s: %v", ft.name, err))
		}
	}
	noise := host.Since(clock, host.ReadClock(), x.rep.Machine.Cores, host.CPU(append(x.fleet.Pids(), srv.Pid())...)-began+x.spent)
	x.rep.Noise = &noise
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("bad peers were felt: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

type faultsRun struct {
	Faults
	srv   *Server
	fleet *load.Fleet
	rep   *report.Report
	job   hostile.Job
	spent time.Duration // CPU of hostile peers that are gone
	lossy uint64        // fleets of lossy links so far
}

// prepare connects the good links and has everything used once.
func (x *faultsRun) prepare(ctx context.Context) error {
	agent, err := x.srv.Key("agent")
	if err != nil {
		return err
	}
	viewer, err := x.srv.Key("operator")
	if err != nil {
		return err
	}
	x.job = hostile.Job{Ingest: x.srv.Ingest, Web: x.srv.Web, Agent: agent, Viewer: viewer, Count: x.Peers}
	if x.fleet, err = x.linked(ctx, x.srv, 1, load.Job{Shape: x.Shape}); err != nil {
		return err
	}
	_, err = x.window(ctx, x.Window)
	return err
}

// reading is what a window showed of the good links and of the server.
type reading struct {
	p99   time.Duration // of acknowledgements
	cores float64       // that the server used
}

// window measures the good links for a while.
func (x *faultsRun) window(ctx context.Context, d time.Duration) (rd reading, err error) {
	cpu, at := host.CPU(x.srv.Pid()), time.Now()
	if err := x.fleet.Run(x.Rate, 1); err != nil {
		return rd, err
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := sleep(ctx, min(500*time.Millisecond, time.Until(end))); err != nil {
			return rd, err
		}
		if _, err := x.fleet.Events(); err != nil {
			return rd, err
		}
	}
	rd.cores = (host.CPU(x.srv.Pid()) - cpu).Seconds() / time.Since(at).Seconds()
	r, err := stopped(ctx, x.fleet)
	if err != nil {
		return rd, err
	}
	if len(r.Errors) > 0 {
		return rd, fmt.Errorf("a well-behaved link: %s", r.Errors[0])
	}
	rd.p99 = r.Latency.Quantile(0.99)
	return rd, nil
}

// recoveredIn is how soon after a fault everything must be as before.
const recoveredIn = time.Second

// measure compares with and without one kind of bad peers.
func (x *faultsRun) measure(ctx context.Context, ft fault) error {
	var without, with, ratios []float64
	var idle, busy float64
	var slowest time.Duration
	for i := range ft.rounds {
		x.say("%s: %d of %d", ft.name, i+1, ft.rounds)
		var a, b reading
		err := x.during(ctx, ft.beside, func() (err error) {
			if a, err = x.window(ctx, ft.window); err != nil {
				return err
			}
			if err := x.during(ctx, ft.begin, func() (err error) {
				b, err = x.window(ctx, ft.window)
				return err
			}); err != nil {
				return err
			}
			back, err := x.recovered(ctx)
			slowest = max(slowest, back)
			return err
		})
		if err != nil {
			return err
		}
		without, with = append(without, ms(a.p99)), append(with, ms(b.p99))
		ratios = append(ratios, ms(b.p99)/ms(a.p99))
		idle, busy = max(idle, a.cores), max(busy, b.cores)
	}
	x.rep.Add(ft.name+": p99 without", stats.Median(without), "ms", "from when a frame of a good link was due to its acknowledgement; median of "+each(without))
	x.rep.Add(ft.name+": p99 with", stats.Median(with), "ms", ft.says+"; median of "+each(with))
	x.rep.Add(ft.name+": moved", stats.Median(ratios), "times", "median of the rounds' ratios: "+each(ratios))
	x.rep.Add(ft.name+": server", busy, "cores", fmt.Sprintf("used at most, against %.2f without: no loop spins", idle))
	x.rep.Add(ft.name+": recovered", ms(slowest), "ms", "after its end until a new link was welcome, at most")
	if slowest > recoveredIn {
		x.rep.Faults = append(x.rep.Faults, fmt.Sprintf("%s: a new link had to wait %v after its end", ft.name, slowest))
	}
	return nil
}

// during calls fn while there is trouble; t may be nil.
func (x *faultsRun) during(ctx context.Context, t trouble, fn func() error) error {
	if t == nil {
		return fn()
	}
	end, pids, err := t(ctx)
	if err != nil {
		return err
	}
	err = fn()
	x.spent += host.CPU(pids...)
	if e := end(); err == nil {
		err = e
	}
	return err
}

// recovered waits until a new link is welcome.
func (x *faultsRun) recovered(ctx context.Context) (time.Duration, error) {
	for at := time.Now(); ; {
		err := hostile.Probe(x.job)
		if took := time.Since(at); err == nil || took > time.Minute {
			return took, err
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// faults are the kinds of trouble.
func (x *faultsRun) faults() []fault {
	peers := func(kind hostile.Kind, source string) func(context.Context) (*hostile.Peers, error) {
		job := x.job
		job.Kind, job.Source = kind, source
		return func(ctx context.Context) (*hostile.Peers, error) {
			return hostile.Start(ctx, x.Exe, x.Hostile, job)
		}
	}
	plain := func(kind hostile.Kind) trouble {
		start := peers(kind, "127.0.0.65")
		return func(ctx context.Context) (func() error, []int, error) {
			p, err := start(ctx)
			if err != nil {
				return nil, nil, err
			}
			return func() error { p.End(); return nil }, []int{p.Pid()}, nil
		}
	}
	return []fault{
		{name: "stalled readers", window: x.Window, rounds: x.Rounds, begin: plain(hostile.Stalled),
			says: fmt.Sprintf("beside %d peers that read nothing, their windows closed: nine in ten watch everything, the rest are agents", x.Peers)},
		{name: "slow writers", window: x.Window, rounds: x.Rounds, begin: plain(hostile.Drip),
			says: fmt.Sprintf("beside %d peers that write a byte a second, half of them the request head, half a frame", x.Peers)},
		{name: "half-open peers", window: x.Window, rounds: x.Rounds, network: true, begin: x.halfOpen(peers(hostile.Idle, halfOpenAddr)),
			says: fmt.Sprintf("beside %d links whose every packet is dropped, both ways", x.Peers)},
		{name: "packet loss", window: x.Window, rounds: x.Rounds, network: true, beside: x.lossyFleet, begin: x.loss,
			says: fmt.Sprintf("while of %d more links, which send %.0f events/s with it and without, %d %% of the packets are dropped both ways", lossyLinks, x.Rate/lossyShare, lossPercent)},
		{name: "no descriptors", window: x.Exhaust, rounds: 1, begin: x.exhaust(peers(hostile.Greedy, "127.0.0.68")),
			says: fmt.Sprintf("while the server has no descriptor left and %d peers ask for one all the time", x.Peers)},
	}
}

// halfOpen has links vanish without a word.
func (x *faultsRun) halfOpen(start func(context.Context) (*hostile.Peers, error)) trouble {
	return func(ctx context.Context) (func() error, []int, error) {
		p, err := start(ctx)
		if err != nil {
			return nil, nil, err
		}
		undo, err := dropPackets(halfOpenAddr, 100)
		if err != nil {
			p.End()
			return nil, nil, err
		}
		return func() error {
			p.End() // its goodbye is dropped too
			return undo()
		}, []int{p.Pid()}, nil
	}
}

// lossyLinks is how many links lose packets, lossyShare the part of the good links' rate that they send.
const (
	lossyLinks = 200
	lossyShare = 10
)

// loss has those links lose packets.
func (x *faultsRun) loss(context.Context) (func() error, []int, error) {
	undo, err := dropPackets(lossyAddr, lossPercent)
	return undo, nil, err
}

// lossyFleet has links send over what is going to be a bad line.
func (x *faultsRun) lossyFleet(ctx context.Context) (func() error, []int, error) {
	shape := x.Shape
	x.lossy++ // each time other senders: what these have sent is settled
	shape.Seed += x.lossy
	shape.Connections = lossyLinks
	fleet, err := x.linked(ctx, x.srv, 1, load.Job{Shape: shape, Source: 66})
	if err != nil {
		return nil, nil, err
	}
	if err := fleet.Run(x.Rate/lossyShare, 1); err != nil {
		fleet.Close()
		return nil, nil, err
	}
	return func() error {
		defer fleet.Close()
		r, err := stopped(ctx, fleet)
		if err == nil && len(r.Errors) > 0 { // what got lost was sent again: nothing is missing
			err = fmt.Errorf("a lossy link: %s", strings.Join(r.Errors, "; "))
		}
		return err
	}, fleet.Pids(), nil
}

// exhaust takes all descriptors from the server.
func (x *faultsRun) exhaust(start func(context.Context) (*hostile.Peers, error)) trouble {
	return func(ctx context.Context) (func() error, []int, error) {
		p, err := host.Look(x.srv.Pid())
		if err != nil {
			return nil, nil, err
		}
		was, err := limitDescriptors(x.srv.Pid(), uint64(p.Open+descriptorsLeft))
		if err != nil {
			return nil, nil, err
		}
		bad, err := start(ctx)
		if err != nil {
			return nil, nil, err
		}
		return func() error {
			bad.End()
			_, err := limitDescriptors(x.srv.Pid(), was)
			return err
		}, []int{bad.Pid()}, nil
	}
}
