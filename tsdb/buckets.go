package tsdb

import (
	"math"
	"slices"
)

// Buckets are samples gathered for drawing: one entry for each stretch of Step
// ms that has samples, named by its beginning, and one entry with N = 0 and
// NaN in the columns where a hole begins, so that no data is told from zero.
type Buckets struct {
	Step          int64
	T             []int64
	Avg, Min, Max []float64
	N             []int
}

// holeIntervals is how many of its usual intervals a series may miss before
// that is a hole.
const holeIntervals = 3

// StepFor returns the length of buckets, in ms, so that from..to makes at most
// points of them.
func StepFor(from, to int64, points int) int64 {
	if points < 2 {
		points = 2
	}
	// Aligned buckets may cut the first and the last one: hence one less.
	return max((to-from)/int64(points-1)+1, 1)
}

// Downsample gathers ascending samples within from..to into at most points
// buckets, aligned to multiples of their step so that a moving window does not
// make them flicker. NaN samples count as no data.
func Downsample(ts []int64, vs []float64, from, to int64, points int) Buckets {
	b := Buckets{Step: StepFor(from, to, points)}
	hole := holeAfter(ts, b.Step)
	last := int64(0)
	n := 0 // samples of the bucket being filled
	var sum float64
	finish := func() {
		if n > 0 {
			b.Avg = append(b.Avg, sum/float64(n))
			b.N = append(b.N, n)
		}
	}
	for i, t := range ts {
		v := vs[i]
		if t < from || t > to || v != v {
			continue
		}
		at := t - mod(t, b.Step)
		k := len(b.T) - 1
		if n > 0 && b.T[k] == at {
			n, sum = n+1, sum+v
			b.Min[k], b.Max[k] = min(b.Min[k], v), max(b.Max[k], v)
			last = t
			continue
		}
		finish()
		if n > 0 && t-last > hole && at-b.T[k] > b.Step {
			b.push(b.T[k]+b.Step, math.NaN())
			b.Avg, b.N = append(b.Avg, math.NaN()), append(b.N, 0)
		}
		b.push(at, v)
		n, sum, last = 1, v, t
	}
	finish()
	return b
}

func (b *Buckets) push(t int64, v float64) {
	b.T, b.Min, b.Max = append(b.T, t), append(b.Min, v), append(b.Max, v)
}

// holeAfter returns the silence that makes a hole: a few median intervals, and
// never less than two steps.
func holeAfter(ts []int64, step int64) int64 {
	if len(ts) < 3 {
		return 2 * step
	}
	ds := make([]int64, 0, len(ts)-1)
	for i := 1; i < len(ts); i++ {
		ds = append(ds, ts[i]-ts[i-1])
	}
	slices.Sort(ds)
	return max(holeIntervals*ds[len(ds)/2], 2*step)
}

func mod(t, step int64) int64 {
	m := t % step
	if m < 0 {
		m += step
	}
	return m
}
