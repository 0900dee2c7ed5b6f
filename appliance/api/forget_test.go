//go:build linux

package api_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forgotten is a row of GET /v1/forgets.
type forgotten struct {
	Offset         uint64
	What, ID       string
	State, Error   string
	Records, Bytes uint64
	Reason         string
}

// forgets waits until all that was to be forgotten is.
func (r *rig) forgets(n int) []forgotten {
	r.t.Helper()
	var page struct{ Items []forgotten }
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.get("/v1/forgets", &page)
		over := len(page.Items) == n
		for _, f := range page.Items {
			if f.State == "failed" || f.Error != "" {
				r.t.Fatalf("%+v", f)
			}
			over = over && f.State == "done"
		}
		if over {
			return page.Items
		}
		if time.Now().After(until) {
			r.t.Fatalf("never forgotten: %+v", page.Items)
		}
	}
}

// marker is a text that compression leaves as it is, and that begins with who it is of.
func marker(rng *rand.Rand, of string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := []byte(of)
	for range 24 {
		b = append(b, letters[rng.IntN(64)])
	}
	return string(b)
}

// grep returns the files of the folder that hold one of the texts.
func (r *rig) grep(texts []string) (found []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		p, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // the store has just removed it
		}
		for _, text := range texts {
			if bytes.Contains(p, []byte(text)) {
				found = append(found, strings.TrimPrefix(path, r.dir)+": "+text)
				break
			}
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// story posts what an agent does in a run, with marked texts in all places, and returns
// the texts.
func (r *rig) story(rng *rand.Rand, agent, run string, open bool) (texts []string, last uint64) {
	r.t.Helper()
	m := func() string {
		texts = append(texts, marker(rng, agent[:2]+run[:2]))
		return texts[len(texts)-1]
	}
	events := []string{
		fmt.Sprintf(`{"agent":%q,"type":"agent","name":%q,"role":%q,"labels":{"team":%q}}`, agent, m(), m(), m()),
		fmt.Sprintf(`{"agent":%q,"type":"run","phase":"start","span":%q,"run":%q,"name":%q}`, agent, run, run, m()),
		fmt.Sprintf(`{"agent":%q,"type":"tool","run":%q,"span":%q,"name":%q,"input":{"cmd":%q},"status":"error","error":{"code":"E","msg":%q}}`, agent, run, m(), m(), m(), m()),
		fmt.Sprintf(`{"agent":%q,"type":"message","run":%q,"msg":%q}`, agent, run, m()),
		fmt.Sprintf(`{"agent":%q,"type":"ask","phase":"start","run":%q,"span":%q,"msg":%q}`, agent, run, m(), m()),
		fmt.Sprintf(`{"agent":%q,"type":"task","phase":"start","run":%q,"span":%q,"to":"worker","msg":%q,"name":%q}`, agent, run, m(), m(), m()),
		fmt.Sprintf(`{"agent":%q,"type":"state","run":%q,"state":"waiting","msg":%q}`, agent, run, m()),
	}
	if !open {
		events = append(events, fmt.Sprintf(`{"agent":%q,"type":"run","phase":"end","span":%q,"run":%q,"status":"ok","msg":%q}`, agent, run, run, m()))
	}
	p, a := r.post(r.keys["agent"], `{"events":[`+strings.Join(events, ",")+`]}`)
	if p.Stored != len(events) {
		r.t.Fatalf("%s", a.body)
	}
	return texts, p.Last
}

func TestForget(t *testing.T) {
	r := newRig(t)
	admin, rng := r.keys["admin"], rand.New(rand.NewPCG(3, 4))
	r.post(r.keys["agent"], `{"agent":"worker","type":"log","msg":"here"}`)
	adaOne, _ := r.story(rng, "ada", "one", false)
	adaTwo, _ := r.story(rng, "ada", "two", true)
	bobOne, _ := r.story(rng, "bob", "one", false)
	label := marker(rng, "series")
	p, a := r.post(r.keys["agent"], fmt.Sprintf(`{"events":[{"agent":"ada","type":"metrics","metrics":{"m.%s":1},"labels":{"x":%q}},{"agent":"bob","type":"metrics","metrics":{"bobs":2}}]}`, label, label))
	if p.Stored != 2 {
		t.Fatalf("%s", a.body)
	}
	r.caughtUp(p.Last)

	// Who may, what is known, what is held.
	for role, status := range map[string]int{"": 401, "agent": 403, "viewer": 403, "operator": 403} {
		for _, path := range []string{"/v1/agents/main/ada/forget", "/v1/runs/main/one/forget"} {
			if a := r.ask("POST", path, r.keys[role], `{"reason":"x"}`); a.StatusCode != status {
				t.Errorf("%q may %s: %d %s", role, path, a.StatusCode, a.body)
			}
		}
	}
	for path, want := range map[string]string{"/v1/agents/main/eve/forget": "not_found", "/v1/runs/main/three/forget": "not_found", "/v1/agents/other/ada/forget": "not_found"} {
		if err := r.ask("POST", path, admin, `{"reason":"x"}`).problem(404, want, ""); err != nil {
			t.Error(path, err)
		}
	}
	for body, field := range map[string]string{``: "body", `{}`: "reason", `{"reason":"` + strings.Repeat("x", 1001) + `"}`: "reason"} {
		if err := r.ask("POST", "/v1/agents/main/ada/forget", admin, body).problem(400, "bad_parameter", field); err != nil {
			t.Error(body, err)
		}
	}
	r.ask("PUT", "/v1/runs/main/two/hold", admin, `{"reason":"wanted"}`)
	for _, path := range []string{"/v1/agents/main/ada/forget", "/v1/runs/main/two/forget"} {
		if err := r.ask("POST", path, admin, `{"reason":"x"}`).problem(409, "held", ""); err != nil {
			t.Error(path, err)
		}
	}
	r.ask("DELETE", "/v1/runs/main/two/hold", admin, "")

	// A run, of both agents.
	if a := r.ask("POST", "/v1/runs/main/one/forget", admin, `{"reason":"they asked"}`); a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	done := r.forgets(1)
	if f := done[0]; f.What != "run" || f.ID != "one" || f.Records != 14 || f.Reason != "they asked" {
		t.Errorf("%+v", f)
	}
	ofRun := func(texts []string) []string { return texts[3:] } // but for the declaration
	if found := r.grep(append(ofRun(adaOne), ofRun(bobOne)...)); len(found) > 0 {
		t.Errorf("the run is still in %q", found)
	}
	if err := r.ask("GET", "/v1/runs/main/one", admin, "").problem(404, "not_found", ""); err != nil {
		t.Error(err)
	}
	var runs, spans struct {
		Items []struct{ Run, Agent string }
		Total int
	}
	if r.get("/v1/runs?space=main", &runs); runs.Total != 1 || len(runs.Items) != 1 || runs.Items[0].Run != "two" {
		t.Errorf("%+v", runs)
	}
	if r.get("/v1/spans?space=main", &spans); spans.Total != len(spans.Items) || spans.Total != 4 {
		t.Errorf("%+v", spans)
	}

	// An agent.
	if a := r.ask("POST", "/v1/agents/main/ada/forget", admin, `{"reason":"they asked again"}`); a.StatusCode != 202 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	r.forgets(2)
	gone := append(append(append([]string(nil), adaOne...), adaTwo...), label)
	check := func(when string) {
		t.Helper()
		if found := r.grep(gone); len(found) > 0 {
			t.Errorf("%s: the agent is still in %q", when, found)
		}
		if err := r.ask("GET", "/v1/agents/main/ada", admin, "").problem(404, "not_found", ""); err != nil {
			t.Error(when, err)
		}
		var series struct{ Items []struct{ Metric string } }
		if r.get("/v1/series?space=main&agent=ada", &series); len(series.Items) != 0 {
			t.Errorf("%s: %+v", when, series)
		}
		if r.get("/v1/series?space=main&agent=bob", &series); len(series.Items) != 1 {
			t.Errorf("%s: %+v", when, series)
		}
		if r.get("/v1/spans?space=main", &spans); spans.Total != 0 || len(spans.Items) != 0 {
			t.Errorf("%s: %+v", when, spans)
		}
		var events struct{ Items []struct{ Agent, Msg string } }
		if r.get("/v1/events?space=main&agent=ada", &events); len(events.Items) != 0 {
			t.Errorf("%s: %+v", when, events)
		}
		if a := r.ask("GET", "/v1/state?at=offset:5", admin, ""); a.StatusCode != 200 {
			t.Errorf("%s: %d %s", when, a.StatusCode, a.body)
		}
		if len(r.grep(bobOne[:3])) == 0 {
			t.Errorf("%s: what bob declared is gone, too", when)
		}
	}
	check("at once")
	r.stop()
	if found := r.grep(gone); len(found) > 0 {
		t.Errorf("stopped: %q", found)
	}
	r.start()
	r.forgets(2)
	check("after a restart")
	r.stop()
	if err := os.RemoveAll(filepath.Join(r.dir, "views")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.forgets(2)
	r.caughtUp(p.Last)
	check("views folded anew")

	// It speaks again.
	p, _ = r.post(r.keys["agent"], `{"agent":"ada","type":"tool","run":"six","span":"s","name":"n","msg":"me again"}`)
	r.caughtUp(p.Last)
	if a := r.ask("GET", "/v1/agents/main/ada", admin, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if r.get("/v1/spans?space=main", &spans); spans.Total != 1 || len(spans.Items) != 1 {
		t.Errorf("%+v", spans)
	}

	// What it has said since stays when views are folded anew once more.
	p, _ = r.post(r.keys["agent"], `{"agent":"ada","type":"metrics","metrics":{"later":3}}`)
	r.caughtUp(p.Last)
	r.stop()
	if err := os.RemoveAll(filepath.Join(r.dir, "views")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.caughtUp(p.Last)
	r.forgets(2)
	if found := r.grep(gone); len(found) > 0 {
		t.Errorf("the agent is still in %q", found)
	}
	if a := r.ask("GET", "/v1/agents/main/ada", admin, ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if r.get("/v1/spans?space=main", &spans); spans.Total != 1 || len(spans.Items) != 1 {
		t.Errorf("%+v", spans)
	}
	var series struct{ Items []struct{ Metric string } }
	if r.get("/v1/series?space=main&agent=ada", &series); len(series.Items) != 1 || series.Items[0].Metric != "later" {
		t.Errorf("%+v", series)
	}

	var log struct {
		Items []struct{ Action, Object, Detail string }
	}
	r.get("/v1/audit?limit=100", &log)
	var actions []string
	for _, e := range log.Items {
		if strings.Contains(e.Action, "forg") {
			actions = append(actions, e.Action+" "+e.Object)
		}
	}
	if got := strings.Join(actions, ", "); got != "agent.forgotten main/ada, agent.forget main/ada, run.forgotten main/one, run.forget main/one" {
		t.Error(got)
	}
}
