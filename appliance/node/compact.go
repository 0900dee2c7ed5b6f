package node

import (
	"errors"
	"sync"

	"eyrie/appliance/api"
	"eyrie/appliance/vault"
)

// compactions is the compaction under way, or the last one.
type compactions struct {
	mu    sync.Mutex
	state compactState
}

// compactState is what GET /v1/compact answers.
type compactState struct {
	State string           `json:"state"` // none, running, done, failed
	Begun int64            `json:"begun_ms,omitempty"`
	Error string           `json:"error,omitempty"`
	Done  *vault.Compacted `json:"done,omitempty"`
}

// StartCompact implements api.Host.
func (n *Node) StartCompact() error {
	c := &n.compactions
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.State == "running" {
		return api.ErrCompactRunning
	}
	if n.stopping.Err() != nil {
		return errors.New("eyrie is stopping")
	}
	v := n.views()
	if v == nil {
		return errLoading
	}
	c.state = compactState{State: "running", Begun: n.now().UnixMilli()}
	n.running.Go(func() {
		background()
		done, err := vault.Compact(n.stopping, n.log, v.store, v.files)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.state.State, c.state.Done = "done", done; err != nil {
			n.logger.Error("the compaction failed", "err", err)
			c.state.State, c.state.Error = "failed", err.Error()
		}
	})
	return nil
}

// CompactState implements api.Host.
func (n *Node) CompactState() any {
	n.compactions.mu.Lock()
	defer n.compactions.mu.Unlock()
	if n.compactions.state.State == "" {
		return compactState{State: "none"}
	}
	return n.compactions.state
}
