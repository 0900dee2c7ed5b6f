package api

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// eventBudget bounds what one request for events may read.
var eventBudget = wal.Budget{Bytes: 256 << 20, Time: 2 * time.Second}

// events answers a page of the log. It may stop early, at its budget: then
// `next` goes on from there and `partial` says so. `total` counts every match
// where only space or agent were asked for; else it is null, and with limit=0
// it is counted within the budget.
func (q *req) events() error {
	wq, err := q.eventQuery()
	if err != nil {
		return err
	}
	out := eventPage{Items: []json.RawMessage{}, Epoch: q.s.p.Log.Epoch()}
	if q.countable() {
		space, err := q.space()
		if err != nil {
			return err
		}
		n := q.s.p.Fleet.Events(space, q.arg("agent"))
		out.Total = &n
	}
	none := wq.Agents != nil && len(wq.Agents) == 0
	switch {
	case wq.Limit == 0 && out.Total != nil:
	case wq.Limit == 0:
		n := uint64(0)
		out.Total = &n
		if !none {
			match := wq.Match
			wq.Match = func(r *wal.Record) bool {
				if match == nil || match(r) {
					n++
				}
				return false
			}
			_, at, err := q.s.p.Log.Find(q, wq)
			if err != nil {
				return err
			}
			out.Partial = at != 0
		}
	case !none:
		recs, at, err := q.s.p.Log.Find(q, wq)
		if err != nil {
			return err
		}
		for i := range recs {
			out.Items = append(out.Items, live.AppendEventJSON(nil, &recs[i], q.s.p.Log.Agent))
		}
		if at != 0 {
			out.Next = strconv.FormatUint(at, 10)
			out.Partial = len(recs) < wq.Limit
		}
	}
	return q.json(out)
}

// eventPage is a page of the log.
type eventPage struct {
	Items   []json.RawMessage `json:"items"`
	Next    string            `json:"next"`
	Total   *uint64           `json:"total"`
	Partial bool              `json:"partial"`
	Epoch   uint32            `json:"epoch"`
}

// countable reports whether the fleet's counts answer how many events match.
func (q *req) countable() bool {
	for _, name := range []string{"type", "severity", "run", "from_ms", "to_ms", "offset", "system", "q"} {
		if q.arg(name) != "" {
			return false
		}
	}
	return true
}

// eventQuery reads the parameters of a look-up in the log.
func (q *req) eventQuery() (w wal.Query, err error) {
	space, err := q.space()
	if err != nil {
		return w, err
	}
	if w.Limit, err = q.limit(); err != nil {
		return w, err
	}
	asc, err := q.order()
	if err != nil {
		return w, err
	}
	w.Reverse = !asc
	w.Budget = eventBudget
	w.Kinds = wal.KindEvent.Mask()
	if q.arg("system") == "1" {
		if q.who.Space != access.AnySpace {
			return w, problem(403, "space", "System records are for keys that may read every space.")
		}
		w.Kinds = 0
	}
	if w.FromRecv, err = q.instant("from_ms"); err != nil {
		return w, err
	}
	if w.ToRecv, err = q.instant("to_ms"); err != nil {
		return w, err
	}
	if after := q.arg("after"); after != "" {
		n, err := strconv.ParseUint(after, 10, 53)
		if err != nil {
			return w, badField("after", "want the next of the page before")
		}
		if w.Reverse {
			w.ToOffset = n
		} else {
			w.FromOffset = n
		}
	}
	if v := q.arg("offset"); v != "" {
		n, err := strconv.ParseUint(v, 10, 53)
		if err != nil || n == 0 {
			return w, badField("offset", "want an offset")
		}
		w.FromOffset, w.ToOffset = n, n+1
	}
	if v := q.arg("type"); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			t, ok := wire.ParseType(s)
			if !ok {
				return w, badField("type", strconv.Quote(s)+" is no event type")
			}
			w.Classes |= 1 << t
		}
	}
	least := wire.Severity(0)
	if v := q.arg("severity"); v != "" {
		s, ok := wire.ParseSeverity(v)
		if !ok {
			return w, badField("severity", "want debug, info, warn, error or fatal")
		}
		least = s
	}
	if id := q.arg("agent"); id != "" {
		w.Agents = q.agentNums(space, id)
	}
	run := q.arg("run")
	if run != "" {
		w.Key = wire.RunKey([]byte(run))
	}
	filter, err := query.Parse(q.arg("q"))
	if err != nil {
		return w, err
	}
	w.Match = q.matcher(space, run, least, filter)
	return w, nil
}

// agentNums returns the numbers of the agents with an id in a space ("" = all).
// The log knows who was acknowledged; the fleet view may be behind it.
func (q *req) agentNums(space, id string) []uint32 {
	if space == "" {
		return q.s.p.Log.AgentNums(id)
	}
	if n, ok := q.s.p.Log.AgentNum(space, id); ok {
		return []uint32{n}
	}
	return []uint32{}
}

// matcher returns the part of a look-up that needs the payload or the
// dictionary; nil where there is none.
func (q *req) matcher(space, run string, least wire.Severity, filter *query.Query) func(*wal.Record) bool {
	if space == "" && run == "" && least == 0 && filter.Empty() {
		return nil
	}
	var v wire.View
	return func(r *wal.Record) bool {
		sp, id, _ := q.s.p.Log.Agent(r.Agent)
		if space != "" && sp != space {
			return false
		}
		if r.Kind != wal.KindEvent {
			return run == "" && least == 0 && filter.Empty()
		}
		if least != 0 && wire.HeadFromFlags(r.Flags).Severity < least {
			return false
		}
		if run == "" && filter.Empty() {
			return true
		}
		if v.Reset(r.Payload) != nil {
			return false
		}
		if run != "" && string(v.Str(wire.FRun)) != run {
			return false
		}
		return filter.Match(live.NewEventRow(r, &v, sp, id))
	}
}
