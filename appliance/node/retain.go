package node

import (
	"context"
	"fmt"
	"time"

	"eyrie/appliance/vault"
	"eyrie/appliance/views/spans"
)

// retainEvery is how often what is over its time or the budget is dropped.
const retainEvery = time.Minute

// retain drops what the configuration no longer keeps, until ctx ends. It begins
// once the views are loaded: they say what they need.
func (n *Node) retain(ctx context.Context) {
	v, ok := n.loaded(ctx)
	if !ok {
		return
	}
	t := time.NewTicker(retainEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if s, err := v.sweeper.Sweep(ctx); err != nil && ctx.Err() == nil {
			n.slow("blobs could not be swept", "err", err)
		} else if s.Dropped > 0 {
			n.logger.Info("blobs that nothing names were dropped", "blobs", s.Dropped, "mib", s.Bytes>>20)
		}
		r, err := n.log.Retain(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			n.slow("old events could not be dropped", "err", err)
		case r.Kept != "":
			n.slow("old events are kept beyond their time or the disk budget", "because", r.Kept)
		}
		if r.Dropped > 0 {
			n.audit(ctx, "log.retain", "log", bySystem, "", fmt.Sprintf("%d tiers of stretches, %d MiB; the log begins at offset %d", r.Dropped, r.Bytes>>20, n.log.First()))
			n.logger.Info("old events were dropped", "stretches", r.Dropped, "mib", r.Bytes>>20, "log_begins_at", n.log.First())
		}
	}
}

// needed is the offset from which on a view would have to read the log again
// after a crash. What it has saved is made durable first.
func (n *Node) needed() (offset uint64, why string) {
	v := n.views()
	if v == nil {
		return 0, errLoading.Error()
	}
	from := v.Runner.Durable()
	if err := v.store.Flush(); err != nil {
		return 0, "the views cannot be made durable: " + err.Error()
	}
	return from, fmt.Sprintf("a view has got to offset %d only", from)
}

// besideLog is what counts against the disk budget beside the log: blobs, less those that
// what was dropped alone has named, and spans, less those that go with what was dropped.
func (n *Node) besideLog(ctx context.Context) (uint64, error) {
	v := n.views()
	if v == nil {
		return 0, errLoading
	}
	s, err := v.sweeper.Sweep(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := v.Spans.DiskUsage(v.store, n.spansFrom())
	return uint64(s.Left) + rows, err
}

// spansFrom is the offset before which spans are not kept: they go with what agents did
// and said.
func (n *Node) spansFrom() uint64 { return n.log.KeptFrom(vault.TierEvents) }

// heldRuns are the runs that someone wants kept.
func (n *Node) heldRuns() (runs []spans.RunID) {
	for _, h := range n.log.Holds() {
		runs = append(runs, spans.HeldRun(h.Name))
	}
	return runs
}
