package wal

import (
	"context"
	"errors"
	"fmt"

	"github.com/VictoriaMetrics/metrics"
)

// verifyName is what a verification of the open log reads: hard links to the
// store's tables as they were when it began, and the mark. Open removes what a
// crash has left of it.
const verifyName = "verify.part"

// ErrVerifyRunning is returned by Log.Verify while another one runs.
var ErrVerifyRunning = errors.New("the log is being verified already")

// Verify is the function Verify for the open log, as far as it is acknowledged
// now; of o, Log and Backups are not read. The log goes on meanwhile: appends wait for
// nothing, and what is sealed or dropped keeps its space until the end. Any
// goroutine may call it; one runs at a time, on the caller's thread, and takes the
// memory of some four stretches.
func (l *Log) Verify(ctx context.Context, o VerifyOptions) (_ *VerifyResult, err error) {
	if !l.verifying.TryLock() {
		return nil, ErrVerifyRunning
	}
	defer l.verifying.Unlock()
	fs := l.o.FS
	o.Backups, o.Log = "", l.o
	o.Log.Dir = fs.PathJoin(l.dir, verifyName)
	o.Log.Metrics, o.Log.Thread = metrics.NewSet(), nil
	o.Log.Committed, o.Log.Ready, o.Log.StoreCacheBytes = nil, nil, 1<<20
	defer func() { err = errors.Join(err, fs.RemoveAll(o.Log.Dir)) }()
	if err := fs.RemoveAll(o.Log.Dir); err != nil {
		return nil, err
	}
	if err := fs.MkdirAll(o.Log.Dir, 0o755); err != nil {
		return nil, err
	}
	m, err := l.freeze(ctx, fs.PathJoin(o.Log.Dir, storeName))
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	mf, err := createMark(fs, o.Log.Dir, m, l.o.faults)
	if err != nil {
		return nil, err
	}
	if err := mf.close(); err != nil {
		return nil, err
	}
	return Verify(ctx, o)
}

// freeze makes a checkpoint of the store at dir, which holds all that the mark it
// returns vouches for, in tables: with them the WAL, which is written while it
// would be read, is not needed.
func (l *Log) freeze(ctx context.Context, dir string) (m mark, err error) {
	l.freezing.Lock()
	defer l.freezing.Unlock()
	l.still.Store(true)
	defer l.still.Store(false)
	if due := l.due.Load(); due > l.Next() {
		if _, err := l.Follow(due - 1).Next(ctx); err != nil {
			return m, err
		}
	}
	return m, l.read(func() error {
		if err := l.Err(); err != nil {
			return err
		}
		if m, err = readMark(l.o.FS, l.dir); err != nil {
			return err
		}
		if err := l.db.Flush(); err != nil {
			return err
		}
		return errors.Join(l.db.Checkpoint(dir), l.Err())
	})
}
