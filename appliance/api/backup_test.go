//go:build linux

package api_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// backupState is what GET /v1/backup answers.
type backupState struct {
	State string
	Error string
	Made  struct {
		Name        string
		Next        uint64
		CopiedFiles int `json:"copied_files"`
		Files       int
	}
}

// backedUp waits for the end of the backup that is being made, if one is.
func backedUp(t *testing.T, r *rig) (s backupState) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r.get("/v1/backup", &s); s.State != "running" {
			return s
		}
		if time.Now().After(until) {
			t.Fatal("the backup does not end")
		}
	}
}

func TestBackup(t *testing.T) {
	r := newRig(t)
	admin := r.keys["admin"]
	for body, field := range map[string]string{`{"to":"here"}`: "to", `{}`: "to", `no`: "body", `{"to":"/x","keep":-1}`: "keep"} {
		if err := r.ask("POST", "/v1/backup", admin, body).problem(400, "bad_parameter", field); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	if s := backedUp(t, r); s.State != "none" {
		t.Errorf("%+v", s)
	}
	p, _ := r.post(r.keys["agent"], sample)
	dir := t.TempDir()
	r.ask("POST", "/v1/backup", admin, `{"to":"`+dir+`"}`)
	first := backedUp(t, r)
	if first.State != "done" || first.Made.Next <= p.Last || first.Made.CopiedFiles != first.Made.Files {
		t.Errorf("%+v", first)
	}
	r.ask("POST", "/v1/backup", admin, `{"to":"`+dir+`","keys":false}`)
	if second := backedUp(t, r); second.State != "done" || second.Made.CopiedFiles >= second.Made.Files || second.Made.Name == first.Made.Name {
		t.Errorf("%+v", second)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ask("POST", "/v1/backup", admin, `{"to":"`+file+`"}`)
	if s := backedUp(t, r); s.State != "failed" || s.Error == "" {
		t.Errorf("%+v", s)
	}
}

// TestVerify has a running server verify itself.
func TestVerify(t *testing.T) {
	r := newRig(t)
	p, _ := r.post(r.keys["agent"], sample)
	if err := r.ask("POST", "/v1/verify", r.keys["operator"], "").problem(403, "role", ""); err != nil {
		t.Error(err)
	}
	r.ask("POST", "/v1/verify", r.keys["admin"], "")
	var s struct {
		State  string
		Error  string
		Report struct {
			Intact  bool
			Next    uint64
			Digests int
			Audit   int
			Damages []any
		}
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r.get("/v1/verify", &s); s.State != "running" {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the verification does not end")
		}
	}
	if s.State != "done" || !s.Report.Intact || s.Report.Next <= p.Last || s.Report.Digests == 0 || s.Report.Audit == 0 {
		t.Errorf("%+v", s)
	}
}

// What operators do is in the audit chain, newest first, with who and from where.
func TestAudit(t *testing.T) {
	r := newRig(t)
	admin := r.keys["admin"]
	r.ask("POST", "/v1/tokens", admin, `{"role":"viewer","name":"new"}`)
	r.ask("POST", "/v1/session", "", `{"key":"`+admin+`"}`)
	r.ask("DELETE", "/v1/tokens/"+victim(t, r), admin, "")
	type row struct {
		N                          uint64
		Action, Object, By, Remote string
		Hash                       string
	}
	var page struct {
		Items []row
		Next  string
		Total int
	}
	r.get("/v1/audit?limit=3", &page)
	if len(page.Items) != 3 || page.Next == "" || page.Total != int(page.Items[0].N) || page.Total < 5 {
		t.Fatalf("%+v", page)
	}
	for i, want := range []string{"token.revoke", "session.create", "token.create"} {
		e := page.Items[i]
		if e.Action != want || e.By != "operator" || e.Remote == "" || e.Object == "" || len(e.Hash) != 64 || e.N != page.Items[0].N-uint64(i) {
			t.Errorf("entry %d: %+v, want %s", i, e, want)
		}
	}
	page.Items = nil
	r.get("/v1/audit?after="+page.Next, &page)
	var rest []string
	for _, e := range page.Items {
		rest = append(rest, e.Action)
	}
	if len(rest) != 2 || rest[0] != "server.start" || rest[1] != "keys.create" {
		t.Error(rest)
	}
	if err := r.ask("GET", "/v1/audit?after=x", admin, "").problem(400, "bad_parameter", "after"); err != nil {
		t.Error(err)
	}
}
