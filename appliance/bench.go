package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"eyrie/bench"
	"eyrie/bench/echo"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

// benchCmd measures what this machine can bear. Every part starts its own
// server on a temporary folder; nothing of a running one is touched.
type benchCmd struct {
	Capacity    benchCapacityCmd    `cmd:"" default:"withargs" help:"What this machine bears: every part in turn, into one report with plots. The default."`
	Ingest      benchIngestCmd      `cmd:"" help:"Durable events a second, with all views on, and the latency of acknowledgements."`
	Connections benchConnectionsCmd `cmd:"" help:"Memory of the server for each idle link."`
	Kill        benchKillCmd        `cmd:"" help:"Kill the server under load, again and again, and check that nothing acknowledged is lost."`
	Echo        benchEchoCmd        `cmd:"" help:"Serve WebSocket echo on the appliance's own engine, for conformance suites and comparisons."`
	Soak        benchSoakCmd        `cmd:"" help:"A workload for hours at a steady rate: what grows, what leaks, what gets slower."`
	Workload    benchWorkloadCmd    `cmd:"" help:"List the workloads that come with eyrie, or print the file of one."`
	Storm       benchStormCmd       `cmd:"" help:"Every link comes back at once, under load: after all were cut, and after the server was killed."`
	Overload    benchOverloadCmd    `cmd:"" help:"Offer three times what the server takes, and check that nothing gives way and the books are exact."`
	Faults      benchFaultsCmd      `cmd:"" help:"What bad peers cost the good ones: readers that do not read, slow writers, half-open links, packet loss, no descriptors."`
	Hostile     benchHostileCmd     `cmd:"" hidden:"" help:"A process of bad peers: reads its job from standard input."`
	Series      benchSeriesCmd      `cmd:"" help:"The store of time series beside others: samples, bytes, memory, queries; and through the server."`
	SeriesChild benchSeriesChildCmd `cmd:"" hidden:"" help:"A process of the store of time series: reads its orders from standard input."`
	Query       benchQueryCmd       `cmd:"" help:"Looking things up in a full server, idle and under load, and what that costs who writes."`
	Live        benchLiveCmd        `cmd:"" help:"Live viewers under load: how many, how much is delivered to them, and how late."`
	Viewers     benchViewersCmd     `cmd:"" hidden:"" help:"A process of viewers: reads its job and orders from standard input."`
	Peers       benchPeersCmd       `cmd:"" help:"Compare the engine with other WebSocket servers, per second of server CPU."`
	Log         benchLogCmd         `cmd:"" help:"The log alone: appending beside other stores, sealing, look-up and opening after kill -9."`
	Compare     benchCompareCmd     `cmd:"" help:"Set one report beside another: ratios with their confidence intervals."`
	LogChild    benchLogChildCmd    `cmd:"" hidden:"" help:"A process of the log: reads its orders from standard input."`
	Bare        benchBareCmd        `cmd:"" hidden:"" help:"The bare Go loop that peers compares with."`
	PeerClient  benchPeerClientCmd  `cmd:"" hidden:"" help:"The load client of peers: reads its job and orders from standard input."`
	IdleServer  benchIdleServerCmd  `cmd:"" hidden:"" help:"The server of connections --idle: reads orders from standard input."`
	IdleClient  benchIdleClientCmd  `cmd:"" hidden:"" help:"The client of connections --idle: reads orders from standard input."`
	Client      benchClientCmd      `cmd:"" help:"Have this host's load clients wait for a coordinator on another one (--listen); without it, a load client that reads its job and orders from standard input."`
}

// benchFlags are what every part takes.
type benchFlags struct {
	Dir   string `placeholder:"DIR" help:"Where to put the temporary data folder; its disk is what is measured. Without it, the system's temporary folder."`
	JSON  bool   `help:"Print JSON."`
	HTML  string `type:"path" placeholder:"FILE" help:"Also write the report as one HTML page."`
	Quick bool   `help:"A fraction of the time, for a first look."`
}

// clientsFlag is for the parts that can divide their load.
type clientsFlag struct {
	Clients int `default:"0" placeholder:"N" help:"Load client processes; 0 chooses."`
}

// common prepares a part.
func (f *benchFlags) common() (bench.Common, error) {
	exe, err := os.Executable()
	if err != nil {
		return bench.Common{}, err
	}
	c := bench.Common{Exe: exe, Client: []string{"bench", "client"}, Dir: f.Dir, Command: typed(os.Args[1:])}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		c.Progress = benchProgress
	}
	return c, nil
}

