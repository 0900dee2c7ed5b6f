//go:build !linux

package hostile

import (
	"errors"
	"io"
)

var errLinux = errors.New("hostile peers need Linux")

// Serve needs Linux.
func Serve(io.Reader, io.Writer) error { return errLinux }

// Probe needs Linux.
func Probe(Job) error { return errLinux }
