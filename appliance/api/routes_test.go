//go:build linux

package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"eyrie/appliance/access"
)

// sample is one of everything: a run with a task, a model call, a failed tool
// call, an open one, a question to a person, numbers, and a declared agent.
const sample = `{"events":[
 {"type":"agent","agent":"a","name":"ann","role":"writer","heartbeat_ms":1000},
 {"type":"run","phase":"start","agent":"a","run":"r1","name":"mend it","session":"s"},
 {"type":"llm","agent":"a","run":"r1","span":"l1","name":"model-x","dur_ms":12,"usage":{"model":"model-x","input_tokens":5,"output_tokens":7}},
 {"type":"tool","agent":"a","run":"r1","span":"t1","name":"Bash","input":{"command":"ls"},"output":"x","status":"error","error":{"code":"1","msg":"no"}},
 {"type":"tool","phase":"start","agent":"a","run":"r1","span":"t/2","name":"Read","input":"f"},
 {"type":"ask","phase":"start","agent":"a","run":"r1","span":"q1","kind":"permission","name":"delete?","to":"person"},
 {"type":"state","agent":"a","state":{"state":"waiting","on":"person","by":"agent"}},
 {"type":"metrics","agent":"a","metrics":{"cpu":0.5,"mem":7}}
]}`

// helloSum is the SHA-256 of hello.
const helloSum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

// documented is what a route is to answer: the least role that may ask, and
// what a good answer is made of.
type documented struct {
	min    string // "" is anyone
	ask    string // path with query
	body   string
	status int
	holds  []string // keys of the JSON object, or words of another answer
	also   func(t *testing.T, a answer)
}

