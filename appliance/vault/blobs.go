package vault

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// blobsName is the folder of blobs in a data folder, and in a backup.
const blobsName = "blobs"

// blobFiles returns the files of all blobs, by their name in a backup.
func blobFiles(store *blob.Store) (map[string]string, error) {
	m := map[string]string{}
	err := store.Walk(func(f blob.Found) error {
		m[blobsName+"/"+f.Name] = f.Path
		return nil
	})
	return m, err
}

// blobCheck compares what events name with the blobs that are there.
type blobCheck struct {
	spaces map[uint32]string // of agents, as the dictionary records tell
	named  map[blob.Key]naming
	files  int // that are there
}

// naming is who names a blob: how many events, and the first and last of them.
type naming struct {
	events      int
	first, last uint64
}

func newBlobCheck() *blobCheck {
	return &blobCheck{spaces: map[uint32]string{}, named: map[blob.Key]naming{}}
}

// follow takes in a block.
func (c *blobCheck) follow(b *wal.Block) {
	for i := range b.Len() {
		switch {
		case b.Kind(i) == wal.KindAgentDict:
			r := b.Record(i)
			if space, ok := wal.AgentSpace(r.Payload); ok {
				c.spaces[r.Agent] = space
			}
		case b.Kind(i) == wal.KindEvent && wire.FlagsBlob(b.Flags(i)):
			r := b.Record(i)
			space, ok := c.spaces[r.Agent]
			if !ok {
				space = anySpace // retention has dropped the record that says it
			}
			for _, n := range wire.Blobs(nil, r.Payload) {
				k := blob.Key{Space: space, Sum: n.SHA256}
				x := c.named[k]
				if x.events == 0 {
					x.first = r.Offset
				}
				if x.events == 0 || x.last != r.Offset {
					x.events, x.last = x.events+1, r.Offset
				}
				c.named[k] = x
			}
		}
	}
}

// anySpace stands for one that is not known: a content is sought in all of them.
const anySpace = "\x00any"

// check reads every blob and names those that are damaged or missing.
func (c *blobCheck) check(ctx context.Context, s Subject) (wrong []wal.Damage, err error) {
	there := map[string]bool{}     // names, and bare SHA-256
	damaged := map[string]string{} // name → why
	if err := c.read(ctx, s, func(name string, err error) {
		there[name], there[name[strings.LastIndexByte(name, '/')+1:]] = true, true
		c.files++
		if err != nil {
			damaged[name] = "is damaged: " + err.Error()
		}
	}); err != nil {
		return nil, err
	}
	for _, k := range c.sorted() {
		n, name := c.named[k], k.Name()
		why := damaged[name]
		delete(damaged, name)
		if k.Space == anySpace {
			name = k.String()
		}
		if why == "" && !there[name] {
			why = "is missing"
		}
		if why != "" {
			wrong = append(wrong, wal.Damage{Part: "blob", From: n.first, To: n.last, File: blobsName + "/" + name,
				Msg: fmt.Sprintf("%s %s; %d events name it", k, why, n.events)})
		}
	}
	for name, why := range damaged {
		wrong = append(wrong, wal.Damage{Part: "blob", File: blobsName + "/" + name, Msg: "it " + why + "; no event names it"})
	}
	return wrong, nil
}

func (c *blobCheck) sorted() []blob.Key {
	keys := make([]blob.Key, 0, len(c.named))
	for k := range c.named {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b blob.Key) int {
		return cmp.Or(cmp.Compare(c.named[a].first, c.named[b].first), bytes.Compare(a.Sum[:], b.Sum[:]))
	})
	return keys
}

// read reads every blob of a folder or of a backup, changing nothing. A backup has what was there: a
// blob that was damaged before is a sound file of it.
func (c *blobCheck) read(ctx context.Context, s Subject, tell func(name string, damage error)) error {
	dir := filepath.Join(s.Data, blobsName)
	if _, err := os.Stat(dir); err != nil && s.Backups == "" {
		return nil // there are none
	}
	store, err := blob.Open(blob.Options{FS: wal.Overlay(vfs.Default), Dir: dir})
	if err != nil {
		return err
	}
	defer store.Close()
	look := func(name, path string) error {
		_, err := store.GetCopy(name, path)
		if err != nil && !errors.Is(err, blob.ErrDamaged) {
			return err
		}
		tell(name, err)
		return ctx.Err()
	}
	if s.Backups == "" {
		return store.Walk(func(f blob.Found) error { return look(f.Name, f.Path) })
	}
	b, err := wal.OpenBackup(vfs.Default, s.Backups, s.Backup)
	if bad := (*wal.BackupDamage)(nil); errors.As(err, &bad) {
		return nil // as is told already
	} else if err != nil {
		return err
	}
	for i := range b.Files {
		if name, ok := strings.CutPrefix(b.Files[i].Name, blobsName+"/"); ok {
			err := look(name, b.Files[i].Path(vfs.Default, s.Backups))
			if errors.Is(err, blob.ErrNotFound) {
				continue // from the pool: told already, and missing here
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
