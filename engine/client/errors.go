package client

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrFull is returned by Send when the bound on unacknowledged events is reached and Options.FailFull is set.
	ErrFull = errors.New("client: too many unacknowledged events")
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("client: closed")
	// ErrFenced ends a client: another process took over its producer with a higher epoch. It does not come back.
	ErrFenced = errors.New("client: fenced by a higher epoch of the same producer")
	// ErrEpochLow ends a client: the server knows a higher epoch of its producer.
	ErrEpochLow = errors.New("client: the server knows a higher epoch of this producer")
	// ErrNotConnected is returned by Result while there is no link.
	ErrNotConnected = errors.New("client: no link")
	// ErrTooLarge is returned for events that do not fit into one frame, or never into Options' bounds.
	ErrTooLarge = errors.New("client: more than one frame, or than the bounds allow")
	// ErrNoEvents is returned by SendWithPos without events: a position is committed with an event.
	ErrNoEvents = errors.New("client: a position needs an event to travel with")
)

// RefusedError is the server's answer to an upgrade or a hello that it will not take. One that trying again cannot
// change ends the client.
type RefusedError struct {
	Status int           // HTTP status, or WebSocket close code from 1000
	Msg    string        // what the server said
	After  time.Duration // how long it asked to stay away; 0 where it did not say
}

// Error names status and reason.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("client: the server refused the link: %d %s", e.Status, e.Msg)
}

// final reports whether trying again cannot help.
func (e *RefusedError) final() bool {
	if e.After > 0 {
		return false // it was told when to
	}
	switch e.Status {
	case 400, 401, 403, 404, 405, 410, 421, 426, 1002, 1003, 1007, 1008, 1010:
		return true
	}
	return false
}
