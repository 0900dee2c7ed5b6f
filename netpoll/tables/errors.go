package tables

import "errors"

var (
	// ErrUnsupported is what Open returns on systems without unshare.
	ErrUnsupported = errors.New("tables: own descriptor tables need Linux")
	// ErrBusy is returned by Pass when more descriptors are on their way than
	// the system carries; the descriptor stays with the thread.
	ErrBusy = errors.New("tables: too many descriptors on their way")
	// ErrLost is what a taker is told when the process' own table is full: the
	// descriptor is closed.
	ErrLost = errors.New("tables: no room in the process' own table")
	// ErrClosed is what takers are told whose descriptor was still on its way
	// at Close.
	ErrClosed = errors.New("tables: closed")
)
