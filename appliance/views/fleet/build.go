package fleet

import (
	"fmt"
	"time"

	"eyrie/engine/wire"
)

func ms(ns int64) float64 { return float64(ns/1e3) / 1e3 }

// row copies an agent into its public shape.
func (v *View) row(a *agent) Agent {
	r := Agent{
		Num: a.num, Space: a.space, ID: a.id, Name: a.name, Role: a.role, Host: a.host, Version: a.version,
		Model: a.model, Manager: a.manager, Kind: a.kind, State: stateNames[a.state], On: onNames[a.on],
		StateBy: byNames[a.by], StateSince: ms(a.since), StateMsg: a.msg, Show: showNames[a.show()],
		Session: a.session, First: ms(a.first), Last: ms(a.last), Ended: a.over(), EndedMs: ms(a.ended),
		HeartbeatMs: ms(a.heartbeat), Workers: int(a.workers),
		Counts: Counts{a.counts[cEvents], a.counts[cRuns], a.counts[cTasks], a.counts[cLLM], a.counts[cTools], a.counts[cAsks],
			a.counts[cMessages], a.counts[cErrors], a.counts[cFailed], a.counts[cDenied], a.counts[cCancelled], a.counts[cShed]},
		Usage: Usage{a.usage.tok[0], a.usage.tok[1], a.usage.tok[2], a.usage.tok[3], a.usage.tok[4], a.usage.cost, qualityNames[a.usage.quality]},
	}
	if p := a.speaker; p != nil && p.open {
		r.Links = 1
	}
	switch {
	case a.gone:
		r.EndedBy = byNames[byFold]
	case a.over():
		r.EndedBy = byNames[byAgent]
	}
	if len(a.labels) > 0 {
		r.Labels = make(map[string]string, len(a.labels))
		for _, l := range a.labels {
			r.Labels[l.k] = l.v
		}
	}
	r.Rate.Events15m, r.Rate.CostH = a.ring.read(floorMinute(v.clock))
	r.Rate.CostH *= 60 / ringMinutes
	for i := range a.open {
		switch wire.Type(a.open[i].typ) {
		case wire.TypeTool:
			r.Open.Tools++
		case wire.TypeLLM:
			r.Open.LLM++
		case wire.TypeTask:
			r.Open.Tasks++
		}
	}
	if s := a.latest(uint8(wire.TypeTask)); s != nil {
		r.Task = &Task{s.id, s.name, ms(s.since), s.from}
	}
	if s := a.latest(uint8(wire.TypeRun)); s != nil {
		r.Run = &Run{s.run, s.name}
	}
	if s := a.latest(uint8(wire.TypeAsk)); s != nil {
		r.Ask = &Ask{s.id, s.name, s.msg, s.kind, ms(s.since)}
	}
	if len(a.verdicts) > 0 && a.ended == 0 {
		r.Verdict = v.verdict(a, &a.verdicts[0])
	}
	return r
}

func (v *View) verdict(a *agent, x *verdict) *Verdict {
	return &Verdict{Kind: verdictNames[x.kind], Rule: ruleNames[x.rule], Reason: v.reason(a, x), Since: ms(x.since), Evidence: x.evidence}
}

// reason says in words why a verdict stands.
func (v *View) reason(a *agent, x *verdict) string {
	d := func(ns int64) time.Duration { return time.Duration(ns).Round(time.Second) }
	switch x.rule {
	case rlRepeat:
		return fmt.Sprintf("the same %s call %d times in %v, without progress in between", orTool(x.what), x.n, d(a.repeat.last-a.repeat.first))
	case rlFailures:
		return fmt.Sprintf("%d failed calls in a row in %v, last %s", x.n, d(a.failing.last-a.failing.first), orTool(x.what))
	case rlHeartbeat:
		return fmt.Sprintf("nothing heard for more than %d times the promised heartbeat of %v", heartbeatMiss, time.Duration(x.n))
	case rlLink:
		return fmt.Sprintf("its last link closed while it was %s, and nothing was heard for %v", stateNames[a.state], time.Duration(unknownAfter))
	case rlGap:
		return "its producer gave up events while it was " + stateNames[a.state]
	}
	return fmt.Sprintf("cost $%.4f is above its budget of $%.4f", float64(x.n)/1e9, float64(a.budget)/1e9)
}

func orTool(name string) string {
	if name == "" {
		return "tool"
	}
	return name
}

// Get returns one agent.
func (v *View) Get(space, id string) (Agent, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	num, ok := v.byID[space+"\x00"+id]
	if !ok {
		return Agent{}, false
	}
	return v.row(v.agents[num]), true
}

// Row returns the agent of a dense number.
func (v *View) Row(num uint32) (Agent, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	a := v.get(num)
	if a == nil {
		return Agent{}, false
	}
	return v.row(a), true
}

// Num returns the dense number of an agent the fold has seen.
func (v *View) Num(space, id string) (uint32, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	num, ok := v.byID[space+"\x00"+id]
	return num, ok
}

// Encode appends the agent's row as JSON; it appends nothing when there is none.
func (v *View) Encode(dst []byte, num uint32) []byte {
	r, ok := v.Row(num)
	if !ok {
		return dst
	}
	return r.AppendJSON(dst)
}
