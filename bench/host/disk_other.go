//go:build !linux

package host

import "errors"

// DiskWritten is for Linux.
func DiskWritten(string) (uint64, error) { return 0, errors.ErrUnsupported }

// DiskWrites is for Linux.
func DiskWrites(string) (writes, bytes uint64, err error) { return 0, 0, errors.ErrUnsupported }
