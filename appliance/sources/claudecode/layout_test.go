package claudecode

import (
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

const sid = "0a0a0a0a-1111-4222-8333-444444444444"

// The counts are those of the hand-written transcripts in testdata, counted by hand.
func sampleCounts() map[string]int {
	return map[string]int{
		"before its declaration": 0,
		"run start":              4, "run end": 3, "run ok": 2, "run interrupted interrupted": 0, "run interrupted": 1,
		"task start": 3, "task end": 3, "task ok": 2, "task error prompt_too_long": 1,
		"tool start": 13, "tool update": 1, "tool end": 12,
		"tool ok": 7, "tool cancelled sibling_failed": 1, "tool denied refused_by_person": 1,
		"tool error malformed_call": 1, "tool error exit_code": 2,
		"llm start": 12, "llm end": 12, "llm ok": 12,
		"ask start": 1, "ask end": 1, "ask ok": 1, "ask whole": 1, "ask denied refused_by_person": 1,
	}
}

func TestThreeLayoutsGiveTheSameAgents(t *testing.T) {
	wantAgents := map[string]string{sid: "main", sid + ".a1a1a1a": "Explore", sid + ".b2b2b2b": "reviewer", sid + ".c3c3c3c": "dev"}
	for _, layout := range []string{"checkpoint", "live", "nested"} {
		t.Run(layout, func(t *testing.T) {
			evs, reports := once(t, &store{}, "testdata/"+layout)
			if len(reports) > 0 {
				t.Error(reports)
			}
			got := tallyOf(evs)
			want := sampleCounts()
			wantIn, wantOut, wantRead := int64(69), int64(70), int64(2572)
			if layout == "nested" { // what only the workers' own files hold
				want["tool start"], want["tool end"], want["tool ok"] = 14, 13, 8
				want["llm start"], want["llm end"], want["llm ok"] = 14, 14, 14
				wantIn, wantOut, wantRead = 75, 80, 2602
			}
			got.want(t, want)
			if a, b := roles(got.agents), roles(wantAgents); a != b {
				t.Errorf("roles: got %s, want %s", a, b)
			}
			for id, role := range wantAgents {
				if got.agents[id] != role {
					t.Errorf("agent %s: got role %q, want %q", id, got.agents[id], role)
				}
			}
			in, out, read, write := got.tokens()
			if in != wantIn || out != wantOut || read != wantRead || write != 50 {
				t.Errorf("tokens: got %d %d %d %d, want %d %d %d 50", in, out, read, write, wantIn, wantOut, wantRead)
			}
			wantStates := map[string]string{sid: "running", sid + ".a1a1a1a": "done", sid + ".b2b2b2b": "failed", sid + ".c3c3c3c": "done"}
			for id, state := range wantStates {
				if got.states[id] != state {
					t.Errorf("state of %s: got %q, want %q", id, got.states[id], state)
				}
			}
		})
	}
}

func find(t *testing.T, evs []wire.Event, what string, ok func(*wire.Event) bool) *wire.Event {
	t.Helper()
	i := slices.IndexFunc(evs, func(e wire.Event) bool { return ok(&e) })
	if i < 0 {
		t.Fatalf("no event: %s", what)
	}
	return &evs[i]
}

func TestWhatTheSampleSays(t *testing.T) {
	evs, _ := once(t, &store{}, "testdata/live")
	agent := find(t, evs, "the session's agent", func(e *wire.Event) bool { return e.Type == wire.TypeAgent && e.Role == "main" })
	if agent.Name != "claude-code@nest:shop" || agent.Labels["branch"] != "main" || agent.Labels["repo"] != "shop" || agent.Version != "2.1.40" {
		t.Errorf("session: %s", agent.AppendJSON(nil))
	}
	model := find(t, evs, "its model", func(e *wire.Event) bool { return e.Type == wire.TypeAgent && e.Role == "main" && e.Model != "" })
	if model.Model != "claude-model-a" {
		t.Errorf("model: got %q", model.Model)
	}
	worker := find(t, evs, "a worker", func(e *wire.Event) bool { return e.Type == wire.TypeAgent && e.Role == "Explore" })
	if worker.Manager != sid || worker.Name != "claude-code@nest:shop/Explore" {
		t.Errorf("worker: %s", worker.AppendJSON(nil))
	}
	end := find(t, evs, "the end of the failed task", func(e *wire.Event) bool {
		return e.Type == wire.TypeTask && e.Phase == wire.PhaseEnd && e.Status == wire.StatusError
	})
	if len(end.To) != 1 || end.To[0] != sid+".b2b2b2b" || end.Agent != sid || end.Parent != "toolu_5" {
		t.Errorf("failed task: %s", end.AppendJSON(nil))
	}
	call := find(t, evs, "the Task call of it", func(e *wire.Event) bool { return e.Span == "toolu_5" && e.Phase == wire.PhaseEnd })
	if call.Status != wire.StatusOK {
		t.Errorf("the call completed: got %v", call.Status)
	}
	grep := find(t, evs, "a worker's call", func(e *wire.Event) bool { return e.Span == "toolu_w1" && e.Phase == wire.PhaseStart })
	if grep.Agent != sid+".a1a1a1a" || grep.Task != "task:toolu_4" || grep.Parent != "task:toolu_4" {
		t.Errorf("a worker's call: %s", grep.AppendJSON(nil))
	}
	exit := find(t, evs, "an exit code", func(e *wire.Event) bool { return e.Span == "toolu_7" && e.Phase == wire.PhaseEnd })
	if exit.Attrs["exit_code"] != int64(2) || exit.Severity != wire.SeverityWarn {
		t.Errorf("exit code: %s", exit.AppendJSON(nil))
	}
	bg := find(t, evs, "the end of the background task", func(e *wire.Event) bool { return e.Span == "task:toolu_6" && e.Phase == wire.PhaseEnd })
	if want := time.Date(2026, 3, 1, 10, 1, 31, 637e6, time.UTC).UnixNano(); bg.TS != want {
		t.Errorf("background task ended at %d, want %d: when it was first announced", bg.TS, want)
	}
	late := find(t, evs, "the model call that is older than the record before", func(e *wire.Event) bool { return e.Span == "msg_7" && e.Phase == wire.PhaseEnd })
	if want := time.Date(2026, 3, 1, 10, 1, 29, 623e6, time.UTC).UnixNano(); late.TS != want || *late.DurMs < 0 || late.Usage.Quality != wire.QualityExact {
		t.Errorf("out of order: %s", late.AppendJSON(nil))
	}
	first := find(t, evs, "the first model call", func(e *wire.Event) bool { return e.Span == "msg_1" && e.Phase == wire.PhaseEnd })
	if first.Usage.Output != 30 || first.Usage.Quality != wire.QualityLowerBound {
		t.Errorf("usage of a message in two records: %s", first.AppendJSON(nil))
	}
	sum := find(t, evs, "the summary, which has no time of its own", func(e *wire.Event) bool { return e.Type == wire.TypeMessage && e.Kind == "summary" })
	if sum.TSFrom != "estimated" || sum.TS == 0 {
		t.Errorf("summary: %s", sum.AppendJSON(nil))
	}
	wait := find(t, evs, "waiting for a person", func(e *wire.Event) bool { return e.Type == wire.TypeState && e.State.On == "person" })
	if wait.State.State != "waiting" {
		t.Errorf("wait: %s", wait.AppendJSON(nil))
	}
}

func TestMetaLeavesNoText(t *testing.T) {
	evs, _ := once(t, &store{}, "testdata/nested", func(o *FollowOptions) { o.Content = sources.ContentMeta })
	full, _ := once(t, &store{}, "testdata/nested")
	if len(evs) != len(full) {
		t.Errorf("events: meta %d, full %d", len(evs), len(full))
	}
	all := strings.Join(lines(evs), "\n")
	for _, word := range []string{"basket", "Basket", "price", "/home", "make deploy", "Find where", "vanish", "go vet", "thinking", "Two files", "Mend", "example.org", "package", "Tests are", "example.org", "FAIL"} {
		if strings.Contains(all, word) {
			t.Errorf("%q left the machine", word)
		}
	}
	for _, word := range []string{"sha256", "input_bytes", "AskUserQuestion", "prompt_too_long", "refused_by_person"} {
		if !strings.Contains(all, word) {
			t.Errorf("%q is missing", word)
		}
	}
}
