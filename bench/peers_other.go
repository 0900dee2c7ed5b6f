//go:build !linux

package bench

import (
	"context"
	"errors"
)

// Run says that it needs Linux.
func (Peers) Run(context.Context) (*Report, error) {
	return nil, errors.New("comparing servers needs Linux (epoll)")
}
