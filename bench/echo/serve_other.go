//go:build !linux

package echo

import (
	"context"
	"errors"
	"net/netip"
)

// Serve says that the server needs Linux.
func Serve(context.Context, Config, func(netip.AddrPort)) error {
	return errors.New("the echo server needs Linux (epoll)")
}
