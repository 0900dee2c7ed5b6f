//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"eyrie/wal"
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
	runEyrie(t, "verify", "--data", data).want(t, exitData, "in use", "--server")
	runEyrie(t, append([]string{"verify"}, at...)...).want(t, 0, "intact")
	runEyrie(t, "compact", "--data", data).want(t, exitData, "in use", "--server")
	runEyrie(t, append([]string{"compact"}, at...)...).want(t, 0, "sealed", "views")
	runEyrie(t, "backup", "--to", to, "--data", data).want(t, exitData, "in use", "--server")
	stopped(t, p)

	runEyrie(t, "verify", "--data", data).want(t, 0, "intact", "4 views")
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

// TestBackupUnderLoad takes backups while events come in, kills the server in the
// middle of one, and holds each whole backup to the ledger of what was acknowledged.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	data, to := filepath.Join(dir, "data"), filepath.Join(dir, "backups")
	p := serve(t, data)
	var mu sync.Mutex
	ledger := map[uint64]string{} // offset → message, as acknowledged
	ask := func(path string, body string, out any) error {
		req, err := http.NewRequest("POST", "http://"+p.web+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+p.key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(out)
	}
	var load sync.WaitGroup
	for lane := range 3 {
		load.Go(func() {
			for n := 0; ; n++ {
				msg := fmt.Sprintf("%d-%d %s", lane, n, strings.Repeat("x", 500))
				var a struct{ First uint64 }
				if ask("/v1/events", fmt.Sprintf(`{"type":"message","agent":"a%d","msg":%q}`, n%50, msg), &a) != nil {
					return // the server is gone
				}
				mu.Lock()
				ledger[a.First] = msg
				mu.Unlock()
			}
		})
	}
	acked := func() int { mu.Lock(); defer mu.Unlock(); return len(ledger) }
	var names []string
	for i := range 3 {
		for acked() < 100*(i+1) {
			time.Sleep(time.Millisecond)
		}
		r := runEyrie(t, "backup", "--to", to, "--data", data, "--server", "http://"+p.ingest, "--json")
		r.want(t, 0)
		var made struct{ Name string }
		if err := json.Unmarshal([]byte(r.stdout), &made); err != nil {
			t.Fatal(err)
		}
		names = append(names, made.Name)
	}
	var state struct{ State string }
	if err := ask("/v1/backup", fmt.Sprintf(`{"to":%q}`, to), &state); err != nil || state.State == "" {
		t.Fatal(state, err)
	}
	p.kill()
	load.Wait()
	list := runEyrie(t, "backup", "--to", to, "--list", "--json")
	list.want(t, 0)
	var rows []struct {
		Name, Error string
		Next        uint64
	}
	if err := json.Unmarshal([]byte(list.stdout), &rows); err != nil || len(rows) < len(names) {
		t.Fatal(list, err)
	}
	for i, b := range rows {
		if b.Error != "" || i < len(names) && b.Name != names[i] {
			t.Fatalf("%+v, made were %v", rows, names)
		}
		again := filepath.Join(dir, b.Name)
		runEyrie(t, "restore", "--from", to, "--backup", b.Name, "--data", again).want(t, 0)
		runEyrie(t, "verify", "--data", again).want(t, 0, "intact")
		log, err := wal.Open(wal.Options{Dir: filepath.Join(again, "log"), DiskMin: 1})
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for off, msg := range ledger {
			if off >= b.Next {
				continue
			}
			held++
			if r, err := log.Read(off); err != nil || !strings.Contains(string(r.Payload), msg) {
				t.Fatalf("backup %d, offset %d: %q %v", i, off, r.Payload, err)
			}
		}
		if held < 100*min(i+1, 3) {
			t.Errorf("backup %d holds %d acknowledged events", i, held)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	runEyrie(t, "verify", "--data", data).want(t, 0, "intact")
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
