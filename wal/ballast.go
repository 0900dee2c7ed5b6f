package wal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ballast is a file that takes room on the disk until a write finds none: it is
// removed then, the write is tried again, and the log refuses more until there
// is room for the watermark and a new ballast. Others may fill a disk between
// two looks at it; what was taken in by then must still get to it.
type ballast struct {
	fs    vfs.FS
	path  string
	bytes int64

	mu    sync.Mutex
	there bool

	making  atomic.Bool
	running sync.WaitGroup
}

const ballastName = "ballast"

// makeSoon puts the file there, beside the caller, if free leaves room for it
// above least. fail is told of an error; without the file the log works as well.
func (b *ballast) makeSoon(free, least uint64, fail func(error)) {
	if b.bytes <= 0 || free < least+2*uint64(b.bytes) || b.held() || b.making.Swap(true) {
		return
	}
	b.running.Go(func() {
		defer b.making.Store(false)
		if err := b.make(); err != nil {
			fail(err)
		}
	})
}

func (b *ballast) make() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := b.fs.Create(b.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("ballast: %w", err)
	}
	// Written, not only allocated: not every file system can.
	zeros := make([]byte, 256<<10)
	for left := b.bytes; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("ballast: %w", err), b.fs.Remove(b.path))
	}
	b.there = true
	return nil
}

// drop takes the file away; it reports whether it was there.
func (b *ballast) drop() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.there {
		return false
	}
	b.there = false
	return b.fs.Remove(b.path) == nil
}

// find looks for the file of an earlier life.
func (b *ballast) find() error {
	st, err := b.fs.Stat(b.path)
	switch {
	case oserror.IsNotExist(err):
		return nil
	case err != nil:
		return fmt.Errorf("ballast: %w", err)
	case st.Size() != b.bytes:
		return b.fs.Remove(b.path)
	}
	b.there = true
	return nil
}

func (b *ballast) held() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.there
}
