package api

import (
	"encoding/json"
	"strconv"
	"strings"

	"eyrie/appliance/access"
	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// events answers a page of the log. It may stop early, at its budget: then
// `next` goes on from there and `partial` says so. `total` counts every match
// where only space or agent were asked for; else it is null, and with limit=0
// it is counted within the budget; so it is while views are loaded.
func (q *req) events() error {
	wq, x, err := q.eventQuery()
	if err != nil {
		return err
	}
	out := eventPage{Items: []json.RawMessage{}, Epoch: q.s.p.Log.Epoch()}
	if views := q.s.p.Views(); views != nil && q.countable() {
		space, err := q.space()
		if err != nil {
			return err
		}
		n := views.Fleet.Events(space, q.arg("agent"))
		out.Total = &n
	}
	none := wq.Agents != nil && len(wq.Agents) == 0
	switch {
	case wq.Limit == 0 && out.Total != nil:
	case wq.Limit == 0:
		n := uint64(0)
		if !none {
			var at uint64
			if _, n, at, err = x.find(q, wq, true); err != nil {
				return err
			}
			out.Partial, out.Next = at != 0, cursorAt(at)
		}
		out.Total = &n
	case !none:
		recs, at, err := q.page(wq, x)
		if err != nil {
			return err
		}
		for i := range recs {
			out.Items = append(out.Items, live.AppendEventJSON(nil, &recs[i], q.s.p.Log.Agent))
		}
		out.Next, out.Partial = cursorAt(at), at != 0 && len(recs) < wq.Limit
	}
	return q.json(out)
}

// page finds a page of events.
func (q *req) page(wq wal.Query, x *search) (recs []wal.Record, next uint64, err error) {
	if x.plain() || wq.Agents != nil || wq.Key != 0 { // the log's own indexes lead there
		if !x.plain() {
			wq.Match = x.match()
		}
		return q.s.p.Log.Find(q, wq)
	}
	recs, _, next, err = x.find(q, wq, false)
	return recs, next, err
}

// cursorAt is the next of a page that goes on at an offset.
func cursorAt(at uint64) string {
	if at == 0 {
		return ""
	}
	return strconv.FormatUint(at, 10)
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
	for _, name := range []string{"type", "severity", "run", "task", "session", "span", "after", "from_ms", "to_ms", "offset", "system", "q"} {
		if q.arg(name) != "" {
			return false
		}
	}
	return true
}

// eventQuery reads the parameters of a look-up in the log.
func (q *req) eventQuery() (w wal.Query, x *search, err error) {
	x = newSearch(q.s)
	space, err := q.space()
	if err != nil {
		return w, x, err
	}
	if w.Limit, err = q.limit(); err != nil {
		return w, x, err
	}
	asc, err := q.order()
	if err != nil {
		return w, x, err
	}
	w.Reverse = !asc
	w.Budget = eventBudget
	w.Kinds = wal.KindEvent.Mask()
	if q.arg("system") == "1" {
		if q.who.Space != access.AnySpace {
			return w, x, problem(403, "space", "System records are for keys that may read every space.")
		}
		w.Kinds = 0
	}
	if w.FromRecv, err = q.instant("from_ms"); err != nil {
		return w, x, err
	}
	if w.ToRecv, err = q.instant("to_ms"); err != nil {
		return w, x, err
	}
	if after := q.arg("after"); after != "" {
		n, err := strconv.ParseUint(after, 10, 53)
		if err != nil {
			return w, x, badField("after", "want the next of the page before")
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
			return w, x, badField("offset", "want an offset")
		}
		w.FromOffset, w.ToOffset = n, n+1
	}
	if v := q.arg("type"); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			t, ok := wire.ParseType(s)
			if !ok {
				return w, x, badField("type", strconv.Quote(s)+" is no event type")
			}
			w.Classes |= 1 << t
		}
	}
	if v := q.arg("severity"); v != "" {
		var ok bool
		if x.least, ok = wire.ParseSeverity(v); !ok {
			return w, x, badField("severity", "want debug, info, warn, error or fatal")
		}
	}
	if id := q.arg("agent"); id != "" {
		w.Agents = q.agentNums(space, id)
	}
	x.space, x.task = space, q.arg("task")
	for i, f := range exactFields {
		x.values[i] = q.arg(f.String())
	}
	if run := q.arg("run"); run != "" {
		w.Key = wire.RunKey([]byte(run))
	}
	if x.filter, err = query.Parse(q.arg("q")); err != nil {
		return w, x, err
	}
	x.prepare()
	return w, x, nil
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
