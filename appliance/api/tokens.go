package api

import (
	"encoding/json"
	"errors"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/audit"
	"eyrie/appliance/intake"
)

type tokenRow struct {
	ID      string      `json:"id"`
	Name    string      `json:"name"`
	Role    access.Role `json:"role"`
	Space   string      `json:"space"`
	Agents  []string    `json:"agents,omitempty"`
	Created int64       `json:"created_ms,omitempty"`
	Expires int64       `json:"expires_ms,omitempty"`
	Revoked int64       `json:"revoked_ms,omitempty"`
	Key     string      `json:"key,omitempty"` // in the answer to its creation alone
}

func rowOf(t access.Token) tokenRow {
	return tokenRow{ID: t.ID, Name: t.Name, Role: t.Role, Space: t.Space, Agents: t.Agents, Created: t.Created, Expires: t.Expires, Revoked: t.Revoked}
}

// tokens answers every key that the asker's space covers, without the keys
// themselves.
func (q *req) tokens() error {
	rows := []tokenRow{}
	for _, t := range q.s.p.Keys.List() {
		if q.who.Reads(t.Space) {
			rows = append(rows, rowOf(t))
		}
	}
	return q.json(list{Items: rows, Total: len(rows)})
}

// createToken makes a key and answers it, once.
func (q *req) createToken() error {
	var b struct {
		Name    string      `json:"name"`
		Role    access.Role `json:"role"`
		Space   string      `json:"space"`
		Agents  []string    `json:"agents"`
		Expires float64     `json:"expires_in_s"`
	}
	if err := json.Unmarshal(q.PostBody(), &b); err != nil {
		return badField("body", "want JSON with role and, if wished, name, space, agents, expires_in_s")
	}
	if b.Space == "" {
		b.Space = q.who.Writes()
	}
	if !q.who.Reads(b.Space) {
		return problem(403, "space", "A key that is bound to a space makes keys for that space alone.")
	}
	t := access.Token{Name: b.Name, Role: b.Role, Space: b.Space, Agents: b.Agents}
	if b.Expires < 0 || b.Expires > 100*365*86400 {
		return badField("expires_in_s", "want seconds, 0 for never")
	}
	if b.Expires > 0 {
		t.Expires = q.s.p.Now().Add(time.Duration(b.Expires * float64(time.Second))).UnixMilli()
	}
	key, t, err := q.s.p.Keys.Create(t)
	if err != nil {
		return err
	}
	if err := q.recordBy(q.who.ID, "token.create", t.ID, string(t.Role)+" in space "+t.Space); err != nil {
		// Nobody will ever see the key, and the log does not know of it.
		_, undone := q.s.p.Keys.Revoke(t.ID)
		return errors.Join(err, undone)
	}
	row := rowOf(t)
	row.Key = key
	q.SetStatusCode(201)
	return q.json(row)
}

// revokeToken ends a key at once, and closes the links that use it.
func (q *req) revokeToken() error {
	t, ok := q.s.p.Keys.Get(q.args[0])
	if !ok || !q.who.Reads(t.Space) {
		return access.ErrNoToken
	}
	t, err := q.s.p.Keys.Revoke(t.ID)
	if err != nil {
		return err
	}
	for _, l := range q.s.p.Engine.Links() {
		if l.Owner == t.ID {
			q.s.p.Engine.Cut(l.Link, 1008, "the key was revoked")
		}
	}
	if err := q.record("token.revoke", t.ID); err != nil {
		return err
	}
	return q.json(rowOf(t))
}

// record writes what an operator did into the log's audit chain.
func (q *req) record(action, object string) error { return q.recordBy(q.who.ID, action, object, "") }

func (q *req) recordBy(by, action, object, detail string) error {
	return q.s.p.Intake.Submit(q, &intake.Submission{Audit: &audit.Entry{
		Action: action, Object: object, By: by, Remote: q.RemoteAddr().String(), Detail: detail,
	}})
}
