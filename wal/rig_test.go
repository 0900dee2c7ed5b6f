package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_700_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// small options, so that a test passes memtables and checkpoints soon.
func small(fs vfs.FS) Options {
	return Options{FS: fs, Dir: "log", MemtableBytes: 256 << 10, CheckpointBytes: 64 << 10, StoreCacheBytes: 1 << 20,
		DiskFree: func(string) (uint64, error) { return 1 << 40, nil }, Now: newClock().now}
}

type commit struct {
	token       any
	first, last uint64
	err         error
}

// rig is a log with its commits collected.
type rig struct {
	*Log
	w    *Writer
	done chan commit
}

func open(o Options) (*rig, error) {
	r := &rig{done: make(chan commit, 1024)}
	o.Committed = func(token any, first, last uint64, err error) { r.done <- commit{token, first, last, err} }
	l, err := Open(o)
	if err != nil {
		return nil, err
	}
	r.Log, r.w = l, l.Writer()
	return r, nil
}

func mustOpen(t testing.TB, o Options) *rig {
	t.Helper()
	r, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// commit makes the group durable.
func (r *rig) commit() error {
	for !r.w.Commit("t") {
		time.Sleep(10 * time.Microsecond) // the committer is between two steps
	}
	c := <-r.done
	return c.err
}

func (r *rig) mustCommit(t testing.TB) {
	t.Helper()
	if err := r.commit(); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) mustClose(t testing.TB) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func key(n byte) ProducerKey { return ProducerKey{Space: "main", Owner: "k1", ID: [16]byte{n}} }

func (r *rig) mustFence(t testing.TB, n byte, epoch, first uint64) (uint32, Welcome) {
	t.Helper()
	p, wel, err := r.w.Fence(key(n), epoch, first)
	if err != nil {
		t.Fatal(err)
	}
	return p, wel
}

// all reads every durable record through a follower.
func (r *rig) all(t testing.TB) []Record {
	t.Helper()
	rs, err := r.readAll()
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func (r *rig) readAll() ([]Record, error) {
	f := r.Follow(1)
	var rs []Record
	for f.Offset() < r.Next() {
		b, err := f.Next(context.Background())
		if err != nil {
			return rs, err
		}
		for i := range b.Len() {
			rs = append(rs, b.Record(i))
		}
	}
	return rs, nil
}

// sound checks what every log must be: dense offsets, recv that never decreases.
func sound(rs []Record) error {
	recv := int64(0)
	for i := range rs {
		if rs[i].Offset != uint64(i+1) {
			return fmt.Errorf("record %d has offset %d", i, rs[i].Offset)
		}
		if rs[i].Recv < recv {
			return fmt.Errorf("offset %d: recv decreases", rs[i].Offset)
		}
		recv = rs[i].Recv
	}
	return nil
}

func wantErr[T error](t testing.TB, err error) T {
	t.Helper()
	var e T
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %T", err, e)
	}
	return e
}