// typed is the command line for a report, which is passed on: without the key.
func typed(args []string) string {
	shown := []string{"eyrie"}
	for i, a := range args {
		switch {
		case i > 0 && args[i-1] == "--key":
			a = "…"
		case strings.HasPrefix(a, "--key="):
			a = "--key=…"
		}
		shown = append(shown, a)
	}
	return strings.Join(shown, " ")
}

// print writes a report, and says by the exit code whether it holds.
func (f *benchFlags) print(r *report.Report, err error) error {
	if r == nil {
		return err
	}
	var werr error
	if f.JSON {
		werr = r.WriteJSON(os.Stdout)
	} else {
		werr = r.WriteText(os.Stdout)
	}
	if f.HTML != "" {
		werr = errors.Join(werr, writeFile(f.HTML, r.WriteHTML))
	}
	if err == nil {
		err = werr
	}
	return err
}

// writeFile makes a file of what write writes.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// benchIngestCmd is `eyrie bench ingest`.
type benchIngestCmd struct {
	benchFlags
	clientsFlag
	workloadFlag
	targetFlags
	hostsFlags
	Connections int       `default:"1000" placeholder:"N" help:"Links that send."`
	Agents      int       `default:"65000" placeholder:"N" help:"Agents they speak for."`
	Frame       int       `default:"100" placeholder:"N" help:"Events a frame."`
	Window      int       `default:"1" placeholder:"N" help:"Frames in flight on each link at full load."`
	Rate        []float64 `placeholder:"N" help:"Measure latencies at so many events a second, in place of full load and its shares."`
	Seconds     int       `default:"20" placeholder:"N" help:"Length of the measurement at full load; each latency takes half of it."`
	Profile     string    `type:"newdir" placeholder:"DIR" help:"Leave CPU and heap profiles of the server in this folder."`
	Matrix      bool      `help:"Measure frames of 1, 10 and 100 events on 1,000 and 15,000 links, and NATS JetStream beside them."`
	JetStream   string    `default:"bench/peers/jetstream" placeholder:"DIR" help:"The module with JetStream, in a checkout of eyrie; with --matrix. Without it, it is left out."`
	Codec       string    `enum:"msgpack,json,proto" default:"msgpack" help:"How the links write: ${enum}."`
	Seed        uint64    `default:"7600" placeholder:"N" help:"Seed of the workload; published figures use the default."`
}

// Run measures.
func (c *benchIngestCmd) Run(ctx context.Context, k *kong.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	if err := c.on(&common); err != nil {
		return err
	}
	if err := c.across(&common); err != nil {
		return err
	}
	a, err := c.load(k)
	if err != nil {
		return err
	}
	codec, _ := wire.ParseCodec(c.Codec) // one of the flag's enum
	take(a, "codec", &a.Codec, codec)
	take(a, "seed", &a.Shape.Seed, c.Seed)
	take(a, "agents", &a.Shape.Agents, c.Agents)
	take(a, "connections", &a.Shape.Connections, c.Connections)
	take(a, "frame", &a.Shape.Frame, c.Frame)
	if err := a.pace(); err != nil {
		return err
	}
	if a.Duration == 0 || a.given["seconds"] {
		a.Duration = time.Duration(max(c.Seconds, 1)) * time.Second
	}
	m := bench.Ingest{
		Common: common, Codec: a.Codec, Window: max(c.Window, 1), For: a.Duration,
		Shape:   a.Shape,
		Loads:   []float64{0.25, 0.5, 0.8},
		Rates:   c.Rate,
		Profile: c.Profile,
	}
	if a.Workload.Rate > 0 && len(c.Rate) == 0 {
		m.Rates = []float64{a.Workload.Rate}
	}
	if c.Quick {
		m.For, m.Loads = 6*time.Second, []float64{0.5}
	}
	if err := m.Shape.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if c.Matrix {
		if c.Target != "" || len(c.Hosts) > 0 {
			return exit(exitUsage, "--matrix starts a server for each of its sizes: it takes no --target and no --hosts")
		}
		m.Rates, m.Loads = nil, []float64{0.5, 0.8}
		return c.print(bench.Matrix{Ingest: m, Frames: []int{1, 10, 100}, Connections: []int{1_000, 15_000}, JetStream: c.JetStream}.Run(ctx))
	}
	return c.print(m.Run(ctx))
}

