package node

import (
	"errors"
	"sync"

	"eyrie/appliance/api"
	"eyrie/appliance/vault"
	"eyrie/wal"
)

// backups is the backup being made, or the last one.
type backups struct {
	mu    sync.Mutex
	state backupState
}

// backupState is what GET /v1/backup answers.
type backupState struct {
	State string      `json:"state"` // none, running, done, failed
	To    string      `json:"to,omitempty"`
	Begun int64       `json:"begun_ms,omitempty"`
	Done  int64       `json:"done_bytes"`
	Total int64       `json:"total_bytes"`
	Error string      `json:"error,omitempty"`
	Made  *vault.Made `json:"made,omitempty"`
}

// StartBackup implements api.Host.
func (n *Node) StartBackup(ask api.BackupAsk, by, remote string) error {
	b := &n.backups
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.State == "running" {
		return wal.ErrBackupRunning
	}
	if n.stopping.Err() != nil {
		return errors.New("eyrie is stopping")
	}
	b.state = backupState{State: "running", To: ask.To, Begun: n.now().UnixMilli()}
	n.running.Go(func() {
		background()
		made, err := vault.Backup(n.stopping, n.log, n.blobs, n.cfg.Data, vault.Ask(ask), func(done, total int64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.state.Done, b.state.Total = done, total
		})
		var detail string
		if err != nil {
			n.logger.Error("the backup failed", "to", ask.To, "err", err)
			detail = "failed: " + err.Error()
		} else {
			n.logger.Info("backup made", "to", ask.To, "name", made.Name, "copied_mib", made.CopiedBytes>>20, "seconds", made.Seconds)
			for _, d := range made.Damaged {
				n.logger.Warn("an older backup cannot be read", "to", ask.To, "err", d)
			}
			detail = vault.Told(made)
		}
		n.audit(n.stopping, "backup.create", ask.To, by, remote, detail)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.state.State = "done"; err != nil {
			b.state.State, b.state.Error = "failed", err.Error()
			return
		}
		b.state.Made = made
	})
	return nil
}

// BackupState implements api.Host.
func (n *Node) BackupState() any {
	n.backups.mu.Lock()
	defer n.backups.mu.Unlock()
	if n.backups.state.State == "" {
		return backupState{State: "none"}
	}
	return n.backups.state
}
