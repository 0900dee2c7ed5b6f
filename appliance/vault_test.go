//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupRestoreVerify takes backups of a running server, restores one, serves
// it, and damages what is left.
func TestBackupRestoreVerify(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "backups")
	p := serve(t, data)
	at := []string{"--data", data, "--server", "http://" + p.ingest}
	send := func(msg string) {
		t.Helper()
		runEyrie(t, append([]string{"send", "--agent", "a", "--type", "message", "--msg", msg}, at...)...).want(t, 0)
	}
	send("before")
	first := runEyrie(t, append([]string{"backup", "--to", to, "--json"}, at...)...)
	first.want(t, 0)
	var made struct {
		Name  string
		Next  uint64
		Epoch uint32
	}
	if err := json.Unmarshal([]byte(first.stdout), &made); err != nil {
		t.Fatal(err)
	}
	send("between")
	runEyrie(t, append([]string{"backup", "--to", to}, at...)...).want(t, 0, "files were new")
	send("after")
	runEyrie(t, append([]string{"audit"}, at...)...).want(t, 0, "backup.create", "server.start", "operator")
	runEyrie(t, "verify", "--data", data).want(t, exitData, "in use")
	stopped(t, p)

	runEyrie(t, "verify", "--data", data).want(t, 0, "intact", "3 views")
	runEyrie(t, "backup", "--to", to, "--data", data).want(t, 0)
	runEyrie(t, "backup", "--to", to, "--list").want(t, 0, made.Name, "epoch 1")
	runEyrie(t, "verify", "--backups", to, "--backup", made.Name).want(t, 0, "intact")
	again := filepath.Join(dir, "again")
	runEyrie(t, "restore", "--from", to, "--data", again, "--to-offset", "9999999").want(t, exitUsage, "behind the backup's end")
	runEyrie(t, "restore", "--from", to, "--data", data).want(t, exitUsage, "not empty")
	runEyrie(t, "restore", "--from", to, "--backup", "none", "--data", again).want(t, exitUsage, "no such backup")
	runEyrie(t, "restore", "--from", to, "--data", again, "--to-time", "soon").want(t, exitUsage, "--to-time")
	runEyrie(t, "restore", "--from", to, "--data", filepath.Join(dir, "past"), "--to-time", "1h").want(t, 0, "dropped: offsets 1 to")
	runEyrie(t, "restore", "--from", to, "--backup", made.Name, "--data", again).want(t, 0, "epoch ", "begins at offset")
	runEyrie(t, "verify", "--data", again, "--json").want(t, 0, `"intact": true`)

	p = serve(t, again)
	var events struct {
		Items []struct{ Msg string }
		Epoch uint32
	}
	p.get("/v1/events?space=main&order=asc", &events)
	if len(events.Items) != 1 || events.Items[0].Msg != "before" || events.Epoch <= made.Epoch {
		t.Errorf("%+v", events)
	}
	var agents struct{ Total int }
	for until := time.Now().Add(10 * time.Second); agents.Total != 1; time.Sleep(10 * time.Millisecond) { // the views are folded anew
		if p.get("/v1/agents?space=main", &agents); time.Now().After(until) {
			t.Fatalf("%+v", agents)
		}
	}
	runEyrie(t, "audit", "--data", again, "--server", "http://"+p.web).want(t, 0, "backup.restore", "local:")
	stopped(t, p)

	// A bit of each file of the log's store and of its mark, of the views, and of
	// the backup.
	named := 0
	for _, pattern := range []string{"log/mark", "log/store/*.log", "log/store/*.sst", "log/store/MANIFEST*", "views/*.sst"} {
		files, err := filepath.Glob(filepath.Join(again, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if r := flipped(t, f, "verify", "--data", again); r.code != 0 {
				named++
			}
		}
	}
	if named < 4 {
		t.Errorf("%d damaged files were named", named)
	}
	pool, err := filepath.Glob(filepath.Join(to, "files", "*"))
	if err != nil || len(pool) < 5 {
		t.Fatal(pool, err)
	}
	r := flipped(t, filepath.Join(to, "backups", made.Name+".json"), "verify", "--backups", to, "--backup", made.Name)
	r.want(t, exitData, made.Name+".json")
	r = flipped(t, filepath.Join(to, "backups", made.Name+".json"), "restore", "--from", to, "--backup", made.Name, "--data", filepath.Join(dir, "third"))
	r.want(t, exitData, made.Name+".json")
	damaged := 0
	for _, f := range pool {
		if r := flipped(t, f, "verify", "--backups", to); r.code != 0 && strings.Contains(r.stdout, filepath.Base(f)) {
			damaged++
		}
	}
	if damaged < 5 {
		t.Errorf("%d of %d damaged files of backups were named", damaged, len(pool))
	}
}

// flipped runs a command while a bit in the middle of a file is flipped.
func flipped(t *testing.T, file string, args ...string) result {
	t.Helper()
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(p) == 0 {
		return result{}
	}
	bad := append([]byte(nil), p...)
	bad[len(p)/2] ^= 4
	write := func(p []byte) {
		if err := os.WriteFile(file, p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(bad)
	defer write(p)
	return runEyrie(t, args...)
}

// stopped ends a server in order.
func stopped(t *testing.T, p *process) {
	t.Helper()
	if code, _ := p.terminate(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p)
	}
}
