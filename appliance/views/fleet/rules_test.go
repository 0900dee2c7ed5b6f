package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/go-cmp/cmp"
)

func stateEvent(st, on string) wire.Event {
	return wire.Event{Type: wire.TypeState, State: &wire.State{State: st, On: on}}
}

func TestState(t *testing.T) {
	for name, c := range map[string]struct {
		events      []wire.Event
		state, show string
		by          string
	}{
		"only declared":          {[]wire.Event{{Type: wire.TypeAgent, Name: "n"}}, "unknown", "unknown", "fold"},
		"activity":               {[]wire.Event{{Type: wire.TypeLog, Msg: "x"}}, "running", "running", "fold"},
		"open run":               {[]wire.Event{start(wire.TypeRun, "r", "goal")}, "running", "running", "fold"},
		"run ended well":         {[]wire.Event{start(wire.TypeRun, "r", "goal"), end(wire.TypeRun, "r", wire.StatusOK)}, "idle", "idle", "fold"},
		"run failed":             {[]wire.Event{start(wire.TypeRun, "r", "goal"), end(wire.TypeRun, "r", wire.StatusError)}, "failed", "failed", "fold"},
		"failed, then again":     {[]wire.Event{start(wire.TypeRun, "r", ""), end(wire.TypeRun, "r", wire.StatusError), start(wire.TypeRun, "q", "")}, "running", "running", "fold"},
		"inner run failed":       {[]wire.Event{start(wire.TypeRun, "r", ""), start(wire.TypeRun, "q", ""), end(wire.TypeRun, "q", wire.StatusError)}, "running", "running", "fold"},
		"asks":                   {[]wire.Event{start(wire.TypeRun, "r", ""), start(wire.TypeAsk, "a", "may I")}, "waiting", "waiting", "fold"},
		"answered":               {[]wire.Event{start(wire.TypeRun, "r", ""), start(wire.TypeAsk, "a", ""), end(wire.TypeAsk, "a", wire.StatusOK)}, "running", "running", "fold"},
		"whole span":             {[]wire.Event{{Type: wire.TypeTool, Span: "t", Status: wire.StatusOK}}, "idle", "idle", "fold"},
		"declared stays":         {[]wire.Event{stateEvent("idle", ""), start(wire.TypeRun, "r", "")}, "idle", "idle", "agent"},
		"waiting on a tool":      {[]wire.Event{stateEvent("waiting", "tool")}, "waiting", "running", "agent"},
		"waiting on a person":    {[]wire.Event{stateEvent("waiting", "person")}, "waiting", "waiting", "agent"},
		"starting":               {[]wire.Event{stateEvent("starting", "")}, "starting", "running", "agent"},
		"paused":                 {[]wire.Event{stateEvent("paused", "")}, "paused", "idle", "agent"},
		"done":                   {[]wire.Event{stateEvent("done", "")}, "done", "ended", "agent"},
		"no such state":          {[]wire.Event{stateEvent("running", ""), stateEvent("dreaming", "")}, "running", "running", "agent"},
		"ended":                  {[]wire.Event{start(wire.TypeRun, "r", ""), {Type: wire.TypeAgent, Ended: true}}, "done", "ended", "fold"},
		"resumed":                {[]wire.Event{{Type: wire.TypeAgent, Ended: true}, start(wire.TypeRun, "r", "")}, "running", "running", "fold"},
		"end before start":       {[]wire.Event{end(wire.TypeTool, "t", wire.StatusOK), start(wire.TypeTool, "t", "Bash")}, "idle", "idle", "fold"},
		"second end is no event": {[]wire.Event{start(wire.TypeTool, "t", ""), end(wire.TypeTool, "t", wire.StatusOK), end(wire.TypeTool, "t", wire.StatusError)}, "idle", "idle", "fold"},
	} {
		w := newWorld(t, "a")
		w.say("a", c.events...)
		r := w.row("a")
		if r.State != c.state || r.Show != c.show || r.StateBy != c.by {
			t.Errorf("%s: got %s shown %s by %s, want %s shown %s by %s", name, r.State, r.Show, r.StateBy, c.state, c.show, c.by)
		}
	}
}

