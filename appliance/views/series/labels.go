package series

import (
	"bytes"
	"math"
	"slices"

	"eyrie/engine/wire"
	"eyrie/tsdb"
)

// A series has the labels __name__, space and agent; set, the event's name
// where it has one; and the event's own labels, those of a taken name with
// exported_ before it.
const (
	labelSpace = "space"
	labelAgent = "agent"
	labelSet   = "set"
	labelKind  = "kind"
	labelModel = "model"
)

// Bounds of what one agent may claim; what lies beyond is dropped and counted.
const (
	agentSeriesMax  = 2048
	agentSourcesMax = 64 // remembered, not kept: one more takes the place of the last
	labelBytesMax   = 256
	labelsMax       = 32
)

// unknown marks a ref not looked up yet; 0 one that was refused.
const unknown = math.MaxUint64

// agent is what the fold remembers of one agent to find its series without
// making their labels each time. It is a cache: DB has the truth.
type agent struct {
	space, id string
	sources   []*source
	models    []*model
	series    int          // that the DB has of it
	pairs     [2]tsdb.Pair // its labels agent and space
	paired    bool
}

// source is a set of labels that an agent's events carry.
type source struct {
	refs   []uint64
	names  []string // of refs
	next   int      // where the next name is likely to be
	labels []byte   // as in the payload
	set    []byte
	more   map[string]int // index of refs once they are many
}

// model holds an agent's usage series of one model.
type model struct {
	refs   [6]uint64
	model  string    // the view's own copy
	pair   tsdb.Pair // its label model
	paired bool
}

// usageKinds names the tokens of model.refs; the last is the cost.
var usageKinds = [...]string{"input", "output", "cache_read", "cache_write", "reasoning"}

func (v *View) agent(num uint32) *agent {
	if int(num) < len(v.agents) {
		if a := v.agents[num]; a != nil {
			return a
		}
	}
	space, id, ok := v.names.Agent(num)
	if !ok {
		return nil
	}
	for int(num) >= len(v.agents) {
		v.agents = append(v.agents, nil)
	}
	a := &agent{space: space, id: id}
	a.series = len(v.db.Refs([]tsdb.Matcher{tsdb.Eq(labelAgent, id), tsdb.Eq(labelSpace, space)}))
	v.agents[num] = a
	return a
}

func (v *View) source(a *agent, labels, set []byte) *source {
	for i, s := range a.sources {
		if bytes.Equal(s.labels, labels) && bytes.Equal(s.set, set) {
			if i > 8 {
				a.sources[i-1], a.sources[i] = s, a.sources[i-1]
			}
			s.next = 0
			return s
		}
	}
	s := &source{labels: bytes.Clone(labels), set: bytes.Clone(set)}
	if len(a.sources) >= agentSourcesMax {
		a.sources = a.sources[:agentSourcesMax-1]
	}
	a.sources = append(a.sources, s)
	return s
}

// find returns the series of a name: agents send the same names in the same
// order, so the first guess is nearly always right.
func (s *source) find(name []byte) uint64 {
	if s.next < len(s.names) && s.names[s.next] == string(name) {
		s.next++
		return s.refs[s.next-1]
	}
	if s.more != nil {
		if i, ok := s.more[string(name)]; ok {
			s.next = i + 1
			return s.refs[i]
		}
		return unknown
	}
	for i := range s.names {
		if s.names[i] == string(name) {
			s.next = i + 1
			return s.refs[i]
		}
	}
	return unknown
}

const scanMax = 32

func (s *source) remember(name string, ref uint64) {
	s.refs, s.names = append(s.refs, ref), append(s.names, name)
	s.next = len(s.names)
	if len(s.names) == scanMax {
		s.more = map[string]int{}
		for i, n := range s.names {
			s.more[n] = i
		}
	} else if s.more != nil {
		s.more[name] = len(s.names) - 1
	}
}

// add looks the series of a name up, or makes it.
func (v *View) add(a *agent, s *source, w *wire.View, name []byte) uint64 {
	if len(name) == 0 || len(name) > labelBytesMax {
		return 0
	}
	if !w.Has(wire.FLabels) && len(s.set) == 0 && a.series < agentSeriesMax && a.id != "" && a.space != "" {
		if ref, ok := v.gauge(a, name); ok {
			s.remember(v.db.Symbol(name), ref)
			return ref
		}
	}
	ls := tsdb.Labels{{Name: tsdb.MetricName, Value: string(name)}, {Name: labelAgent, Value: a.id}, {Name: labelSpace, Value: a.space}}
	if n := len(s.set); n > 0 && n <= labelBytesMax {
		ls = append(ls, tsdb.Label{Name: labelSet, Value: string(s.set)})
	}
	taken := len(ls)
	w.Strings(wire.FLabels, func(k, val []byte) {
		if len(k) == 0 || len(k) > labelBytesMax || len(val) > labelBytesMax || len(ls) >= labelsMax {
			v.drops++
			return
		}
		n := string(k)
		if slices.ContainsFunc(ls[:taken], func(l tsdb.Label) bool { return l.Name == n }) {
			n = "exported_" + n
		}
		ls = append(ls, tsdb.Label{Name: n, Value: string(val)})
	})
	ref := v.make(a, ls)
	if len(s.refs) < 2*agentSeriesMax {
		s.remember(v.db.Symbol(name), ref)
	}
	return ref
}

