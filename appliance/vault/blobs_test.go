package vault

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"
)

// TestBlobs takes blobs through backup, restore and verify, and spoils them.
func TestBlobs(t *testing.T) {
	ctx := context.Background()
	data := folder(t, func(*wal.Log) {})
	put := func(content string) blob.Key {
		store, err := blob.Open(blob.Options{Dir: filepath.Join(data, blobsName)})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		k, err := store.Put("main", "text/plain", []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	name := func(l *wal.Log, seq uint64, k blob.Key) {
		w := l.Writer()
		p, _, err := w.Fence(wal.ProducerKey{Space: "main", Owner: "k"}, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		e := wire.Event{Type: wire.TypeTool, Agent: "a", Output: (&wire.Blob{SHA256: k.Sum}).Value()}
		payload := e.AppendMsgpack(nil)
		h, fe := wire.CheckPayload(payload)
		if fe != nil {
			t.Fatal(fe)
		}
		w.Append(p, seq, uint8(h.Type), h.Flags(), w.Agent([]byte("main"), []byte("a")), 0, 1, payload)
	}
	one, two := put("one"), put(strings.Repeat("two", 1000))
	at(t, data, func(l *wal.Log) { name(l, 1, one); name(l, 2, two); name(l, 3, one) })
	to := filepath.Join(t.TempDir(), "b")
	first, err := BackupAtRest(ctx, data, Ask{To: to}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	put("three")
	second, err := BackupAtRest(ctx, data, Ask{To: to}, "", nil)
	if err != nil || second.Files-second.CopiedFiles < 2 {
		t.Fatalf("%+v after %+v: %v", second, first, err)
	}
	if r, all := verify(t, Subject{Data: data}); !r.Intact || r.Blobs != 3 {
		t.Errorf("%d blobs: %s", r.Blobs, all)
	}
	if r, all := verify(t, Subject{Backups: to}); !r.Intact || r.Blobs != 3 {
		t.Errorf("backup: %d blobs: %s", r.Blobs, all)
	}
	again := filepath.Join(t.TempDir(), "again")
	if _, err := Restore(ctx, Wanted{From: to, Data: again}, nil); err != nil {
		t.Fatal(err)
	}
	if r, all := verify(t, Subject{Data: again}); !r.Intact || r.Blobs != 3 {
		t.Errorf("restored: %d blobs: %s", r.Blobs, all)
	}

	// One is changed, one is gone: both are named with who names them.
	file := filepath.Join(again, blobsName, two.Name())
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p[len(p)-1] ^= 1
	if err := os.WriteFile(file, p, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(again, blobsName, one.Name())); err != nil {
		t.Fatal(err)
	}
	// A backup of it has the damage too, and says so.
	bad := filepath.Join(t.TempDir(), "bad")
	if _, err := BackupAtRest(ctx, again, Ask{To: bad}, "", nil); err != nil {
		t.Fatal(err)
	}
	if r, all := verify(t, Subject{Backups: bad}); r.Intact || len(r.Damages) != 2 || !strings.Contains(all, one.String()+" is missing") || !strings.Contains(all, two.String()+" is damaged") {
		t.Errorf("backup: %s", all)
	}
	r, all := verify(t, Subject{Data: again})
	if r.Intact || len(r.Damages) != 2 || !strings.Contains(all, one.String()+" is missing; 2 events name it") || !strings.Contains(all, two.String()+" is damaged") || !strings.Contains(all, "1 events name it") {
		t.Errorf("%s", all)
	}
	for _, d := range r.Damages {
		if d.Part != "blob" || d.From == 0 || d.To < d.From || d.File == "" {
			t.Errorf("%+v", d)
		}
	}
}