func TestStuckRepetition(t *testing.T) {
	same := func(n int, st wire.Status) (es []wire.Event) {
		for i := range n {
			es = append(es, tool(i, "npm test", st)...)
		}
		return es
	}
	w := newWorld(t, "a")
	w.say("a", start(wire.TypeRun, "r", "fix"))
	w.say("a", same(4, wire.StatusOK)...)
	if v := w.row("a").Verdict; v != nil {
		t.Fatalf("after four calls: %+v", v)
	}
	w.say("a", tool(9, "npm test", wire.StatusError)...)
	r := w.row("a")
	if r.Verdict == nil || r.Verdict.Kind != "stuck" || r.Verdict.Rule != "repetition" || r.Show != "stuck" {
		t.Fatalf("after five calls: %+v", r.Verdict)
	}
	if want := []uint64{2, 4, 6, 8, 10}; !slices.Equal(r.Verdict.Evidence, want) {
		t.Errorf("evidence %v, want %v", r.Verdict.Evidence, want)
	}
	if a := w.v.Attention("", 10); a.Total != 1 || a.Items[0].Kind != "stuck" {
		t.Errorf("attention %+v", a)
	}
	for name, out := range map[string][]wire.Event{
		"another call ends well": tool(20, "git diff", wire.StatusOK),
		"a new run":              {start(wire.TypeRun, "r2", "")},
		"the run ends well":      {end(wire.TypeRun, "r", wire.StatusOK)},
		"it says idle":           {stateEvent("idle", "")},
		"it ends":                {{Type: wire.TypeAgent, Ended: true}},
	} {
		w := newWorld(t, "a")
		w.say("a", start(wire.TypeRun, "r", "fix"))
		w.say("a", same(6, wire.StatusUnknown)...)
		if w.row("a").Verdict == nil {
			t.Fatalf("%s: no verdict to recover from", name)
		}
		w.say("a", out...)
		if v := w.row("a").Verdict; v != nil {
			t.Errorf("%s: still %+v", name, v)
		}
	}
	w = newWorld(t, "a")
	for i := range 12 { // other calls that fail are no progress, a good one is
		w.say("a", tool(2*i, "npm test", wire.StatusError)...)
		w.say("a", tool(2*i+1, fmt.Sprint("edit ", i), wire.StatusOK)...)
	}
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("a test and fix cycle: %+v", v)
	}
	w = newWorld(t, "a")
	for i := range 8 { // without a recorded input nothing can be told
		e := tool(i, "", wire.StatusOK)
		e[0].Input = nil
		w.say("a", e...)
	}
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("calls without input: %+v", v)
	}
	w = newWorld(t, "a")
	for i := range 8 { // a poll whose answer changes
		e := tool(i, "status", wire.StatusOK)
		e[1].Output = fmt.Sprint("line ", i)
		w.say("a", e...)
	}
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("a poll with news: %+v", v)
	}
	w = newWorld(t, "a")
	for i := range 8 { // too slow to be a loop
		w.say("a", tool(i, "npm test", wire.StatusError)...)
		w.now += 11 * minute
	}
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("a call every eleven minutes: %+v", v)
	}
}

func TestStuckFailures(t *testing.T) {
	w := newWorld(t, "a")
	for i := range 5 {
		w.say("a", tool(i, fmt.Sprint("try ", i), wire.StatusError)...)
	}
	r := w.row("a")
	if r.Verdict == nil || r.Verdict.Rule != "failures" || r.Counts.FailedCalls != 5 || r.Counts.Errors != 5 {
		t.Fatalf("%+v %+v", r.Verdict, r.Counts)
	}
	w.say("a", tool(9, "ls", wire.StatusOK)...)
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("after a good call: %+v", v)
	}
	w = newWorld(t, "a")
	for i := range 9 { // a person's no is not a failure
		w.say("a", tool(i, fmt.Sprint("try ", i), wire.StatusDenied)...)
	}
	if r := w.row("a"); r.Verdict != nil || r.Counts.Denied != 9 || r.Counts.FailedCalls != 0 {
		t.Errorf("%+v %+v", r.Verdict, r.Counts)
	}
}

