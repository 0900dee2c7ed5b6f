package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
	"eyrie/bench/idle"
	"eyrie/bench/report"
)

// Idle measures what very many idle links cost netpoll, engine and kernel. The
// server is those two alone: no log, no views.
type Idle struct {
	Common
	Steps []int // numbers of links to look at, ascending
}

// tableRoom is how many links one descriptor table is planned for, of the
// 20,000 descriptors that a hard limit of this kind allows.
const tableRoom = 18_000

// ServeIdleServer and ServeIdleClient are the lives of its two processes.
func ServeIdleServer(in io.Reader, out io.Writer) error { return idle.ServeServer(in, out) }

// ServeIdleClient is the life of the client process.
func ServeIdleClient(in io.Reader, out io.Writer) error { return idle.ServeClient(in, out) }

// Run opens the links step by step, and reports.
func (m Idle) Run(ctx context.Context) (*report.Report, error) {
	most := m.Steps[len(m.Steps)-1]
	loops := max(host.Describe("/").Cores, (most+tableRoom-1)/tableRoom)
	srv, err := child.Start(child.Command(ctx, m.Exe, []string{"bench", "idle-server"}))
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	cl, err := child.Start(child.Command(ctx, m.Exe, []string{"bench", "idle-client"}))
	if err != nil {
		return nil, err
	}
	defer cl.Kill()
	var up idle.ServerSays
	err = srv.Ask(idle.ServerJob{Loops: loops}, &up)
	if err = told(err, up.Error); err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	if err := cl.Tell(idle.ClientJob{Addr: up.Addr, Threads: loops}); err != nil {
		return nil, err
	}
	rep := report.New("connections", m.Command, "/")
	rep.Set("load", "%v links, each idle after hello and one acknowledged event; one client process of bare descriptors", m.Steps)
	rep.Set("server", "netpoll and engine alone, in one process: rings end in a goroutine that welcomes and acknowledges; no log, no views; %d loops, each with a descriptor table of its own; no pings", loops)
	clock, ours := host.ReadClock(), host.CPU(srv.Pid(), cl.Pid())
	var last idleLook
	for i, n := range m.Steps {
		now, err := m.step(srv, cl, n)
		if err != nil {
			return nil, err
		}
		at := report.Thousands(fmt.Sprint(n))
		if i > 0 {
			links := float64(n - last.Conns)
			rep.Add("connect rate", links/now.took.Seconds(), "links/s", fmt.Sprintf("from %s to %s links, client beside the server", report.Thousands(fmt.Sprint(last.Conns)), at))
			rep.Add("server cpu", float64((now.cpu-last.cpu).Microseconds())/links, "µs/link", "to accept, upgrade, welcome and acknowledge one event")
			rep.Add("engine", (float64(now.Heap)-float64(last.Heap))/links, "B/link", "live in Go's heap for each further link")
			rep.Add("resident", (now.anon-last.anon)/links, "B/link", "slope of the process' own memory; its rings fill with hellos meanwhile")
			rep.Add("kernel", (now.kernel-last.kernel)/links/2, "B/socket", "half of what both ends take together")
		}
		rep.Add("resident at "+at, now.anon/(1<<20), "MiB", fmt.Sprintf("the server's own: %.0f MiB live in the heap, %.1f MiB of stacks", float64(now.Heap)/(1<<20), float64(now.Stack)/(1<<20)))
		rep.Add("kernel at "+at, now.kernel/(1<<20), "MiB", "slabs and TCP buffers of the whole machine, both ends of each link")
		rep.Add("descriptors at "+at, now.open, "open", "in all the server's descriptor tables together")
		if now.Conns != n {
			rep.Faults = append(rep.Faults, fmt.Sprintf("%d connections, want %d", now.Conns, n))
		}
		last = now
	}
	noise := host.Since(clock, host.ReadClock(), rep.Machine.Cores, host.CPU(srv.Pid(), cl.Pid())-ours)
	rep.Noise = &noise
	if len(rep.Faults) > 0 {
		return rep, errors.New(rep.Faults[0])
	}
	return rep, nil
}

// told is what a child has to complain of.
func told(err error, said string) error {
	if err == nil && said != "" {
		return errors.New(said)
	}
	return err
}

type idleLook struct {
	idle.Look
	anon, kernel, open float64
	cpu, took          time.Duration
}

// step opens links up to n and looks.
func (m Idle) step(srv, cl *child.Process, n int) (v idleLook, err error) {
	m.say("opening %s links", report.Thousands(fmt.Sprint(n)))
	start := time.Now()
	var said idle.ClientSays
	err = cl.Ask(idle.ClientOrder{To: n}, &said)
	if err = told(err, said.Error); err != nil {
		return v, fmt.Errorf("client: %w", err)
	}
	v.took = time.Since(start)
	p, err := host.Look(srv.Pid())
	if err != nil {
		return v, err
	}
	v.cpu = p.CPU // before the collection that the look makes
	var s idle.ServerSays
	if err := srv.Ask("look", &s); err != nil {
		return v, err
	}
	if p, err = host.Look(srv.Pid()); err != nil {
		return v, err
	}
	v.Look, v.anon, v.open, v.kernel = s.Look, float64(p.Anon), float64(p.Open), float64(host.Kernel())
	return v, nil
}
