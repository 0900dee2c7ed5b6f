package spans

import (
	"context"
	"strings"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
)

func ms(ns int64) float64 { return float64(ns/1e3) / 1e3 }

var statusNames = [statusMax]string{"unknown", "ok", "error", "denied", "cancelled", "interrupted", "timeout", "unknown", "open"}

// row copies a span into its public shape.
func (v *View) row(s *span) Span {
	_, agent, _ := v.names.Agent(s.agent)
	r := Span{
		Space: s.space, Span: s.id, Parent: s.parent, Type: wire.Type(s.typ).String(), Name: s.name, Agent: agent, To: s.to,
		Run: s.runID, Task: s.task, Session: s.session, Status: statusNames[s.status], Open: s.status == stOpen,
		Start: ms(s.began), TSFrom: tsFromNames[s.tsFrom], Attempt: int64(s.attempt), Kind: s.kind, Msg: s.msg,
		NoStart: s.flags&flNoStart != 0, StartOffset: s.off, EndOffset: s.endOff, AgentNum: s.agent,
	}
	if s.startOff != 0 {
		r.StartOffset = s.startOff
	}
	if !r.Open {
		end, dur := ms(s.end), ms(s.end-s.began)
		r.End, r.Dur = &end, &dur
	}
	if s.ends > 1 {
		r.Ends = s.ends
	}
	if s.severity > uint8(wire.SeverityInfo) {
		r.Severity = wire.Severity(s.severity).String()
	}
	if s.errCode != "" || s.errMsg != "" {
		r.Error = &Error{s.errCode, s.errMsg}
	}
	if s.used {
		u := s.usage.row()
		r.Usage = &u
	}
	return r
}

func (u *usage) row() Usage {
	q := wire.Quality(u.quality).String()
	if q == "" {
		q = "exact"
	}
	return Usage{u.model, u.tok[0], u.tok[1], u.tok[2], u.tok[3], u.tok[4], u.cost, q}
}

// peek finds a row by hash and id without changing anything; nil = none. The
// caller holds a lock.
func (v *View) peek(h uint64, id string) (*span, error) {
	for ; ; h++ {
		s := v.open.get(h)
		if s == nil {
			var err error
			if s, err = v.sought(h); err != nil {
				return nil, err
			}
		}
		if s == nil || s.id == id {
			return s, nil
		}
	}
}

// sought returns a copy of the newest version of a row that left the open ones, of whatever
// age; nil = none. The caller holds a lock.
func (v *View) sought(h uint64) (s *span, err error) {
	if v.filter.has(h) {
		if s, err = v.left(h, nil); s != nil || err != nil {
			return s, err
		}
	}
	if since := v.filter.since(); since > 0 && v.visible > 0 && !v.blind {
		return v.stored(h, 0, min(since, v.visible-1), nil) // of that save it knows some
	}
	return nil, nil
}

// peekTally finds a run's totals; nil = none. The caller holds a lock.
func (v *View) peekTally(h uint64) (*tally, error) {
	if t := v.runs[h]; t != nil {
		return t, nil
	}
	if v.blind {
		return nil, nil
	}
	return v.readTally(v.store, h)
}

// Get returns one span with the number of its children. Input, output, attrs
// and links are in the log, at StartOffset and EndOffset.
func (v *View) Get(ctx context.Context, space, id string) (Span, bool, error) {
	v.mu.RLock()
	s, err := v.peek(hashOf(seedOf(space), id), id)
	if err != nil || s == nil {
		v.mu.RUnlock()
		return Span{}, false, err
	}
	r := v.row(s)
	v.mu.RUnlock()
	_, n, _, err := v.list(ctx, &Query{Space: space, Parent: id})
	children := int(n)
	r.Children = &children
	return r, true, err
}

