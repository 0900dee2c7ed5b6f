package blob

import (
	"encoding/hex"

	"github.com/cockroachdb/errors/oserror"
)

// Found is a file of the folder.
type Found struct {
	Name string // SPACE/ab/abcd…, relative to the folder
	Path string
	Size int64 // of the file
}

// Walk calls fn for each blob's file, in no order, until it returns an error.
// Files that come or go meanwhile may be left out.
func (s *Store) Walk(fn func(Found) error) error {
	fs := s.o.FS
	list := func(elem ...string) ([]string, error) {
		names, err := fs.List(s.path(elem...))
		if oserror.IsNotExist(err) {
			return nil, nil
		}
		return names, err
	}
	rooms, err := list()
	if err != nil {
		return err
	}
	for _, r := range rooms {
		if len(r) != 32 {
			continue
		}
		dirs, err := list(r)
		if err != nil {
			return err
		}
		for _, d := range dirs {
			names, err := list(r, d)
			if err != nil {
				return err
			}
			for _, n := range names {
				if sum, err := hex.DecodeString(n); err != nil || len(sum) != 32 || len(d) != 2 || n[:2] != d {
					continue
				}
				path := s.path(r, d, n)
				st, err := fs.Stat(path)
				if oserror.IsNotExist(err) {
					continue
				}
				if err != nil {
					return err
				}
				if err := fn(Found{Name: r + "/" + d + "/" + n, Path: path, Size: st.Size()}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Bytes returns what the files take, and counts them at the first call.
func (s *Store) Bytes() (int64, error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.known {
		return s.bytes, nil
	}
	var n int64
	if err := s.Walk(func(f Found) error { n += f.Size; return nil }); err != nil {
		return 0, err
	}
	s.bytes, s.known = n, true
	return n, nil
}
