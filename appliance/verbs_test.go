//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("ring-mib: 8\nrings: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		said string
	}{
		{[]string{"serve", "--rings", "3"}, "--rings"},
		{[]string{"dance"}, "dance"},
		{[]string{}, "expected one of"},
		{[]string{"serve", "--ring-mib", "5"}, "ring-mib: got 5"},
		{[]string{"serve", "--ring-mib", "many"}, "ring-mib"},
		{[]string{"serve", "--web", "7680"}, "web:"},
		{[]string{"serve", "--ping-every", "2m"}, "ping-every"},
		{[]string{"serve", "--config", bad}, "rings"},
		{[]string{"serve", "--config", filepath.Join(dir, "none.yaml")}, "none.yaml"},
		{[]string{"serve", "--log-level", "loud"}, "log-level"},
		{[]string{"send", "--server", "ftp://x", "--key", "k"}, "ftp"},
		{[]string{"send", "--data", dir}, "no key"},
		{[]string{"token", "create", "x", "--role", "king"}, "king"},
		{[]string{"follow", "claude-code", "--key", "k", filepath.Join(dir, "nowhere")}, "nowhere"},
		{[]string{"watch", "--key", "k"}, "cmd"},
		{[]string{"plan"}, "--agents and --rate"},
		{[]string{"plan", "--agents", "10", "--rate=-1"}, "--rate: want a number"},
		{[]string{"plan", "--agents", "10", "--rate", "1", "--from", filepath.Join(dir, "none.json")}, "none.json"},
		{[]string{"plan", "--agents", "10", "--rate", "1", "--from", bad}, "not a JSON report"},
		{[]string{"plan", "--from", bad, "--server", "http://127.0.0.1:1"}, "either"},
	} {
		r := runEyrie(t, append(c.args, "--data="+filepath.Join(dir, "data"))...)
		if len(c.args) == 0 || c.args[0] == "dance" || c.args[0] == "send" && c.args[1] == "--data" {
			r = runEyrie(t, c.args...)
		}
		if r.code != exitUsage || !strings.Contains(r.stderr, c.said) {
			t.Errorf("%q: exit code %d, %q; want 2 and a word of %q", c.args, r.code, r.stderr, c.said)
		}
		if r.stdout != "" {
			t.Errorf("%q: the error went to standard output: %q", c.args, r.stdout)
		}
	}
}

// docs/cli.md shows every key that --print-config prints, and no other.
func TestDocsShowThePrintedConfiguration(t *testing.T) {
	longOnly(t)
	text, err := os.ReadFile("../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(text), "$ eyrie serve --print-config\n")
	shown, _, _ = strings.Cut(shown, "```")
	keys := func(s string) (all []string) {
		for l := range strings.Lines(s) {
			key, _, _ := strings.Cut(l, ":")
			all = append(all, key)
		}
		return all
	}
	r := runEyrie(t, "serve", "--print-config")
	r.want(t, 0)
	if got, want := keys(shown), keys(r.stdout); !slices.Equal(got, want) {
		t.Errorf("docs/cli.md shows\n%q\nwant\n%q", got, want)
	}
}

// What --print-config prints is a configuration file that says the same.
func TestPrintConfigRoundTrip(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--ring-mib", "16", "--web", "127.0.0.1:1234", "--save-every", "1m30s", "--listen-all", "--data", filepath.Join(dir, "a folder: #1")}
	first := runEyrie(t, append([]string{"serve", "--print-config"}, args...)...)
	first.want(t, 0, "ring-mib: 16", "# flag", "# default", "# tuned")
	file := filepath.Join(dir, "eyrie.yaml")
	if err := os.WriteFile(file, []byte(first.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	second := runEyrie(t, "serve", "--print-config", "--config", file)
	second.want(t, 0, "# file "+file)
	strip := func(s string) (out []string) {
		for line := range strings.Lines(s) {
			key, value, ok := strings.Cut(line, ": ")
			if i := strings.LastIndex(value, " # "); ok && i >= 0 {
				out = append(out, key+": "+strings.TrimSpace(value[:i]))
			}
		}
		return out
	}
	a, b := strip(first.stdout), strip(second.stdout)
	if len(a) < 15 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("printed\n%s\nread back\n%s", first.stdout, second.stdout)
	}
	if _, err := os.Stat(filepath.Join(dir, "a folder: #1")); err == nil {
		t.Error("--print-config made the data folder")
	}
	cmd := eyrie("serve", "--print-config", "--config", file)
	cmd.Env = append(cmd.Env, "EYRIE_RING_MIB=32")
	runCmd(t, cmd).want(t, 0, "ring-mib: 32", "# variable EYRIE_RING_MIB")
	cmd = eyrie("serve", "--print-config", "--config", file, "--ring-mib", "64")
	cmd.Env = append(cmd.Env, "EYRIE_RING_MIB=32")
	runCmd(t, cmd).want(t, 0, "ring-mib: 64")
}

func TestNoServer(t *testing.T) {
	for _, args := range [][]string{
		{"send", "--msg", "x"}, {"tail", "-n", "1"}, {"token", "list"},
		{"follow", "claude-code", "--once", t.TempDir()},
	} {
		r := runEyrie(t, append(args, "--key", "k", "--server", "http://127.0.0.1:1")...)
		if r.code != exitServer || !strings.Contains(r.stderr, "127.0.0.1:1") {
			t.Errorf("%q: exit code %d, %q; want 4 and the address", args, r.code, r.stderr)
		}
	}
}

// TestVerbs runs the client verbs against one server.
func TestVerbs(t *testing.T) {
	longOnly(t)
	t.Parallel()
	p := serve(t, t.TempDir())
	t.Run("token", func(t *testing.T) { tokens(t, p) })
	t.Run("send", func(t *testing.T) { sends(t, p) })
	t.Run("tail", func(t *testing.T) { tails(t, p) })
	t.Run("watch", func(t *testing.T) { watches(t, p) })
	t.Run("follow", func(t *testing.T) { follows(t, p) })
	if code, took := p.terminate(); code != 0 || took > 5*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, took, p)
	}
}