// Runs lists runs as List lists spans, each with what its spans add up to;
// the query's Type is taken as run.
func (v *View) Runs(ctx context.Context, q Query) (RunPage, error) {
	q.Type = "run"
	rows, total, next, err := v.list(ctx, &q)
	p := RunPage{Items: []Run{}, Next: next, Total: total}
	for _, s := range rows {
		r := Run{Span: v.row(s)}
		if err := v.addUp(&r, s.run); err != nil {
			return p, err
		}
		p.Items = append(p.Items, r)
	}
	return p, err
}

// Run returns one run by its run id.
func (v *View) Run(ctx context.Context, space, id string) (Run, bool, error) {
	h := hashOf(seedOf(space), id)
	v.mu.RLock()
	t, err := v.peekTally(h)
	var at key
	if t != nil {
		at = t.run
	}
	v.mu.RUnlock()
	if err != nil || t == nil || at == (key{}) {
		return Run{}, false, err
	}
	rows, _, _, err := v.list(ctx, &Query{Space: space, Type: "run", Run: id, Limit: 1, Asc: true})
	if err != nil || len(rows) == 0 {
		return Run{}, false, err
	}
	r := Run{Span: v.row(rows[0])}
	return r, true, v.addUp(&r, h)
}

func (v *View) addUp(r *Run, h uint64) error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t, err := v.peekTally(h)
	if err != nil || t == nil {
		return err
	}
	r.Agents, r.Spans, r.Tools, r.Errors, r.Totals = len(t.agents), t.spans, t.tools, t.errors, t.usage.row()
	return nil
}

// Stats are figures for the status page.
type Stats struct {
	Rows   uint64 // ever
	Open   int
	Runs   int // in memory
	Fresh  int // rows that await the next Save
	Offset uint64
}

// Stats returns them.
func (v *View) Stats() Stats {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return Stats{v.rows, v.open.n + v.spilled, len(v.runs), len(v.fresh.rows), v.offset}
}

// matched shows a span to a query.
type matched struct {
	v *View
	s *span
}

// Field answers the fields of the query language for a span.
func (m *matched) Field(name string) query.Value {
	s := m.s
	switch name {
	case "space":
		return query.T(s.space)
	case "span", "id":
		return query.T(s.id)
	case "parent":
		return query.T(s.parent)
	case "type":
		return query.T(wire.Type(s.typ).String())
	case "name":
		return query.T(s.name)
	case "tool":
		if wire.Type(s.typ) == wire.TypeTool {
			return query.T(s.name)
		}
	case "agent":
		_, id, _ := m.v.names.Agent(s.agent)
		return query.T(id)
	case "to":
		return query.T(s.to)
	case "run":
		return query.T(s.runID)
	case "task":
		return query.T(s.task)
	case "session":
		return query.T(s.session)
	case "status":
		return query.T(statusNames[s.status])
	case "open":
		return query.B(s.status == stOpen)
	case "kind":
		return query.T(s.kind)
	case "error":
		return query.T(strings.TrimSpace(s.errCode + " " + s.errMsg))
	case "code":
		return query.T(s.errCode)
	case "severity":
		return query.T(wire.Severity(s.severity).String())
	case "attempt":
		return query.N(float64(s.attempt))
	case "start":
		return query.N(ms(s.began))
	case "end":
		if s.status != stOpen {
			return query.N(ms(s.end))
		}
	case "dur":
		if s.status != stOpen {
			return query.N(ms(s.end - s.began))
		}
	case "ends":
		return query.N(float64(s.ends))
	case "model", "cost", "tokens":
		if s.used {
			return s.usage.field(name)
		}
	}
	return query.Value{}
}

func (u *usage) field(name string) query.Value {
	switch name {
	case "model":
		return query.T(u.model)
	case "cost":
		return query.N(float64(u.cost))
	}
	return query.N(float64(u.tok[0] + u.tok[1] + u.tok[2] + u.tok[3]))
}

// Texts shows the texts that free words are sought in.
func (m *matched) Texts(fn func(string) bool) bool {
	s := m.s
	for _, t := range [...]string{s.name, s.msg, s.id, s.runID, s.errCode, s.errMsg, s.to} {
		if t != "" && fn(t) {
			return true
		}
	}
	return false
}
