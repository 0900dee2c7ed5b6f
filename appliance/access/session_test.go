package access

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"eyrie/engine"
)

// A standing key is revoked by deleting its file: the sessions that it opened
// end with it, although the new key has the same id.
func TestSessionEndsWithItsKey(t *testing.T) {
	dir := t.TempDir()
	open := func() *Keys {
		t.Helper()
		k, _, err := Open(dir, time.Now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := open()
	tok, ok := k.Get("operator")
	if !ok {
		t.Fatal("no operator")
	}
	v, _ := k.Session(tok)
	if _, ok := open().CheckSession(v); !ok {
		t.Error("a restart ended the session")
	}
	if err := os.Remove(filepath.Join(dir, "operator")); err != nil {
		t.Fatal(err)
	}
	if _, ok := open().CheckSession(v); ok {
		t.Error("the session outlived its key")
	}
}

// An empty list of patterns means any agent, on every way in.
func TestEmptyPatterns(t *testing.T) {
	k, _, err := Open(t.TempDir(), time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, tok, err := k.Create(Token{Role: Agent, Agents: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	g, refusal := k.Admit(&engine.Request{Path: AgentPath, Key: key})
	if refusal != nil || g.Agents != nil || !tok.Speaks("x") {
		t.Errorf("got grant %+v, refusal %+v", g, refusal)
	}
}
