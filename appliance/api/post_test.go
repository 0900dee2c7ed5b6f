//go:build linux

package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"eyrie/appliance/access"
	"eyrie/engine/wire"
)

// count returns how many events of an agent are stored.
func (r *rig) count(agent string) int {
	r.t.Helper()
	var l struct{ Items []json.RawMessage }
	r.get("/v1/events?space=main&limit=1000&agent="+agent, &l)
	return len(l.Items)
}

// The body may be an object of events, an array, one event, or lines; in JSON
// or MessagePack; and what is refused is named, the rest kept.
func TestPostShapes(t *testing.T) {
	r := newRig(t)
	e := wire.Event{Type: wire.TypeLog, Agent: "packed", Msg: "x"}
	packed := e.AppendMsgpack(nil)
	for _, c := range []struct {
		name, body, kind string
		stored           int
		refused          string // field of the one refused
	}{
		{"an object", `{"events":[{"type":"log","agent":"x"},{"type":"log","agent":"x"}]}`, "application/json", 2, ""},
		{"an array", `[{"type":"log","agent":"x"}]`, "", 1, ""},
		{"one event", `{"type":"log","agent":"x"}`, "text/plain", 1, ""},
		{"lines", "{\"type\":\"log\",\"agent\":\"x\"}\n{\"type\":\"log\",\"agent\":\"x\"}\n", "application/x-ndjson", 2, ""},
		{"MessagePack", string(packed), "application/msgpack", 1, ""},
		{"MessagePack, array", "\x92" + string(packed) + string(packed), "application/x-msgpack", 2, ""},
		{"the first version's", `{"agentId":"old","timestamp":1700000000000,"metrics":{"cpu":1,"memory":2,"tasksCompleted":3}}`, "", 1, ""},
		{"nothing", `[]`, "", 0, ""},
		{"a bad one among good ones", `[{"type":"log","agent":"x"},{"type":"log","agent":"x","ts":-1},{"type":"log","agent":"x"}]`, "", 2, "events[1].ts"},
		{"without an agent", `[{"type":"log"}]`, "", 0, "agent"},
		{"a bad usage", `[{"type":"llm","agent":"x","usage":{"input_tokens":"many"}}]`, "", 0, "events[0].usage.input_tokens"},
	} {
		p, a := r.post(r.keys["agent"], c.body, "Content-Type", c.kind)
		if a.StatusCode != 200 || p.Stored != c.stored || (c.refused != "") != (len(p.Refused) == 1) || c.refused != "" && p.Refused[0].Field != c.refused {
			t.Errorf("%s: %d %s", c.name, a.StatusCode, a.body)
		}
		if c.stored > 0 && p.Last-p.First+1 < uint64(c.stored) {
			t.Errorf("%s: offsets %d to %d", c.name, p.First, p.Last)
		}
	}
	for _, c := range []struct{ name, body, code string }{
		{"no JSON", "hello", "syntax"}, {"nothing at all", "", "syntax"}, {"half an array", `[{"type":"log"`, "syntax"},
		{"a number", "7", "syntax"},
	} {
		_, a := r.post(r.keys["agent"], c.body)
		var p struct {
			Code   string
			Status int
		}
		if json.Unmarshal(a.body, &p) != nil || a.StatusCode != 400 || p.Code != c.code || a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want 400 %q", c.name, a.StatusCode, a.body, c.code)
		}
	}
	if err := r.ask("POST", "/v1/events", r.keys["agent"], strings.Repeat("x", 4<<20+1)).problem(413, "too_large", ""); err != nil {
		t.Errorf("too large: %v", err)
	}
}

// What a key's patterns cover is the same by POST and by WebSocket: * is any
// bytes, slashes too.
func TestPostPatterns(t *testing.T) {
	r := newRig(t)
	key := r.token(access.Token{Name: "ci", Role: access.Agent, Agents: []string{"ci-*", "one/?"}})
	for agent, ok := range map[string]bool{"ci-1": true, "ci-a/b": true, "ci-": true, "one/2": true, "one/23": false, "xci-1": false, "a": false} {
		p, a := r.post(key, fmt.Sprintf(`{"type":"log","agent":%q}`, agent))
		if a.StatusCode != 200 || (p.Stored == 1) != ok || !ok && (len(p.Refused) != 1 || p.Refused[0].Code != "forbidden" || p.Refused[0].Field != "agent") {
			t.Errorf("%s: %s", agent, a.body)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	body := `[{"type":"log","agent":"once","msg":"x"},{"type":"log","agent":"once","ts":-1},{"type":"log","agent":"once"}]`
	first, a := r.post(r.keys["agent"], body, "Idempotency-Key", "k1")
	if first.Stored != 2 || len(first.Refused) != 1 || a.Header.Get("Idempotency-Replayed") != "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	repeat := func(when string) {
		t.Helper()
		_, b := r.post(r.keys["agent"], body, "Idempotency-Key", "k1")
		if b.StatusCode != 200 || string(b.body) != string(a.body) || b.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s, the first answer was %s", when, b.StatusCode, b.body, a.body)
		}
		if n := r.count("once"); n != 2 {
			t.Errorf("%s: %d events are stored", when, n)
		}
		if err := r.ask("POST", "/v1/events", r.keys["agent"], body+" ", "Idempotency-Key", "k1").problem(422, "idempotency_mismatch", ""); err != nil {
			t.Errorf("%s, another body: %v", when, err)
		}
	}
	repeat("at once")
	r.stop()
	r.start()
	repeat("after a restart")
	// The name belongs to its principal.
	p, b := r.post(r.keys["operator"], body, "Idempotency-Key", "k1")
	if p.Stored != 2 || b.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("another principal's key: %s", b.body)
	}
	if err := r.ask("POST", "/v1/events", r.keys["agent"], body, "Idempotency-Key", strings.Repeat("k", 256)).problem(400, "bad_parameter", "Idempotency-Key"); err != nil {
		t.Error(err)
	}
	// A request of which nothing passed is answered the same again, too.
	none := `[{"type":"log"}]`
	_, a = r.post(r.keys["agent"], none, "Idempotency-Key", "k2")
	_, b = r.post(r.keys["agent"], none, "Idempotency-Key", "k2")
	if string(a.body) != string(b.body) || b.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("nothing stored: %s, then %s", a.body, b.body)
	}
	if err := r.ask("POST", "/v1/events", r.keys["agent"], body, "Idempotency-Key", "k2").problem(422, "idempotency_mismatch", ""); err != nil {
		t.Error(err)
	}
}

// Of many requests with one key at a time, one is stored and all are told so.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	r := newRig(t)
	answers := make([]string, 24)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			a, err := r.try("POST", "/v1/events", r.keys["agent"], `{"type":"log","agent":"race"}`, "Idempotency-Key", "same")
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = fmt.Sprint(a.StatusCode, string(a.body))
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.HasPrefix(a, "200") {
			t.Errorf("got %s and %s", answers[0], a)
		}
	}
	if n := r.count("race"); n != 1 {
		t.Errorf("%d events are stored", n)
	}
}
