package tsdb

import "slices"

// sortLastWins sorts samples by time, in place where it can; of several at one
// time the one that came last stays.
func sortLastWins(ts []int64, vs []float64) ([]int64, []float64) {
	for i := 1; ; i++ {
		if i >= len(ts) {
			return ts, vs
		}
		if ts[i] <= ts[i-1] {
			break
		}
	}
	type sample struct {
		t int64
		v float64
	}
	all := make([]sample, len(ts))
	for i := range ts {
		all[i] = sample{ts[i], vs[i]}
	}
	slices.SortStableFunc(all, func(a, b sample) int {
		if a.t < b.t {
			return -1
		}
		if a.t > b.t {
			return 1
		}
		return 0
	})
	ts, vs = ts[:0], vs[:0]
	for i, x := range all {
		if i+1 < len(all) && all[i+1].t == x.t {
			continue
		}
		ts, vs = append(ts, x.t), append(vs, x.v)
	}
	return ts, vs
}
