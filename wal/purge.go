package wal

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// purge makes what was deleted or replaced in the store go from its files: the
// memtables are flushed, blocks that have another body now are merged with what
// they stand in the place of, files that nothing needs any more are waited for, and
// write-ahead logs that are kept to be written over are removed. Readers under way keep a
// file for as long as they are; it waits for them.
//
// Where blocks cannot be read, what lies beside them in the same file stays, and lost says so.
func (l *Log) purge(ctx context.Context) (lost *LostError, err error) {
	reuse := func(yes bool) {
		l.reusing.Lock()
		l.afresh = !yes
		l.reusing.Unlock()
	}
	reuse(false)
	defer reuse(true)
	// damage takes the error of a damaged table for what it is.
	damage := func(err error) error {
		if pebble.IsCorruptionError(err) && l.Err() == nil {
			lost = &LostError{From: l.Sealed(), To: l.Next() - 1, Reason: "what lies beside a damaged block stays in its file: " + brief(err)}
			return nil
		}
		return err
	}
	before, _, err := l.storeFiles(".log")
	if err != nil {
		return nil, err
	}
	edge, hot, err := l.renewEdge()
	if err := damage(err); err != nil {
		return nil, err
	}
	if err := errors.Join(l.db.Flush(), l.Err()); err != nil {
		return nil, err
	}
	from, to, any, err := l.amendedRange()
	if err := damage(err); err != nil {
		return nil, err
	}
	if hot {
		if !any {
			from, to, any = edge, edge, true
		}
		from, to = min(from, edge), max(to, edge)
	}
	if any {
		if err := damage(l.db.Compact(ctx, key8(prefixBody, from), key8(prefixBody, to+1), false)); err != nil {
			return nil, err
		}
	}
	if err := l.awaitTables(ctx); err != nil {
		return nil, err
	}
	return lost, l.removeLogs(before)
}

// renewEdge writes the first body that is not sealed once more. What was sealed before it is cut off the table
// in which it lies, but lies in that table's file for as long as nothing is merged with the rest.
func (l *Log) renewEdge() (base uint64, ok bool, err error) {
	l.shaping.Lock()
	defer l.shaping.Unlock()
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: key8(prefixBody, l.Sealed()), UpperBound: []byte{prefixBody + 1}})
	if err != nil {
		return 0, false, err
	}
	if ok = it.First(); ok {
		base = baseIn(it.Key())
		var v []byte
		if v, err = it.ValueAndErr(); err == nil {
			err = errors.Join(l.db.Set(key8(prefixBody, base), v, pebble.NoSync), l.Err())
		}
	}
	err = errors.Join(err, it.Error(), it.Close())
	return base, ok && err == nil, err
}

// amendedRange returns the first and last base of blocks with another body.
func (l *Log) amendedRange() (from, to uint64, any bool, err error) {
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixAmend}, UpperBound: []byte{prefixAmend + 1}})
	if err != nil {
		return 0, 0, false, err
	}
	if any = it.First(); any {
		from = baseIn(it.Key())
		if any = it.Last(); any {
			to = baseIn(it.Key())
		}
	}
	return from, to, any, errors.Join(it.Error(), it.Close())
}

// storeFiles returns the numbers of the store's files with that suffix, and the
// highest.
func (l *Log) storeFiles(suffix string) (nums map[uint64]string, most uint64, err error) {
	return numbered(l.o.FS, l.o.FS.PathJoin(l.dir, storeName), suffix)
}

func numbered(fs vfs.FS, dir, suffix string) (nums map[uint64]string, most uint64, err error) {
	names, err := fs.List(dir)
	nums = map[uint64]string{}
	for _, name := range names {
		if n, err := strconv.ParseUint(strings.TrimSuffix(name, suffix), 10, 64); err == nil && strings.HasSuffix(name, suffix) {
			nums[n] = fs.PathJoin(dir, name)
			most = max(most, n)
		}
	}
	return nums, most, err
}

// AwaitTables waits until the tables of a store in dir that it does not need any
// more are gone: it removes them a while after, and readers keep them.
func AwaitTables(ctx context.Context, fs vfs.FS, dir string, db *pebble.DB) error {
	return awaitTables(ctx, db, func(suffix string) (map[uint64]string, uint64, error) { return numbered(fs, dir, suffix) }, nil)
}

// purgePoll is when it is first looked whether files are gone, each time twice as long after that, up to a second.
const purgePoll = time.Millisecond

// awaitTables waits until the tables that are there and that the store does not
// need are gone.
func (l *Log) awaitTables(ctx context.Context) error {
	return awaitTables(ctx, l.db, l.storeFiles, l.failed)
}

func awaitTables(ctx context.Context, db *pebble.DB, files func(suffix string) (map[uint64]string, uint64, error), failed <-chan struct{}) error {
	wait, _, err := files(".sst")
	if err != nil {
		return err
	}
	for pause := purgePoll; ; pause = min(2*pause, time.Second) {
		there, _, err := files(".sst")
		if err != nil {
			return err
		}
		levels, err := db.SSTables()
		if err != nil {
			return err
		}
		live := map[uint64]bool{}
		for _, tables := range levels {
			for i := range tables {
				live[uint64(tables[i].BackingSSTNum)] = true
			}
		}
		left := false
		for n := range wait {
			if _, ok := there[n]; !ok || live[n] {
				delete(wait, n)
				continue
			}
			left = true
		}
		if !left {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-failed:
			return ErrFailed
		case <-time.After(pause):
		}
	}
}

// removeLogs removes those of the write-ahead logs that are still there: the store,
// which has been flushed since, keeps them to write over them, and makes do without.
func (l *Log) removeLogs(logs map[uint64]string) error {
	l.reusing.Lock()
	defer l.reusing.Unlock()
	there, most, err := l.storeFiles(".log")
	if err != nil {
		return err
	}
	for n, name := range logs {
		if _, ok := there[n]; !ok || n == most {
			continue
		}
		if err := l.o.FS.Remove(name); err != nil && !oserror.IsNotExist(err) {
			return err
		}
	}
	return syncDir(l.o.FS, l.o.FS.PathJoin(l.dir, storeName))
}