func routes() map[string]documented {
	list := []string{"items", "next", "total"}
	return map[string]documented{
		"GET /health":                         {"", "/health", "", 200, []string{"status"}, nil},
		"GET /ready":                          {"", "/ready", "", 200, []string{"ready", "reasons", "views"}, nil},
		"GET /metrics":                        {"viewer", "/metrics", "", 200, []string{"eyrie_intake_events_total", "go_goroutines"}, nil},
		"GET /debug/pprof/{profile}":          {"admin", "/debug/pprof/goroutine?debug=1", "", 200, []string{"goroutine profile:"}, nil},
		"GET /v1/openapi.json":                {"", "/v1/openapi.json", "", 200, []string{"openapi", "paths"}, nil},
		"GET /v1/session":                     {"viewer", "/v1/session", "", 200, []string{"role", "space", "name"}, nil},
		"POST /v1/session":                    {"", "/v1/session", `{"key":"KEY"}`, 200, []string{"role", "space", "name"}, nil},
		"DELETE /v1/session":                  {"", "/v1/session", "", 204, nil, nil},
		"GET /v1/status":                      {"viewer", "/v1/status", "", 200, []string{"version", "commit", "log", "views", "uptime_s", "ready", "reasons", "agents", "first_event", "listeners", "hostname", "clock_ms"}, nil},
		"GET /v1/settings":                    {"operator", "/v1/settings", "", 200, []string{"ring-mib", "default"}, nil},
		"GET /v1/tuning":                      {"viewer", "/v1/tuning", "", 200, list, first("key", "value", "why", "at_ms")},
		"GET /v1/capacity":                    {"viewer", "/v1/capacity?times=3", "", 200, []string{"host", "costs", "measured", "live", "busiest", "descriptors_open", "retain_days", "of", "today", "times", "answer"}, nil},
		"GET /v1/setup":                       {"operator", "/v1/setup", "", 200, []string{"ingest_url", "key", "snippets"}, nil},
		"GET /v1/fleet":                       {"viewer", "/v1/fleet?space=main", "", 200, []string{"agents_live", "agents_ended", "by_show", "events_per_s", "tokens_per_h", "cost_nanousd_h", "failed_call_share", "attention", "offset", "clock_ms"}, nil},
		"GET /v1/state":                       {"viewer", "/v1/state?space=main&at=offset:3", "", 200, []string{"agents_live", "by_show", "clock_ms", "at", "offset", "partial"}, nil},
		"GET /v1/attention":                   {"viewer", "/v1/attention?space=main", "", 200, []string{"items", "total"}, first("kind", "agent", "since_ms", "age_ms", "title", "score")},
		"GET /v1/agents":                      {"viewer", "/v1/agents?space=main", "", 200, list, first("space", "id", "state", "show", "first_ms", "last_ms", "ended", "links", "workers", "counts", "usage", "rate", "open")},
		"GET /v1/agents/{space}/{id}":         {"viewer", "/v1/agents/main/a", "", 200, []string{"space", "id", "name", "role", "state", "show", "counts", "usage", "heartbeat_ms"}, nil},
		"GET /v1/spans":                       {"viewer", "/v1/spans?space=main&type=tool", "", 200, list, first("space", "span", "type", "name", "agent", "status", "open", "start_ms", "start_offset")},
		"GET /v1/spans/{space}/{span}":        {"viewer", "/v1/spans/main/t1", "", 200, []string{"span", "input", "output", "error", "status"}, nil},
		"GET /v1/runs":                        {"viewer", "/v1/runs?space=main", "", 200, list, first("space", "span", "agents", "spans", "tools", "errors", "usage")},
		"GET /v1/runs/{space}/{id}":           {"viewer", "/v1/runs/main/r1", "", 200, []string{"agents", "spans", "tools", "errors", "usage"}, nil},
		"GET /v1/holds":                       {"viewer", "/v1/holds", "", 200, list, nil},
		"PUT /v1/runs/{space}/{id}/hold":      {"operator", "/v1/runs/main/r1/hold", `{"reason":"for the review"}`, 200, []string{"space", "run", "since_ms", "reason"}, nil},
		"DELETE /v1/runs/{space}/{id}/hold":   {"operator", "/v1/runs/main/HELD/hold", "", 204, nil, nil},
		"POST /v1/agents/{space}/{id}/forget": {"admin", "/v1/agents/main/FORGET/forget", `{"reason":"they asked"}`, 202, []string{"offset", "state", "what", "space", "id", "records", "bytes", "reason", "by", "at_ms"}, nil},
		"POST /v1/runs/{space}/{id}/forget":   {"admin", "/v1/runs/main/FORGET/forget", `{"reason":"they asked"}`, 202, []string{"offset", "state"}, nil},
		"GET /v1/forgets":                     {"admin", "/v1/forgets", "", 200, []string{"items", "next"}, nil},
		"GET /v1/events":                      {"viewer", "/v1/events?space=main", "", 200, list, first("offset", "recv_ms", "space", "agent", "type", "phase", "severity")},
		"POST /v1/events":                     {"agent", "/v1/events", `{"type":"log","agent":"matrix","msg":"x"}`, 200, []string{"stored", "refused", "first", "last", "epoch", "log"}, nil},
		"GET /v1/series":                      {"viewer", "/v1/series?space=main&agent=a", "", 200, list, first("metric", "labels", "last", "last_ms", "samples")},
		"GET /v1/series/range":                {"viewer", "/v1/series/range?space=main&agent=a&metric=cpu", "", 200, []string{"series", "step_ms"}, nil},
		"GET /v1/links":                       {"viewer", "/v1/links", "", 200, list, nil},
		"GET /v1/tokens":                      {"admin", "/v1/tokens", "", 200, list, first("id", "name", "role", "space")},
		"POST /v1/tokens":                     {"admin", "/v1/tokens", `{"role":"viewer","name":"new"}`, 201, []string{"id", "role", "key"}, nil},
		"DELETE /v1/tokens/{id}":              {"admin", "/v1/tokens/TOKEN", "", 200, []string{"id", "revoked_ms"}, nil},
		"GET /v1/audit":                       {"admin", "/v1/audit", "", 200, list, first("n", "ts_ns", "action", "object", "by", "offset", "recv_ms", "hash")},
		"GET /v1/backup":                      {"admin", "/v1/backup", "", 200, []string{"state", "done_bytes", "total_bytes"}, nil},
		"POST /v1/backup":                     {"admin", "/v1/backup", `{"to":"FOLDER"}`, 202, []string{"state", "to", "begun_ms"}, nil},
		"GET /v1/compact":                     {"admin", "/v1/compact", "", 200, []string{"state"}, nil},
		"POST /v1/compact":                    {"admin", "/v1/compact", "", 202, []string{"state", "begun_ms"}, nil},
		"GET /v1/verify":                      {"admin", "/v1/verify", "", 200, []string{"state", "done_records", "total_records"}, nil},
		"POST /v1/verify":                     {"admin", "/v1/verify", "", 202, []string{"state", "begun_ms"}, nil},
		"GET /v1/live/sse":                    {"viewer", "/v1/live/sse", "", 200, nil, nil},
		"GET /v1/live/poll":                   {"viewer", "/v1/live/poll?after=1", "", 200, []string{"items", "after"}, nil},
		"POST /v1/blobs":                      {"agent", "/v1/blobs", "hello", 200, []string{"$blob", "size", "type"}, nil},
		"PUT /v1/blobs/{sha256}":              {"agent", "/v1/blobs/" + helloSum, "hello", 200, []string{"$blob", "size", "type"}, nil},
		"GET /v1/blobs/{sha256}":              {"viewer", "/v1/blobs/" + helloSum, "", 200, []string{"hello"}, nil},
	}
}

