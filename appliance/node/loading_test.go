//go:build linux

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// held is a rig whose views wait to be loaded.
type held struct {
	*rig
	release func()
}

// hold starts a node on a folder whose views are loaded when the test says so.
func hold(t *testing.T, dir string) *held {
	t.Helper()
	n, release := openHeld(t, dir)
	t.Cleanup(func() { end(t, n) })
	return &held{serveRig(t, n), release}
}

func openHeld(t *testing.T, dir string) (n *node.Node, release func()) {
	t.Helper()
	gate := make(chan struct{})
	n, err := node.Open(node.Options{
		Config: rigConfig(dir), Settings: func([]config.Tuned) []config.Value { return nil }, Logger: slog.New(slog.DiscardHandler),
		BeforeViews: func(ctx context.Context) {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	return n, func() {
		close(gate)
		<-n.Loaded()
	}
}

func end(t *testing.T, n *node.Node) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Error("stop: ", err)
	}
}

// answer is of a request to the web port, as the operator.
type answer struct {
	*http.Response
	body []byte
}

func (r *rig) ask(t *testing.T, method, path, body string) answer {
	t.Helper()
	q, _ := http.NewRequest(method, "http://"+r.web+path, strings.NewReader(body))
	q.Header.Set("Authorization", "Bearer "+r.operator)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(method, path, err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(method, path, err)
	}
	return answer{a, b}
}

func (r *rig) post(t *testing.T, agent, msg string) {
	t.Helper()
	if a := r.ask(t, "POST", "/v1/events", fmt.Sprintf(`{"events":[{"type":"message","agent":%q,"msg":%q}]}`, agent, msg)); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
}

// events are the messages of an agent, oldest first, as the log has them.
func (r *rig) events(t *testing.T, agent string) (msgs []string) {
	t.Helper()
	a := r.ask(t, "GET", "/v1/events?order=asc&type=message&agent="+agent, "")
	var p struct{ Items []struct{ Msg string } }
	if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s: %v", a.StatusCode, a.body, err)
	}
	for _, e := range p.Items {
		msgs = append(msgs, e.Msg)
	}
	return msgs
}

type readiness struct {
	Ready, Accepts bool
	Reasons        []string
	Loading        *struct{ Phase string }
}

func (r *rig) ready(t *testing.T, of string) (code int, x readiness) {
	t.Helper()
	a := r.ask(t, "GET", "/ready"+of, "")
	if err := json.Unmarshal(a.body, &x); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return a.StatusCode, x
}

// filled makes a folder on which a node has run, and an agent said something.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Run("before", func(t *testing.T) { newRig(t, dir).post(t, "before", "of the life before") })
	return dir
}

