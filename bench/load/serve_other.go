//go:build !linux

package load

import (
	"errors"
	"io"
)

// Serve says that the load client needs Linux.
func Serve(io.Reader, io.Writer) error { return errors.New("the load client needs Linux (epoll)") }
