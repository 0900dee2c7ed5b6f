package node

import (
	"context"
	"time"

	"eyrie/engine"

	"github.com/gobwas/ws"
)

// sweepEvery is how long a link or a viewer may outlive its key.
const sweepEvery = 5 * time.Second

// sweep closes what was opened with a key that has expired or was revoked since.
// A revocation closes links at once; those are left to it that were admitted and
// had not said hello yet, and sockets of viewers.
func (n *Node) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.sweepOnce()
			if v := n.views(); v != nil {
				v.Past.Sweep()
			}
		}
	}
}

func (n *Node) sweepOnce() {
	dead := make(map[string]bool)
	now := n.now()
	for _, t := range n.keys.List() {
		if !t.Valid(now) {
			dead[t.ID] = true
		}
	}
	if len(dead) == 0 {
		return
	}
	const why = "the key was revoked or has expired"
	for _, l := range n.engine.Links() {
		if dead[l.Owner] {
			n.engine.Cut(l.Link, ws.StatusPolicyViolation, why)
		}
	}
	n.viewers.viewers.Range(func(s, v any) bool {
		if dead[v.(viewer).owner] {
			s.(engine.Socket).Close(ws.StatusPolicyViolation, why)
		}
		return true
	})
}
