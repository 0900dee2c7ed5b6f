package api

import (
	"encoding/json"

	"eyrie/appliance/views/spans"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// holdRow is a run whose events are kept.
type holdRow struct {
	Space   string `json:"space"`
	Run     string `json:"run"`
	SinceMS int64  `json:"since_ms"`
	Reason  string `json:"reason"`
}

func holdOf(h wal.Hold) holdRow {
	r := spans.HeldRun(h.Name)
	return holdRow{Space: r.Space, Run: r.Run, SinceMS: h.Since / 1e6, Reason: h.Reason}
}

// holds answers which runs are held, of the spaces that the key may read.
func (q *req) holds() error {
	rows := []holdRow{}
	for _, h := range q.s.p.Log.Holds() {
		if row := holdOf(h); q.who.Reads(row.Space) {
			rows = append(rows, row)
		}
	}
	return q.json(map[string]any{"items": rows, "next": nil, "total": len(rows)})
}

// heldRun is the run that is to be held.
func (q *req) heldRun() (key uint32, name string, err error) {
	space, err := q.readable(q.args[0])
	if err != nil {
		return 0, "", err
	}
	_, ok, err := q.views.Spans.Run(q, space, q.args[1])
	if err != nil {
		return 0, "", err
	}
	if !ok {
		return 0, "", problem(404, "not_found", "No run of this id was seen in the space "+space+".")
	}
	return wire.RunKey([]byte(q.args[1])), spans.RunID{Space: space, Run: q.args[1]}.HoldName(), nil
}

// holdRun keeps a run's events, those to come included, whatever their age.
func (q *req) holdRun() error {
	var b struct {
		Reason string `json:"reason"`
	}
	if p := q.PostBody(); len(p) > 0 {
		if err := json.Unmarshal(p, &b); err != nil || len(b.Reason) > 1000 {
			return badField("body", "want JSON with a reason of at most 1,000 bytes, or nothing")
		}
	}
	key, name, err := q.heldRun()
	if err != nil {
		return err
	}
	if err := q.s.p.Log.Hold(key, name, b.Reason); err != nil {
		return err
	}
	if err := q.recordBy(q.who.ID, "run.hold", name, b.Reason); err != nil {
		return err
	}
	h, _ := q.holdNamed(name)
	return q.json(holdOf(h))
}

// holdNamed returns the hold of that name, if there is one.
func (q *req) holdNamed(name string) (wal.Hold, bool) {
	for _, h := range q.s.p.Log.Holds() {
		if h.Name == name {
			return h, true
		}
	}
	return wal.Hold{Name: name}, false
}

// releaseRun lets a run's events go with the others.
func (q *req) releaseRun() error {
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	h, ok := q.holdNamed(spans.RunID{Space: space, Run: q.args[1]}.HoldName())
	if !ok {
		return problem(404, "not_found", "No run of this id is held in the space "+space+".")
	}
	if err := q.s.p.Log.Release(h.Key, h.Name); err != nil {
		return err
	}
	q.SetStatusCode(204)
	return q.record("run.release", h.Name)
}