func TestSilent(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.say("a", wire.Event{Type: wire.TypeAgent, HeartbeatMs: 2000})
	w.say("b", wire.Event{Type: wire.TypeAgent})
	w.pass(5)
	if v := w.row("a").Verdict; v != nil {
		t.Fatalf("after 5 s: %+v", v)
	}
	w.pass(2)
	r := w.row("a")
	if r.Verdict == nil || r.Verdict.Kind != "silent" || r.Show != "silent" || !slices.Equal(r.Verdict.Evidence, []uint64{1}) {
		t.Fatalf("after 7 s: %+v", r.Verdict)
	}
	if v := w.row("b").Verdict; v != nil {
		t.Errorf("no promise, yet %+v", v)
	}
	w.say("a", wire.Event{Type: wire.TypeLog})
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("heard again: %+v", v)
	}
	w.say("a", wire.Event{Type: wire.TypeAgent, Ended: true})
	w.pass(60)
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("ended: %+v", v)
	}
}

func TestUnknown(t *testing.T) {
	w := newWorld(t, "a")
	w.record(linkRecord(LinkOpened, 1, 77))
	w.say("a", start(wire.TypeRun, "r", ""))
	if w.row("a").Links != 1 {
		t.Fatal("the link does not show")
	}
	w.record(linkRecord(LinkClosed, 1, 76)) // of a link that was replaced
	if w.row("a").Links != 1 {
		t.Fatal("an older link's end closed the newer one")
	}
	w.record(linkRecord(LinkClosed, 1, 77))
	w.pass(60)
	if v := w.row("a").Verdict; v != nil {
		t.Fatalf("after 60 s: %+v", v)
	}
	w.pass(1)
	if r := w.row("a"); r.Show != "unknown" || r.Verdict.Rule != "link lost" || !slices.Equal(r.Verdict.Evidence, []uint64{4}) {
		t.Fatalf("%+v", r.Verdict)
	}
	w.record(linkRecord(LinkOpened, 1, 78))
	if r := w.row("a"); r.Verdict != nil || r.Show != "running" {
		t.Errorf("linked again: %+v", r.Verdict)
	}
	w.record(block.Record{Kind: block.KindSystem, Class: SystemStart})
	w.pass(62)
	if r := w.row("a"); r.Links != 0 || r.Show != "unknown" {
		t.Errorf("after a restart: %d links, %s", r.Links, r.Show)
	}
	w.say("a", start(wire.TypeTool, "t", "Bash"))
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("heard again: %+v", v)
	}
	w.record(block.Record{Kind: block.KindLost, Producer: 1, Seq: 5, Payload: block.AppendTo(nil, 9)})
	if r := w.row("a"); r.Verdict == nil || r.Verdict.Rule != "telemetry gap" {
		t.Fatalf("after a gap: %+v", r.Verdict)
	}
	w.say("a", wire.Event{Type: wire.TypeLog})
	if w.row("a").Verdict == nil {
		t.Error("a log line does not say what it is doing")
	}
	w.say("a", end(wire.TypeTool, "t", wire.StatusOK))
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("after a span: %+v", v)
	}
}

func TestBudget(t *testing.T) {
	w := newWorld(t, "a")
	llm := func(span string, cost int64) wire.Event {
		return wire.Event{Type: wire.TypeLLM, Phase: wire.PhaseUpdate, Span: span, Usage: &wire.Usage{Input: 10, CostNanoUSD: cost}}
	}
	w.say("a", start(wire.TypeLLM, "l", ""), llm("l", 5e9))
	if v := w.row("a").Verdict; v != nil {
		t.Fatalf("no budget was declared: %+v", v)
	}
	w.say("a", wire.Event{Type: wire.TypeAgent, Labels: map[string]string{"budget_nanousd": "6000000000"}}, llm("l", 7e9))
	r := w.row("a")
	if r.Verdict == nil || r.Verdict.Kind != "over_budget" || r.Show != "running" || r.Usage.Cost != 7e9 {
		t.Fatalf("%+v %+v", r.Verdict, r.Usage)
	}
	w.say("a", wire.Event{Type: wire.TypeAgent, Attrs: map[string]any{"budget_nanousd": int64(8e9)}})
	if v := w.row("a").Verdict; v != nil {
		t.Errorf("the budget was raised: %+v", v)
	}
}

