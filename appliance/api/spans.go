package api

import (
	"encoding/json"
	"errors"
	"time"

	"eyrie/appliance/query"
	"eyrie/appliance/views/spans"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// spanQuery reads the parameters that spans and runs share.
func (q *req) spanQuery() (s spans.Query, err error) {
	if s.Space, err = q.space(); err != nil {
		return s, err
	}
	if s.Limit, err = q.limit(); err != nil {
		return s, err
	}
	if s.Asc, err = q.order(); err != nil {
		return s, err
	}
	if s.From, err = q.instant("from_ms"); err != nil {
		return s, err
	}
	if s.To, err = q.instant("to_ms"); err != nil {
		return s, err
	}
	if s.Filter, err = query.Parse(q.arg("q")); err != nil {
		return s, err
	}
	s.Agent, s.Type, s.Status = q.arg("agent"), q.arg("type"), q.arg("status")
	s.Run, s.Parent, s.Name = q.arg("run"), q.arg("parent"), q.arg("name")
	s.Open = q.arg("open") == "1"
	s.After = q.arg("after")
	return s, nil
}

// spansLong bounds how long one request reads the store of spans; beyond it the answer is 503 busy.
const spansLong = time.Minute

// spans answers a page of spans.
func (q *req) spans() error {
	s, err := q.spanQuery()
	if err != nil {
		return err
	}
	ctx, release := detach(q, spansLong)
	defer release()
	p, err := q.views.Spans.List(ctx, s)
	if err != nil {
		return err
	}
	return q.json(p)
}

// runs answers a page of runs.
func (q *req) runs() error {
	s, err := q.spanQuery()
	if err != nil {
		return err
	}
	ctx, release := detach(q, spansLong)
	defer release()
	p, err := q.views.Spans.Runs(ctx, s)
	if err != nil {
		return err
	}
	return q.json(p)
}

// run answers one run.
func (q *req) run() error {
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	ctx, release := detach(q, spansLong)
	defer release()
	r, ok, err := q.views.Spans.Run(ctx, space, q.args[1])
	if err != nil {
		return err
	}
	if !ok {
		return problem(404, "not_found", "No run of this id was seen in the space "+space+".")
	}
	return q.json(r)
}

// spanWhole is a span with what only its records in the log hold.
type spanWhole struct {
	spans.Span
	Input  json.RawMessage `json:"input,omitempty"`
	Output json.RawMessage `json:"output,omitempty"`
	Attrs  json.RawMessage `json:"attrs,omitempty"`
	Links  json.RawMessage `json:"links,omitempty"`
	// Dropped says that retention has taken records of it from the log.
	Dropped bool `json:"dropped,omitempty"`
}

// span answers one span with its input and output, read from the log at the
// offsets of its start and end.
func (q *req) span() error {
	space, err := q.readable(q.args[0])
	if err != nil {
		return err
	}
	ctx, release := detach(q, spansLong)
	defer release()
	sp, ok, err := q.views.Spans.Get(ctx, space, q.args[1])
	if err != nil {
		return err
	}
	if !ok {
		return problem(404, "not_found", "No span of this id was seen in the space "+space+".")
	}
	w := spanWhole{Span: sp}
	for _, off := range []uint64{sp.StartOffset, sp.EndOffset} {
		if off == 0 {
			continue
		}
		rec, err := q.spanRecord(&sp, off)
		if errors.Is(err, wal.ErrNotFound) {
			w.Dropped = true
			continue
		}
		if err != nil {
			return err
		}
		var v wire.View
		if err := v.Reset(rec.Payload); err != nil {
			continue // set aside by the views as well
		}
		for _, f := range []struct {
			field wire.Field
			to    *json.RawMessage
		}{{wire.FInput, &w.Input}, {wire.FOutput, &w.Output}, {wire.FAttrs, &w.Attrs}, {wire.FLinks, &w.Links}} {
			if !v.Has(f.field) {
				continue
			}
			b, err := wire.AppendJSONValue(nil, v.Raw(f.field))
			if err == nil {
				*f.to = b
			}
		}
	}
	return q.json(w)
}

// spanRecord reads a record of a span: mostly one of its agent, of which what is
// sealed is read alone.
func (q *req) spanRecord(sp *spans.Span, off uint64) (wal.Record, error) {
	log := q.s.p.Log
	if num, ok := log.AgentNum(sp.Space, sp.Agent); ok {
		if rec, err := log.ReadOf(off, num); !errors.Is(err, wal.ErrNotFound) {
			return rec, err
		}
	}
	return log.Read(off)
}
