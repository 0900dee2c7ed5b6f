package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"eyrie/appliance/audit"
	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"
)

// Ask says what backup is wanted.
type Ask struct {
	To   string // folder of backups
	Keep int    // newest backups that stay there; 0 is all
	Keys bool   // take the folder of keys along
}

// Made is a backup that was made.
type Made struct {
	Name        string   `json:"name"`
	To          string   `json:"to"`
	Log         string   `json:"log"` // id
	Epoch       uint32   `json:"epoch"`
	Next        uint64   `json:"next"`    // first offset that is not in it
	Recv        float64  `json:"recv_ms"` // of the last record in it, Unix ms
	Files       int      `json:"files"`
	Bytes       int64    `json:"bytes"`
	CopiedFiles int      `json:"copied_files"` // the rest was there already
	CopiedBytes int64    `json:"copied_bytes"`
	Removed     []string `json:"removed"` // older ones
	Damaged     []string `json:"damaged"` // older ones that cannot be read
	Seconds     float64  `json:"seconds"`
}

// uuid writes a log's id, in hexadecimal, as the API does.
func uuid(id string) string {
	p, err := hex.DecodeString(id)
	if err != nil || len(p) != 16 {
		return id
	}
	return wire.FormatUUID([16]byte(p))
}

func millis(ns int64) float64 { return float64(ns/1e3) / 1e3 }

// Backup makes a backup of the open log of the folder data, with its blobs,
// none of which is dropped meanwhile.
func Backup(ctx context.Context, log *wal.Log, store *blob.Store, data string, ask Ask, progress func(done, total int64)) (*Made, error) {
	defer store.Pin()()
	o := wal.BackupOptions{Dir: ask.To, Keep: ask.Keep, Progress: progress, Beside: func() (map[string]string, error) { return blobFiles(store) }}
	if ask.Keys {
		var err error
		if o.Also, err = keyFiles(data); err != nil {
			return nil, err
		}
	}
	r, err := log.Backup(ctx, o)
	if err != nil {
		return nil, err
	}
	b := r.Backup
	return &Made{Name: b.Name, To: ask.To, Log: uuid(b.Log), Epoch: b.Epoch, Next: b.Next, Recv: millis(b.Recv), Files: len(b.Files), Bytes: b.Bytes(),
		CopiedFiles: r.CopiedFiles, CopiedBytes: r.CopiedBytes, Removed: list(r.Removed), Damaged: list(r.Damaged), Seconds: seconds(r.Took)}, nil
}

func list(s []string) []string { return append([]string{}, s...) }

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

// keyFiles returns the files in the folder of keys, by their name in a backup.
func keyFiles(data string) (map[string]string, error) {
	dir := filepath.Join(data, "keys")
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	m := map[string]string{}
	for _, f := range files {
		if f.Type().IsRegular() {
			m["keys/"+f.Name()] = filepath.Join(dir, f.Name())
		}
	}
	return m, nil
}

// ErrNoLog is returned for a data folder without a log.
var ErrNoLog = errors.New("there is no log in it")

// BackupAtRest makes a backup of a data folder that no server holds; by is who
// asks for it. Errors beside those of Backup: ErrNoLog and those of wal.Open.
func BackupAtRest(ctx context.Context, data string, ask Ask, by string, progress func(done, total int64)) (made *Made, err error) {
	dir := filepath.Join(data, "log")
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	log, err := wal.Open(wal.Options{Dir: dir, Seal: wal.SealOptions{Off: true, Tier: Tier}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	store, err := blob.Open(blob.Options{Dir: filepath.Join(data, blobsName)})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	if made, err = Backup(ctx, log, store, data, ask, progress); err != nil {
		return nil, err
	}
	record(log, &audit.Entry{Action: "backup.create", Object: ask.To, By: by, Detail: Told(made)})
	return made, nil
}

// Told is what the audit chain says of a backup.
func Told(m *Made) string { return fmt.Sprintf("%s, offsets below %d", m.Name, m.Next) }

// record appends an entry to the audit chain of a log that nobody writes to. It
// is durable once the log is closed. Where the disk is full there is none.
func record(log *wal.Log, e *audit.Entry) {
	w := log.Writer()
	c := audit.Tail(log.ID(), func(at func(payload []byte) bool) {
		_, _, _ = log.Find(context.Background(), wal.Query{
			Kinds: wal.KindSystem.Mask(), Classes: 1 << audit.Class, Reverse: true, Limit: 1,
			Match: func(r *wal.Record) bool { return r.Class == audit.Class && at(r.Payload) },
		})
	})
	e.At = time.Now().UnixNano()
	w.System(wal.KindSystem, audit.Class, 0, c.Append(nil, e))
}