// first checks the keys of a list's first row.
func first(keys ...string) func(*testing.T, answer) {
	return func(t *testing.T, a answer) {
		var l struct {
			Items []map[string]any
		}
		if err := json.Unmarshal(a.body, &l); err != nil || len(l.Items) == 0 {
			t.Errorf("no row in %s (%v)", a.body, err)
			return
		}
		for _, k := range keys {
			if _, ok := l.Items[0][k]; !ok {
				t.Errorf("the row %v has no %q", l.Items[0], k)
			}
		}
	}
}

// Every route of the document answers every role as it should.
func TestRoutes(t *testing.T) {
	r := newRig(t)
	p, a := r.post(r.keys["agent"], sample)
	if p.Stored != 8 || len(p.Refused) != 0 {
		t.Fatalf("%s", a.body)
	}
	r.caughtUp(p.Last)
	if a := r.ask("POST", "/v1/blobs", r.keys["agent"], "hello"); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var doc struct {
		Paths map[string]map[string]struct{}
	}
	r.get("/v1/openapi.json", &doc)
	want := routes()
	for path, methods := range doc.Paths {
		for m := range methods {
			name := strings.ToUpper(m) + " " + path
			d, ok := want[name]
			if !ok {
				t.Errorf("%s is documented, and not tested here", name)
				continue
			}
			delete(want, name)
			t.Run(name, func(t *testing.T) { matrix(t, r, strings.ToUpper(m), d) })
		}
	}
	for name := range want {
		t.Errorf("%s is not documented", name)
	}
}

