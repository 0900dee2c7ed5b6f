package claudecode

import (
	"eyrie/engine/wire"
)

// call is one model call: the records that share a message id.
type call struct {
	id      string
	src     *Source // where its last record stood
	model   string
	start   int64
	last    stamp
	usage   usage
	exact   bool // a record said how the message stopped, so its usage is final
	outcome outcome
	stop    string
}

// heard takes in an assistant record as part of a model call. Its usage counts once per message: the records
// of one message repeat it, the last one may hold more.
func (a *actor) heard(r *record, bs []block, at stamp) {
	m := r.Message
	id := m.ID
	if id == "" {
		id = r.UUID
	}
	if id == "" {
		return
	}
	if a.call != nil && a.call.id != id {
		a.endCall()
	}
	if a.call == nil {
		before, known := a.calls[id]
		if known && (m.Usage == nil || !before.less(*m.Usage)) {
			return // read before: from another file, or ended when the file fell quiet
		}
		c := &call{id: id, model: m.Model, start: at.ns, usage: before, outcome: outcome{status: wire.StatusOK}}
		if a.input != 0 && a.input < at.ns {
			c.start = a.input
		}
		a.call = c
		if !known {
			e := a.event(wire.TypeLLM, at)
			e.Phase, e.Span, e.Parent, e.Name, e.Start = wire.PhaseStart, bounded(id), a.parent(), c.name(), c.start
			a.s.f.emit(e)
		}
	}
	c := a.call
	if at.ns >= c.last.ns {
		c.last = at
	}
	if m.Usage != nil {
		c.usage = c.usage.max(*m.Usage)
	}
	if m.StopReason != "" {
		c.exact, c.stop = true, m.StopReason
	}
	if r.IsAPIErrorMessage {
		c.outcome = outcome{status: wire.StatusError, code: "api_error", msg: "the model gave no answer"}
		for _, b := range bs {
			if o := answerOutcome(b.Text); o.status == wire.StatusError {
				c.outcome = o
			}
		}
	}
}

func (c *call) name() string {
	if c.model == "" {
		return "unknown model"
	}
	return cut(c.model, nameBytesMax)
}

// endCall ends the model call in hand: its next record would belong to another.
func (a *actor) endCall() {
	c := a.call
	if c == nil {
		return
	}
	a.call = nil
	a.calls[c.id] = c.usage
	e := a.event(wire.TypeLLM, c.last)
	e.Phase, e.Span, e.Parent, e.Name, e.Status, e.Start = wire.PhaseEnd, bounded(c.id), a.parent(), c.name(), c.outcome.status, c.start
	d := msBetween(c.start, c.last.ns)
	e.DurMs = &d
	if c.outcome.code != "" {
		a.s.f.fail(&e, c.outcome)
	}
	if c.stop != "" {
		e.Attrs = map[string]any{"gen_ai.response.finish_reasons": []string{cut(c.stop, nameBytesMax)}}
	}
	if c.model != "<synthetic>" { // written by Claude Code itself: nothing was spent
		q := wire.QualityLowerBound
		if c.exact {
			q = wire.QualityExact
		}
		e.Usage = &wire.Usage{Model: []byte(c.name()), Input: max(0, c.usage.Input), Output: max(0, c.usage.Output),
			CacheRead: max(0, c.usage.CacheRead), CacheWrite: max(0, c.usage.CacheWrite), Quality: q}
	}
	a.s.f.emit(e)
}

func (u usage) max(v usage) usage {
	return usage{max(u.Input, v.Input), max(u.Output, v.Output), max(u.CacheRead, v.CacheRead), max(u.CacheWrite, v.CacheWrite)}
}

func (u usage) less(v usage) bool { return u.max(v) != u }