func tokens(t *testing.T, p *process) {
	made := p.client("token", "create", "ci", "--role", "agent", "--agents", "ci-*", "--json")
	made.want(t, 0)
	var tok token
	if err := json.Unmarshal([]byte(made.stdout), &tok); err != nil || tok.Key == "" || tok.ID == "" || tok.Role != "agent" {
		t.Fatalf("%q: %v", made.stdout, err)
	}
	send := func(agent string) result {
		return runEyrie(t, "send", "--server", p.ingest, "--key", tok.Key, "--agent", agent, "--msg", "x")
	}
	send("ci-1").want(t, 0, "stored 1")
	send("prod").want(t, exitFailed, "refused", "agent", "forbidden")
	list := p.client("token", "list")
	list.want(t, 0, tok.ID, "ci-*", "operator", "valid")
	if strings.Contains(list.stdout, tok.Key) {
		t.Error("token list shows a key")
	}
	p.client("token", "revoke", tok.ID).want(t, 0, tok.ID, "revoked")
	send("ci-1").want(t, exitServer, "not known")
	p.client("token", "list").want(t, 0, "revoked")
	p.client("token", "revoke", "k_nobody").want(t, exitFailed, "no key has this id")
	p.client("token", "revoke", "operator").want(t, exitFailed)
	r := runEyrie(t, "token", "list", "--server", p.web, "--key", tok.Key)
	r.want(t, exitServer)
	plain := p.client("token", "create", "look", "--role", "viewer")
	plain.want(t, 0)
	if !strings.HasPrefix(plain.stdout, "eyrie_") || strings.Count(plain.stdout, "\n") != 1 || !strings.Contains(plain.stderr, "shown this once") {
		t.Errorf("token create says %q and %q", plain.stdout, plain.stderr)
	}
	runEyrie(t, "send", "--server", p.web, "--key", strings.TrimSpace(plain.stdout), "--msg", "x").want(t, exitServer, "viewer")
}

func sends(t *testing.T, p *process) {
	p.client("send", "--agent", "s", "--metric", "cpu=1.5", "--label", "k=v").want(t, 0, "stored 1 at offset")
	p.client("send", "--agent", "s", "--state", "waiting").want(t, 0)
	p.client("send", "--agent", "s", "--type", "dance").want(t, exitFailed, "events[0].type", "enum")
	p.client("send", "--agent", "s", "--metric", "cpu=much").want(t, exitFailed, "metric")
	cmd := p.clientCmd("send", "--stdin", "--json")
	cmd.Stdin = strings.NewReader("{\"type\":\"log\",\"agent\":\"s\",\"msg\":\"a\"}\n\n{\"type\":\"log\",\"agent\":\"s\",\"ts\":-1}\n")
	r := runCmd(t, cmd)
	var a sendAnswer
	if err := json.Unmarshal([]byte(r.stdout), &a); err != nil || a.Stored != 1 || len(a.Refused) != 1 || a.Refused[0].Index != 1 || a.Refused[0].Field != "events[1].ts" {
		t.Errorf("%+v: %+v, %v", r, a, err)
	}
	cmd = p.clientCmd("send", "--stdin")
	cmd.Stdin = strings.NewReader("not json\n")
	runCmd(t, cmd).want(t, exitFailed, "line 1")
}