// matrix asks one route as everybody.
func matrix(t *testing.T, r *rig, method string, d documented) {
	allowed, folder := d.min == "", t.TempDir()
	t.Cleanup(func() { backedUp(t, r) })
	for _, role := range roles {
		key := r.keys[role]
		// An agent's key opens what is for agents, and nothing above.
		ok := allowed || d.min == role || d.min == "agent" && (role == "operator" || role == "admin")
		if role == d.min && role != "agent" {
			allowed = true
		}
		path := strings.Replace(d.ask, "TOKEN", victim(t, r), 1)
		if strings.Contains(path, "HELD") {
			if a := r.ask("PUT", "/v1/runs/main/r1/hold", r.keys["admin"], ""); a.StatusCode != 200 {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			path = strings.Replace(path, "HELD", "r1", 1)
		}
		if strings.Contains(path, "FORGET") {
			p, _ := r.post(r.keys["agent"], `{"agent":"FORGET","type":"run","run":"FORGET","span":"FORGET","name":"x"}`)
			r.caughtUp(p.Last)
		}
		body := strings.NewReplacer("KEY", r.keys["viewer"], "FOLDER", folder).Replace(d.body)
		a := r.ask(method, path, key, body)
		switch {
		case !ok && role == "":
			if err := a.problem(401, "key_missing", ""); err != nil {
				t.Errorf("without a key: %v", err)
			}
		case !ok:
			if err := a.problem(403, "role", ""); err != nil {
				t.Errorf("as %s: %v", role, err)
			}
		case a.StatusCode != d.status:
			t.Errorf("as %s: %d %s, want %d", role, a.StatusCode, a.body, d.status)
		default:
			d.check(t, a)
		}
	}
	if d.min != "" {
		if err := r.ask(method, d.ask, "eyrie_wrongwrongwrongwrongwrong", "").problem(401, "key_unknown", ""); err != nil {
			t.Errorf("with a wrong key: %v", err)
		}
	}
}

// victim makes a key to be revoked.
func victim(t *testing.T, r *rig) string {
	t.Helper()
	k, _ := r.node.Keys()
	_, tok, err := k.Create(access.Token{Name: "victim", Role: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	return tok.ID
}

func (d *documented) check(t *testing.T, a answer) {
	t.Helper()
	for k, v := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
		if a.Header.Get(k) != v {
			t.Errorf("%s: %q", k, a.Header.Get(k))
		}
	}
	if c := a.Header.Get("Cache-Control"); c != "no-store" && c != "no-cache" && !strings.HasPrefix(d.ask, "/v1/blobs/") { // content by its hash never changes
		t.Errorf("Cache-Control %q", c)
	}
	var m map[string]any
	asJSON := a.Header.Get("Content-Type") == "application/json" && json.Unmarshal(a.body, &m) == nil
	for _, k := range d.holds {
		if _, ok := m[k]; asJSON && !ok || !asJSON && !strings.Contains(string(a.body), k) {
			t.Errorf("no %q in %s", k, a.body)
		}
	}
	if d.also != nil {
		d.also(t, a)
	}
}

// A wrong parameter is refused by its name.
func TestBadParameters(t *testing.T) {
	r := newRig(t)
	for path, field := range map[string]string{
		"/v1/agents?limit=-1": "limit", "/v1/agents?limit=1001": "limit", "/v1/agents?limit=ten": "limit",
		"/v1/agents?order=up": "order", "/v1/agents?sort=taste": "sort", "/v1/agents?state=happy": "state",
		"/v1/agents?ended=perhaps": "ended", "/v1/agents?after=@@": "after", "/v1/agents?q=%28%28": "q",
		"/v1/attention?limit=x":  "limit",
		"/v1/state?at=yesterday": "at", "/v1/agents?at=5m": "at", "/v1/fleet?at=offset:0": "at", "/v1/attention?at=NaN": "at",
		"/v1/state?at=4102444800001": "at", "/v1/agents/main/x?at=offset:9007199254740991": "at", "/v1/state?at=2099-01-01T00:00:00Z": "at",
		"/v1/spans?type=dance": "type", "/v1/spans?status=well": "status", "/v1/spans?after=@@": "after",
		"/v1/spans?from_ms=-1": "from_ms", "/v1/spans?to_ms=NaN": "to_ms", "/v1/spans?q=%28": "q", "/v1/spans?order=0": "order",
		"/v1/runs?after=@@": "after", "/v1/runs?status=well": "status", "/v1/runs?limit=1e3": "limit",
		"/v1/events?type=log,dance": "type", "/v1/events?severity=loud": "severity", "/v1/events?after=-1": "after",
		"/v1/events?offset=0": "offset", "/v1/events?offset=x": "offset", "/v1/events?from_ms=4102444800001": "from_ms",
		"/v1/events?q=NOT": "q", "/v1/events?after=99999999999999999999": "after",
		"/v1/series": "agent", "/v1/series/range?agent=a&points=0": "points", "/v1/series/range?agent=a&points=11001": "points",
		"/v1/series/range?agent=a&from_ms=2000&to_ms=1000": "from_ms", "/v1/series/range": "agent",
		"/v1/live/poll?limit=0": "limit", "/v1/live/poll?q=%28": "q", "/v1/live/sse?q=%28": "q",
	} {
		if err := r.ask("GET", path, r.keys["admin"], "").problem(400, "bad_parameter", field); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for body, field := range map[string]string{`{`: "body", `{"role":"viewer","expires_in_s":-1}`: "expires_in_s"} {
		if err := r.ask("POST", "/v1/tokens", r.keys["admin"], body).problem(400, "bad_parameter", field); err != nil {
			t.Errorf("a key %s: %v", body, err)
		}
	}
	for _, body := range []string{`{"role":"king"}`, `{"role":"agent","space":"*"}`, `{"role":"agent","agents":["["]}`} {
		if err := r.ask("POST", "/v1/tokens", r.keys["admin"], body).problem(400, "bad_token", ""); err != nil {
			t.Errorf("a key %s: %v", body, err)
		}
	}
}

func TestNotFound(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/v1/nothing", "/v1", "/api/v1/query", "/debug/vars", "/v1/agents/main", "/v1/agents/main/none", "/v1/spans/main/none", "/v1/runs/main/none", "/v1/agents/main/a/b"} {
		if err := r.ask("GET", path, r.keys["admin"], "").problem(404, "not_found", ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	a := r.ask("PUT", "/v1/events", r.keys["admin"], "{}")
	if err := a.problem(405, "method", ""); err != nil {
		t.Error(err)
	}
	if allow := a.Header.Get("Allow"); allow != "GET, POST" {
		t.Errorf("Allow: %q", allow)
	}
	if err := r.ask("POST", "/", "", "x").problem(405, "method", ""); err != nil {
		t.Error(err)
	}
	if a := r.ask("HEAD", "/v1/fleet", r.keys["viewer"], ""); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d, %d bytes", a.StatusCode, len(a.body))
	}
	if err := r.ask("DELETE", "/v1/tokens/k_none", r.keys["admin"], "").problem(404, "not_found", ""); err != nil {
		t.Error(err)
	}
	if err := r.ask("DELETE", "/v1/tokens/operator", r.keys["admin"], "").problem(409, "conflict", ""); err != nil {
		t.Error(err)
	}
}

// Ids are anything: a path holds them percent-encoded, one segment each.
func TestIdsInPaths(t *testing.T) {
	r := newRig(t)
	ids := []string{"a/b", "a//b/", "a%2Fb", "ü 漢字", "..", ".", "a b+c", "?x=1", "#top", "user@host:~/repo", `"quoted"`, "a\\b", "é", "%", "\u202eback", "/"}
	type event struct {
		Type  string `json:"type"`
		Agent string `json:"agent"`
		Run   string `json:"run"`
		Span  string `json:"span"`
		Name  string `json:"name"`
	}
	var last uint64
	for _, id := range ids {
		b, _ := json.Marshal([]event{{"run", id, id, "", "n"}, {"tool", id, id, "t:" + id, "n"}})
		p, a := r.post(r.keys["agent"], string(b))
		if p.Stored != 2 {
			t.Fatalf("%q: %s", id, a.body)
		}
		last = p.Last
	}
	r.caughtUp(last)
	for _, id := range ids {
		var a struct{ Space, ID string }
		if r.get("/v1/agents/main/"+url.PathEscape(id), &a); a.ID != id || a.Space != "main" {
			t.Errorf("%q: got %+v", id, a)
		}
		var s struct{ Span, Agent, Run string }
		if r.get("/v1/spans/main/"+url.PathEscape("t:"+id), &s); s.Span != "t:"+id || s.Agent != id || s.Run != id {
			t.Errorf("%q: got span %+v", id, s)
		}
		var run struct{ Agent string }
		if r.get("/v1/runs/main/"+url.PathEscape(id), &run); run.Agent != id {
			t.Errorf("%q: got run %+v", id, run)
		}
		// As a parameter it is the same.
		var l struct{ Total int }
		if r.get("/v1/spans?space=main&type=tool&agent="+url.QueryEscape(id), &l); l.Total != 1 {
			t.Errorf("%q: %d tool spans", id, l.Total)
		}
	}
	if err := r.ask("GET", "/v1/agents/main/a/b", r.keys["viewer"], "").problem(404, "not_found", ""); err != nil {
		t.Error("a bare slash: ", err)
	}
	b := r.raw(t, "GET /v1/agents/main/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(b, "HTTP/1.1 400 ") || !strings.Contains(b, "bad_path") {
		t.Errorf("a broken escape: %q", b)
	}
}

// A key that is bound to a space sees and touches nothing of another.
func TestSpacesApart(t *testing.T) {
	r := newRig(t)
	there := map[string]string{}
	for _, role := range []access.Role{access.Agent, access.Viewer, access.Operator, access.Admin} {
		there[string(role)] = r.token(access.Token{Name: "there", Role: role, Space: "b"})
	}
	here, a := r.post(r.keys["agent"], sample)
	if here.Stored != 8 {
		t.Fatalf("%s", a.body)
	}
	// The same agent id, in the other space: another agent.
	p, a := r.post(there["agent"], `{"type":"message","agent":"a","msg":"from b"}`)
	if p.Stored != 1 {
		t.Fatalf("%s", a.body)
	}
	r.caughtUp(p.Last)
	for _, path := range []string{
		"/v1/agents/main/a", "/v1/spans/main/t1", "/v1/runs/main/r1", "/v1/agents?space=main", "/v1/spans?space=main", "/v1/runs?space=main",
		"/v1/events?space=main", "/v1/fleet?space=main", "/v1/state?space=main&at=-1ms", "/v1/attention?space=main", "/v1/series?space=main&agent=a",
		"/v1/series/range?space=main&agent=a", "/v1/events?system=1", "/v1/agents/eyrie/x",
	} {
		if err := r.ask("GET", path, there["viewer"], "").problem(403, "space", ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, total := range map[string]int{"/v1/agents": 1, "/v1/spans": 0, "/v1/runs": 0, "/v1/attention": 0, "/v1/series?agent=a": 0, "/v1/links": 0} {
		var l struct{ Total int }
		a := r.ask("GET", path, there["viewer"], "")
		if err := json.Unmarshal(a.body, &l); err != nil || l.Total != total {
			t.Errorf("%s: %s, want a total of %d", path, a.body, total)
		}
	}
	var l struct{ Items []struct{ Space, Msg string } }
	a = r.ask("GET", "/v1/events", there["viewer"], "")
	if err := json.Unmarshal(a.body, &l); err != nil || len(l.Items) != 1 || l.Items[0].Msg != "from b" {
		t.Errorf("events of b: %s", a.body)
	}
	a = r.ask("GET", "/v1/live/poll?after=1", there["viewer"], "")
	if strings.Contains(string(a.body), `"main"`) || !strings.Contains(string(a.body), "from b") {
		t.Errorf("the poll shows %s", a.body)
	}
	if err := r.ask("GET", "/v1/live/poll?after=1&space=main", there["viewer"], "").problem(400, "forbidden", ""); err != nil {
		t.Errorf("polling another space: %v", err)
	}
	// What another space costs and how busy it is, is seen by those alone who read it.
	for path, at := range map[string]func(s string) string{"/v1/fleet": func(s string) string { return s }, "/v1/state?at=-1ms": func(s string) string { return s }} {
		var whole, own struct {
			Tokens float64 `json:"tokens_per_h"`
			Share  float64 `json:"failed_call_share"`
			Cost   float64 `json:"cost_nanousd_h"`
		}
		if r.get(at(path), &whole); whole.Tokens == 0 || whole.Share == 0 {
			t.Errorf("%s of all: %+v", path, whole)
		}
		if err := json.Unmarshal(r.ask("GET", path, there["viewer"], "").body, &own); err != nil || own.Tokens != 0 || own.Share != 0 || own.Cost != 0 {
			t.Errorf("%s of b: %+v, %v", path, own, err)
		}
	}
	var status struct{ Agents int }
	if err := json.Unmarshal(r.ask("GET", "/v1/status", there["viewer"], "").body, &status); err != nil || status.Agents != 1 {
		t.Errorf("status of b: %+v, %v", status, err)
	}
	// An admin there is none of the whole node.
	for _, ask := range []string{"GET /v1/audit", "GET /v1/backup", "POST /v1/backup", "GET /v1/compact", "POST /v1/compact", "GET /v1/verify", "POST /v1/verify", "GET /debug/pprof/heap"} {
		method, path, _ := strings.Cut(ask, " ")
		if err := r.ask(method, path, there["admin"], `{"to":"/nowhere"}`).problem(403, "space", ""); err != nil {
			t.Errorf("%s: %v", ask, err)
		}
	}
	if a := r.ask("POST", "/v1/runs/main/r1/forget", r.keys["admin"], `{"reason":"x"}`); a.StatusCode != 202 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	r.forgets(1)
	if a := r.ask("GET", "/v1/forgets", there["admin"], ""); a.StatusCode != 200 || strings.Contains(string(a.body), "r1") {
		t.Errorf("what was forgotten, as seen from b: %d %s", a.StatusCode, a.body)
	}
	// An operator elsewhere gets no key of ours, an admin elsewhere makes none.
	if err := r.ask("GET", "/v1/setup", there["operator"], "").problem(403, "space", ""); err != nil {
		t.Errorf("setup: %v", err)
	}
	for _, body := range []string{`{"role":"viewer","space":"main"}`, `{"role":"admin","space":"*"}`} {
		if err := r.ask("POST", "/v1/tokens", there["admin"], body).problem(403, "space", ""); err != nil {
			t.Errorf("a key %s: %v", body, err)
		}
	}
	if a := r.ask("POST", "/v1/tokens", there["admin"], `{"role":"viewer"}`); a.StatusCode != 201 || !strings.Contains(string(a.body), `"space":"b"`) {
		t.Errorf("a key of their own: %d %s", a.StatusCode, a.body)
	}
	if a := r.ask("GET", "/v1/tokens", there["admin"], ""); a.StatusCode != 200 || strings.Contains(string(a.body), `"main"`) || strings.Contains(string(a.body), `"*"`) {
		t.Errorf("keys as seen from b: %s", a.body)
	}
	if err := r.ask("DELETE", "/v1/tokens/"+victim(t, r), there["admin"], "").problem(404, "not_found", ""); err != nil {
		t.Errorf("revoking another space's key: %v", err)
	}
	// What agents of main did is as it was.
	var ann struct {
		Counts struct{ Events, Messages int }
	}
	if r.get("/v1/agents/main/a", &ann); ann.Counts.Events != 8 || ann.Counts.Messages != 0 {
		t.Errorf("the agent of main now counts %+v", ann)
	}
}

func TestSession(t *testing.T) {
	r := newRig(t)
	k, _ := r.node.Keys()
	key, tok, err := k.Create(access.Token{Name: "browser", Role: access.Operator})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]struct {
		status      int
		code, field string
	}{
		`{"key":"eyrie_wrong"}`:                  {401, "key_unknown", ""},
		`{}`:                                     {400, "bad_parameter", "key"},
		`nonsense`:                               {400, "bad_parameter", "key"},
		`{"key":"` + r.keys["agent"] + `"}`:      {403, "role", ""},
		`{"key":` + strings.Repeat(`[`, 1000000): {400, "bad_parameter", "key"},
	} {
		if err := r.ask("POST", "/v1/session", "", body).problem(want.status, want.code, want.field); err != nil {
			t.Errorf("%.40s: %v", body, err)
		}
	}
	a := r.ask("POST", "/v1/session", "", `{"key":"`+key+`"}`, "X-Forwarded-Proto", "https")
	if a.StatusCode != 200 || len(a.Cookies()) != 1 {
		t.Fatalf("%d %s %v", a.StatusCode, a.body, a.Cookies())
	}
	c := a.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || !c.Secure || strings.Contains(c.Value, key) {
		t.Errorf("the cookie is %v", c)
	}
	cookie := c.Name + "=" + c.Value
	if a := r.ask("GET", "/v1/session", "", "", "Cookie", cookie); a.StatusCode != 200 || !strings.Contains(string(a.body), "operator") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	event := `{"type":"log","agent":"x"}`
	if a := r.ask("POST", "/v1/events", "", event, "Cookie", cookie, "Origin", "http://"+r.web); a.StatusCode != 200 {
		t.Errorf("from its own page: %d %s", a.StatusCode, a.body)
	}
	for _, origin := range []string{"http://evil.example", "null", "http://" + r.web + ".evil.example", "http://x@evil"} {
		if err := r.ask("POST", "/v1/events", "", event, "Cookie", cookie, "Origin", origin).problem(403, "origin", ""); err != nil {
			t.Errorf("from %s: %v", origin, err)
		}
	}
	if err := r.ask("GET", "/v1/fleet", "", "", "Cookie", cookie+"x").problem(401, "key_missing", ""); err != nil {
		t.Errorf("a forged cookie: %v", err)
	}
	if a := r.ask("DELETE", "/v1/session", "", "", "Cookie", cookie); a.StatusCode != 204 || len(a.Cookies()) != 1 || a.Cookies()[0].Value != "" {
		t.Errorf("signed out: %d %v", a.StatusCode, a.Cookies())
	}
	if _, err := k.Revoke(tok.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.ask("GET", "/v1/fleet", "", "", "Cookie", cookie).problem(401, "key_missing", ""); err != nil {
		t.Errorf("after its key was revoked: %v", err)
	}
}

// Pages of a list hold every row once, in order, whatever their size.
func TestPages(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	for i := range 250 {
		fmt.Fprintf(&b, `{"type":"tool","agent":"a%03d","run":"r","span":"s%03d","name":"n","ts":%d}`+"\n", i, i, 1_700_000_000_000+i)
	}
	p, a := r.post(r.keys["agent"], b.String())
	if p.Stored != 250 {
		t.Fatalf("%.200s", a.body)
	}
	r.caughtUp(p.Last)
	for _, c := range []struct{ path, id string }{
		{"/v1/agents?space=main&sort=name", "id"}, {"/v1/agents?space=main&sort=last&order=asc", "id"},
		{"/v1/spans?space=main", "span"}, {"/v1/spans?space=main&order=asc&type=tool", "span"},
		{"/v1/events?space=main", "agent"}, {"/v1/events?space=main&order=asc", "agent"},
	} {
		seen := map[any]bool{}
		pages := 0
		for after := ""; ; pages++ {
			var l struct {
				Items []map[string]any
				Next  string
			}
			r.get(c.path+"&limit=7&after="+url.QueryEscape(after), &l)
			for _, row := range l.Items {
				if seen[row[c.id]] {
					t.Fatalf("%s: %v twice", c.path, row[c.id])
				}
				seen[row[c.id]] = true
			}
			if after = l.Next; after == "" {
				break
			}
		}
		if len(seen) != 250 || pages < 35 {
			t.Errorf("%s: %d rows on %d pages, want 250", c.path, len(seen), pages)
		}
	}
	for _, path := range []string{"/v1/agents?space=main&limit=0", "/v1/spans?space=main&limit=0"} {
		var l struct {
			Items []any
			Total int
		}
		if r.get(path, &l); l.Total != 250 || l.Items == nil || len(l.Items) != 0 {
			t.Errorf("%s: %+v", path, l)
		}
	}
}

// A run is held until it is released, by those who may, in its own space.
func TestHolds(t *testing.T) {
	r := newRig(t)
	p, _ := r.post(r.keys["agent"], sample)
	r.caughtUp(p.Last)
	held := func() (items []holdRow) {
		var l struct{ Items []holdRow }
		r.get("/v1/holds", &l)
		return l.Items
	}
	ask := func(method, path, body string) answer { return r.ask(method, path, r.keys["operator"], body) }
	if err := ask("PUT", "/v1/runs/main/none/hold", "").problem(404, "not_found", ""); err != nil {
		t.Error(err)
	}
	if err := ask("PUT", "/v1/runs/main/r1/hold", "{").problem(400, "bad_parameter", "body"); err != nil {
		t.Error(err)
	}
	if err := ask("DELETE", "/v1/runs/main/r1/hold", "").problem(404, "not_found", ""); err != nil {
		t.Error(err)
	}
	for range 2 { // again is no other hold
		if a := ask("PUT", "/v1/runs/main/r1/hold", `{"reason":"for the review"}`); a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	if h := held(); len(h) != 1 || h[0].Space != "main" || h[0].Run != "r1" || h[0].Reason != "for the review" || h[0].SinceMS == 0 {
		t.Errorf("%+v", h)
	}
	if a := ask("DELETE", "/v1/runs/main/r1/hold", ""); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if h := held(); len(h) != 0 {
		t.Errorf("%+v", h)
	}
}

type holdRow struct {
	Space, Run, Reason string
	SinceMS            float64 `json:"since_ms"`
}
