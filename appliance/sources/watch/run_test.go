package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// The test binary is its own sample program: the first argument behind "as" says what it does.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "as" {
		sample(os.Args[2:])
	}
	os.Exit(m.Run())
}

func sample(args []string) {
	switch args[0] {
	case "exit":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		n, _ := strconv.Atoi(args[1])
		os.Exit(n)
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "lines":
		n, _ := strconv.Atoi(args[1])
		for i := range n {
			fmt.Println("line", i)
		}
	case "busy":
		for end := time.Now().Add(time.Minute); time.Now().Before(end); { // or until the test has seen enough of it
		}
	case "wait":
		fmt.Println("ready")
		time.Sleep(time.Minute)
	}
	os.Exit(0)
}

func as(args ...string) []string { return append([]string{os.Args[0], "as"}, args...) }

// keep is a sink that keeps events; away never answers.
type keep struct {
	mu     sync.Mutex
	events []wire.Event
	away   bool
}

func (k *keep) Welcome(ctx context.Context) ([]byte, error) {
	if k.away {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, nil
}
func (k *keep) Flush(context.Context) error { return nil }
func (k *keep) Send(_ context.Context, evs []wire.Event, _ []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, evs...)
	return nil
}

func (k *keep) find(t *testing.T, what string, ok func(*wire.Event) bool) *wire.Event {
	t.Helper()
	i := slices.IndexFunc(k.events, func(e wire.Event) bool { return ok(&e) })
	if i < 0 {
		t.Fatalf("no event: %s", what)
	}
	if err := k.events[i].Check(); err != nil {
		t.Errorf("%s: the server would refuse it: %v", what, err)
	}
	return &k.events[i]
}

func runEnd(e *wire.Event) bool { return e.Type == wire.TypeRun && e.Phase == wire.PhaseEnd }

func TestExitCodeIsPassedOnAndReported(t *testing.T) {
	for _, want := range []int{0, 3} {
		k := &keep{}
		var out, errs bytes.Buffer
		code, err := Run(context.Background(), Options{Argv: as("exit", strconv.Itoa(want)), Sink: k, User: "ana", Host: "nest", Stdout: &out, Stderr: &errs})
		if err != nil || code != want {
			t.Fatalf("got %d, %v, want %d", code, err, want)
		}
		if out.String() != "to stdout\n" || errs.String() != "to stderr\n" {
			t.Errorf("passed on: %q, %q", out.String(), errs.String())
		}
		end := k.find(t, "the run's end", runEnd)
		status, state := wire.StatusOK, "done"
		if want != 0 {
			status, state = wire.StatusError, "failed"
			if end.Error == nil || end.Error.Code != "exit_code" {
				t.Errorf("error: %+v", end.Error)
			}
		}
		if end.Status != status || end.Attrs["exit_code"] != want || end.DurMs == nil {
			t.Errorf("end: %s", end.AppendJSON(nil))
		}
		start := k.find(t, "its start", func(e *wire.Event) bool { return e.Type == wire.TypeRun && e.Phase == wire.PhaseStart })
		if start.Span != end.Span || start.TS > end.TS {
			t.Errorf("start %s, end %s", start.AppendJSON(nil), end.AppendJSON(nil))
		}
		agent := k.find(t, "the agent", func(e *wire.Event) bool { return e.Type == wire.TypeAgent })
		if !strings.HasPrefix(agent.Name, "ana@nest:watch") || agent.HeartbeatMs != 6000 {
			t.Errorf("agent: %s", agent.AppendJSON(nil))
		}
		for stream, text := range map[string]string{"stdout": "to stdout", "stderr": "to stderr"} {
			if e := k.find(t, stream, func(e *wire.Event) bool { return e.Type == wire.TypeLog && e.Kind == stream }); e.Msg != text || e.Parent != end.Span {
				t.Errorf("%s: %s", stream, e.AppendJSON(nil))
			}
		}
		k.find(t, "the last state", func(e *wire.Event) bool { return e.State != nil && e.State.State == state })
		if last := k.events[len(k.events)-1]; !last.Ended {
			t.Errorf("last: %s", last.AppendJSON(nil))
		}
	}
}

func TestBytesPassUnchanged(t *testing.T) {
	in := make([]byte, 300_000)
	for i := range in {
		in[i] = byte(i * 7)
	}
	k := &keep{}
	var out bytes.Buffer
	code, err := Run(context.Background(), Options{Argv: as("cat"), Sink: k, Stdin: bytes.NewReader(in), Stdout: &out})
	if err != nil || code != 0 || !bytes.Equal(out.Bytes(), in) {
		t.Errorf("code %d, %v, %d of %d bytes the same: %v", code, err, out.Len(), len(in), bytes.Equal(out.Bytes(), in))
	}
	for i := range k.events {
		if err := k.events[i].Check(); err != nil {
			t.Errorf("the server would refuse a line of bytes: %v", err)
		}
	}
}

