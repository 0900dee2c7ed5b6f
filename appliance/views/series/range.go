package series

import (
	"cmp"
	"slices"

	"eyrie/tsdb"
)

// Line is one series, gathered for drawing: entry i says that in the step
// beginning at T[i] it averaged Avg[i], between Min[i] and Max[i]. Where a hole
// begins stands one entry of nulls; steps without a sample have none otherwise.
type Line struct {
	Metric string            `json:"metric"`
	Labels map[string]string `json:"labels"`
	T      []int64           `json:"t"`
	Avg    Column            `json:"avg"`
	Min    Column            `json:"min"`
	Max    Column            `json:"max"`
}

// Lines is the answer to a range query.
type Lines struct {
	Series []Line `json:"series"`
	StepMs int64  `json:"step_ms"`
	More   bool   `json:"more,omitempty"` // there were more than linesMax
}

const (
	linesMax  = 200
	pointsMax = 11_000
)

// Range returns the series of an agent's metric ("": all its metrics) within
// from..to, Unix ms, in at most points steps each (0: 300).
func (v *View) Range(space, agent, metric string, from, to int64, points int) (Lines, error) {
	if points <= 0 {
		points = 300
	}
	points = min(points, pointsMax)
	out := Lines{Series: []Line{}, StepMs: tsdb.StepFor(from, to, points)}
	ms := []tsdb.Matcher{tsdb.Eq(labelAgent, agent), tsdb.Eq(labelSpace, space)}
	if metric != "" {
		ms = append(ms, tsdb.Eq(tsdb.MetricName, metric))
	}
	var ts []int64
	var vs []float64
	var err error
	for _, ref := range v.db.Refs(ms) {
		if ts, vs, err = v.db.Range(ref, from, to, ts[:0], vs[:0]); err != nil {
			return Lines{}, err
		}
		if len(ts) == 0 {
			continue
		}
		if len(out.Series) == linesMax {
			out.More = true
			break
		}
		b := tsdb.Downsample(ts, vs, from, to, points)
		if len(b.T) == 0 {
			continue
		}
		l := Line{T: b.T, Avg: b.Avg, Min: b.Min, Max: b.Max}
		l.Metric, l.Labels = v.describe(ref)
		out.Series = append(out.Series, l)
	}
	slices.SortStableFunc(out.Series, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), compareLabels(a.Labels, b.Labels))
	})
	return out, nil
}
