//go:build linux

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/config"
	"eyrie/appliance/node"
)

// rig is a whole node on loopback ports that can be restarted on its folder.
type rig struct {
	t           *testing.T
	dir         string
	node        *node.Node
	ingest, web string
	client      *http.Client
	keys        map[string]string // by role; "" is none
}

// The roles that a rig has keys for, least first.
var roles = []string{"", "agent", "viewer", "operator", "admin"}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{t: t, dir: t.TempDir(), client: &http.Client{Transport: &http.Transport{DisableCompression: true}}}
	r.start()
	t.Cleanup(r.stop)
	k, _ := r.node.Keys()
	r.keys = map[string]string{"": ""}
	for _, role := range []access.Role{access.Agent, access.Viewer, access.Operator} {
		r.keys[string(role)] = r.token(access.Token{Name: string(role), Role: role})
	}
	admin, err := k.Standing("operator")
	if err != nil {
		t.Fatal(err)
	}
	r.keys["admin"] = admin
	return r
}

// token makes a key.
func (r *rig) token(t access.Token) string {
	r.t.Helper()
	k, _ := r.node.Keys()
	key, _, err := k.Create(t)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

func (r *rig) start() {
	r.t.Helper()
	seconds := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }
	c := &config.Config{
		Data: r.dir, Ingest: "127.0.0.1:0", Web: "127.0.0.1:0", Loops: 2, RingMiB: 4, CacheMiB: 16, DiskMin: 1,
		Save: seconds(1), IdleTimeout: seconds(90), Ping: seconds(30), Drain: seconds(4), SelfEvery: seconds(5),
	}
	n, err := node.Open(node.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler),
		Settings: func(tuned []config.Tuned) []config.Value { return config.Values(c, nil, nil, tuned) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		r.t.Fatal(err)
	}
	<-n.Loaded()
	r.node = n
	open, _ := n.Listeners()
	for _, l := range open {
		switch l.Name {
		case "ingest":
			r.ingest = l.Addr
		case "web":
			r.web = l.Addr
		}
	}
}

func (r *rig) stop() {
	r.t.Helper()
	r.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := r.node.Stop(ctx); err != nil {
		r.t.Error("stop: ", err)
	}
}

// answer is a response read whole.
type answer struct {
	*http.Response
	body []byte
}

// ask makes a request on the web port; headers come in pairs.
func (r *rig) ask(method, path, key, body string, headers ...string) answer {
	r.t.Helper()
	a, err := r.try(method, path, key, body, headers...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (r *rig) try(method, path, key, body string, headers ...string) (a answer, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.web+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if a.Response, err = r.client.Do(req); err != nil {
		return a, err
	}
	defer a.Body.Close()
	if a.Header.Get("Content-Type") == "text/event-stream" {
		return a, nil // without an end
	}
	a.body, err = io.ReadAll(a.Body)
	return a, err
}

// get is an admin's GET that must work; the answer is decoded into out.
func (r *rig) get(path string, out any) {
	r.t.Helper()
	a := r.ask("GET", path, r.keys["admin"], "")
	if a.StatusCode != 200 {
		r.t.Fatalf("GET %s: %d %s", path, a.StatusCode, a.body)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		r.t.Fatalf("GET %s: %s: %v", path, a.body, err)
	}
}

// post appends events with a role's key and returns what became of them.
func (r *rig) post(key, body string, headers ...string) (p posted, a answer) {
	r.t.Helper()
	a = r.ask("POST", "/v1/events", key, body, headers...)
	if a.StatusCode == 200 {
		if err := json.Unmarshal(a.body, &p); err != nil {
			r.t.Fatalf("%s: %v", a.body, err)
		}
	}
	return p, a
}

type posted struct {
	Stored      int
	First, Last uint64
	Epoch       uint32
	Log         string
	Refused     []struct {
		Index            int
		Code, Field, Msg string
	}
}

// problem checks that an answer is an RFC 9457 problem of this status and code,
// naming the field if one is given.
func (a answer) problem(status int, code, field string) error {
	var p struct {
		Type, Title, Code, Detail, Field string
		Status                           int
	}
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	err := dec.Decode(&p)
	switch {
	case err != nil:
		return fmt.Errorf("%d %q: %w", a.StatusCode, a.body, err)
	case a.StatusCode != status || p.Code != code || p.Field != field:
		return fmt.Errorf("got %d %s, want %d, code %q, field %q", a.StatusCode, a.body, status, code, field)
	case p.Status != status || p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "":
		return fmt.Errorf("no whole problem: %s", a.body)
	case a.Header.Get("Content-Type") != "application/problem+json":
		return fmt.Errorf("Content-Type %q", a.Header.Get("Content-Type"))
	case status == 401 && a.Header.Get("WWW-Authenticate") == "":
		return fmt.Errorf("401 without WWW-Authenticate")
	}
	return nil
}

// caughtUp waits until the views have folded offset off.
func (r *rig) caughtUp(off uint64) {
	r.t.Helper()
	r.eventually("the views caught up", func() bool {
		var s struct{ Views []struct{ Cursor uint64 } }
		r.get("/v1/status", &s)
		for _, v := range s.Views {
			if v.Cursor <= off {
				return false
			}
		}
		return len(s.Views) >= 3
	})
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatal("never came: ", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
