//go:build !linux

package bench

import (
	"context"
	"errors"

	"eyrie/bench/report"
)

// Run says that it needs Linux.
func (Peers) Run(context.Context) (*report.Report, error) {
	return nil, errors.New("comparing servers needs Linux (epoll)")
}
