package claudecode

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eyrie/engine/wire"
)

// realData is the folder of recorded transcripts beside the repository, which are too large to be part of it. Without it the test is skipped.
func realData(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	data := filepath.Join(filepath.Dir(dir), "shared", "data", "entire-claude-code-sessions")
	if _, err := os.Stat(data); err != nil {
		t.Skip("no recorded transcripts beside the repository (../shared/data)")
	}
	return data
}

// recount counts in the plainest way, sharing no code with the fold: what the files hold.
type recount struct {
	sessions, workers, calls, uses, results map[string]bool
	flagged                                 int
	output                                  map[string]int64 // by message, the highest
}

func recountOf(t *testing.T, root string) recount {
	t.Helper()
	c := recount{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, 0, map[string]int64{}}
	message := func(m map[string]any) {
		if id, _ := m["id"].(string); id != "" {
			c.calls[id] = true
			if u, _ := m["usage"].(map[string]any); u != nil {
				out, _ := u["output_tokens"].(float64)
				c.output[id] = max(c.output[id], int64(out))
			}
		}
		bs, _ := m["content"].([]any)
		for _, b := range bs {
			b, _ := b.(map[string]any)
			switch b["type"] {
			case "tool_use":
				c.uses[b["id"].(string)] = true
			case "tool_result":
				c.results[b["tool_use_id"].(string)] = true
				if b["is_error"] == true {
					c.flagged++
				}
			}
		}
	}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(p) != ".jsonl" {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			var r map[string]any
			if json.Unmarshal(sc.Bytes(), &r) != nil {
				continue
			}
			if s, _ := r["sessionId"].(string); s != "" {
				c.sessions[s] = true
			}
			if m, _ := r["message"].(map[string]any); m != nil {
				message(m)
			}
			if d, _ := r["data"].(map[string]any); d["type"] == "agent_progress" {
				c.workers[d["agentId"].(string)] = true
				message(d["message"].(map[string]any)["message"].(map[string]any))
			}
			if tur, _ := r["toolUseResult"].(map[string]any); tur != nil {
				if id, _ := tur["agentId"].(string); id != "" {
					c.workers[id] = true
				}
			}
		}
		return sc.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c recount) compare(t *testing.T, evs []wire.Event) tally {
	t.Helper()
	got := tallyOf(evs)
	starts := map[string]bool{}
	for _, e := range evs {
		if e.Type == wire.TypeTool && e.Phase == wire.PhaseStart {
			starts[e.Span] = true
		}
	}
	orphans := 0
	for id := range c.results {
		if !starts[id] {
			orphans++
		}
	}
	got.want(t, map[string]int{
		"before its declaration": 0, "tool start": len(c.uses), "tool end": len(c.results),
		"llm start": len(c.calls), "llm end": len(c.calls),
	})
	if n := len(c.sessions) + len(c.workers); len(got.agents) != n {
		t.Errorf("agents: got %d, the files hold %d", len(got.agents), n)
	}
	failed := got.count["tool end"] - got.count["tool ok"]
	if failed != c.flagged {
		t.Errorf("results flagged as errors: got %d, the files hold %d", failed, c.flagged)
	}
	var want int64
	for _, n := range c.output {
		want += n
	}
	if _, out, _, _ := got.tokens(); out != want {
		t.Errorf("output tokens: got %d, the files hold %d", out, want)
	}
	t.Logf("%d events, %d agents, %d tool starts, %d results without a start", len(evs), len(got.agents), got.count["tool start"], orphans)
	return got
}

func TestRecordedDay(t *testing.T) {
	root := filepath.Join(realData(t), "day-2026-02-09")
	s := &store{}
	evs, reports := once(t, s, root)
	if len(reports) > 0 {
		t.Error(reports)
	}
	got := recountOf(t, root).compare(t, evs)
	// The figures that the recording's own description names.
	got.want(t, map[string]int{
		"tool start": 1774, "tool end": 1773, "llm start": 1445, "task start": 12, "task end": 12, "task error prompt_too_long": 1,
		"tool cancelled sibling_failed": 15, "tool denied refused_by_person": 12, "tool error malformed_call": 25, "tool error exit_code": 24,
	})
	mains, workers := 0, 0
	own := 0
	for _, role := range got.agents {
		if role == "main" {
			mains++
		} else {
			workers++
		}
	}
	background := map[string]bool{}
	for _, e := range evs {
		if e.Type == wire.TypeTool && e.Phase == wire.PhaseStart && got.agents[e.Agent] == "main" {
			own++
		}
		if e.Type == wire.TypeTask && e.Attrs["background"] == true && len(e.To) == 1 {
			background[e.To[0]] = true
		}
	}
	if mains != 27 || workers != 12 || len(background) != 3 || own != 1557 {
		t.Errorf("got %d sessions, %d workers, %d in the background, %d calls of sessions; want 27, 12, 3, 1557", mains, workers, len(background), own)
	}
	nothing(t, s, root, "second run")
}

func TestRecordedOriginal(t *testing.T) {
	root := filepath.Join(realData(t), "original")
	evs, reports := once(t, &store{}, root)
	if len(reports) > 0 {
		t.Error(reports)
	}
	recountOf(t, root).compare(t, evs)
}

func TestRecordedFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	data := realData(t)
	root := t.TempDir()
	untar(t, filepath.Join(data, "fleet-trimmed120.tar.gz"), root)
	evs, reports := once(t, &store{}, root)
	var where []string
	for _, r := range reports {
		where = append(where, r.Code+" "+filepath.Base(filepath.Dir(filepath.Dir(r.File))))
		if r.Line != 183 && r.Line != 196 || r.Kept != 2 {
			t.Error(r)
		}
	}
	slices.Sort(where)
	if !slices.Equal(where, []string{"two_objects 7375936c5c", "two_objects 77a6f39913"}) {
		t.Errorf("broken lines: %q", where)
	}
	recountOf(t, root).compare(t, evs)
}

func untar(t *testing.T, archive, to string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(to, filepath.FromSlash(h.Name))
		if h.Typeflag != tar.TypeReg || !strings.HasPrefix(p, to) {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		write(t, p, string(b))
	}
}