func TestManyLinesAreCountedNotSent(t *testing.T) {
	k := &keep{}
	const total = 20_000
	if code, err := Run(context.Background(), Options{Argv: as("lines", strconv.Itoa(total)), Sink: k, LinesBurst: 100, LinesPerS: 1}); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	sent, dropped := 0, 0
	for _, e := range k.events {
		if e.Name == "lines_dropped" {
			dropped += e.Attrs["lines"].(int)
		} else if e.Type == wire.TypeLog {
			sent++
		}
	}
	if sent+dropped != total || sent < 100 || sent > 200 {
		t.Errorf("%d sent and %d dropped of %d lines", sent, dropped, total)
	}
	m := k.find(t, "the counters", func(e *wire.Event) bool { return e.Counters["stdout_lines"] > 0 })
	for i := range k.events {
		if k.events[i].Type == wire.TypeMetrics {
			m = &k.events[i]
		}
	}
	if m.Counters["stdout_lines"] != total {
		t.Errorf("counted %v lines, want %d", m.Counters["stdout_lines"], total)
	}
}

func TestServerAwayHoldsNothingUp(t *testing.T) {
	began := time.Now()
	code, err := Run(context.Background(), Options{Argv: as("lines", "5000"), Sink: &keep{away: true}, Linger: 50 * time.Millisecond})
	if code != 0 || !errors.Is(err, ErrUnsent) {
		t.Errorf("got %d, %v", code, err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestNotFound(t *testing.T) {
	k := &keep{}
	code, err := Run(context.Background(), Options{Argv: []string{"no-such-program-here"}, Sink: k})
	if code != ExitNotFound || err == nil {
		t.Errorf("got %d, %v", code, err)
	}
	if end := k.find(t, "the run's end", runEnd); end.Status != wire.StatusError || end.Error.Code != "not_started" {
		t.Errorf("end: %s", end.AppendJSON(nil))
	}
}

// ready ends a context when the program has said something.
type ready struct {
	once   sync.Once
	cancel context.CancelFunc
}

func (r *ready) Write(p []byte) (int, error) {
	r.once.Do(r.cancel)
	return len(p), nil
}

func TestStopped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no signals")
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &keep{}
	code, err := Run(ctx, Options{Argv: as("wait"), Sink: k, Stdout: &ready{cancel: cancel}})
	if code != 128+15 || err != nil {
		t.Errorf("got %d, %v, want 143", code, err)
	}
	if end := k.find(t, "the run's end", runEnd); end.Status != wire.StatusCancelled || end.Error.Code != "signal" {
		t.Errorf("end: %s", end.AppendJSON(nil))
	}
}

func TestMeasures(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	k := &keep{}
	go func() {
		for ctx.Err() == nil {
			k.mu.Lock()
			for _, e := range k.events {
				if e.Counters["cpu_seconds"] >= 0.2 && (runtime.GOOS != "linux" || e.Metrics["cpu_percent"] >= 5) {
					cancel()
				}
			}
			k.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if code, err := Run(ctx, Options{Argv: as("busy"), Sink: k, Every: 50 * time.Millisecond}); err != nil || code != 128+15 && runtime.GOOS != "windows" {
		t.Fatal(code, err)
	}
	last := map[string]float64{}
	seen := map[string]float64{}
	for _, e := range k.events {
		for n, x := range e.Counters {
			last[n] = x
		}
		for n, x := range e.Metrics {
			seen[n] = max(seen[n], x)
		}
	}
	if last["cpu_seconds"] < 0.2 || last["cpu_seconds"] > 50 {
		t.Errorf("cpu: got %v s, want a little more than 0.2", last["cpu_seconds"])
	}
	if runtime.GOOS == "linux" && (seen["rss_bytes"] < 1<<20 || seen["processes"] < 1 || seen["cpu_percent"] < 5) {
		t.Errorf("got %v", seen)
	}
}

func TestMetaLeavesNoText(t *testing.T) {
	k := &keep{}
	if _, err := Run(context.Background(), Options{Argv: as("exit", "0", "--secret=token"), Sink: k, Content: sources.ContentMeta}); err != nil {
		t.Fatal(err)
	}
	for i := range k.events {
		if s := string(k.events[i].AppendJSON(nil)); strings.Contains(s, "secret") || strings.Contains(s, "to std") {
			t.Errorf("left the machine: %s", s)
		}
	}
}
