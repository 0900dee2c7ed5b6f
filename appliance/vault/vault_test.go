package vault

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eyrie/appliance/audit"
	"eyrie/wal"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder makes a data folder whose log fn appends to.
func folder(t *testing.T, fn func(l *wal.Log)) string {
	t.Helper()
	data := t.TempDir()
	if err := os.MkdirAll(filepath.Join(data, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "keys", "operator"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	at(t, data, fn)
	return data
}

func at(t *testing.T, data string, fn func(l *wal.Log)) {
	t.Helper()
	l, err := wal.Open(wal.Options{Dir: filepath.Join(data, "log"), DiskMin: 1})
	if err != nil {
		t.Fatal(err)
	}
	fn(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func verify(t *testing.T, s Subject) (*Report, string) {
	t.Helper()
	r, err := Verify(context.Background(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range r.Damages {
		all = append(all, r.Damages[i].String())
	}
	return r, strings.Join(all, "; ")
}

// TestAuditChain verifies a chain that goes on over openings of the log, a backup
// and a restore, and one in which an entry was removed.
func TestAuditChain(t *testing.T) {
	data := folder(t, func(l *wal.Log) { record(l, &audit.Entry{Action: "one"}) })
	at(t, data, func(l *wal.Log) { record(l, &audit.Entry{Action: "two"}) })
	made, err := BackupAtRest(context.Background(), data, Ask{To: filepath.Join(data, "b"), Keys: true}, "local:me", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r, all := verify(t, Subject{Data: data}); !r.Intact || r.Audit != 3 {
		t.Errorf("%d entries: %s", r.Audit, all)
	}
	again := filepath.Join(t.TempDir(), "again")
	if _, err := Restore(context.Background(), Wanted{From: filepath.Join(data, "b"), Backup: made.Name, Data: again, By: "local:me"}, nil); err != nil {
		t.Fatal(err)
	}
	if key, err := os.ReadFile(filepath.Join(again, "keys", "operator")); err != nil || string(key) != "secret" {
		t.Errorf("%q %v", key, err)
	}
	if r, all := verify(t, Subject{Data: again}); !r.Intact || r.Audit != 3 || r.Epoch < 2 {
		t.Errorf("%d entries, epoch %d: %s", r.Audit, r.Epoch, all)
	}
	if r, all := verify(t, Subject{Backups: filepath.Join(data, "b")}); !r.Intact || r.Audit != 2 {
		t.Errorf("%d entries: %s", r.Audit, all)
	}
	for name, what := range map[string]struct {
		write func(l *wal.Log, c *audit.Chain)
		said  string
	}{
		"removed": {func(l *wal.Log, c *audit.Chain) {
			c.Append(nil, &audit.Entry{Action: "removed"})
			l.Writer().System(wal.KindSystem, audit.Class, 0, c.Append(nil, &audit.Entry{Action: "three"}))
		}, "others were removed"},
		"changed": {func(l *wal.Log, c *audit.Chain) {
			p := c.Append(nil, &audit.Entry{Action: "three"})
			l.Writer().System(wal.KindSystem, audit.Class, 0, []byte(strings.Replace(string(p), "three", "eerht", 1)))
		}, "was changed"},
	} {
		bad := folder(t, func(l *wal.Log) {
			c := audit.NewChain(l.ID())
			l.Writer().System(wal.KindSystem, audit.Class, 0, c.Append(nil, &audit.Entry{Action: "one"}))
			what.write(l, &c)
		})
		if r, all := verify(t, Subject{Data: bad}); r.Intact || !strings.Contains(all, "audit, offset 2: ") || !strings.Contains(all, what.said) {
			t.Errorf("%s: %s", name, all)
		}
	}
}

func TestNoLog(t *testing.T) {
	if _, err := Verify(context.Background(), Subject{Data: t.TempDir()}, nil); err == nil {
		t.Error("an empty folder was verified")
	}
	dir := t.TempDir()
	if _, err := BackupAtRest(context.Background(), dir, Ask{To: dir + "/b"}, "", nil); err == nil {
		t.Error("an empty folder was backed up")
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("it made %v", names)
	}
}