// TestEventsAreTakenBeforeTheViewsAreLoaded: while the load of the views is held
// open an event is stored and acknowledged, by a link too; whatever needs a view
// says that it is not there, and nothing else does; then all is right.
func TestEventsAreTakenBeforeTheViewsAreLoaded(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	r := hold(t, dir)

	r.post(t, "posted", "while loading")
	l, err := dialRaw(r.ingest, upgrade(r.agent, packed), helloOf(wire.MsgPack, 1, 1, "linked"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if m, err := l.next(); err != nil || m.Op != wire.OpWelcome {
		t.Fatalf("%+v %v", m, err)
	}
	if _, err := l.c.Write(eventsOf(wire.MsgPack, 1, message("while loading"))); err != nil {
		t.Fatal(err)
	}
	if m, err := l.next(); err != nil || m.Op != wire.OpAck || m.Seq != 1 {
		t.Fatalf("%+v %v", m, err)
	}

	for _, path := range []string{"/health", "/metrics", "/v1/status", "/v1/session", "/v1/settings", "/v1/tuning", "/v1/capacity", "/v1/setup", "/v1/links", "/v1/tokens", "/v1/audit", "/v1/holds", "/v1/backup", "/v1/events", "/v1/events?limit=0", "/ready?for=ingest"} {
		if a := r.ask(t, "GET", path, ""); a.StatusCode != 200 {
			t.Errorf("GET %s: %d %s", path, a.StatusCode, a.body)
		}
	}
	for _, q := range [][2]string{
		{"GET", "/v1/fleet"}, {"GET", "/v1/state"}, {"GET", "/v1/attention"}, {"GET", "/v1/agents"}, {"GET", "/v1/agents/main/before"}, {"GET", "/v1/agents?at=-1m"},
		{"GET", "/v1/spans"}, {"GET", "/v1/spans/main/x"}, {"GET", "/v1/runs"}, {"GET", "/v1/runs/main/x"}, {"PUT", "/v1/runs/main/x/hold"},
		{"POST", "/v1/agents/main/before/forget"}, {"POST", "/v1/runs/main/x/forget"}, {"GET", "/v1/forgets"},
		{"GET", "/v1/series?agent=before"}, {"GET", "/v1/series/range?agent=before&metric=x"}, {"POST", "/v1/compact"}, {"POST", "/v1/verify"},
	} {
		a := r.ask(t, q[0], q[1], "{}")
		var p struct {
			Code    string
			Loading *struct{ Phase string }
		}
		if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != 503 || p.Code != "views_loading" || p.Loading == nil || p.Loading.Phase != "load" || a.Header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %s %v", q[0], q[1], a.StatusCode, a.body, a.Header)
		}
	}
	if code, x := r.ready(t, ""); code != 503 || x.Ready || !x.Accepts || x.Loading == nil || len(x.Reasons) != 1 || !strings.Contains(x.Reasons[0], "views") {
		t.Errorf("%d %+v", code, x)
	}
	var st struct {
		Agents *int
		First  bool `json:"first_event"`
	}
	if a := r.ask(t, "GET", "/v1/status", ""); json.Unmarshal(a.body, &st) != nil || st.Agents != nil || !st.First {
		t.Errorf("%s", a.body)
	}
	for _, who := range []string{"before", "posted", "linked"} {
		if got := r.events(t, who); len(got) != 1 {
			t.Errorf("the log shows %q of %s", got, who)
		}
	}
	if a := r.ask(t, "GET", "/metrics", ""); strings.Contains(string(a.body), `eyrie_start_seconds{phase="views`) || !strings.Contains(string(a.body), `eyrie_start_seconds{phase="listening"}`) {
		t.Error("the phases of the start are not those that are over")
	}

	r.release()
	if code, x := r.ready(t, ""); code != 200 || !x.Ready || x.Loading != nil {
		t.Errorf("%d %+v", code, x)
	}
	if a := r.ask(t, "GET", "/v1/agents/main/before", ""); a.StatusCode != 200 {
		t.Errorf("who was there before: %d %s", a.StatusCode, a.body)
	}
	eventually(t, "who came while views were loaded is shown as linked", func() bool {
		var x struct{ Links int }
		a := r.ask(t, "GET", "/v1/agents/main/linked", "")
		return a.StatusCode == 200 && json.Unmarshal(a.body, &x) == nil && x.Links == 1 && r.ask(t, "GET", "/v1/agents/main/posted", "").StatusCode == 200
	})
	if a := r.ask(t, "GET", "/metrics", ""); !strings.Contains(string(a.body), `eyrie_start_seconds{phase="views folded"}`) {
		t.Error("the last phase of the start is not among the metrics")
	}
}

// TestViewersWaitForTheViews: a live viewer that comes while views are loaded is told
// so, sees events at once, and gets the rows on the same socket.
func TestViewersWaitForTheViews(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	r := hold(t, dir)
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + r.operator}}, Protocols: []string{"eyrie.live.v1"}}
	c, buffered, _, err := d.Dial(t.Context(), "ws://"+r.web+"/v1/live")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var in io.Reader = c
	if buffered != nil {
		in = io.MultiReader(buffered, c)
	}
	c.SetDeadline(time.Now().Add(15 * time.Second))
	rw := readWriter{in, c}
	for _, s := range []string{`{"op":"subscribe","id":1,"what":"agents","mode":"latest","filter":{"space":"main"}}`, `{"op":"subscribe","id":2,"what":"events","filter":{"space":"main"},"from":1}`} {
		if err := wsutil.WriteClientText(c, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	until := func(ops ...string) {
		t.Helper()
		want := map[string]bool{}
		for _, o := range ops {
			want[o] = true
		}
		for len(want) > 0 {
			b, err := wsutil.ReadServerText(rw)
			if err != nil {
				t.Fatalf("%v came not: %v", want, err)
			}
			var m struct{ Op string }
			if err := json.Unmarshal(b, &m); err != nil {
				t.Fatal(err)
			}
			if m.Op == "agents" && !want["agents"] {
				t.Fatalf("rows of views that are not loaded: %s", b)
			}
			delete(want, m.Op)
		}
	}
	until("hello", "loading", "events")
	r.release()
	until("loaded", "agents")
}

type readWriter struct {
	io.Reader
	io.Writer
}

// TestStopWhileLoading: the end does not wait for the views, whether they have begun
// to load or not, and what was taken meanwhile is there at the next start.
func TestStopWhileLoading(t *testing.T) {
	t.Parallel()
	dir := filled(t)
	n, _ := openHeld(t, dir)
	serveRig(t, n).post(t, "posted", "while loading")
	end(t, n)
	select {
	case <-n.Loaded():
		t.Error("views were shown that nobody loaded")
	default:
	}
	r := newRig(t, dir)
	if got := r.events(t, "posted"); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if a := r.ask(t, "GET", "/v1/agents/main/posted", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// TestAgentsOfTheLifeBefore: links of the life before are gone in what is shown first,
// not agents that are lost.
func TestAgentsOfTheLifeBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, release := openHeld(t, dir)
	first := serveRig(t, n)
	release()
	l, err := dialRaw(first.ingest, upgrade(first.agent, packed), helloOf(wire.MsgPack, 1, 1, "linked"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if m, err := l.next(); err != nil || m.Op != wire.OpWelcome {
		t.Fatalf("%+v %v", m, err)
	}
	state := func(r *rig) (x struct {
		Links   int
		Verdict *struct{ Kind string }
	}) {
		a := r.ask(t, "GET", "/v1/agents/main/linked", "")
		if a.StatusCode != 200 || json.Unmarshal(a.body, &x) != nil {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		return x
	}
	eventually(t, "it is shown as linked", func() bool {
		return first.ask(t, "GET", "/v1/agents/main/linked", "").StatusCode == 200 && state(first).Links == 1
	})
	end(t, n)
	r := hold(t, dir)
	back, err := dialRaw(r.ingest, upgrade(r.agent, packed), helloOf(wire.MsgPack, 1, 2, "linked"))
	if err != nil {
		t.Fatal(err)
	}
	defer back.close()
	if m, err := back.next(); err != nil || m.Op != wire.OpWelcome {
		t.Fatalf("%+v %v", m, err)
	}
	r.release()
	eventually(t, "it is back", func() bool { return state(r.rig).Links == 1 })
	if x := state(r.rig); x.Verdict != nil {
		t.Errorf("it is held to be %s", x.Verdict.Kind)
	}
}