func tails(t *testing.T, p *process) {
	for i := range 5 {
		p.client("send", "--agent", "tailed", "--msg", fmt.Sprintf("line %d\x1b[31m", i)).want(t, 0)
	}
	r := p.client("tail", "-n", "3", "--from", "1", "--agent", "tailed", "--space", "main")
	r.want(t, 0, "line 0", "line 2", `\u001b`)
	if n := strings.Count(r.stdout, "\n"); n != 3 || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("%d lines:\n%q", n, r.stdout)
	}
	r = p.client("tail", "-n", "2", "--from", "1", "--agent", "tailed", "--json")
	r.want(t, 0)
	var e storedEvent
	for line := range strings.Lines(r.stdout) {
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Agent != "tailed" || e.Type != "message" {
			t.Errorf("%q: %v", line, err)
		}
	}
	// Live: it is there before the event is sent, and ends with an interrupt.
	cmd := p.clientCmd("tail", "--agent", "tailed")
	out := &safeBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	for deadline := time.Now().Add(15 * time.Second); !strings.Contains(out.String(), "right now"); {
		if time.Now().After(deadline) {
			t.Fatalf("the tail never showed it: %s", out)
		}
		p.client("send", "--agent", "tailed", "--msg", "right now").want(t, 0)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	p.client("tail", "-n", "1", "-q", "((", "--from", "1").want(t, exitFailed, "eyrie: query: at 2")
}

func watches(t *testing.T, p *process) {
	r := p.client("watch", "--id", "w-ok", "--content", "full", "--", "sh", "-c", "echo out; echo err >&2")
	r.want(t, 0)
	if r.stdout != "out\n" || !strings.Contains(r.stderr, "err\n") {
		t.Errorf("the program's own output is %q and %q", r.stdout, r.stderr)
	}
	p.client("watch", "--id", "w-7", "--", "sh", "-c", "exit 7").want(t, 7)
	p.client("watch", "--id", "w-none", "--", "/no/such/program").want(t, 127)
	cmd := p.clientCmd("watch", "--id", "w-in", "--", "cat")
	cmd.Stdin = strings.NewReader("through")
	if r := runCmd(t, cmd); r.stdout != "through" || r.code != 0 {
		t.Errorf("%+v", r)
	}
	status := map[string]string{}
	for _, e := range p.events() {
		if e.Status != "" && strings.HasPrefix(e.Agent, "w-") {
			status[e.Agent] = e.Status
		}
	}
	if status["w-ok"] != "ok" || status["w-7"] != "error" || status["w-in"] != "ok" {
		t.Errorf("the runs ended as %v", status)
	}
}

// A server that is not there keeps no program from running.
func TestWatchWithoutServer(t *testing.T) {
	t.Parallel()
	r := runEyrie(t, "watch", "--server", "http://127.0.0.1:1", "--key", "k", "--", "sh", "-c", "echo ran; exit 3")
	if r.code != 3 || r.stdout != "ran\n" {
		t.Errorf("%+v", r)
	}
}

func follows(t *testing.T, p *process) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("sources/claudecode/testdata/live")); err != nil {
		t.Fatal(err)
	}
	once := func() (events int) {
		t.Helper()
		r := p.client("follow", "claude-code", "--once", "--json", "--host", "h", dir)
		r.want(t, 0)
		var a struct{ Files, Lines, Events int }
		if err := json.Unmarshal([]byte(r.stdout), &a); err != nil || a.Files != 1 {
			t.Fatalf("%q: %+v, %v", r.stdout, a, err)
		}
		return a.Events
	}
	before := len(p.events())
	sent := once()
	first := len(p.events())
	if sent == 0 || first-before != sent {
		t.Fatalf("%d events sent, %d stored", sent, first-before)
	}
	if again := once(); again != 0 || len(p.events()) != first {
		t.Errorf("the second run sent %d events and stored %d", again, len(p.events())-first)
	}
	// One more record adds what it says.
	matches, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	if err != nil || len(matches) != 1 {
		t.Fatal(matches, err)
	}
	b, err := os.ReadFile(matches[0])
	if err != nil {
		t.Fatal(err)
	}
	sid := strings.TrimSuffix(filepath.Base(matches[0]), ".jsonl")
	b = append(bytes.TrimRight(b, "\n"), fmt.Sprintf("\n"+`{"type":"user","sessionId":%q,"uuid":"u-more","timestamp":"2026-03-01T11:00:00.000Z","message":{"role":"user","content":"And now the prices."}}`+"\n", sid)...)
	if err := os.WriteFile(matches[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if more := once(); more == 0 || len(p.events()) != first+more {
		t.Errorf("one more record sent %d events and stored %d", more, len(p.events())-first)
	}
	var runs struct{ Items []struct{ Agent string } }
	for deadline := time.Now().Add(10 * time.Second); len(runs.Items) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no run of the session")
		}
		p.get("/v1/runs?space=main&agent="+sid, &runs)
	}
}