func TestUsageCountsOnce(t *testing.T) {
	use := func(e wire.Event, in, cost int64, q wire.Quality) wire.Event {
		e.Usage = &wire.Usage{Input: in, Output: 1, CostNanoUSD: cost, Quality: q}
		return e
	}
	w := newWorld(t, "a")
	w.say("a",
		start(wire.TypeLLM, "l", "m"),
		use(wire.Event{Type: wire.TypeLLM, Phase: wire.PhaseUpdate, Span: "l"}, 10, 100, wire.QualityExact),
		use(wire.Event{Type: wire.TypeLLM, Phase: wire.PhaseUpdate, Span: "l"}, 30, 300, wire.QualityEstimated),
		use(end(wire.TypeLLM, "l", wire.StatusOK), 40, 400, wire.QualityExact),
		use(end(wire.TypeLLM, "l", wire.StatusOK), 90, 900, wire.QualityExact), // a second end
		use(wire.Event{Type: wire.TypeLLM, Span: "w", Status: wire.StatusOK}, 2, 20, wire.QualityLowerBound),
	)
	want := Usage{Input: 42, Output: 2, Cost: 420, Quality: "lower_bound"}
	r := w.row("a")
	if d := cmp.Diff(want, r.Usage); d != "" {
		t.Error(d)
	}
	if r.Counts.LLM != 2 || r.Counts.Events != 6 {
		t.Errorf("%+v", r.Counts)
	}
	if r.Rate.CostH != 420*4 || r.Rate.Events15m[14] != 6 {
		t.Errorf("%+v", r.Rate)
	}
	f := w.v.Fleet("")
	if f.CostH != 420*4 || f.TokensH != 44*4 || f.FailedCallShare != 0 {
		t.Errorf("%+v", f)
	}
}

