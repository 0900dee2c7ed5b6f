//go:build !linux

package idle

import (
	"errors"
	"io"
)

var errLinux = errors.New("idle links need Linux (epoll)")

// ServeServer says that it needs Linux.
func ServeServer(io.Reader, io.Writer) error { return errLinux }

// ServeClient says that it needs Linux.
func ServeClient(io.Reader, io.Writer) error { return errLinux }
