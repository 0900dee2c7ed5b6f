package api

import "errors"

// ErrCompactRunning is returned by Host.StartCompact while a compaction runs.
var ErrCompactRunning = errors.New("a compaction is under way")

// startCompact begins a compaction, and answers before it is done.
func (q *req) startCompact() error {
	err := q.s.p.Host.StartCompact()
	if errors.Is(err, ErrCompactRunning) {
		return problem(409, "compact_running", "A compaction is under way: GET /v1/compact tells of it.")
	}
	if err != nil {
		return err
	}
	q.SetStatusCode(202)
	return errors.Join(q.json(q.s.p.Host.CompactState()), q.record("compact", "data"))
}

// compactState answers how far the last compaction is.
func (q *req) compactState() error { return q.json(q.s.p.Host.CompactState()) }
