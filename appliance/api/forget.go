package api

import (
	"encoding/json"
	"slices"

	"eyrie/appliance/forget"
	"eyrie/appliance/views/spans"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// ForgetAsk is what is asked to be forgotten.
type ForgetAsk struct {
	What, Space, ID, Reason string
	Agents                  []uint32 // known to be meant
}

// forgetAgent begins to forget an agent, and answers before that is done.
func (q *req) forgetAgent() error {
	reason, err := q.reason()
	if err != nil {
		return err
	}
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	num, ok := q.s.p.Log.AgentNum(space, q.args[1])
	if !ok {
		return problem(404, "not_found", "No agent of this id was seen in the space "+space+".")
	}
	for _, h := range q.s.p.Log.Holds() {
		held := spans.HeldRun(h.Name)
		if held.Space != space {
			continue
		}
		var w wire.View
		recs, _, err := q.s.p.Log.Find(q, wal.Query{Agents: []uint32{num}, Key: h.Key, Kinds: wal.KindEvent.Mask(), Limit: 1, Match: func(r *wal.Record) bool {
			return w.Reset(r.Payload) == nil && string(w.Str(wire.FRun)) == held.Run
		}})
		if err != nil {
			return err
		}
		if len(recs) > 0 {
			return heldProblem(held.Run)
		}
	}
	return q.startForget(ForgetAsk{What: forget.Agent, Space: space, ID: q.args[1], Reason: reason, Agents: []uint32{num}})
}

// forgetRun begins to forget a run, and answers before that is done.
func (q *req) forgetRun() error {
	reason, err := q.reason()
	if err != nil {
		return err
	}
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	run, ok, err := q.views.Spans.Run(q, space, q.args[1])
	if err != nil {
		return err
	}
	if !ok {
		return problem(404, "not_found", "No run of this id was seen in the space "+space+".")
	}
	if slices.ContainsFunc(q.s.p.Log.Holds(), func(h wal.Hold) bool { return h.Name == space+"/"+q.args[1] }) {
		return heldProblem(q.args[1])
	}
	return q.startForget(ForgetAsk{What: forget.Run, Space: space, ID: q.args[1], Reason: reason, Agents: []uint32{run.AgentNum}})
}

func heldProblem(run string) error {
	return problem(409, "held", "The run "+run+" is held: let it go first, DELETE /v1/runs/{space}/{id}/hold.")
}

// reason is the one that the body gives.
func (q *req) reason() (string, error) {
	var b struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(q.PostBody(), &b); err != nil {
		return "", badField("body", "want JSON with a reason")
	}
	if b.Reason == "" || len(b.Reason) > 1000 {
		return "", badField("reason", "want why, in at most 1,000 bytes")
	}
	return b.Reason, nil
}

func (q *req) startForget(ask ForgetAsk) error {
	job, err := q.s.p.Host.StartForget(q, ask, q.who.ID, q.RemoteAddr().String())
	if err != nil {
		return err
	}
	q.SetStatusCode(202)
	return q.json(job)
}

// forgets answers what was forgotten and what is to be, newest first.
func (q *req) forgets() error {
	return q.json(map[string]any{"items": q.s.p.Host.Forgets(q.who.Reads), "next": nil})
}