func (v *View) model(a *agent, name []byte) *model {
	if len(name) > labelBytesMax {
		name = name[:0]
	}
	for _, m := range a.models {
		if m.model == string(name) {
			return m
		}
	}
	m := &model{model: v.db.Symbol(name)}
	for i := range m.refs {
		m.refs[i] = unknown
	}
	if len(a.models) >= agentSourcesMax {
		a.models = a.models[:agentSourcesMax-1]
	}
	a.models = append(a.models, m)
	return m
}

// addUsage looks a usage series up, or makes it. A fleet has more of these than
// of anything else, so their labels are numbered one by one.
func (v *View) addUsage(a *agent, m *model, i int) uint64 {
	if a.series < agentSeriesMax && len(m.model) > 0 && a.id != "" && a.space != "" {
		if ref, ok := v.numbered(a, m, i); ok {
			return ref
		}
	}
	ls := tsdb.Labels{{Name: labelAgent, Value: a.id}, {Name: labelSpace, Value: a.space}, {Name: labelModel, Value: m.model}}
	if i < len(usageKinds) {
		ls = append(ls, tsdb.Label{Name: tsdb.MetricName, Value: TokensMetric}, tsdb.Label{Name: labelKind, Value: usageKinds[i]})
	} else {
		ls = append(ls, tsdb.Label{Name: tsdb.MetricName, Value: CostMetric})
	}
	return v.make(a, ls)
}

// common are the labels that series of usage share.
type common struct {
	names  [2]tsdb.Pair // of tokens, of the cost
	kinds  [len(usageKinds)]tsdb.Pair
	paired bool
}

// numbered does so for an agent that may have more series; ok is false where a
// label has no number.
func (v *View) numbered(a *agent, m *model, i int) (ref uint64, ok bool) {
	ok = true
	pair := func(to *tsdb.Pair, name, value string) {
		p, known := v.db.Pair(name, value)
		*to, ok = p, ok && known
	}
	c := &v.common
	if !c.paired {
		pair(&c.names[0], tsdb.MetricName, TokensMetric)
		pair(&c.names[1], tsdb.MetricName, CostMetric)
		for k := range c.kinds {
			pair(&c.kinds[k], labelKind, usageKinds[k])
		}
		c.paired = ok
	}
	if !a.paired {
		ok = v.pairs(a) && ok
	}
	if !m.paired {
		pair(&m.pair, labelModel, m.model)
		m.paired = ok
	}
	if !ok {
		return 0, false
	}
	var fresh bool
	if i < len(usageKinds) {
		ref, fresh = v.db.SeriesOf(c.names[0], a.pairs[0], c.kinds[i], m.pair, a.pairs[1])
	} else {
		ref, fresh = v.db.SeriesOf(c.names[1], a.pairs[0], m.pair, a.pairs[1])
	}
	if fresh {
		a.series++
	}
	return ref, true
}

// pairs numbers the labels that all series of an agent have.
func (v *View) pairs(a *agent) bool {
	var agent, space bool
	a.pairs[0], agent = v.db.Pair(labelAgent, a.id)
	a.pairs[1], space = v.db.Pair(labelSpace, a.space)
	a.paired = agent && space
	return a.paired
}

// gauge does for a metric without labels of its own, of an agent that may have
// more series, what add does; ok is false where a label has no number.
func (v *View) gauge(a *agent, name []byte) (ref uint64, ok bool) {
	if !a.paired && !v.pairs(a) {
		return 0, false
	}
	p, known := v.gauges[string(name)]
	if !known {
		if p, ok = v.db.Pair(tsdb.MetricName, string(name)); !ok {
			return 0, false
		}
		if len(v.gauges) < unitsMax {
			v.gauges[string(name)] = p
		}
	}
	ref, fresh := v.db.SeriesOf(p, a.pairs[0], a.pairs[1])
	if fresh {
		a.series++
	}
	return ref, true
}

// make finds the series of ls, or makes it within the agent's bound.
func (v *View) make(a *agent, ls tsdb.Labels) uint64 {
	if ref, ok := v.db.Find(ls); ok {
		return ref
	}
	if a.series >= agentSeriesMax {
		return 0
	}
	ref := v.db.Series(ls)
	if ref != 0 {
		a.series++
	}
	return ref
}
