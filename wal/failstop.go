package wal

import (
	"io"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// stopFS changes nothing any more once the log has failed. The store expects its
// process to end where it says so, and it goes on to write, with a state that is
// not that of the disk, as long as the process is still about to.
type stopFS struct {
	vfs.FS
	l *Log
}

func (s stopFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return stopFile{f, s.l}, nil
}

func (s stopFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.l.Err(); err != nil {
		return nil, err
	}
	return s.file(s.FS.Create(name, c))
}

func (s stopFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	return s.file(s.FS.Open(name, o...))
}

func (s stopFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := s.l.Err(); err != nil {
		return nil, err
	}
	return s.file(s.FS.OpenReadWrite(name, c, o...))
}

func (s stopFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.l.Err(); err != nil {
		return nil, err
	}
	s.l.reusing.Lock()
	defer s.l.reusing.Unlock()
	if s.l.afresh { // see purge; from may be gone since the last one
		if err := s.FS.Remove(from); err != nil && !oserror.IsNotExist(err) {
			return nil, err
		}
	}
	if _, err := s.FS.Stat(from); oserror.IsNotExist(err) {
		return s.file(s.FS.Create(to, c))
	}
	return s.file(s.FS.ReuseForWrite(from, to, c))
}

func (s stopFS) Link(from, to string) error {
	if err := s.l.Err(); err != nil {
		return err
	}
	return s.FS.Link(from, to)
}

func (s stopFS) Rename(from, to string) error {
	if err := s.l.Err(); err != nil {
		return err
	}
	return s.FS.Rename(from, to)
}

func (s stopFS) Remove(name string) error {
	if err := s.l.Err(); err != nil {
		return err
	}
	return s.FS.Remove(name)
}

func (s stopFS) RemoveAll(name string) error {
	if err := s.l.Err(); err != nil {
		return err
	}
	return s.FS.RemoveAll(name)
}

// Unwrap returns the file system below.
func (s stopFS) Unwrap() vfs.FS { return s.FS }

type stopFile struct {
	vfs.File
	l *Log
}

func (f stopFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		f.l.readFailed(err)
	}
	return n, err
}

func (f stopFile) Write(p []byte) (int, error) {
	if err := f.l.Err(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f stopFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.l.Err(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}
