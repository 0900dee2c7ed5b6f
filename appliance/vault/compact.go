package vault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"eyrie/appliance/views"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Compacted tells what a compaction did: bytes on disk, before and after.
type Compacted struct {
	Parts   []Part  `json:"parts"`
	Seconds float64 `json:"seconds"`
}

// Part is one of the data folder.
type Part struct {
	Name   string `json:"name"` // blocks, sealed, log (all of it), views
	Before uint64 `json:"before"`
	After  uint64 `json:"after"`
}

// Compact seals what may be sealed of an open log, gives back the space of what is
// no longer needed, and merges the tables of the views' store. views may be nil.
func Compact(ctx context.Context, log *wal.Log, store *pebble.DB, files views.Files) (*Compacted, error) {
	begin := time.Now()
	c := &Compacted{Parts: []Part{{Name: "blocks"}, {Name: "sealed"}, {Name: "log"}, {Name: "views"}}}
	measure := func(set func(p *Part, n uint64)) error {
		u, err := log.Usage()
		set(&c.Parts[0], u.Blocks)
		set(&c.Parts[1], u.Sealed)
		set(&c.Parts[2], u.Store)
		if store != nil {
			set(&c.Parts[3], store.Metrics().DiskSpaceUsage())
		}
		return err
	}
	if err := measure(func(p *Part, n uint64) { p.Before = n }); err != nil {
		return nil, err
	}
	if err := log.Compact(ctx); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if store != nil {
		if err := views.Compact(ctx, store, files); err != nil {
			return nil, fmt.Errorf("views: %w", err)
		}
	}
	err := measure(func(p *Part, n uint64) { p.After = n })
	c.Seconds = seconds(time.Since(begin))
	return c, err
}

// CompactAtRest compacts a data folder that no server holds. Errors: ErrNoLog,
// wal.ErrInUse and those of wal.Open.
func CompactAtRest(ctx context.Context, data string) (c *Compacted, err error) {
	dir := filepath.Join(data, "log")
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	log, err := wal.Open(wal.Options{Dir: dir, DiskMin: 1, Seal: wal.SealOptions{Off: true, Tier: Tier}})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := log.Close(); err == nil {
			err = e
		}
	}()
	files := views.Files{FS: vfs.Default, Dir: filepath.Join(data, "views")}
	if _, err := os.Stat(files.Dir); err != nil {
		return Compact(ctx, log, nil, files)
	}
	store, err := views.OpenStore(vfs.Default, files.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := store.Close(); err == nil {
			err = e
		}
	}()
	return Compact(ctx, log, store, files)
}