// benchConnectionsCmd is `eyrie bench connections`.
type benchConnectionsCmd struct {
	benchFlags
	clientsFlag
	Count   int    `default:"15000" placeholder:"N" help:"Links at the second look."`
	From    int    `default:"5000" placeholder:"N" help:"Links at the first look; the slope between both is reported."`
	Profile string `type:"newdir" placeholder:"DIR" help:"Leave heap and goroutine profiles of the server in this folder."`

	Idle []int `placeholder:"N" help:"Instead: look at netpoll and engine alone, without log and views, at each of these numbers of links; every thread has a descriptor table of its own."`

	Ramp int `placeholder:"N" help:"Instead: open more and more links up to this many, until something gives way, and name it."`

	Hold      time.Duration `placeholder:"TIME" help:"Instead: hold --count links for so long under --rate, and watch for drift."`
	Rate      float64       `default:"20000" placeholder:"N" help:"With --hold: events a second, over all links."`
	OwnTables bool          `help:"With --hold: have the server use a descriptor table for each loop, where the limit is below --count."`
}

// Run measures.
func (c *benchConnectionsCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	if len(c.Idle) > 0 {
		for i, n := range c.Idle {
			if n <= idleFirst || i > 0 && n <= c.Idle[i-1] {
				return exit(exitUsage, "--idle %d: want more than %d, ascending", n, idleFirst)
			}
		}
		return c.print(bench.Idle{Common: common, Steps: append([]int{idleFirst}, c.Idle...)}.Run(ctx))
	}
	if c.Ramp > 0 {
		if c.Ramp < rampMin {
			return exit(exitUsage, "--ramp %d: want at least %d", c.Ramp, rampMin)
		}
		return c.print(bench.Ramp{Common: common, Most: c.Ramp}.Run(ctx))
	}
	if c.Hold > 0 {
		return c.print(bench.Hold{Common: common, Count: c.Count, Rate: c.Rate, For: c.Hold, OwnTables: c.OwnTables}.Run(ctx))
	}
	if c.From < 1 || c.Count <= c.From {
		return exit(exitUsage, "--from %d --count %d: want 1 or more, and more at the second look than at the first", c.From, c.Count)
	}
	m := bench.Connections{Common: common, From: c.From, Count: c.Count, Warm: 1_500_000, Profile: c.Profile}
	if c.Quick {
		m.Warm = 300_000
	}
	return c.print(m.Run(ctx))
}

// rampMin is the least number of links that a ramp has steps for.
const rampMin = 100

// idleFirst is the number of links that the first slope begins at: every buffer
// has been used then.
const idleFirst = 1000

// benchIdleServerCmd and benchIdleClientCmd are children of connections --idle.
type benchIdleServerCmd struct{}

// Run serves orders until standard input ends.
func (*benchIdleServerCmd) Run() error { return bench.ServeIdleServer(os.Stdin, os.Stdout) }

type benchIdleClientCmd struct{}

// Run serves orders until standard input ends.
func (*benchIdleClientCmd) Run() error { return bench.ServeIdleClient(os.Stdin, os.Stdout) }

// benchKillCmd is `eyrie bench kill`.
type benchKillCmd struct {
	benchFlags
	Times       int     `default:"200" placeholder:"N" help:"How often."`
	Connections int     `default:"100" placeholder:"N" help:"Links that send."`
	Agents      int     `default:"2000" placeholder:"N" help:"Agents they speak for."`
	Frame       int     `default:"50" placeholder:"N" help:"Events a frame."`
	Rate        float64 `default:"15000" placeholder:"N" help:"Events a second asked for."`
	Seed        uint64  `default:"1" placeholder:"N" help:"Seed of the moments."`
	Keep        bool    `help:"Leave the data folder and the ledger behind."`
}

// Run kills, and judges what is left.
func (c *benchKillCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	k := bench.Kill{
		Common: common, Times: max(c.Times, 1), Rate: c.Rate, Seed: c.Seed, Long: 40, Keep: c.Keep,
		Shape: workload.Shape{Seed: workload.FigureSeed, Agents: c.Agents, Connections: c.Connections, Frame: c.Frame},
	}
	if c.Quick {
		k.Times, k.Long = min(k.Times, 20), 0
	}
	if err := k.Shape.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	return c.print(k.Run(ctx))
}

// benchEchoCmd is `eyrie bench echo`.
type benchEchoCmd struct {
	Listen  string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Loopback address to listen on; port 0 for any. The first line printed says which."`
	Loops   int    `default:"0" placeholder:"N" help:"Loops, each a thread; 0 for one a processor."`
	Deflate bool   `help:"Agree to permessage-deflate where it is offered (RFC 7692)."`
}

// Run serves until a signal.
func (c *benchEchoCmd) Run(ctx context.Context) error {
	if c.Loops < 0 || c.Loops > echo.LoopsMax {
		return exit(exitUsage, "--loops: got %d, want 0 to %d", c.Loops, echo.LoopsMax)
	}
	return echo.Serve(ctx, echo.Config{Listen: c.Listen, Loops: c.Loops, Deflate: c.Deflate}, func(at netip.AddrPort) {
		fmt.Printf("listening on %s: ws://%s/echo, ws://%s/sink\n", at, at, at)
	})
}