// TestSpacesHaveTheirOwnSums: a space is told what its own agents did, and their sum is that of all.
func TestSpacesHaveTheirOwnSums(t *testing.T) {
	w := newWorld(t, "a")
	w.d.add("other", "b")
	use := func(span string, in, cost int64) wire.Event {
		e := end(wire.TypeLLM, span, wire.StatusOK)
		e.Usage = &wire.Usage{Input: in, CostNanoUSD: cost}
		return e
	}
	w.say("a", use("1", 10, 100), use("2", 20, 200), end(wire.TypeTool, "3", wire.StatusError))
	w.say("b", use("1", 5, 50))
	w.pass(1)
	db := openStore(t)
	defer db.Close()
	b := db.NewBatch()
	if err := errors.Join(w.v.Save(b), b.Commit(pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	w.v = New(w.d)
	if err := w.v.Load(db); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		space        string
		tokens, cost int64
		failed       float64
		events       float64
	}{
		{"main", 30, 300, 1. / 3, 3},
		{"other", 5, 50, 0, 1},
		{"", 35, 350, 1. / 4, 4},
		{"none", 0, 0, 0, 0},
	} {
		f := w.v.Fleet(c.space)
		if f.TokensH != 4*c.tokens || f.CostH != 4*c.cost || f.FailedCallShare != c.failed || f.EventsPerS != c.events/(ringSeconds-1) {
			t.Errorf("%q: %+v", c.space, f)
		}
	}
}

func TestDelegation(t *testing.T) {
	task := start(wire.TypeTask, "k", "explore")
	task.To = []string{"w"}
	w := newWorld(t, "m", "w", "x")
	w.say("m", task) // the worker was not seen yet
	w.say("w", wire.Event{Type: wire.TypeLog})
	r := w.row("w")
	if r.Manager != "m" || r.Task == nil || r.Task.From != "m" || r.Task.Name != "explore" || w.row("m").Workers != 1 || w.row("m").Open.Tasks != 0 {
		t.Fatalf("worker %+v task %+v, manager %+v", r.Manager, r.Task, w.row("m"))
	}
	hand := wire.Event{Type: wire.TypeTask, Phase: wire.PhaseUpdate, Span: "k", To: []string{"x"}}
	w.say("m", hand)
	w.say("x", wire.Event{Type: wire.TypeLog})
	if w.row("w").Task != nil || w.row("x").Task == nil {
		t.Fatalf("hand-off: %+v %+v", w.row("w").Task, w.row("x").Task)
	}
	w.say("m", end(wire.TypeTask, "k", wire.StatusOK))
	if r := w.row("x"); r.Task != nil || r.State != "idle" {
		t.Errorf("ended by the manager: %+v %s", r.Task, r.State)
	}
	w.say("w", wire.Event{Type: wire.TypeAgent, Manager: "x"})
	if w.row("x").Workers != 1 || w.row("m").Workers != 1 { // x is m's by the hand-off
		t.Errorf("x has %d workers, m %d", w.row("x").Workers, w.row("m").Workers)
	}
	again := start(wire.TypeTask, "k2", "")
	again.To = []string{"w"}
	w.say("m", again)
	if w.row("w").Manager != "x" {
		t.Error("an inferred manager replaced the declared one")
	}
}

func TestAttentionOrderAndList(t *testing.T) {
	w := newWorld(t, "old", "dear", "calm", "gone")
	w.say("old", start(wire.TypeAsk, "q1", "run db migration?"))
	w.pass(100)
	w.say("dear", wire.Event{Type: wire.TypeLLM, Span: "l", Usage: &wire.Usage{CostNanoUSD: 2e9}, Status: wire.StatusOK}, start(wire.TypeAsk, "q2", "go on?"))
	w.say("calm", wire.Event{Type: wire.TypeLog})
	w.say("gone", wire.Event{Type: wire.TypeAgent, Ended: true})
	w.pass(30)
	a := w.v.Attention("", 1)
	if a.Total != 2 || len(a.Items) != 1 || a.Items[0].Agent.ID != "dear" || a.Items[0].Burn != 8e9 {
		t.Errorf("%+v", a)
	}
	f := w.v.Fleet("main")
	if f.Live != 3 || f.Ended != 1 || f.Attention != 2 || f.ByShow["waiting"] != 2 {
		t.Errorf("%+v", f)
	}
	if p, _ := w.v.List(Query{}); p.Total != 3 || len(p.Items) != 0 {
		t.Errorf("total alone: %+v", p)
	}
	var ids []string
	after := ""
	for {
		p, err := w.v.List(Query{Ended: "all", Sort: "name", Asc: true, Limit: 1, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Items {
			ids = append(ids, r.ID)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if !slices.Equal(ids, []string{"calm", "dear", "gone", "old"}) {
		t.Errorf("paged %v", ids)
	}
	q, _ := query.Parse("state:waiting cost:>$1 -agent:old")
	p, err := w.v.List(Query{Filter: q, Limit: 10})
	if err != nil || p.Total != 1 || p.Items[0].ID != "dear" {
		t.Errorf("%v %+v", err, p)
	}
	for _, bad := range []Query{{After: "x"}, {Sort: "age"}, {Show: "sad"}, {Ended: "maybe"}} {
		if _, err := w.v.List(bad); err == nil {
			t.Errorf("%+v: want an error", bad)
		}
	}
}

func TestAppendJSONIsTheStruct(t *testing.T) {
	w := newWorld(t, "m", "a<b>\u2028")
	w.say("m", wire.Event{Type: wire.TypeAgent, Name: "é\"", Labels: map[string]string{"repo": "x", "__proto__": "y"}, HeartbeatMs: 1500})
	w.say("a<b>\u2028", start(wire.TypeRun, "r", "goal"), start(wire.TypeAsk, "q", "?"), start(wire.TypeTask, "k", "t"))
	w.say("m", tool(1, "x", wire.StatusError)...)
	w.pass(10)
	for _, id := range []string{"m", "a<b>\u2028"} {
		r := w.row(id)
		plain, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(w.v.Encode(nil, r.Num), &got); err != nil {
			t.Fatalf("%v in %s", err, r.AppendJSON(nil))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}
