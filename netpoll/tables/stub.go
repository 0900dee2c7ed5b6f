//go:build !linux

package tables

// Set needs unshare; here there is none to be had.
type Set struct{}

// Open returns ErrUnsupported.
func Open(int) (*Set, error) { return nil, ErrUnsupported }

// Len is the number of threads.
func (s *Set) Len() int { return 0 }

// Descriptors counts what is open in all the threads' tables.
func (s *Set) Descriptors() int { return 0 }

// Close ends the threads.
func (s *Set) Close() {}
