package node

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector marks all that lives each time as much garbage has
// gathered as its percentage of that. With 65,000 agents in memory, marking is a
// sixth of what views cost at full load; so where much lives and memory has room
// for more garbage, it is let gather. A small heap keeps Go's own percentage:
// there is little to mark, and every idle link would seem to cost more.
const (
	collectEvery    = time.Second
	percentDefault  = 100
	percentMost     = 200
	percentLiveMin  = 128 << 20 // bytes that live, below which the default stays
	percentRoomPart = 2         // what lives and the garbage beside it take at most this part of the memory limit
)

// gcPercent is the percentage for a heap of which so many bytes live, under that limit.
func gcPercent(live, limit int64) int {
	if live < percentLiveMin || limit <= 0 {
		return percentDefault
	}
	room := limit/percentRoomPart - live
	return int(min(max(100*room/live, percentDefault), percentMost))
}

// collect keeps the collector's percentage to what lives, while the node runs.
func (n *Node) collect(ctx context.Context) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	// What the views keep is about to come: to mark it each time that it has doubled
	// takes more than to load it.
	cur := gcPercent(percentLiveMin, n.tuner.memory())
	defer debug.SetGCPercent(debug.SetGCPercent(cur))
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			metrics.Read(live)
			lives := int64(live[0].Value.Uint64())
			if n.views() == nil {
				lives = max(lives, percentLiveMin)
			}
			next := gcPercent(lives, n.tuner.memory())
			// A small step is not worth the stop it takes.
			if next == percentDefault && cur != next || next >= cur+cur/4 || next <= cur-cur/4 {
				debug.SetGCPercent(next)
				cur = next
			}
		}
	}
}
