//go:build !linux

package peers

import (
	"errors"
	"io"
)

var errLinux = errors.New("comparing servers needs Linux (epoll)")

// ServeClient says that it needs Linux.
func ServeClient(io.Reader, io.Writer) error { return errLinux }

// ServeBare says that it needs Linux.
func ServeBare(int) error { return errLinux }
