//go:build !linux

package host

import "errors"

// DiskWritten is for Linux.
func DiskWritten(string) (uint64, error) { return 0, errors.ErrUnsupported }
