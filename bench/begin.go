package bench

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/engine/wire"
)

// server starts a server on a folder below dir, or finds the one that runs already.
func (c *Common) server(ctx context.Context, dir string) (*Server, error) {
	if c.Target == "" {
		return c.serve(ctx, dir, nil)
	}
	t, err := NewTarget(ctx, c.Target, c.TargetKey)
	if err != nil {
		return nil, err
	}
	return attached(t), nil
}

// readyMax is how long a server may take to be ready: the reports say what it took.
const readyMax = 5 * time.Minute

// serve starts a server of its own on a folder below dir and waits until it is ready.
// env are variables of its process, args further flags of `eyrie serve`.
func (c *Common) serve(ctx context.Context, dir string, env []string, args ...string) (*Server, error) {
	srv, err := NewServer(c.Exe, filepath.Join(dir, "data"), args...)
	if err != nil {
		return nil, err
	}
	srv.Env = env
	if err := srv.Start(); err != nil {
		return nil, err
	}
	if err := within(ctx, readyMax, srv.Ready); err != nil {
		srv.Kill()
		return nil, err
	}
	return srv, nil
}

// serverHere tells whether the server is on this host, so that its CPU counts
// among what this host did.
func (t *Target) serverHere() bool {
	at, err := netip.ParseAddrPort(t.Ingest)
	return err == nil && at.Addr().IsLoopback()
}

// serverSaid tells in a report which server was loaded.
func (c *Common) serverSaid() string {
	if c.Target != "" {
		return fmt.Sprintf("an eyrie that ran already, at %s; every event is synced before its ack. Its CPU and memory are by its own metrics; noise is of the host that this ran on", c.Target)
	}
	return "eyrie serve with defaults on a fresh folder; every event is synced before its ack, all views on; clients and server share the machine"
}

// What a client process uses, on 2.5 GHz: 0.43 µs an event in frames of 100, 9.6 in
// frames of one. An event is made, masked and copied, a frame written, and its
// acknowledgement read.
const (
	clientEvent = 350 * time.Nanosecond
	clientFrame = 10 * time.Microsecond
	clientBusy  = 0.7 // share of a core beyond which frames are late by the client
)

// processes is how many load clients on a host of so many cores hold n links that
// send rate events/s (0 = a closed loop) in frames: enough for either, but no more
// than half of the cores.
func (c *Common) processes(cores, n int, rate float64, frame int) int {
	if c.Clients > 0 {
		return c.Clients
	}
	cost := rate * (clientEvent.Seconds() + clientFrame.Seconds()/float64(frame))
	return max(1, cores/4, (n+descriptorsOfAClient-1)/descriptorsOfAClient, min(cores/2, int(cost/clientBusy)+1))
}

// How long links may take to be welcome, and to have everything acknowledged at the
// end, before it is a failure.
const (
	openMax = 5 * time.Minute
	stopMax = 3 * time.Minute
)

// fleet starts n load clients of a job on this host, for srv. What the job does not
// say is all links of its shape, from as many addresses as they need.
func (c *Common) fleet(ctx context.Context, srv *Server, n int, job load.Job) (*load.Fleet, error) {
	key, err := srv.Key("agent")
	if err != nil {
		return nil, err
	}
	job.Addr, job.Key = srv.Ingest, key
	if job.To == 0 {
		job.To = job.Shape.Connections
	}
	if job.Sources == 0 {
		job.Sources = sources(job.To - job.From)
	}
	return load.Start(ctx, load.Spawn{Exe: c.Exe, Args: c.Client}, n, job)
}

// linked is fleet with every link open.
func (c *Common) linked(ctx context.Context, srv *Server, n int, job load.Job) (*load.Fleet, error) {
	f, err := c.fleet(ctx, srv, n, job)
	if err != nil {
		return nil, err
	}
	if job.To == 0 {
		job.To = job.Shape.Connections
	}
	if err := open(ctx, f, job.To-job.From); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open brings a fleet to n links.
func open(ctx context.Context, f *load.Fleet, n int) error {
	return within(ctx, openMax, func(ctx context.Context) error { return f.Open(ctx, n) })
}

// stopped ends sending, and returns what was seen once everything is acknowledged.
func stopped(ctx context.Context, f *load.Fleet) (r *load.Result, err error) {
	err = within(ctx, stopMax, func(ctx context.Context) (err error) {
		r, err = f.Stop(ctx)
		return err
	})
	return r, err
}

// faultsOf adds what must not happen to a load to the report's faults.
func faultsOf(rep *report.Report, r *load.Result) {
	rep.Faults = append(rep.Faults, r.Errors...)
	if n := r.Nacked + r.Shed + r.Closed; n > 0 {
		rep.Fault("%d events refused, %d shed, %d links lost", r.Nacked, r.Shed, r.Closed)
	}
}

// deferredOf does the same of a schedule that was not kept.
func deferredOf(rep *report.Report, r *load.Result) {
	if r.Deferred > 0 {
		rep.Fault("the schedule was held up %d times: the server does not bear this rate", r.Deferred)
	}
}

// start brings up the load clients of a job that sends rate events/s: on this host,
// or on those that wait for it.
func (c *Common) start(ctx context.Context, job load.Job, rate float64) (*load.Fleet, error) {
	if c.Target != "" {
		// A server that runs may have seen the numbers of this seed's producers, and
		// would take them for duplicates.
		job.Shape.Seed += uint64(time.Now().UnixNano())
	}
	n, hosts := job.To-job.From, max(1, len(c.Hosts.Addrs))
	clients := func(cores int) int {
		return c.processes(cores, (n+hosts-1)/hosts, rate/float64(hosts), job.Shape.Frame)
	}
	if len(c.Hosts.Addrs) > 0 {
		return load.StartOn(ctx, c.Hosts, clients, job)
	}
	return load.Start(ctx, load.Spawn{Exe: c.Exe, Args: c.Client}, clients(host.Describe("/").Cores), job)
}

// clientsSaid tells in a report who loads.
func (c *Common) clientsSaid(f *load.Fleet) string {
	if len(c.Hosts.Addrs) > 0 {
		return fmt.Sprintf("%d client process(es) on %s, latencies measured on each", f.Size(), strings.Join(c.Hosts.Addrs, ", "))
	}
	return fmt.Sprintf("%d client process(es)", f.Size())
}

// codecName is how a report calls a codec.
func codecName(c wire.Codec) string {
	return [...]string{wire.MsgPack: "MessagePack", wire.JSON: "JSON", wire.Proto: "Protobuf"}[c]
}
