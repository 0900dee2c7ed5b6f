//go:build !linux

package bench

import (
	"errors"
	"io"
)

var errLinux = errors.New("this needs Linux")

// HasOwnNetwork is false but on Linux.
func HasOwnNetwork() bool { return false }

// WithOwnNetwork runs nothing but on Linux.
func WithOwnNetwork([]string, io.Writer) (ok bool, err error) { return false, nil }

func raiseLoopback() error                                   { return errLinux }
func dropPackets(string, int) (undo func() error, err error) { return nil, errLinux }
func limitDescriptors(int, uint64) (was uint64, err error)   { return 0, errLinux }
