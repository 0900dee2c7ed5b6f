package series

import (
	"cmp"
	"maps"
	"slices"

	"eyrie/tsdb"
)

// Item is one series of an agent.
type Item struct {
	Metric  string            `json:"metric"`
	Labels  map[string]string `json:"labels"` // without name, space and agent
	Unit    string            `json:"unit,omitempty"`
	Last    Number            `json:"last"` // null where it is not finite
	LastMs  int64             `json:"last_ms"`
	Samples uint64            `json:"samples"`
}

// List returns the series of an agent that have samples, by metric, then by
// labels.
func (v *View) List(space, agent string) []Item {
	items := []Item{}
	for _, ref := range v.db.Refs([]tsdb.Matcher{tsdb.Eq(labelAgent, agent), tsdb.Eq(labelSpace, space)}) {
		t, x, n, ok := v.db.Last(ref)
		if !ok {
			continue
		}
		it := Item{Last: Number(x), LastMs: t, Samples: n}
		it.Metric, it.Labels = v.describe(ref)
		it.Unit = v.unit(space, it.Metric)
		items = append(items, it)
	}
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), compareLabels(a.Labels, b.Labels))
	})
	return items
}

// describe splits a series' labels into the metric and those worth showing.
func (v *View) describe(ref uint64) (metric string, labels map[string]string) {
	labels = map[string]string{}
	for _, l := range v.db.Labels(ref) {
		switch l.Name {
		case tsdb.MetricName:
			metric = l.Value
		case labelSpace, labelAgent:
		default:
			labels[l.Name] = l.Value
		}
	}
	return metric, labels
}

func (v *View) unit(space, metric string) string {
	switch metric {
	case TokensMetric:
		return "tokens"
	case CostMetric:
		return "nanousd"
	}
	return v.units.get(space, metric)
}

func compareLabels(a, b map[string]string) int {
	names := slices.Sorted(maps.Keys(a))
	other := slices.Sorted(maps.Keys(b))
	if c := slices.Compare(names, other); c != 0 {
		return c
	}
	for _, n := range names {
		if c := cmp.Compare(a[n], b[n]); c != 0 {
			return c
		}
	}
	return 0
}
