package netpoll

import "errors"

var (
	// ErrUnsupported is what New returns on systems without epoll.
	ErrUnsupported = errors.New("netpoll: needs Linux (epoll)")
	// ErrClosed is returned by calls with a handle that is unknown, stale, or
	// of a connection that is already closing.
	ErrClosed = errors.New("netpoll: connection is closed")
	// ErrWriteFull is returned by Write when Config.WriteMax bytes would be
	// exceeded; nothing of p was taken. Drained tells when to go on.
	ErrWriteFull = errors.New("netpoll: write queue is full")
	// ErrHeld is returned by Detach when bytes would be lost: some are still
	// queued to be written, or kept unread while no Read is in progress.
	ErrHeld = errors.New("netpoll: connection holds bytes")
	// ErrTransformed is returned by Detach for a connection that passes a
	// Transform: its state cannot be handed over.
	ErrTransformed = errors.New("netpoll: connection passes a transform")
	// ErrReadFull is what Close is told when Read left more than
	// Config.ReadMax bytes unconsumed.
	ErrReadFull = errors.New("netpoll: too many bytes left unread")
	// ErrAborted is what Close is told after Abort.
	ErrAborted = errors.New("netpoll: connection was aborted")
	// ErrLinger is what Close is told when a peer did not take the last bytes
	// or did not close its side within Config.Linger.
	ErrLinger = errors.New("netpoll: peer did not close in time")
	// ErrShutdown is returned by Listen and Shutdown once Shutdown has begun.
	ErrShutdown = errors.New("netpoll: shut down")
)
