//go:build linux

package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the fleet was is what it was said to be then: by offset, by instant and
// by how far back, before and after a restart.
func TestAsOf(t *testing.T) {
	r := newRig(t)
	type answers struct {
		Fleet, Agents, Attention, Agent map[string]any
		offset                          uint64
		clock                           float64
	}
	const list = "/v1/agents?space=main&sort=name&limit=1000"
	// now reads all at one offset: again while the log goes on in between.
	now := func() (x answers) {
		t.Helper()
		r.eventually("four answers of one offset", func() bool {
			x = answers{}
			r.get("/v1/fleet", &x.Fleet)
			r.get(list, &x.Agents)
			r.get("/v1/attention", &x.Attention)
			r.get("/v1/agents/main/a", &x.Agent)
			var again map[string]any
			r.get("/v1/fleet", &again)
			return again["offset"] == x.Fleet["offset"]
		})
		x.offset, x.clock = uint64(x.Fleet["offset"].(float64)), x.Fleet["clock_ms"].(float64)
		return x
	}
	then := func(at string) (x answers) {
		t.Helper()
		at = url.QueryEscape(at)
		r.get("/v1/state?at="+at, &x.Fleet)
		r.get(list+"&at="+at, &x.Agents)
		r.get("/v1/attention?at="+at, &x.Attention)
		r.get("/v1/agents/main/a?at="+at, &x.Agent)
		for _, m := range []map[string]any{x.Fleet, x.Agents, x.Attention, x.Agent} {
			if m["partial"] != false || m["at"] == nil || m["offset"] == nil {
				t.Fatalf("at %s: %v", at, m)
			}
			x.offset, x.clock = uint64(m["offset"].(float64)), m["at"].(float64)
			delete(m, "partial")
			delete(m, "at")
			if _, ok := m["clock_ms"]; !ok {
				delete(m, "offset")
			}
		}
		return x
	}
	if p, a := r.post(r.keys["agent"], sample); p.Stored != 8 {
		t.Fatalf("%s", a.body)
	} else {
		r.caughtUp(p.Last)
	}
	early := now()
	if p, a := r.post(r.keys["agent"], strings.Repeat(`{"type":"tool","agent":"a","span":"late","name":"Bash","status":"error"}`+"\n", 3)+`{"type":"message","agent":"c","msg":"hello"}`); p.Stored != 4 {
		t.Fatalf("%s", a.body)
	} else {
		r.caughtUp(p.Last)
	}
	late := now()
	if cmp.Equal(early.Agents, late.Agents) {
		t.Fatal("nothing has changed in between")
	}
	check := func(what string, want, got answers) {
		t.Helper()
		if want.offset != got.offset || want.clock != got.clock {
			t.Errorf("%s: of offset %d, %v; want %d, %v", what, got.offset, got.clock, want.offset, want.clock)
		}
		got.offset, got.clock = want.offset, want.clock
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(answers{})); diff != "" {
			t.Errorf("%s (-then +asked):\n%s", what, diff)
		}
	}
	for range 2 {
		check("early, by offset", early, then(fmt.Sprint("offset:", early.offset)))
		check("late, by offset", late, then(fmt.Sprint("offset:", late.offset)))
		check("early, by Unix ms", early, then(fmt.Sprintf("%f", early.clock)))
		check("early, by RFC 3339", early, then(time.UnixMicro(int64(early.clock*1e3)).UTC().Add(999).Format(time.RFC3339Nano)))
		r.stop()
		r.start()
	}
	var m struct{ At, Clock float64 }
	if r.get("/v1/state?at=-1ms", &m); m.At == 0 || float64(time.Now().UnixMilli())-m.At > 60e3 {
		t.Errorf("a moment ago: %+v", m)
	}
	if r.get("/v1/state", &m); m.At == 0 {
		t.Errorf("now: %+v", m)
	}
	if err := r.ask("GET", "/v1/state?at=1000", r.keys["admin"], "").problem(404, "before_log", ""); err != nil {
		t.Error(err)
	}
	if err := r.ask("GET", "/v1/agents/main/c?at="+url.QueryEscape(fmt.Sprint("offset:", early.offset)), r.keys["admin"], "").problem(404, "not_found", ""); err != nil {
		t.Error(err)
	}
	var page struct {
		Items  []json.RawMessage
		Next   string
		Offset uint64
	}
	r.get("/v1/agents?space=main&limit=1&at=-1ms", &page)
	if page.Next == "" || page.Offset == 0 {
		t.Fatalf("%+v", page)
	}
	r.get(fmt.Sprintf("/v1/agents?space=main&limit=1&at=offset:%d&after=%s", page.Offset, url.QueryEscape(page.Next)), &page)
	if len(page.Items) != 1 {
		t.Errorf("the second page: %+v", page)
	}
}
