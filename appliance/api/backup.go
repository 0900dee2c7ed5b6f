package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"

	"eyrie/appliance/audit"
	"eyrie/wal"
)

// BackupAsk is what POST /v1/backup asks for.
type BackupAsk struct {
	To   string // folder of backups on the server's machine, absolute
	Keep int    // newest backups that stay there; 0 is all
	Keys bool   // take the folder of keys along
}

// startBackup begins a backup, and answers before it is done.
func (q *req) startBackup() error {
	ask := BackupAsk{Keys: true}
	if err := json.Unmarshal(q.PostBody(), &ask); err != nil {
		return badField("body", "want JSON with to and, if wished, keep and keys")
	}
	if !filepath.IsAbs(ask.To) {
		return badField("to", "want the absolute path of a folder on the server's machine")
	}
	if ask.Keep < 0 {
		return badField("keep", "want a number of backups, 0 for all")
	}
	err := q.s.p.Host.StartBackup(ask, q.who.ID, q.RemoteAddr().String())
	if errors.Is(err, wal.ErrBackupRunning) {
		return problem(409, "backup_running", "A backup is being made already: GET /v1/backup tells of it.")
	}
	if err != nil {
		return err
	}
	q.SetStatusCode(202)
	return q.json(q.s.p.Host.BackupState())
}

// backupState answers how far the last backup is.
func (q *req) backupState() error { return q.json(q.s.p.Host.BackupState()) }

type auditRow struct {
	audit.Entry
	Offset uint64  `json:"offset"`
	Recv   float64 `json:"recv_ms"`
	Hash   string  `json:"hash,omitempty"` // hexadecimal; none of a release before the chain
}

// audit answers entries of the audit chain, newest first.
func (q *req) audit() error {
	limit, err := q.limit()
	if err != nil {
		return err
	}
	w := wal.Query{Kinds: wal.KindSystem.Mask(), Classes: 1 << audit.Class, Reverse: true, Limit: max(limit, 1), Budget: eventBudget,
		Match: func(r *wal.Record) bool { return r.Class == audit.Class }}
	if after := q.arg("after"); after != "" {
		if w.ToOffset, err = strconv.ParseUint(after, 10, 64); err != nil || w.ToOffset == 0 {
			return badField("after", "want the next of the page before")
		}
	}
	recs, at, err := q.s.p.Log.Find(q, w)
	if err != nil {
		return err
	}
	rows := []auditRow{}
	for i := range recs[:min(len(recs), limit)] {
		r := &recs[i]
		e, hash, err := audit.Decode(r.Payload)
		if err != nil {
			e = audit.Entry{Action: "unreadable", Detail: err.Error()}
		}
		row := auditRow{Entry: e, Offset: r.Offset, Recv: float64(r.Recv/1e3) / 1e3}
		if e.N != 0 {
			row.Hash = hex.EncodeToString(hash[:])
		}
		rows = append(rows, row)
	}
	total := 0
	if len(recs) > 0 && q.arg("after") == "" {
		if e, _, err := audit.Decode(recs[0].Payload); err == nil {
			total = int(e.N)
		}
	}
	next := ""
	if at != 0 && limit > 0 {
		next = strconv.FormatUint(at, 10)
	}
	return q.json(list{Items: rows, Next: next, Total: total})
}
