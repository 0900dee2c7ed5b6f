package recorded

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"
)

func load(t *testing.T, path string) Recording {
	t.Helper()
	r, err := LoadFile("testdata/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func count(evs []wire.Event, ok func(*wire.Event) bool) int {
	n := 0
	for i := range evs {
		if ok(&evs[i]) {
			n++
		}
	}
	return n
}

func starts(evs []wire.Event, ty wire.Type) int {
	return count(evs, func(e *wire.Event) bool { return e.Type == ty && e.Phase == wire.PhaseStart })
}

func TestTeamDelegatesAndFails(t *testing.T) {
	r := load(t, "who-and-when/team-7.json")
	raw, err := os.ReadFile("testdata/who-and-when/team-7.json")
	if err != nil {
		t.Fatal(err)
	}
	// One delegation for each step that names a worker behind an arrow.
	if got, want := starts(r.Events, wire.TypeTask), bytes.Count(raw, []byte(`"Orchestrator (-> `)); got != want || want == 0 {
		t.Errorf("tasks: got %d, the file delegates %d times", got, want)
	}
	workers := count(r.Events, func(e *wire.Event) bool { return e.Type == wire.TypeAgent && e.Manager == "team-7.orchestrator" })
	if workers == 0 {
		t.Error("nobody works for the orchestrator")
	}
	label := count(r.Events, func(e *wire.Event) bool {
		return e.Type == wire.TypeNote && e.Kind == "label" && e.Agent == "team-7.websurfer" && e.Step == 8
	})
	failed := count(r.Events, func(e *wire.Event) bool {
		return e.Type == wire.TypeRun && e.Phase == wire.PhaseEnd && e.Status == wire.StatusError
	})
	if label != 1 || failed != 1 {
		t.Errorf("labels %d, failed runs %d, want 1 and 1", label, failed)
	}
	if n := count(r.Events, func(e *wire.Event) bool { return e.TSFrom != "estimated" }); n != 0 {
		t.Errorf("%d events do not say that their times are made up", n)
	}
}

func TestGroupTalksInTurn(t *testing.T) {
	r := load(t, "who-and-when/group-45.json")
	if n := starts(r.Events, wire.TypeLLM) + starts(r.Events, wire.TypeTool); n != 4 { // five messages, the first is the task
		t.Errorf("turns: got %d, want 4", n)
	}
}

func TestSWEAgent(t *testing.T) {
	r := load(t, "swe-agent/missing-colon.traj")
	var in, out, cost int64
	for _, e := range r.Events {
		if e.Usage != nil {
			in, out, cost = in+e.Usage.Input, out+e.Usage.Output, cost+e.Usage.CostClaimedNanoUSD
		}
	}
	if llm, tools := starts(r.Events, wire.TypeLLM), starts(r.Events, wire.TypeTool); llm != 5 || tools != 5 {
		t.Errorf("got %d model calls and %d tool calls, want 5 and 5", llm, tools)
	}
	if in != 7141 || out != 243 || cost != 19520000 {
		t.Errorf("usage: got %d, %d, %d, the file says 7141, 243, 0.01952 dollars", in, out, cost)
	}
}

func TestOpenHands(t *testing.T) {
	r := load(t, "openhands/drug-response-39.json")
	var steps []struct {
		Usage struct {
			Input int64 `json:"input_tokens"`
		} `json:"step_usage"`
	}
	raw, err := os.ReadFile("testdata/openhands/drug-response-39.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &steps); err != nil {
		t.Fatal(err)
	}
	var want, got int64
	for _, s := range steps {
		want += s.Usage.Input
	}
	for _, e := range r.Events {
		if e.Usage != nil {
			got += e.Usage.Input
		}
	}
	if n := starts(r.Events, wire.TypeLLM); n != len(steps) || got != want {
		t.Errorf("got %d model calls with %d tokens, the file has %d with %d", n, got, len(steps), want)
	}
	if asks := starts(r.Events, wire.TypeAsk); asks != 1 { // it stops with a message, not with an action
		t.Errorf("got %d questions to a person, want 1", asks)
	}
}

func TestLangfuse(t *testing.T) {
	r := load(t, "langfuse/claude-agent-2025-12-22.trace.json")
	if llm, tool, span := starts(r.Events, wire.TypeLLM), starts(r.Events, wire.TypeTool), starts(r.Events, wire.TypeSpan); llm != 4 || tool != 2 || span != 1 {
		t.Errorf("got %d, %d, %d, the trace has 4 generations, 2 tools, 1 span", llm, tool, span)
	}
	if at := time.Unix(0, r.Events[0].TS).UTC().Format(time.RFC3339Nano); at != "2025-12-22T10:46:15.528Z" || r.Events[0].TSFrom != "" {
		t.Errorf("begins %s (%s), want the recorded time", at, r.Events[0].TSFrom)
	}
}

func TestOwnEvents(t *testing.T) {
	in := `{"offset":7,"recv_ms":1767225600000,"space":"main","agent":"a","type":"tool","phase":"start","span":"s","ts":1767225600000,"name":"Bash","x_mine":1}
{"offset":8,"type":"system","kind":"tick"}

{"offset":9,"agent":"a","type":"tool","phase":"end","span":"s","ts":1767225601500,"status":"ok"}
`
	r, err := Load("saved.jsonl", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Events) != 2 || r.Events[0].Name != "Bash" || r.Events[1].Status != wire.StatusOK || r.Events[0].Extra["x_mine"] == nil || r.Events[0].Extra["offset"] != nil {
		t.Errorf("got %+v", r.Events)
	}
}

func TestDetectRefusesOthers(t *testing.T) {
	for _, in := range []string{"", "[]", "{}", "null", "42", "not json", `[{"a":1}]`, `{"history":[]}`} {
		if f, ok := Detect([]byte(in)); ok {
			t.Errorf("%q: taken for %s", in, f)
		}
		if _, err := Load("x", []byte(in)); err == nil {
			t.Errorf("%q: no error", in)
		}
	}
}

func TestShippedShowsEverything(t *testing.T) {
	recs, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	if len(recs) != 23 {
		t.Errorf("got %d recordings, want 23", len(recs))
	}
	seen := map[string]int{}
	for _, r := range recs {
		seen[string(r.Format)]++
		open := map[string]bool{}
		for i := range r.Events {
			e := &r.Events[i]
			seen[e.Type.String()]++
			if i > 0 && e.TS < r.Events[i-1].TS {
				t.Fatalf("%s: event %d goes back in time", r.Name, i)
			}
			switch {
			case e.Phase == wire.PhaseStart:
				open[e.Span] = true
			case e.Phase == wire.PhaseEnd && !open[e.Span]:
				t.Errorf("%s: %s ends without a start", r.Name, e.Span)
			case e.Phase == wire.PhaseEnd:
				delete(open, e.Span)
			}
			if e.State != nil {
				seen["state "+e.State.State]++
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: never ends: %v", r.Name, open)
		}
	}
	for _, k := range []string{"who-and-when", "swe-agent", "openhands", "langfuse", "run", "task", "llm", "tool", "ask", "span", "agent", "state", "message", "metrics", "note", "state failed", "state waiting", "state done"} {
		if seen[k] == 0 {
			t.Errorf("no %s in any recording", k)
		}
	}
}

// clock is a virtual one: waiting moves it.
type clock struct{ now time.Time }

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	return ctx.Err()
}

// keep is a sink that looks at every frame.
type keep struct {
	c      *clock
	t      *testing.T
	events []wire.Event
	stop   func()
	max    int
}

func (k *keep) Welcome(context.Context) ([]byte, error) { return nil, nil }
func (k *keep) Flush(context.Context) error             { return nil }
func (k *keep) Send(_ context.Context, evs []wire.Event, _ []byte) error {
	for i := range evs {
		if at := time.Unix(0, evs[i].TS); at.After(k.c.now) {
			k.t.Errorf("an event of %s was sent at %s", at, k.c.now)
		}
		if err := evs[i].Check(); err != nil {
			k.t.Error(err)
		}
	}
	k.events = append(k.events, evs...)
	if k.max > 0 && len(k.events) > k.max {
		k.stop()
	}
	return nil
}

func TestReplayPlaysLiveAndTwiceApart(t *testing.T) {
	recs := []Recording{load(t, "who-and-when/team-34.json"), load(t, "swe-agent/missing-colon.traj"), load(t, "langfuse/koog-2025-08-26.trace.json")}
	total := 0
	for _, r := range recs {
		total += len(r.Events)
	}
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	play := func(speed float64) ([]wire.Event, time.Duration) {
		c := &clock{begin}
		k := &keep{c: c, t: t}
		if err := Replay(context.Background(), k, recs, Options{Speed: speed, Now: func() time.Time { return c.now }, Wait: c.wait}); err != nil {
			t.Fatal(err)
		}
		return k.events, c.now.Sub(begin)
	}
	once, long := play(1)
	fast, short := play(10)
	if len(once) != total || len(fast) != total {
		t.Fatalf("got %d and %d events, want %d", len(once), len(fast), total)
	}
	if ratio := float64(long) / float64(short); ratio < 9.9 || ratio > 10.1 {
		t.Errorf("ten times as fast took %v instead of %v", short, long)
	}
	spans := map[string]string{}
	for _, e := range once {
		if e.TSFrom != "estimated" || e.TS < begin.UnixNano() || e.Start != 0 && e.Start < begin.UnixNano() {
			t.Fatalf("not moved to now: %s", e.AppendJSON(nil))
		}
		if e.Phase == wire.PhaseStart {
			spans[e.Span] = e.Agent
		}
	}
	overlap := map[string]bool{}
	for _, e := range once[:total/3] {
		overlap[strings.SplitN(e.Agent, ".", 2)[0]] = true
	}
	if len(overlap) < 2 {
		t.Error("the recordings do not overlap")
	}
	for _, e := range once {
		if e.Parent != "" && spans[e.Parent] == "" {
			t.Errorf("the parent of %s, %s, is not there", e.Span, e.Parent)
		}
	}
}

func TestReplayLoops(t *testing.T) {
	recs := []Recording{load(t, "langfuse/koog-2025-08-26.trace.json")}
	c := &clock{time.Unix(1_800_000_000, 0)}
	ctx, cancel := context.WithCancel(context.Background())
	k := &keep{c: c, t: t, stop: cancel, max: 3 * len(recs[0].Events)}
	if err := Replay(ctx, k, recs, Options{Loop: true, Now: func() time.Time { return c.now }, Wait: c.wait}); err != nil {
		t.Fatal(err)
	}
	runs, agents := map[string]bool{}, map[string]bool{}
	for _, e := range k.events {
		if e.Type == wire.TypeRun {
			runs[e.Span] = true
		}
		agents[e.Agent] = true
	}
	if len(runs) < 3 || len(agents) > 3 {
		t.Errorf("%d runs of %d agents, want at least 3 runs of the same agents", len(runs), len(agents))
	}
}

func FuzzLoad(f *testing.F) {
	for _, p := range []string{"who-and-when/group-45.json", "swe-agent/missing-colon.traj", "langfuse/autogen-2025-06-06.trace.json"} {
		b, err := os.ReadFile("testdata/" + p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`[{"agent":{},"step_usage":{"llm_inference_time":-1e300}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Load("f", data)
		if err == nil && len(r.Events) == 0 {
			t.Fatal("no events and no error")
		}
	})
}
