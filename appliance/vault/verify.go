package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"eyrie/appliance/audit"
	"eyrie/appliance/views"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Subject is what is verified: a data folder, or a backup.
type Subject struct {
	Data    string
	Backups string // folder of backups, in place of Data
	Backup  string // its name; "" is the newest
}

// Report is what was found.
type Report struct {
	Intact   bool     `json:"intact"`
	Log      string   `json:"log"` // id
	Epoch    uint32   `json:"epoch"`
	First    uint64   `json:"first"` // offset that retention has left
	Next     uint64   `json:"next"`  // offset behind the last record
	Mark     uint64   `json:"mark"`  // up to where the mark vouches
	Blocks   uint64   `json:"blocks"`
	Sealed   int      `json:"sealed"` // stretches
	Records  uint64   `json:"records"`
	Numbers  uint64   `json:"numbers"` // of producers
	Agents   int      `json:"agents"`
	Bytes    int64    `json:"bytes"`
	Audit    uint64   `json:"audit"` // entries of the chain
	Blobs    int      `json:"blobs"`
	Known    []Loss   `json:"known_losses"` // accepted before: no damage
	Views    []View   `json:"views"`
	Damages  []Damage `json:"damages"`
	More     int      `json:"more_damages"` // that are not listed
	Unopened string   `json:"unopened,omitempty"`
	Seconds  float64  `json:"seconds"`
}

// Loss is a range of offsets that the log lost, as it says itself.
type Loss struct {
	From   uint64 `json:"from"`
	To     uint64 `json:"to"`
	Epoch  uint32 `json:"epoch"`
	Reason string `json:"reason"`
}

// View is the snapshot of one.
type View struct {
	Name string `json:"name"`
	Next uint64 `json:"next"` // first offset that is not in it
}

// Damage is something that is not as it was written.
type Damage struct {
	Part string `json:"part"`
	From uint64 `json:"from,omitempty"` // offsets
	To   uint64 `json:"to,omitempty"`
	File string `json:"file,omitempty"`
	Msg  string `json:"msg"`
	Text string `json:"-"` // all of it
}

// Verify looks at every record and what leads to it, changing nothing. Errors
// are those of wal.Verify, and ErrNoLog.
func Verify(ctx context.Context, s Subject, progress func(at, end uint64)) (*Report, error) {
	o := wal.VerifyOptions{Backups: s.Backups, Backup: s.Backup, Progress: progress, Log: wal.Options{Dir: filepath.Join(s.Data, "log")}}
	if s.Backups != "" {
		o.Log.Dir = "backup/log"
	} else if _, err := os.Stat(o.Log.Dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	r := &Report{Known: []Loss{}, Views: []View{}, Damages: []Damage{}}
	var chain *audit.Check
	var wrong []wal.Damage
	var gone forgotten
	bs := newBlobCheck()
	o.Block = func(log [16]byte, b *wal.Block, gap bool) {
		bs.follow(b)
		if chain == nil {
			chain = audit.NewCheck(log)
		}
		wrong = follow(chain, b, gap, wrong)
		gone.follow(b, gap)
	}
	v, err := wal.Verify(ctx, o)
	if err != nil {
		return nil, err
	}
	r.Log, r.Epoch, r.First, r.Next, r.Mark, r.Blocks, r.Sealed, r.Records, r.Numbers, r.Agents, r.Bytes =
		uuid(v.Log), v.Epoch, v.First, v.Next, v.Mark, v.Blocks, v.Sealed, v.Records, v.Numbers, v.Agents, v.Bytes
	r.More, r.Seconds = v.More, seconds(v.Took)
	for _, h := range v.Known {
		r.Known = append(r.Known, Loss(h))
	}
	if chain != nil {
		r.Audit = chain.Len()
	}
	if v.Unopened != nil {
		r.Unopened = v.Unopened.Error()
	}
	found := append(v.Damages, wrong...)
	found = append(found, gone.wrong(v.Begun)...)
	missing, err := bs.check(ctx, s)
	if err != nil {
		return nil, err
	}
	r.Blobs = bs.files
	found = append(found, missing...)
	if s.Backups == "" && v.Unopened == nil {
		found = append(found, r.views(ctx, filepath.Join(s.Data, "views"), v)...)
	}
	for i := range found {
		d := &found[i]
		r.Damages = append(r.Damages, Damage{Part: d.Part, From: d.From, To: d.To, File: d.File, Msg: d.Msg, Text: d.String()})
	}
	r.Intact = len(found) == 0
	return r, nil
}

// follow checks the audit entries of a block.
func follow(chain *audit.Check, b *wal.Block, gap bool, wrong []wal.Damage) []wal.Damage {
	if gap {
		chain.Lost()
	}
	if b.Kinds()&wal.KindSystem.Mask() == 0 || b.Classes()&(1<<audit.Class) == 0 {
		return wrong
	}
	for i := range b.Len() {
		if b.Kind(i) != wal.KindSystem || b.Class(i) != audit.Class {
			continue
		}
		rec := b.Record(i)
		if err := chain.Next(rec.Payload); err != nil {
			wrong = append(wrong, wal.Damage{Part: "audit", From: rec.Offset, To: rec.Offset, Msg: err.Error()})
		}
	}
	return wrong
}

// views reads all of the views store and compares the cursors with the log.
func (r *Report) views(ctx context.Context, dir string, v *wal.VerifyResult) (wrong []wal.Damage) {
	bad := func(format string, args ...any) {
		wrong = append(wrong, wal.Damage{Part: "view", Msg: fmt.Sprintf(format, args...) + "; it is folded anew at the next start"})
	}
	if _, err := os.Stat(dir); err != nil {
		return nil // it is folded from the log
	}
	store, err := views.OpenStore(wal.Overlay(vfs.Default), dir, func(o *pebble.Options) { o.DisableAutomaticCompactions = true })
	if err != nil {
		return []wal.Damage{{Part: "views", File: dir, Msg: err.Error() + "; delete the folder, it is folded anew at the next start"}}
	}
	defer store.Close()
	ss, err := views.Snapshots(store)
	if err != nil {
		bad("%v", err)
	}
	for _, s := range ss {
		r.Views = append(r.Views, View{Name: s.Name, Next: s.Next})
		switch {
		case hex.EncodeToString(s.Log[:]) != v.Log:
			bad("%s is of log %s, this is log %s", s.Name, wire.FormatUUID(s.Log), uuid(v.Log))
		case s.Epoch != v.Epoch:
			bad("%s is of epoch %d, the log's is %d", s.Name, s.Epoch, v.Epoch)
		case s.Next > v.Next:
			bad("%s stands at offset %d, the log ends at %d", s.Name, s.Next, v.Next)
		}
	}
	it, err := store.NewIterWithContext(ctx, nil)
	if err != nil {
		bad("%v", err)
		return wrong
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		_, err = it.ValueAndErr()
	}
	if err = errors.Join(err, it.Error()); err != nil {
		wrong = append(wrong, wal.Damage{Part: "views", File: dir, Msg: err.Error() + "; delete the folder, it is folded anew at the next start"})
	}
	_ = it.Close() // says the same again
	return wrong
}
