package fleet

import (
	"cmp"
	"slices"

	"eyrie/engine/wire"
)

// burnFloor stands in for the cost of an agent that burns nothing now: a
// person's time counts too, so the oldest of equals comes first.
const burnFloor = 10_000_000 // nano-dollars per hour

const (
	wnAsks = iota
	wnStuck
	wnFailed
	wnSilent
	wnBudget
)

var wantNames = [...]string{"asks", "stuck", "failed", "silent", "over_budget"}

// wants calls fn for each reason for which the agent wants a person now.
func (a *agent) wants(fn func(kind uint8, since int64, s *span, x *verdict)) {
	if a.over() {
		return
	}
	asks := false
	for i := range a.open {
		if wire.Type(a.open[i].typ) == wire.TypeAsk {
			asks = true
			fn(wnAsks, a.open[i].since, &a.open[i], nil)
		}
	}
	if !asks && a.state == stWaiting && a.on == onPerson {
		fn(wnAsks, a.since, nil, nil)
	}
	if a.state == stFailed {
		fn(wnFailed, a.since, nil, nil)
	}
	for i := range a.verdicts {
		switch x := &a.verdicts[i]; x.kind {
		case vdStuck:
			fn(wnStuck, x.since, nil, x)
		case vdSilent:
			fn(wnSilent, x.since, nil, x)
		case vdBudget:
			fn(wnBudget, x.since, nil, x)
		}
	}
}

// wanted counts the reasons.
func (a *agent) wanted() (n int) {
	if len(a.verdicts) == 0 && a.state != stFailed && a.state != stWaiting && a.latest(uint8(wire.TypeAsk)) == nil {
		return 0
	}
	a.wants(func(uint8, int64, *span, *verdict) { n++ })
	return n
}

type want struct {
	a     *agent
	kind  uint8
	since int64
	s     *span
	x     *verdict
	burn  int64
	score float64
}

// Attention lists what wants a person now in a space (all when space is ""),
// by age × burn, the largest first; limit bounds the items, not the total.
func (v *View) Attention(space string, limit int) Attention {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []want
	now := floorMinute(v.clock)
	for num := range v.wanting {
		a := v.agents[num]
		if space != "" && a.space != space {
			continue
		}
		_, cost := a.ring.read(now)
		burn := cost * (60 / ringMinutes)
		a.wants(func(kind uint8, since int64, s *span, x *verdict) {
			age := max(v.clock-since, 0)
			all = append(all, want{a, kind, since, s, x, burn, float64(age) / 1e9 * float64(burn+burnFloor) / 1e9})
		})
	}
	slices.SortFunc(all, func(x, y want) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.since, y.since), cmp.Compare(x.a.num, y.a.num), cmp.Compare(x.kind, y.kind))
	})
	out := Attention{Items: []Wants{}, Total: len(all)}
	for i := range all[:min(limit, len(all))] {
		out.Items = append(out.Items, v.wantRow(&all[i]))
	}
	return out
}

func (v *View) wantRow(w *want) Wants {
	a := w.a
	r := Wants{Kind: wantNames[w.kind], Agent: v.row(a), Since: ms(w.since), Age: ms(max(v.clock-w.since, 0)), Evidence: []uint64{}, Burn: w.burn, Score: w.score}
	if s := a.latest(uint8(wire.TypeRun)); s != nil {
		r.Run = s.run
	} else if a.lastRun != "" {
		r.Run = a.lastRun
	}
	switch {
	case w.s != nil:
		r.Span, r.Title, r.Detail = w.s.id, "asks: "+first(w.s.msg, w.s.name, "a question"), w.s.kind
	case w.kind == wnAsks:
		r.Title, r.Detail = "waits for a person", a.msg
	case w.kind == wnFailed:
		r.Title, r.Detail = "failed", a.msg
		if a.failOff != 0 {
			r.Evidence = []uint64{a.failOff}
		}
	default:
		r.Title, r.Detail = wordOf(w.kind), v.reason(a, w.x)
		r.Evidence = w.x.evidence
	}
	return r
}

func wordOf(kind uint8) string {
	if kind == wnBudget {
		return "over budget"
	}
	return wantNames[kind]
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}
