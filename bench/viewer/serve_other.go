//go:build !linux

package viewer

import (
	"errors"
	"io"
)

// Serve says that the viewers need Linux.
func Serve(io.Reader, io.Writer) error { return errors.New("the viewers need Linux (epoll)") }
