package access

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/engine"
)

func open(t *testing.T, dir string, now *time.Time) *Keys {
	t.Helper()
	k, _, err := Open(dir, func() time.Time { return *now }, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestFirstStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k, made, err := Open(dir, time.Now, rand.Reader)
	if err != nil || !made {
		t.Fatalf("first open: made %v, %v", made, err)
	}
	for _, name := range []string{"operator", "agent", "session"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", name, st.Mode().Perm())
		}
	}
	op, err := k.Standing("operator")
	if err != nil {
		t.Fatal(err)
	}
	if tok, ok := k.Check(op + "\n"); !ok || tok.Role != Admin || tok.Space != AnySpace {
		t.Errorf("operator key: %+v %v", tok, ok)
	}
	if _, made, _ := Open(dir, time.Now, rand.Reader); made {
		t.Error("second open made keys again")
	}
	if _, err := k.Standing("session"); err == nil {
		t.Error("the session secret was given out")
	}
}

func TestCreateRevoke(t *testing.T) {
	dir, now := t.TempDir(), time.UnixMilli(1_000_000)
	k := open(t, dir, &now)
	key, tok, err := k.Create(Token{Name: "ci", Role: Agent, Agents: []string{"ci-*"}, Expires: now.Add(time.Hour).UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	if !tok.Speaks("ci-7") || tok.Speaks("other") || tok.Space != "main" {
		t.Errorf("scope: %+v", tok)
	}
	b, _ := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if strings.Contains(string(b), key) {
		t.Error("the key itself stands on disk")
	}
	k = open(t, dir, &now)
	if _, ok := k.Check(key); !ok {
		t.Error("unknown after a restart")
	}
	now = now.Add(time.Hour)
	if _, ok := k.Check(key); ok {
		t.Error("admitted after its expiry")
	}
	now = now.Add(-time.Hour)
	if _, err := k.Revoke(tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Check(key); ok {
		t.Error("admitted after it was revoked")
	}
	k = open(t, dir, &now)
	if _, ok := k.Check(key); ok {
		t.Error("admitted after it was revoked and eyrie restarted")
	}
	if _, err := k.Revoke("nobody"); !errors.Is(err, ErrNoToken) {
		t.Errorf("revoke nobody: %v", err)
	}
	if _, err := k.Revoke("operator"); !errors.Is(err, ErrStanding) {
		t.Errorf("revoke operator: %v", err)
	}
	for _, bad := range []Token{{Role: "boss"}, {Role: Agent, Agents: []string{"[a"}}, {Role: Agent, Space: "*"}, {Role: Viewer, Space: strings.Repeat("x", 129)}, {Role: Viewer, Space: "team/eu"}, {Role: Viewer, Space: "a\x00b"}} {
		if _, _, err := k.Create(bad); !errors.Is(err, ErrBadToken) {
			t.Errorf("create %+v: %v", bad, err)
		}
	}
}

func TestSession(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	k := open(t, t.TempDir(), &now)
	key, tok, _ := k.Create(Token{Name: "ann", Role: Viewer, Space: "main"})
	v, _ := k.Session(tok)
	if got, ok := k.CheckSession(v); !ok || got.ID != tok.ID {
		t.Fatalf("own session refused: %+v %v", got, ok)
	}
	if strings.Contains(v, key) {
		t.Error("the key stands in the cookie")
	}
	for i := range len(v) {
		bad := []byte(v)
		bad[i] ^= 1
		if _, ok := k.CheckSession(string(bad)); ok {
			t.Fatalf("accepted with character %d changed", i)
		}
	}
	later := now
	now = now.Add(SessionLife)
	if _, ok := k.CheckSession(v); ok {
		t.Error("accepted after its life")
	}
	now = later
	k.Revoke(tok.ID)
	if _, ok := k.CheckSession(v); ok {
		t.Error("accepted after its key was revoked")
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		r, min Role
		want   bool
	}{
		{Agent, Agent, true}, {Agent, Viewer, false}, {Viewer, Agent, false}, {Viewer, Viewer, true}, {Viewer, Operator, false},
		{Operator, Agent, true}, {Operator, Viewer, true}, {Operator, Admin, false}, {Admin, Agent, true}, {Admin, Admin, true}, {"", Viewer, false}, {"", Agent, false},
	} {
		if got := c.r.Includes(c.min); got != c.want {
			t.Errorf("%q includes %q: got %v", c.r, c.min, got)
		}
	}
}

func TestGate(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	k := open(t, t.TempDir(), &now)
	op, _ := k.Standing("operator")
	ag, _ := k.Standing("agent")
	tok, _ := k.Check(op)
	cookie, _ := k.Session(tok)
	afar := netip.MustParseAddrPort("203.0.113.7:40000")
	for _, c := range []struct {
		name   string
		r      engine.Request
		status int
		space  string
	}{
		{"agent", engine.Request{Path: AgentPath, Key: ag}, 0, "main"},
		{"operator sends", engine.Request{Path: AgentPath, Key: op}, 0, "main"},
		{"no key", engine.Request{Path: AgentPath}, 401, ""},
		{"wrong key", engine.Request{Path: AgentPath, Key: ag + "x"}, 401, ""},
		{"agent looks", engine.Request{Path: LivePath, Key: ag}, 403, ""},
		{"operator looks", engine.Request{Path: LivePath, Key: op}, 0, "*"},
		{"browser", engine.Request{Path: LivePath, Cookie: "a=b; " + SessionCookie + "=" + cookie, Origin: "http://h:7680", Host: "h:7680"}, 0, "*"},
		{"other page", engine.Request{Path: LivePath, Cookie: SessionCookie + "=" + cookie, Origin: "http://evil", Host: "h:7680"}, 403, ""},
		{"agent from afar", engine.Request{Path: AgentPath, Key: ag, Remote: afar, Listener: ListenerIngest}, 0, "main"},
		{"agent from afar on the web port", engine.Request{Path: AgentPath, Key: ag, Remote: afar, Listener: ListenerWeb}, 404, ""},
		{"viewer from afar", engine.Request{Path: LivePath, Key: op, Remote: afar, Listener: ListenerWeb}, 0, "*"},
		{"viewer from afar on the ingest port", engine.Request{Path: LivePath, Key: op, Remote: afar, Listener: ListenerIngest}, 404, ""},
		{"cookie for an agent link", engine.Request{Path: AgentPath, Cookie: SessionCookie + "=" + cookie}, 401, ""},
	} {
		if !c.r.Remote.IsValid() {
			c.r.Remote = netip.MustParseAddrPort("127.0.0.1:40000")
		}
		g, ref := k.Admit(&c.r)
		status := 0
		if ref != nil {
			status = ref.Status
		}
		if status != c.status || g.Space != c.space {
			t.Errorf("%s: got %d %q, want %d %q", c.name, status, g.Space, c.status, c.space)
		}
	}
}
