package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// storeFormat pins the store's format: FormatNewest of the release it was
// chosen with. Raising it is an explicit act.
const storeFormat = pebble.FormatValueSeparation

const storeName = "store"

// storeOptions are the measured ones; our values are compressed already.
func (l *Log) storeOptions(lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          stopFS{orderedFS{l.o.FS}, l},
		Lock:                        lock,
		FormatMajorVersion:          storeFormat,
		CacheSize:                   l.o.StoreCacheBytes,
		MemTableSize:                uint64(l.o.MemtableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2*tidyEvery + 4,
		L0StopWritesThreshold:       100,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                512,
		Logger:                      storeLogger{l},
		EventListener:               l.storeEvents(),
		DisableAutomaticCompactions: l.o.atRest,
		DisableTableStats:           true, // of a damaged table they are sought again and again; nothing here needs them
	}
	for i := range o.Levels {
		o.TargetFileSizes[i] = 64 << 20
		o.Levels[i].BlockSize = 32 << 10
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	o.Experimental.EnableDeleteOnlyCompactionExcises = func() bool { return false }
	o.Experimental.SpanPolicyFunc = spanPolicy
	return o
}

// tidyEvery is after how many flushes the tables beside the blocks are compacted
// by themselves. They overlap, and the blocks' tables do not: left to itself, the
// store would compact both at once and write each block a third time.
const tidyEvery = 8

// tidy compacts what is small and is written again and again: agents, producers,
// cursors, checkpoints. Blocks are left where they were flushed to, until they
// are sealed.
func (l *Log) tidy(ctx context.Context) error {
	for _, r := range [][2]byte{{prefixBody + 1, prefixHeader}, {prefixHeader + 1, prefixStretch}} {
		if err := l.db.Compact(ctx, []byte{r[0]}, []byte{r[1]}, false); err != nil {
			return err
		}
	}
	return nil
}

// openPebble is pebble.Open, which panics where a folder cannot be synced, and
// tries for ever where it cannot write what it has recovered: the log fails then,
// see backgroundMost, and what it has begun is left to the end of the process.
func (l *Log) openPebble(dir string, o *pebble.Options) (*pebble.DB, error) {
	type opened struct {
		db  *pebble.DB
		err error
	}
	ch := make(chan opened, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				ch <- opened{err: fmt.Errorf("store: %v", r)}
			}
		}()
		db, err := pebble.Open(dir, o)
		ch <- opened{db, err}
	}()
	select {
	case r := <-ch:
		return r.db, r.err
	case <-l.failed:
	}
	select {
	case r := <-ch: // it knows, too
		return r.db, r.err
	case <-time.After(cmp.Or(l.o.faults.closeWait, failedCloseWait)):
		return nil, l.Err()
	}
}

// backgroundMost is how often in a row the store's own work may fail before the
// log does, but for want of room, which may come again. The store tries again at
// once, some errors for ever.
const backgroundMost = 100

// workFailed counts what fails in the store's own work.
func (l *Log) workFailed(err error) {
	if n := l.failures.Add(1); n >= backgroundMost && !errors.Is(err, syscall.ENOSPC) {
		l.fail(fmt.Errorf("the store's own work has failed %d times in a row: %w", n, err))
	}
}

// spanPolicy ends a table where a prefix ends.
func spanPolicy(start []byte) (pebble.SpanPolicy, []byte, error) {
	p := pebble.SpanPolicy{ValueStoragePolicy: pebble.ValueStorageLowReadLatency}
	if len(start) == 0 || start[0] == 0xff {
		return p, nil, nil
	}
	return p, []byte{start[0] + 1}, nil
}

// storeEvents hands the store's events to Options.Events. Every hook is set:
// the store would log through the others otherwise.
func (l *Log) storeEvents() *pebble.EventListener {
	e := &l.o.Events
	ev := &pebble.EventListener{
		BackgroundError: func(err error) {
			l.metrics.background.Inc()
			l.workFailed(err)
			if e.Background != nil {
				e.Background(err)
			}
		},
		FlushEnd: func(i pebble.FlushInfo) {
			if i.Err == nil {
				l.failures.Store(0)
				l.sealer.flushed()
			}
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			l.metrics.corrupt.Inc()
			l.readFailed(i.Details)
			if e.Corrupt != nil {
				e.Corrupt(i.Path, i.Details)
			}
		},
		DiskSlow: func(i vfs.DiskSlowInfo) {
			l.metrics.slow.Inc()
			if e.DiskSlow != nil {
				e.DiskSlow(i.Path, i.Duration)
			}
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			l.metrics.stalls.Inc()
			if e.Stall != nil {
				e.Stall(i.Reason)
			}
		},
	}
	ev.EnsureDefaults(nil)
	return ev
}

// storeLogger takes the store's words. Where the store would end the process,
// the log fails: nothing is acknowledged from then on.
type storeLogger struct{ l *Log }

func (s storeLogger) Infof(format string, args ...any) {
	if f := s.l.o.Events.Log; f != nil {
		f(format, args...)
	}
}

func (s storeLogger) Errorf(format string, args ...any) { s.Infof(format, args...) }

func (s storeLogger) Fatalf(format string, args ...any) { s.l.fail(fmt.Errorf(format, args...)) }

// checkStoreFormat refuses a store that a newer release has raised.
func checkStoreFormat(fs vfs.FS, dir string) error {
	value, err := atomicfs.ReadMarker(fs, dir, "format-version")
	if err != nil || value == "" {
		return nil // none yet; what is wrong otherwise the store will say
	}
	var v uint64
	if _, err := fmt.Sscanf(value, "%d", &v); err != nil {
		return fmt.Errorf("the store's format is %q, a number expected", value)
	}
	if v > uint64(storeFormat) {
		return &NewerFormatError{What: "store", Got: v, Most: uint64(storeFormat)}
	}
	return nil
}

// orderedFS makes the name of a MANIFEST durable before the store's marker can
// name it. The store syncs its folder once for both; after a power cut a file
// system may hold the marker without the file, and the store does not open.
type orderedFS struct{ vfs.FS }

func (o orderedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := o.FS.Create(name, c)
	if err == nil && strings.HasPrefix(o.PathBase(name), "MANIFEST-") {
		if err = syncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, err
}

// OrderedFS returns fs for a store of its own beside the log's: with it a store
// opens after a power cut between the writing of a MANIFEST and of its marker.
func OrderedFS(fs vfs.FS) vfs.FS { return orderedFS{fs} }

// Unwrap returns the file system below.
func (o orderedFS) Unwrap() vfs.FS { return o.FS }

// diskSlowAfter is when the file system reports a slow operation.
const diskSlowAfter = 5 * time.Second

// withHealth watches the machine's own file system for slow operations.
func withHealth(fs vfs.FS, slow func(vfs.DiskSlowInfo)) (vfs.FS, func() error) {
	if fs != vfs.Default {
		return fs, func() error { return nil }
	}
	h, c := vfs.WithDiskHealthChecks(fs, diskSlowAfter, nil, slow)
	return h, c.Close
}
