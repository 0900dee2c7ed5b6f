package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"text/tabwriter"
	"time"

	"eyrie/bench"
	"eyrie/bench/load"
	"eyrie/bench/workload"

	"github.com/alecthomas/kong"
)

// workloadFlag is for the parts that load.
type workloadFlag struct {
	Workload string `placeholder:"NAME" help:"The load: one that comes with eyrie (eyrie bench workload lists them), or a file like it. Flags go before what it says."`
}

// asked is a command line beside a workload: a flag that is given goes before the
// file, and a default does not.
type asked struct {
	workload.Workload
	file  bool
	given map[string]bool
}

// load reads the workload, if one is asked for.
func (f *workloadFlag) load(k *kong.Context) (*asked, error) {
	a := &asked{given: map[string]bool{}}
	for _, p := range k.Path {
		if p.Flag != nil && !p.Resolved {
			a.given[p.Flag.Name] = true
		}
	}
	if f.Workload == "" {
		return a, nil
	}
	w, err := workload.Load(f.Workload)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	a.Workload, a.file = *w, true
	return a, nil
}

// take has the flag's value go into the workload, if it is to.
func take[T any](a *asked, flag string, to *T, v T) {
	if !a.file || a.given[flag] {
		*to = v
	}
}

// pace gives recorded runs the rate that their speed makes of the agents, which a
// flag may have changed.
func (a *asked) pace() error {
	if a.Speed == 0 || a.given["rate"] {
		return nil
	}
	if err := a.Workload.Pace(); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// targetFlags are for the parts that can load a server which runs already.
type targetFlags struct {
	Target string `placeholder:"URL" help:"Load the eyrie that runs at this web address, instead of one started for it."`
	Key    string `placeholder:"KEY" help:"With --target: an operator's key."`
}

// on makes a part load the target, if there is one.
func (f *targetFlags) on(c *bench.Common) error {
	if f.Target != "" && f.Key == "" {
		return exit(exitUsage, "--target: --key or EYRIE_KEY is missing: an operator's key of the eyrie there")
	}
	c.Target, c.TargetKey = f.Target, f.Key
	return nil
}

// hostsFlags are for the parts whose load clients can be on other hosts.
type hostsFlags struct {
	Hosts     []string `placeholder:"HOST:PORT" help:"Where load clients wait (eyrie bench client --listen), in place of this host; with --target, unless they are on this host."`
	TokenFile string   `placeholder:"FILE" help:"With --hosts: the file of the token that they have too, readable by its owner alone; without it, EYRIE_BENCH_TOKEN is the token."`
}

// across has a part's load come from the hosts, if there are any.
func (f *hostsFlags) across(c *bench.Common) (err error) {
	if len(f.Hosts) == 0 {
		return nil
	}
	for _, h := range f.Hosts {
		host, _, err := net.SplitHostPort(h)
		if err != nil {
			return exit(exitUsage, "--hosts: %q is no HOST:PORT", h)
		}
		if ip, err := netip.ParseAddr(host); c.Target == "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return exit(exitUsage, "--hosts: %s cannot reach a server that is started here, which listens on loopback: start one that it reaches, and name it with --target", h)
		}
	}
	c.Hosts.Addrs = f.Hosts
	if c.Hosts.Token, err = load.ReadToken(f.TokenFile, os.Getenv(benchTokenVariable)); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

const benchTokenVariable = "EYRIE_BENCH_TOKEN"

// benchClientCmd is `eyrie bench client`, and a child of the parts that load.
type benchClientCmd struct {
	Listen    string `placeholder:"ADDR" help:"Wait for a coordinator here: a port of the loopback address, or an address and port that is said in full."`
	TokenFile string `placeholder:"FILE" help:"With --listen: the file of the token that the coordinator has too, readable by its owner alone; without it, EYRIE_BENCH_TOKEN is the token."`
}

// Run serves a coordinator until a signal, or orders until standard input ends.
func (c *benchClientCmd) Run(ctx context.Context) error {
	if c.Listen == "" {
		return bench.ServeClient(os.Stdin, os.Stdout)
	}
	token, err := load.ReadToken(c.TokenFile, os.Getenv(benchTokenVariable))
	if err != nil {
		return &exitError{exitUsage, err}
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		host, port = "", c.Listen
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return exit(exitUsage, "--listen: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", l.Addr())
	if at, err := netip.ParseAddrPort(l.Addr().String()); err == nil && !at.Addr().IsLoopback() {
		fmt.Println("Other hosts reach this address. Only who holds the token is listened to, but nothing is encrypted: keep it to a network of your own, or use a tunnel.")
	}
	s := &load.Listener{Spawn: load.Spawn{Exe: exe, Args: []string{"bench", "client"}}, Token: token, Says: func(format string, args ...any) {
		fmt.Printf(format+"\n", args...)
	}}
	return s.Serve(ctx, l)
}

// benchWorkloadCmd is `eyrie bench workload`.
type benchWorkloadCmd struct {
	Name string `arg:"" optional:"" help:"The one whose file to print: redirect it, change it, give it to --workload."`
}

// Run lists workloads, or prints one.
func (c *benchWorkloadCmd) Run() error {
	if c.Name != "" {
		b, ok := workload.Shipped(c.Name)
		if !ok {
			_, err := workload.Load(c.Name)
			if err == nil {
				err = fmt.Errorf("%s is a file of yours; those that come with eyrie are %v", c.Name, workload.ShippedNames())
			}
			return &exitError{exitUsage, err}
		}
		_, err := os.Stdout.Write(b)
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, name := range workload.ShippedNames() {
		w, err := workload.Load(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\n", name, w.Says)
	}
	return t.Flush()
}

// benchSoakCmd is `eyrie bench soak`.
type benchSoakCmd struct {
	benchFlags
	clientsFlag
	workloadFlag
	targetFlags
	hostsFlags
	For         time.Duration `placeholder:"TIME" help:"How long; without it, what the workload says, or 2h."`
	Rate        float64       `placeholder:"N" help:"Events a second; without it, what the workload says, or a share of the maximum."`
	Share       float64       `default:"0.8" placeholder:"X" help:"Share of the maximum to soak at, where no rate is given."`
	Max         float64       `placeholder:"N" help:"The maximum in events a second; without it, a closed loop looks for it first."`
	Viewers     int           `default:"0" placeholder:"N" help:"Live viewers beside the load, as the UI opens them."`
	Connections int           `default:"1000" placeholder:"N" help:"Links that send."`
	Agents      int           `default:"65000" placeholder:"N" help:"Agents they speak for."`
	Frame       int           `default:"100" placeholder:"N" help:"Events a frame."`
	Profile     string        `type:"newdir" placeholder:"DIR" help:"Leave profiles of the server in this folder, from the middle and the end."`
}

// soakFor is how long a soak is where nobody says.
const soakFor = 2 * time.Hour

// Run soaks.
func (c *benchSoakCmd) Run(ctx context.Context, k *kong.Context) error {
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
	if c.Workload == "" {
		c.Workload = "fleet"
	}
	a, err := c.load(k)
	if err != nil {
		return err
	}
	take(a, "connections", &a.Shape.Connections, c.Connections)
	take(a, "agents", &a.Shape.Agents, c.Agents)
	take(a, "frame", &a.Shape.Frame, c.Frame)
	take(a, "viewers", &a.Viewers, c.Viewers)
	take(a, "rate", &a.Workload.Rate, c.Rate)
	take(a, "for", &a.Duration, c.For)
	if err := a.pace(); err != nil {
		return err
	}
	m := bench.Soak{
		Common: common, Load: a.Workload, For: a.Duration, Rate: a.Workload.Rate, Share: c.Share, Max: c.Max, Search: 20 * time.Second,
		Viewers: []string{"bench", "viewers"}, Profile: c.Profile,
	}
	if a.given["share"] || a.given["max"] {
		m.Rate = 0
		if a.given["rate"] {
			return exit(exitUsage, "--rate stands beside --share or --max: want one of them")
		}
	}
	if m.For == 0 {
		m.For = soakFor
	}
	if c.Quick && !a.given["for"] {
		m.For, m.Search = 2*time.Minute, 8*time.Second
	}
	switch err := m.Load.Shape.Check(); {
	case err != nil:
		return &exitError{exitUsage, err}
	case m.For < 10*time.Second:
		return exit(exitUsage, "--for %v: want at least 10s", m.For)
	case m.Rate < 0 || m.Max < 0 || m.Share <= 0 || m.Share > 2:
		return exit(exitUsage, "--rate %g --max %g --share %g: want no less than 0, and a share above 0 and up to 2", m.Rate, m.Max, m.Share)
	case m.Load.Viewers < 0:
		return exit(exitUsage, "--viewers %d: want 0 or more", m.Load.Viewers)
	}
	return c.print(m.Run(ctx))
}
