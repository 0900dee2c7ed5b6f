//go:build linux

package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
	"eyrie/bench/workload"

	"github.com/alecthomas/kong"
)

// TestMain lets the test binary stand for the eyrie binary: its children are the
// server and the load client.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "client" {
		if err := ServeClient(os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	lives := map[string]func(io.Reader, io.Writer) error{"idle-server": ServeIdleServer, "idle-client": ServeIdleClient, "hostile": ServeHostile, "log-child": ServeLog, "viewers": ServeViewers, "series-child": ServeSeries, "faults": fewFaults}
	for verb, life := range lives {
		if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == verb {
			if err := life(os.Stdin, os.Stdout); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(run(m))
}

// run runs the tests. Under the detector of races they have children that are built
// without it: those are killed, so nothing of it would be heard, and it makes
// servers ten times as slow. TestStorm has them raced, and reads what was found.
func run(m *testing.M) int {
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	children, raced = exe, exe
	if raceEnabled {
		dir, err := os.MkdirTemp("", "eyrie-bench-children-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		children = filepath.Join(dir, "bench.test")
		if out, err := exec.Command("go", "test", "-c", "-o", children, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "children without the detector of races: %v\n%s", err, out)
			return 1
		}
	}
	return m.Run()
}

// The binaries of children: the usual one, and one with the detector of races where
// the tests have it.
var children, raced string

func serve(args []string) error {
	var c config.Config
	p, err := kong.New(&c)
	if err != nil {
		return err
	}
	if _, err := p.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := node.Open(node.Options{Config: &c, Settings: func([]config.Tuned) []config.Value { return nil }, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-n.Failed():
	}
	end, cancel := context.WithTimeout(context.Background(), c.Drain.D())
	defer cancel()
	if e := n.Stop(end); err == nil {
		err = e
	}
	return err
}

// patient is the context of what takes as long as it takes on a busy machine: it ends
// a little before go test would end all.
func patient(t *testing.T) context.Context {
	end, ok := t.Deadline()
	if !ok {
		return t.Context()
	}
	ctx, cancel := context.WithDeadline(t.Context(), end.Add(-5*time.Second))
	t.Cleanup(cancel)
	return ctx
}

func common(t *testing.T) Common {
	return Common{Exe: children, Client: []string{"bench", "client"}, Dir: t.TempDir(), Command: t.Name(), Progress: t.Logf}
}

// Criterion: whatever was acknowledged before a SIGKILL is there after it, once
// and in order, and every view is what a fold from zero gives. This is the short
// form of `eyrie bench kill --times 200`.
func TestKill(t *testing.T) {
	t.Parallel()
	k := Kill{Common: common(t), Times: 5, Life: 600 * time.Millisecond, Rate: 4000, Seed: uint64(time.Now().UnixNano()), Shape: workload.Shape{Seed: 1, Agents: 300, Connections: 20, Frame: 20}}
	ctx := patient(t)
	r, err := k.Run(ctx)
	if err != nil {
		t.Errorf("seed %d: %v", k.Seed, err)
	}
	if r == nil {
		return
	}
	for _, f := range r.Faults {
		t.Errorf("seed %d: %s", k.Seed, f)
	}
	if n, _ := r.Figure("acknowledged"); n < 1000 {
		t.Errorf("only %v events were acknowledged: that was no load", n)
	}
	if n, _ := r.Figure("kills"); n != 5 {
		t.Errorf("%v kills", n)
	}
	acked, _ := r.Figure("acknowledged")
	if stored, _ := r.Figure("stored"); stored != acked {
		t.Errorf("%v stored, %v acknowledged", stored, acked)
	}
}

// A measurement from end to end gives figures that hang together.
// Every link comes back after a cut and after a kill, from several clients, with
// nothing missing and nothing twice.
func TestStorm(t *testing.T) {
	s := Storm{Common: common(t), Steady: time.Second, Rate: 2000, Rounds: 1, Shape: workload.Shape{Seed: 3, Agents: 400, Connections: 150, Frame: 5}}
	s.Clients = 2
	races := filepath.Join(t.TempDir(), "race")
	s.Exe = raced
	t.Setenv("GORACE", "log_path="+races)
	defer func() {
		found, err := filepath.Glob(races + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			b, err := os.ReadFile(f)
			t.Errorf("%s, %v", b, err)
		}
	}()
	ctx := patient(t)
	r, err := s.Run(ctx)
	if err != nil {
		t.Error(err)
	}
	if r == nil {
		return
	}
	if n, _ := r.Figure("reconnects"); n != 2*150 {
		t.Errorf("%v links came back, want each of 150 twice", n)
	}
	acked, _ := r.Figure("acknowledged")
	if stored, _ := r.Figure("stored"); stored != acked || acked < 1000 {
		t.Errorf("%v stored, %v acknowledged", stored, acked)
	}
	for _, name := range []string{"cut: connected", "cut: caught up", "kill: connected", "kill: caught up"} {
		if v, ok := r.Figure(name); !ok || v <= 0 {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func TestIngest(t *testing.T) {
	m := Ingest{Common: common(t), Window: 1, For: 4 * time.Second, Loads: []float64{0.3}, Shape: workload.Shape{Seed: 1, Agents: 500, Connections: 20, Frame: 50}}
	ctx := patient(t)
	r, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) float64 {
		v, ok := r.Figure(name)
		if !ok {
			t.Errorf("no figure %q", name)
		}
		return v
	}
	if s, a := value(figureViewed), value(figureAcknowledged); s <= 0 || s > a {
		t.Errorf("sustained %v, acknowledged %v", s, a)
	}
	if got, want := value("rate at 30 %"), 0.3*value(figureAcknowledged); got < want/2 || got > want*1.5 {
		t.Errorf("open loop at %v instead of %v events/s", got, want)
	}
	if p50, p99 := value("ack p50 at 30 %"), value("ack p99 at 30 %"); p50 <= 0 || p99 < p50 {
		t.Errorf("p50 %v ms, p99 %v ms", p50, p99)
	}
	if c := value("server cpu"); c <= 0 {
		t.Errorf("server cpu %v", c)
	}
}

// The matrix measures each size, and says of JetStream why it is not there.
func TestMatrix(t *testing.T) {
	m := Matrix{Ingest: Ingest{Common: common(t), For: time.Second, Loads: []float64{0.3}, Shape: workload.Shape{Seed: 1, Agents: 300}},
		Frames: []int{1, 50}, Connections: []int{20}, JetStream: t.TempDir()}
	ctx := patient(t)
	r, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"1/frame 20 links: ", "50/frame 20 links: "} {
		for _, name := range []string{"acknowledged", "server cpu", "client cpu", "ack p99.9 at 30 %"} {
			if v, ok := r.Figure(at + name); !ok || v <= 0 {
				t.Errorf("%s%s: %v", at, name, v)
			}
		}
	}
	said := ""
	for _, s := range r.Settings {
		if s.Name == "JetStream" {
			said = s.Value
		}
	}
	if !strings.HasPrefix(said, "left out: ") {
		t.Errorf("of JetStream, which an empty folder does not hold, it says %q", said)
	}
}

// The books of an overload balance; whether the server is quick enough is not
// for a test that shares its machine.
func TestOverloadBooks(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	rep, err := Overload{
		Common: common(t), For: 2 * time.Second, Calibrate: time.Second, Times: 3, Critical: 2, Rate: 20,
		Shape: workload.Shape{Seed: 3, Agents: 60, Connections: 24, Frame: 50},
	}.Run(ctx)
	if rep == nil {
		t.Fatal(err)
	}
	for _, f := range rep.Faults {
		if strings.HasPrefix(f, "books") || strings.HasPrefix(f, "the books") {
			t.Error(f)
		}
	}
	get := func(name string) float64 {
		v, ok := rep.Figure(name)
		if !ok {
			t.Errorf("no figure %q", name)
		}
		return v
	}
	if get("books: off by") != 0 || get("books: stored") < 1000 || get("books: refused") < 1 || get("critical") <= 0 {
		t.Errorf("%+v", rep.Figures)
	}
}
