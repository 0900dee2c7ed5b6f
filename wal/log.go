package wal

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Log is an open log. Any goroutine may call its methods.
type Log struct {
	o          Options
	dir        string
	id         [16]byte
	version    uint32       // as the store says
	epochs     []EpochStart // fixed once open
	holes      []Hole       // fixed once open, ascending
	metrics    *meters
	closeWatch func() error
	ballast    ballast

	life   sync.RWMutex // held for reading while the store is read; Close takes it
	closed bool
	lock   *pebble.Lock
	db     *pebble.DB
	mark   *markFile

	agents    *agentTable
	producers producerView
	cursors   cursorTable
	writer    *Writer
	sealed    stretches
	holds     holdTable
	sealer    sealer
	turns     turns

	work     chan work          // writer → encoder
	encoded  chan *group        // encoder → committer
	free     chan *pebble.Batch // committer → encoder
	synced   chan *group        // committer → marker
	done     chan struct{}
	inflight atomic.Bool

	shaping   sync.Mutex // held while records are given another form: sealed, dropped, forgotten
	reusing   sync.Mutex // held while a write-ahead log is taken to be written over, or removed
	afresh    bool       // none is written over now; under reusing
	backing   sync.Mutex // held by the backup being made
	verifying sync.Mutex // by the verification under way
	freezing  sync.Mutex // by the one of them that takes the store as it is
	// The tables' checkpoint never stands behind a backup's end: none is made
	// while a backup takes the store as it is. due is where the last one stood,
	// or would have.
	still atomic.Bool
	due   atomic.Uint64

	digestsFrom  uint64 // fixed once open
	digestsAsked atomic.Bool
	digests      atomic.Pointer[DigestsAt] // shown last

	durable  atomic.Uint64 // first offset not yet durable
	failure  atomic.Pointer[error]
	failed   chan struct{} // closed with failure
	failures atomic.Int32  // of the store's own work, in a row
	wall     atomic.Pointer[error]
	excising atomic.Int32 // ranges being taken out of the store
	cache    cache
}

// EpochStart is where an epoch of the log begins.
type EpochStart struct {
	Epoch  uint32
	First  uint64 // offset; earlier epochs' offsets from here on are dead
	Begun  int64  // Unix ns
	Reason string
}

// Hole is a range of offsets that were written and are gone.
type Hole struct {
	From, To uint64
	Epoch    uint32 // that they were written in
	Reason   string
}

// ID returns the log's id, given to it when it was created.
func (l *Log) ID() [16]byte { return l.id }

// Epoch returns the current epoch, from 1.
func (l *Log) Epoch() uint32 { return l.epochs[len(l.epochs)-1].Epoch }

// Epochs returns all epochs, oldest first. A cursor of an older epoch is alive
// below the First of the epoch after it.
func (l *Log) Epochs() []EpochStart { return append([]EpochStart(nil), l.epochs...) }

// Holes returns the holes among the offsets below Next, ascending.
func (l *Log) Holes() []Hole { return append([]Hole(nil), l.holes...) }

// Next returns the first offset that is not yet durable.
func (l *Log) Next() uint64 { return l.durable.Load() }

// Err returns why the log has failed, wrapping ErrFailed, or nil.
func (l *Log) Err() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Wall returns why writes are refused, wrapping ErrDiskFull, or nil.
func (l *Log) Wall() error {
	if p := l.wall.Load(); p != nil {
		return *p
	}
	return nil
}

// Writer returns the log's writer. It belongs to one goroutine.
func (l *Log) Writer() *Writer { return l.writer }

// fail makes the log fail, once.
func (l *Log) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if !l.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(l.failed)
	if f := l.o.Events.Failed; f != nil {
		f(err)
	}
	l.cache.wakeAll()
}

// read runs fn with the store open.
func (l *Log) read(fn func() error) error {
	l.life.RLock()
	defer l.life.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return fn()
}

// Close stores what the writer still holds, with a checkpoint, waits until that
// is durable, and closes the store. The writer's goroutine must have stopped.
// Followers get ErrClosed. A failed log returns why.
func (l *Log) Close() error {
	l.life.RLock()
	closed := l.closed
	l.life.RUnlock()
	if closed {
		return ErrClosed
	}
	l.sealer.stop()
	if l.Err() == nil {
		l.writer.finish()
	}
	l.ballast.running.Wait()
	close(l.work)
	if !l.await(l.done) {
		return l.Err() // the store does not let go of what it was given; its process has to end
	}
	l.life.Lock()
	l.closed = true
	l.life.Unlock()
	l.cache.wakeAll()
	err := l.mark.close()
	err = errors.Join(err, l.closeStore(), l.lock.Close(), l.closeWatch())
	if failed := l.Err(); failed != nil {
		return failed
	}
	return err
}

// failedCloseWait bounds how long a failed store may take to close: its own
// goroutines may wait for a write that will never end.
const failedCloseWait = 5 * time.Second

// await waits for what one of the log's goroutines does at its end, but not for
// long once the log has failed.
func (l *Log) await(end <-chan struct{}) bool {
	select {
	case <-end:
		return true
	case <-l.failed:
	}
	t := time.NewTimer(cmp.Or(l.o.faults.closeWait, failedCloseWait))
	defer t.Stop()
	select {
	case <-end:
		return true
	case <-t.C:
		return false
	}
}

func (l *Log) closeStore() error {
	if l.Err() == nil {
		return l.db.Close()
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("store: %v", r)
			}
		}()
		done <- l.db.Close()
	}()
	t := time.NewTimer(cmp.Or(l.o.faults.closeWait, failedCloseWait))
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.New("the failed store does not close")
	}
}

// FS returns the file system the log is on.
func (l *Log) FS() vfs.FS { return l.o.FS }
