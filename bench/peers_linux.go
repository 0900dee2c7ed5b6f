package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
	"eyrie/bench/peers"
	"eyrie/bench/report"
	"eyrie/bench/stats"
)

// contender is one server process.
type contender struct {
	name string
	argv func(port string) []string
	note string

	cmd    *exec.Cmd
	addr   string
	client *peers.Client
	rates  []float64 // messages per second of server CPU, by round
	busy   float64   // of the core, last round
}

// Run measures every workload.
func (m Peers) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("peers")
	if err != nil {
		return nil, err
	}
	defer remove()
	rep := report.New("peers", m.Command, dir)
	cs, err := m.contenders(ctx, dir, rep)
	if err != nil {
		return nil, err
	}
	serverCore, clientCore := 0, 1
	if rep.Machine.Cores < 2 {
		return nil, errors.New("a core for the server and one for the client are needed")
	}
	rep.Set("method", "%d rounds; in each, every server is loaded for %v in a new random order, all from one client process each; ratios are of pairs within a round, 95 %% confidence intervals by Student's t on their logarithms", m.Rounds, m.Slice)
	rep.Set("cores", "server on core %d, client on core %d; server CPU is what the scheduler counts for all its threads, the kernel's work in its calls included", serverCore, clientCore)
	for _, w := range peers.Workloads() {
		if m.Workload != "" && m.Workload != w.Name {
			continue
		}
		began, cpu := host.ReadClock(), time.Duration(0)
		if err := m.race(ctx, cs, w, serverCore, clientCore, &cpu); err != nil {
			return nil, fmt.Errorf("%s: %w", w.Name, err)
		}
		noise := host.Since(began, host.ReadClock(), rep.Machine.Cores, cpu)
		rep.Set(w.Name, "%s, %d B payload; others used %.0f %% of the cores meanwhile", w.Says, w.Payload, 100*noise.OtherShare)
		tell(rep, cs, w.Name)
	}
	return rep, nil
}

// contenders lists the servers, eyrie first.
func (m *Peers) contenders(ctx context.Context, dir string, rep *report.Report) ([]*contender, error) {
	fixed := func(argv ...string) func(string) []string {
		return func(port string) []string { return append(slices.Clone(argv), port) }
	}
	cs := []*contender{{name: "eyrie", note: "eyrie bench echo --loops 1", argv: func(port string) []string {
		return []string{m.Exe, "bench", "echo", "--loops", "1", "--listen", net.JoinHostPort("127.0.0.1", port)}
	}}}
	add := func(name, note string, argv func(string) []string) {
		if len(m.Only) == 0 || slices.Contains(m.Only, name) {
			cs = append(cs, &contender{name: name, note: note, argv: argv})
		}
	}
	wanted := func(names ...string) bool {
		return len(m.Only) == 0 || slices.ContainsFunc(names, func(n string) bool { return slices.Contains(m.Only, n) })
	}
	for _, p := range m.Peers {
		name, command, ok := strings.Cut(p, "=")
		if !ok || name == "" || !strings.Contains(command, "{port}") {
			return nil, fmt.Errorf("peer %q: want name=COMMAND with {port} in it", p)
		}
		add(name, command, func(port string) []string {
			return strings.Fields(strings.ReplaceAll(command, "{port}", port))
		})
	}
	if wanted("bare-c") {
		if exe, err := peers.BuildC(dir); err != nil {
			rep.Set("bare-c", "left out: %v", err)
		} else {
			add("bare-c", "bench/peers/bare/bare.c, gcc -O3 -march=native", fixed(exe))
		}
	}
	add("bare-go", "bench/peers/bare_linux.go", fixed(m.Exe, "bench", "bare"))
	if wanted("gws", "gorilla") {
		exe := filepath.Join(dir, "adapters")
		if err := buildAdapter(ctx, m.Adapters, exe); err != nil {
			rep.Set("Go peers", "left out: %v", err)
		} else {
			for _, name := range []string{"gws", "gorilla"} {
				add(name, "at the version in "+filepath.Join(m.Adapters, "go.mod"), fixed(exe, name))
			}
		}
	}
	for _, c := range cs {
		rep.Set(c.name, "%s", c.note)
	}
	return cs, nil
}

// race measures one workload.
func (m *Peers) race(ctx context.Context, cs []*contender, w peers.Workload, serverCore, clientCore int, cpu *time.Duration) error {
	defer func() {
		for _, c := range cs {
			c.end()
		}
	}()
	for _, c := range cs {
		if err := c.start(w, m.Exe, serverCore, clientCore); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if _, err := c.client.Run(m.Slice); err != nil { // warm
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for r := range m.Rounds {
		for _, i := range rand.Perm(len(cs)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			m.say("%s: round %d of %d, %s", w.Name, r+1, m.Rounds, cs[i].name)
			used, err := cs[i].measure(m.Slice)
			if err != nil {
				return fmt.Errorf("%s: %w", cs[i].name, err)
			}
			*cpu += used + m.Slice // the client takes all of its core
		}
	}
	return nil
}

func (c *contender) start(w peers.Workload, exe string, serverCore, clientCore int) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	c.addr, c.rates = addr, nil
	_, port, _ := net.SplitHostPort(addr)
	argv := c.argv(port)
	c.cmd = exec.Command(argv[0], argv[1:]...)
	c.cmd.Stderr = os.Stderr
	if err := child.LaunchOn(c.cmd, serverCore); err != nil {
		c.cmd = nil
		return err
	}
	if err := peers.Listening(addr, 10*time.Second); err != nil {
		return err
	}
	c.client, err = peers.StartClient(exec.Command(exe, "bench", "peer-client"), peers.Job{Addr: addr, Core: clientCore, Workload: w})
	return err
}

// settle is given to a server after a run: what it has put off is its cost too.
const settle = 5 * time.Millisecond

func (c *contender) measure(d time.Duration) (used time.Duration, err error) {
	runtime.GC() // ours, not in the middle
	before, err := peers.CPU(c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	n, err := c.client.Run(d)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	time.Sleep(settle)
	after, err := peers.CPU(c.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	used = after - before
	c.rates = append(c.rates, float64(n)/used.Seconds())
	c.busy = used.Seconds() / took.Seconds()
	return used, nil
}

func (c *contender) end() {
	if c.client != nil {
		c.client.Close()
	}
	if c.cmd != nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
	c.client, c.cmd = nil, nil
}

// tell reports a workload: each server's rate, then eyrie's ratio to it.
func tell(rep *report.Report, cs []*contender, workload string) {
	for _, c := range cs {
		rep.Add(workload+" "+c.name, stats.Geometric(c.rates), "msg/s", fmt.Sprintf("messages per second of server CPU; the server had %.0f %% of its core", 100*c.busy))
	}
	for _, c := range cs[1:] {
		r := stats.Ratios(cs[0].rates, c.rates)
		rep.Add(workload+" eyrie/"+c.name, r.Mean, "times", fmt.Sprintf("95 %% interval %.3f to %.3f over %d pairs, single pairs %.2f to %.2f", r.Low, r.High, r.Pairs, r.Smallest, r.Largest))
	}
}
