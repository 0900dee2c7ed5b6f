package sources

import (
	"context"

	"eyrie/engine/wire"
)

// Sink takes a source's events to a server. A source calls it from one goroutine.
type Sink interface {
	// Welcome returns the position that the server committed with the last events it stored of this
	// producer, nil when it has none. It waits for the server until ctx ends.
	Welcome(ctx context.Context) (pos []byte, err error)
	// Send hands over events and the position that is committed with them, in one atomic frame; a nil pos
	// leaves the former one. The slice and pos belong to the sink until it returns, not longer. It blocks
	// while the server is slower than the source. Callers keep a frame below FrameEvents and FrameBytes.
	Send(ctx context.Context, events []wire.Event, pos []byte) error
	// Flush returns when everything sent before is settled.
	Flush(ctx context.Context) error
}

// A source fills a frame up to these bounds, well below the protocol's own (wire.MaxFrameEvents, wire.MaxFrame).
const (
	FrameEvents = 512
	FrameBytes  = 512 << 10
)
