package api

import (
	"errors"

	"eyrie/wal"
)

// startVerify begins to verify log and views, and answers before that is done.
func (q *req) startVerify() error {
	err := q.s.p.Host.StartVerify(q.who.ID, q.RemoteAddr().String())
	if errors.Is(err, wal.ErrVerifyRunning) {
		return problem(409, "verify_running", "The log is being verified already: GET /v1/verify tells of it.")
	}
	if err != nil {
		return err
	}
	q.SetStatusCode(202)
	return q.json(q.s.p.Host.VerifyState())
}

// verifyState answers how far the last verification is, and what it has found.
func (q *req) verifyState() error { return q.json(q.s.p.Host.VerifyState()) }
