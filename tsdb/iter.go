package tsdb

import "sort"

// Iter walks the samples of one series in order of time. It stands before the
// first one.
type Iter struct {
	ts []int64
	vs []float64
	i  int
}

// Next moves on and tells whether there is a sample.
func (it *Iter) Next() bool {
	it.i++
	return it.i < len(it.ts)
}

// SeekTo moves to the first sample at or after t, never back, and tells whether
// there is one.
func (it *Iter) SeekTo(t int64) bool {
	from := max(it.i, 0)
	if from >= len(it.ts) {
		return false
	}
	it.i = from + sort.Search(len(it.ts)-from, func(k int) bool { return it.ts[from+k] >= t })
	return it.i < len(it.ts)
}

// At returns the sample: Unix ms and value.
func (it *Iter) At() (int64, float64) { return it.ts[it.i], it.vs[it.i] }

// Samples returns all samples, wherever the Iter stands; valid as long as it.
func (it *Iter) Samples() ([]int64, []float64) { return it.ts, it.vs }
