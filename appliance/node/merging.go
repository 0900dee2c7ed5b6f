package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Merging in the store of the views comes last in line, and where little CPU is left
// over it falls behind: level 0 gets deeper, reads slower, and each merge larger. So a merge
// that begins once level 0 is deep shares the cores with the views, which then fall
// behind for some seconds instead, or have agents wait: what people see may be late for a
// moment, what is owed must not grow for hours. See docs/adr/0028-merging-has-its-share.md.

const (
	// mergeDepth is how many tables may lie above each other in level 0: half as many
	// again as it takes for a merge to begin.
	mergeDepth = 12
	mergeEvery = 5 * time.Second // between two looks
)

// merging says where merges of the views' store stand in line.
type merging struct {
	late atomic.Bool // level 0 is deeper than mergeDepth
}

// listen puts the work of a store in the background: it runs on a goroutine of its own
// for each flush and each merge.
func (m *merging) listen(o *pebble.Options) {
	o.EventListener = &pebble.EventListener{
		FlushBegin: func(pebble.FlushInfo) { background() },
		CompactionBegin: func(pebble.CompactionInfo) {
			if m.late.Load() {
				background()
			} else {
				upkeep()
			}
		},
	}
}

// look notes how deep level 0 is.
func (m *merging) look(depth int) { m.late.Store(depth > mergeDepth) }

// watchMerges looks while the node runs.
func (n *Node) watchMerges(ctx context.Context) {
	t := time.NewTicker(mergeEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if v := n.loading.opened.Load(); v != nil {
				n.merging.look(int(v.store.Metrics().Levels[0].Sublevels))
			}
		}
	}
}
