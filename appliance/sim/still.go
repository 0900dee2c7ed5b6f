//go:build linux

package sim

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stillFS is a file system that holds still while it is cloned: the stores work
// beside, and what a crash leaves is put together from two clones, which must be
// of one instant. It also keeps links and clones of a MemFS apart, which takes
// its locks for them in different orders.
type stillFS struct {
	vfs.FS
	moves *sync.RWMutex // held for reading by what changes something
}

// move runs an operation that changes something.
func move(mu *sync.RWMutex, op func() error) error {
	mu.RLock()
	defer mu.RUnlock()
	return op()
}

// during is move for an operation with a result.
func during[T any](mu *sync.RWMutex, op func() (T, error)) (T, error) {
	mu.RLock()
	defer mu.RUnlock()
	return op()
}

func (s stillFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return stillFile{f, s.moves}, nil
}

func (s stillFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(during(s.moves, func() (vfs.File, error) { return s.FS.Create(name, c) }))
}

func (s stillFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return s.file(during(s.moves, func() (vfs.File, error) { return s.FS.OpenReadWrite(name, c, o...) }))
}

func (s stillFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return s.file(during(s.moves, func() (vfs.File, error) { return s.FS.ReuseForWrite(from, to, c) }))
}

func (s stillFS) OpenDir(name string) (vfs.File, error) { return s.file(s.FS.OpenDir(name)) }

func (s stillFS) Link(from, to string) error {
	return move(s.moves, func() error { return s.FS.Link(from, to) })
}

func (s stillFS) Rename(from, to string) error {
	return move(s.moves, func() error { return s.FS.Rename(from, to) })
}

func (s stillFS) Remove(name string) error {
	return move(s.moves, func() error { return s.FS.Remove(name) })
}

func (s stillFS) RemoveAll(name string) error {
	return move(s.moves, func() error { return s.FS.RemoveAll(name) })
}

type stillFile struct {
	vfs.File
	moves *sync.RWMutex
}

func (f stillFile) Write(p []byte) (int, error) {
	return during(f.moves, func() (int, error) { return f.File.Write(p) })
}

func (f stillFile) WriteAt(p []byte, off int64) (int, error) {
	return during(f.moves, func() (int, error) { return f.File.WriteAt(p, off) })
}

func (f stillFile) Sync() error {
	return move(f.moves, f.File.Sync)
}

func (f stillFile) SyncData() error {
	return move(f.moves, f.File.SyncData)
}

func (f stillFile) SyncTo(n int64) (bool, error) {
	return during(f.moves, func() (bool, error) { return f.File.SyncTo(n) })
}
