package node

import (
	"errors"
	"fmt"
	"sync"

	"eyrie/appliance/vault"
	"eyrie/wal"
)

// verification is the one under way, or the last one.
type verification struct {
	mu    sync.Mutex
	state verifyState
}

// verifyState is what GET /v1/verify answers.
type verifyState struct {
	State  string        `json:"state"` // none, running, done, failed
	Begun  int64         `json:"begun_ms,omitempty"`
	Done   uint64        `json:"done_records"`
	Total  uint64        `json:"total_records"`
	Error  string        `json:"error,omitempty"`
	Report *vault.Report `json:"report,omitempty"`
}

// StartVerify implements api.Host.
func (n *Node) StartVerify(by, remote string) error {
	v := &n.verification
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state.State == "running" {
		return wal.ErrVerifyRunning
	}
	if n.stopping.Err() != nil {
		return errors.New("eyrie is stopping")
	}
	v.state = verifyState{State: "running", Begun: n.now().UnixMilli(), Total: n.log.Next() - 1}
	n.running.Go(func() {
		background()
		r, err := n.verify()
		var detail string
		switch {
		case err != nil:
			n.logger.Error("the log could not be verified", "err", err)
			detail = "failed: " + err.Error()
		case r.Intact:
			n.logger.Info("the log was verified: it is intact", "records", r.Records, "seconds", r.Seconds)
			detail = fmt.Sprintf("intact, %d records", r.Records)
		default:
			detail = fmt.Sprintf("damaged: %d, the first: %s", len(r.Damages)+r.More, r.Damages[0].String())
			n.logger.Error("the log was verified: it is damaged", "damages", len(r.Damages)+r.More, "first", r.Damages[0].String())
		}
		n.audit(n.stopping, "log.verify", "log", by, remote, detail)
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.state.State = "done"; err != nil {
			v.state.State, v.state.Error = "failed", err.Error()
			return
		}
		v.state.Report = r
	})
	return nil
}

// verify looks at the views before the log, so that none of them is ahead of it.
func (n *Node) verify() (_ *vault.Report, err error) {
	v := n.views()
	if v == nil {
		return nil, errLoading
	}
	store := v.store.NewSnapshot()
	defer func() { err = errors.Join(err, store.Close()) }()
	return vault.VerifyOpen(n.stopping, n.log, n.cfg.Data, store, func(at, end uint64) {
		n.verification.mu.Lock()
		defer n.verification.mu.Unlock()
		n.verification.state.Done, n.verification.state.Total = at-1, end-1
	})
}

// VerifyState implements api.Host.
func (n *Node) VerifyState() any {
	n.verification.mu.Lock()
	defer n.verification.mu.Unlock()
	if n.verification.state.State == "" {
		return verifyState{State: "none"}
	}
	return n.verification.state
}
