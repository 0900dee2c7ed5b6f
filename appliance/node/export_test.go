package node

import (
	"context"

	"eyrie/appliance/capacity"
	"eyrie/appliance/views/spans"
)

// Reading returns what the Watch is given.
func (n *Node) Reading() capacity.Reading { return n.reading(n.newCounters(), n.views()) }

// Kept returns what the log and the spans are told of what is kept, once the views are durable.
func (n *Node) Kept(ctx context.Context) (beside, blobs, spansFrom uint64, held []spans.RunID, err error) {
	n.needed()
	if beside, err = n.besideLog(ctx); err != nil {
		return
	}
	s, err := n.views().sweeper.Sweep(ctx)
	return beside, uint64(s.Left), n.spansFrom(), n.heldRuns(), err
}