// benchStormCmd is `eyrie bench storm`.
type benchStormCmd struct {
	benchFlags
	clientsFlag
	workloadFlag
	Connections int     `default:"15000" placeholder:"N" help:"Links that send."`
	Agents      int     `default:"65000" placeholder:"N" help:"Agents they speak for."`
	Frame       int     `default:"10" placeholder:"N" help:"Events a frame."`
	Rate        float64 `default:"20000" placeholder:"N" help:"Events a second asked for."`
	Rounds      int     `default:"3" placeholder:"N" help:"Times that all links are cut, and that the server is killed."`
}

// Run storms.
func (c *benchStormCmd) Run(ctx context.Context, k *kong.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	a, err := c.load(k)
	if err != nil {
		return err
	}
	take(a, "rate", &a.Workload.Rate, c.Rate)
	take(a, "agents", &a.Shape.Agents, c.Agents)
	take(a, "connections", &a.Shape.Connections, c.Connections)
	take(a, "frame", &a.Shape.Frame, c.Frame)
	if err := a.pace(); err != nil {
		return err
	}
	if !a.file {
		a.Shape.Seed = workload.FigureSeed
	}
	if a.Workload.Rate <= 0 {
		return exit(exitUsage, "rate: got %g, want more than 0: a storm goes on under a steady load", a.Workload.Rate)
	}
	s := bench.Storm{Common: common, Codec: a.Codec, Rate: a.Workload.Rate, Rounds: max(c.Rounds, 1), Shape: a.Shape}
	if c.Quick {
		s.Rounds, s.Shape.Connections, s.Shape.Agents = 1, min(s.Shape.Connections, 2000), min(s.Shape.Agents, 10_000)
	}
	if err := s.Shape.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	return c.print(s.Run(ctx))
}

// benchOverloadCmd is `eyrie bench overload`.
type benchOverloadCmd struct {
	benchFlags
	clientsFlag
	workloadFlag
	Connections int     `default:"200" placeholder:"N" help:"Links that overload."`
	Agents      int     `default:"2000" placeholder:"N" help:"Agents they speak for."`
	Frame       int     `default:"100" placeholder:"N" help:"Events a frame."`
	Times       float64 `default:"3" placeholder:"X" help:"How much is offered, in times of the capacity found first."`
	Seconds     int     `default:"300" placeholder:"N" help:"Length of the overload."`
	Critical    int     `default:"8" placeholder:"N" help:"Links that do not overload and send CRITICAL events."`
	Rate        float64 `default:"20" placeholder:"N" help:"CRITICAL events a second of each of these."`
	Profile     string  `type:"newdir" placeholder:"DIR" help:"Leave a CPU profile of the server in this folder."`
	Seed        uint64  `default:"7600" placeholder:"N" help:"Seed of the workload; published figures use the default."`
}

// Run overloads, and reconciles.
func (c *benchOverloadCmd) Run(ctx context.Context, k *kong.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	a, err := c.load(k)
	if err != nil {
		return err
	}
	if a.file && (a.Shape.Events != workload.Fleet || a.Codec != wire.MsgPack) {
		return exit(exitUsage, "%s: events: %s, codec: %s: an overload sends frames that are made once, which takes events: fleet and codec: msgpack", c.Workload, a.Shape.Events, a.Codec.Subprotocol())
	}
	take(a, "seed", &a.Shape.Seed, c.Seed)
	take(a, "agents", &a.Shape.Agents, c.Agents)
	take(a, "connections", &a.Shape.Connections, c.Connections)
	take(a, "frame", &a.Shape.Frame, c.Frame)
	if a.Duration == 0 || a.given["seconds"] {
		a.Duration = time.Duration(max(c.Seconds, 1)) * time.Second
	}
	m := bench.Overload{Common: common, Times: c.Times, For: a.Duration, Calibrate: 30 * time.Second, Critical: c.Critical, Rate: c.Rate, Profile: c.Profile, Shape: a.Shape}
	if c.Quick {
		m.For, m.Calibrate = 15*time.Second, 4*time.Second
	}
	if err := m.Shape.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if c.Times <= 0 || c.Rate <= 0 || c.Critical < 1 {
		return exit(exitUsage, "--times %g --rate %g --critical %d: want more than 0", c.Times, c.Rate, c.Critical)
	}
	return c.print(m.Run(ctx))
}

// benchProgress keeps one line on the terminal.
func benchProgress(format string, args ...any) {
	os.Stderr.WriteString("\r\x1b[K" + fmt.Sprintf(format, args...))
}
