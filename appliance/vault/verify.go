package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

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
	Digests  int      `json:"digests"` // producers of which the log has one
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
	// Agrees tells that it was given what the log holds of each producer. It is
	// false, too, where that could not be compared: for a release without digests,
	// or until a view that had to do without records is compared again.
	Agrees bool `json:"agrees"`
}

// Damage is something that is not as it was written.
type Damage struct {
	Part string `json:"part"`
	From uint64 `json:"from,omitempty"` // offsets
	To   uint64 `json:"to,omitempty"`
	File string `json:"file,omitempty"`
	Msg  string `json:"msg"`
}

// String is all of it in a line.
func (d *Damage) String() string { return (*wal.Damage)(d).String() }

// Verify looks at every record and what leads to it, changing nothing. Errors
// are those of wal.Verify, and ErrNoLog.
func Verify(ctx context.Context, s Subject, progress func(at, end uint64)) (*Report, error) {
	k := newLook(s)
	o := k.options(progress)
	o.Backups, o.Backup, o.Log.Dir = s.Backups, s.Backup, filepath.Join(s.Data, "log")
	dir := filepath.Join(s.Data, "views")
	if s.Backups != "" {
		o.Log.Dir = "backup/log"
	} else if _, err := os.Stat(o.Log.Dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	} else if _, err := os.Stat(dir); err == nil { // else it is folded from the log
		store, err := views.OpenStore(wal.Overlay(vfs.Default), dir, func(o *pebble.Options) { o.DisableAutomaticCompactions = true })
		if err != nil {
			k.wrong = append(k.wrong, wal.Damage{Part: "views", File: dir, Msg: err.Error() + anew})
		} else {
			defer store.Close()
			k.views(ctx, store, &o)
		}
	}
	v, err := wal.Verify(ctx, o)
	if err != nil {
		return nil, err
	}
	return k.report(ctx, v)
}

// VerifyOpen is Verify for the open log of a running node, and for its views,
// which store is a snapshot of.
func VerifyOpen(ctx context.Context, log *wal.Log, data string, store pebble.Reader, progress func(at, end uint64)) (*Report, error) {
	k := newLook(Subject{Data: data})
	o := k.options(progress)
	k.views(ctx, store, &o)
	v, err := log.Verify(ctx, o)
	if err != nil {
		return nil, err
	}
	return k.report(ctx, v)
}

// look is one verification.
type look struct {
	r         *Report
	chain     *audit.Check
	snapshots []views.Snapshot
	wrong     []wal.Damage
	gone      forgotten
	s         Subject
	blobs     *blobCheck
}

func newLook(s Subject) *look {
	return &look{s: s, blobs: newBlobCheck(), r: &Report{Known: []Loss{}, Views: []View{}, Damages: []Damage{}}}
}

func (k *look) options(progress func(at, end uint64)) wal.VerifyOptions {
	return wal.VerifyOptions{Progress: progress, Block: func(log [16]byte, b *wal.Block, gap bool) {
		if k.chain == nil {
			k.chain = audit.NewCheck(log)
		}
		k.wrong = follow(k.chain, b, gap, k.wrong)
		k.gone.follow(b, gap)
		k.blobs.follow(b)
	}}
}

// report puts together what was found.
func (k *look) report(ctx context.Context, v *wal.VerifyResult) (*Report, error) {
	r := k.r
	r.Log, r.Epoch, r.First, r.Next, r.Mark, r.Blocks, r.Sealed, r.Records, r.Numbers, r.Agents, r.Digests, r.Bytes =
		uuid(v.Log), v.Epoch, v.First, v.Next, v.Mark, v.Blocks, v.Sealed, v.Records, v.Numbers, v.Agents, v.Digests, v.Bytes
	r.More, r.Seconds = v.More, seconds(v.Took)
	for _, h := range v.Known {
		r.Known = append(r.Known, Loss(h))
	}
	if k.chain != nil {
		r.Audit = k.chain.Len()
	}
	if v.Unopened != nil {
		r.Unopened = v.Unopened.Error()
	} else {
		k.cursors(v)
	}
	found := append(v.Damages, k.wrong...)
	found = append(found, k.gone.wrong(v.Begun)...)
	missing, err := k.blobs.check(ctx, k.s)
	if err != nil {
		return nil, err
	}
	r.Blobs = k.blobs.files
	found = append(found, missing...)
	for i := range found {
		d := &found[i]
		r.Damages = append(r.Damages, Damage{Part: d.Part, From: d.From, To: d.To, File: d.File, Msg: d.Msg})
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

// anew is what becomes of a store of views that cannot be read.
const anew = "; delete the folder, it is folded anew at the next start"

// views reads all of the views store, and has its digests compared with the log.
func (k *look) views(ctx context.Context, store pebble.Reader, o *wal.VerifyOptions) {
	var err error
	if k.snapshots, err = views.Snapshots(store); err != nil {
		k.view("%v", err)
	}
	for _, s := range k.snapshots {
		if s.Digests != nil {
			o.Claims = append(o.Claims, wal.Claim{Who: "view " + s.Name, Part: "view", From: s.From, Next: s.Next, Digests: s.Digests})
		}
	}
	it, err := store.NewIterWithContext(ctx, nil)
	if err != nil {
		k.view("%v", err)
		return
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		_, err = it.ValueAndErr()
	}
	if err = errors.Join(err, it.Error()); err != nil {
		k.wrong = append(k.wrong, wal.Damage{Part: "views", Msg: err.Error() + anew})
	}
	_ = it.Close() // says the same again
}

func (k *look) view(format string, args ...any) {
	k.wrong = append(k.wrong, wal.Damage{Part: "view", Msg: fmt.Sprintf(format, args...) + "; it is folded anew at the next start"})
}

// cursors compares where the views stand with the log.
func (k *look) cursors(v *wal.VerifyResult) {
	for _, s := range k.snapshots {
		k.r.Views = append(k.r.Views, View{Name: s.Name, Next: s.Next, Agrees: slices.Contains(v.Agreed, "view "+s.Name)})
		switch {
		case hex.EncodeToString(s.Log[:]) != v.Log:
			k.view("%s is of log %s, this is log %s", s.Name, wire.FormatUUID(s.Log), uuid(v.Log))
		case s.Epoch != v.Epoch:
			k.view("%s is of epoch %d, the log's is %d", s.Name, s.Epoch, v.Epoch)
		case s.Next > v.Next:
			k.view("%s stands at offset %d, the log ends at %d", s.Name, s.Next, v.Next)
		}
	}
}
