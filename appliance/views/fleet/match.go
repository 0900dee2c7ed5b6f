package fleet

import (
	"strings"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
)

// matched shows an agent to a query.
type matched struct {
	v *View
	a *agent
}

// Field answers the fields of the query language for an agent.
func (m *matched) Field(name string) query.Value {
	a := m.a
	switch name {
	case "space":
		return query.T(a.space)
	case "agent", "id":
		return query.T(a.id)
	case "name":
		return query.T(a.name)
	case "role":
		return query.T(a.role)
	case "host":
		return query.T(a.host)
	case "version":
		return query.T(a.version)
	case "model":
		return query.T(a.model)
	case "manager":
		return query.T(a.manager)
	case "kind":
		return query.T(a.kind)
	case "session":
		return query.T(a.session)
	case "state", "show":
		return query.T(showNames[a.show()])
	case "declared":
		return query.T(stateNames[a.state])
	case "on":
		return query.T(onNames[a.on])
	case "by":
		return query.T(byNames[a.by])
	case "verdict":
		if len(a.verdicts) > 0 {
			return query.T(verdictNames[a.verdicts[0].kind])
		}
	case "rule":
		if len(a.verdicts) > 0 {
			return query.T(ruleNames[a.verdicts[0].rule])
		}
	case "task":
		return query.T(a.nameOf(wire.TypeTask))
	case "run":
		if s := a.latest(uint8(wire.TypeRun)); s != nil {
			return query.T(s.run)
		}
	case "tool":
		return query.T(a.nameOf(wire.TypeTool))
	case "ask":
		return query.T(a.nameOf(wire.TypeAsk))
	case "ended":
		return query.B(a.ended != 0)
	case "first":
		return query.N(ms(a.first))
	case "last":
		return query.N(ms(a.last))
	case "age":
		return query.N(ms(max(m.v.clock-a.last, 0)))
	case "cost":
		return query.N(float64(a.usage.cost))
	case "tokens":
		return query.N(float64(a.usage.tokens()))
	case "events":
		return query.N(float64(a.counts[cEvents]))
	case "tools":
		return query.N(float64(a.counts[cTools]))
	case "failures":
		return query.N(float64(a.counts[cFailed]))
	case "errors":
		return query.N(float64(a.counts[cErrors]))
	case "workers":
		return query.N(float64(a.workers))
	case "links":
		return query.B(a.speaker != nil && a.speaker.open)
	}
	if k, ok := strings.CutPrefix(name, "labels."); ok {
		return query.T(a.label(k))
	}
	return query.T(a.label(name))
}

func (a *agent) nameOf(typ wire.Type) string {
	if s := a.latest(uint8(typ)); s != nil {
		return s.name
	}
	return ""
}

func (a *agent) label(k string) string {
	for _, l := range a.labels {
		if strings.EqualFold(l.k, k) {
			return l.v
		}
	}
	return ""
}

// Texts shows the texts that free words are sought in.
func (m *matched) Texts(fn func(string) bool) bool {
	a := m.a
	for _, s := range [...]string{a.id, a.name, a.role, a.host, a.model, a.manager, a.msg, a.nameOf(wire.TypeTask), a.nameOf(wire.TypeRun), a.nameOf(wire.TypeAsk)} {
		if s != "" && fn(s) {
			return true
		}
	}
	for _, l := range a.labels {
		if fn(l.v) {
			return true
		}
	}
	return false
}

// Match tells for an agent's number whether a query selects it, in the space
// given (any when ""). Unknown agents never match.
func (v *View) Match(num uint32, space string, q *query.Query) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	a := v.get(num)
	return a != nil && (space == "" || a.space == space) && (q.Empty() || q.Match(&matched{v, a}))
}
