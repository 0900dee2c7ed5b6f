package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// overlay is a file system over one that it never changes: what is written,
// removed or renamed is so in memory alone. A store opened on it recovers as it
// would in place, and what lies below stays as it was found. Safe for
// concurrent use; it holds in memory what is written to it.
type overlay struct {
	vfs.FS // of paths and of the disk's usage; all else is below
	below  source
	mu     sync.Mutex
	mem    *vfs.MemFS
	gone   map[string]bool // names of below that were removed
}

// source is what an overlay lies over.
type source interface {
	open(name string) (vfs.File, error)
	stat(name string) (vfs.FileInfo, error)
	list(dir string) ([]string, error)
	lock(name string) (io.Closer, error)
}

// Overlay returns a file system that shows what is on fs and keeps in memory what
// is written to it, so that a store opened on it leaves fs as it is.
func Overlay(fs vfs.FS) vfs.FS { return newOverlay(fs, inPlace{fs}) }

func newOverlay(fs vfs.FS, below source) *overlay {
	return &overlay{FS: fs, below: below, mem: vfs.NewMem(), gone: map[string]bool{}}
}

// inPlace is a folder as it lies on a file system.
type inPlace struct{ fs vfs.FS }

func (s inPlace) open(name string) (vfs.File, error)     { return s.fs.Open(name) }
func (s inPlace) stat(name string) (vfs.FileInfo, error) { return s.fs.Stat(name) }
func (s inPlace) list(dir string) ([]string, error)      { return s.fs.List(dir) }

// lock takes the folder's lock, if there is one to take: where its file may not
// even be opened, nobody who could change the folder runs under this user.
func (s inPlace) lock(name string) (io.Closer, error) {
	if _, err := s.fs.Stat(name); err != nil {
		return unlocked{}, nil
	}
	c, err := s.fs.Lock(name)
	var path *os.PathError
	if errors.As(err, &path) {
		return unlocked{}, nil
	}
	return c, err
}

type unlocked struct{}

func (unlocked) Close() error { return nil }

// inMemory tells whether the name was written here, and whether below still
// shows through under it.
func (o *overlay) inMemory(name string) (here, through bool) {
	_, err := o.mem.Stat(name)
	return err == nil, !o.gone[name]
}

func missing(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: oserror.ErrNotExist}
}

// Create implements vfs.FS.
func (o *overlay) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mem.MkdirAll(o.PathDir(name), 0o755); err != nil {
		return nil, err
	}
	return o.mem.Create(name, c)
}

// Link implements vfs.FS by a copy.
func (o *overlay) Link(from, to string) error { return vfs.Copy(o, from, to) }

// Open implements vfs.FS.
func (o *overlay) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	here, through := o.inMemory(name)
	switch {
	case here:
		return o.mem.Open(name, opts...)
	case !through:
		return nil, missing("open", name)
	}
	return o.below.open(name)
}

// OpenReadWrite implements vfs.FS: it copies what lies below first.
func (o *overlay) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.raise(name); err != nil {
		return nil, err
	}
	return o.mem.OpenReadWrite(name, c, opts...)
}

// raise copies a file of below into memory, if it is not there.
func (o *overlay) raise(name string) error {
	here, through := o.inMemory(name)
	if here {
		return nil
	}
	if err := o.mem.MkdirAll(o.PathDir(name), 0o755); err != nil || !through {
		return err
	}
	src, err := o.below.open(name)
	if oserror.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	dst, err := o.mem.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = io.Copy(dst, src)
		err = errors.Join(err, dst.Close())
	}
	return errors.Join(err, src.Close())
}

// OpenDir implements vfs.FS: syncing it does nothing.
func (o *overlay) OpenDir(name string) (vfs.File, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.mem.MkdirAll(name, 0o755); err != nil {
		return nil, err
	}
	return o.mem.OpenDir(name)
}

// Remove implements vfs.FS.
func (o *overlay) Remove(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.remove(name)
}

func (o *overlay) remove(name string) error {
	here, through := o.inMemory(name)
	if through {
		if _, err := o.below.stat(name); err == nil {
			o.gone[name] = true
			if !here {
				return nil
			}
		}
	}
	if !here {
		return missing("remove", name)
	}
	return o.mem.Remove(name)
}

// RemoveAll implements vfs.FS.
func (o *overlay) RemoveAll(name string) error {
	names, err := o.List(name)
	if err == nil {
		for _, n := range names {
			if err := o.RemoveAll(o.PathJoin(name, n)); err != nil {
				return err
			}
		}
	}
	if err := o.Remove(name); err != nil && !oserror.IsNotExist(err) {
		return err
	}
	return nil
}

// Rename implements vfs.FS, for files.
func (o *overlay) Rename(from, to string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st, err := o.below.stat(from); err == nil && st.IsDir() {
		return fmt.Errorf("rename %s: a folder that lies below an overlay stays where it is", from)
	}
	if err := o.raise(from); err != nil {
		return err
	}
	if err := o.mem.MkdirAll(o.PathDir(to), 0o755); err != nil {
		return err
	}
	o.gone[from] = true
	return o.mem.Rename(from, to)
}

// ReuseForWrite implements vfs.FS by a new file.
func (o *overlay) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := o.Remove(from); err != nil {
		return nil, err
	}
	return o.Create(to, c)
}

// MkdirAll implements vfs.FS.
func (o *overlay) MkdirAll(dir string, perm os.FileMode) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mem.MkdirAll(dir, perm)
}

// Lock implements vfs.FS with the lock of below.
func (o *overlay) Lock(name string) (io.Closer, error) { return o.below.lock(name) }

// List implements vfs.FS.
func (o *overlay) List(dir string) ([]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	names, err := o.below.list(dir)
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return o.gone[o.PathJoin(dir, n)] })
	here, memErr := o.mem.List(dir)
	if err != nil && memErr != nil {
		return nil, err
	}
	names = append(names, here...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Stat implements vfs.FS.
func (o *overlay) Stat(name string) (vfs.FileInfo, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	here, through := o.inMemory(name)
	if through {
		// A folder may be in both; what lies below says more of a file.
		if st, err := o.below.stat(name); err == nil && (!here || st.IsDir()) {
			return st, nil
		}
	}
	if here {
		return o.mem.Stat(name)
	}
	return nil, missing("stat", name)
}

// Unwrap implements vfs.FS: nothing reaches what lies below.
func (o *overlay) Unwrap() vfs.FS { return nil }
