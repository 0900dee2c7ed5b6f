// Package series folds the numbers in events into time series: metrics as
// they are, counters as they are, deltas summed, and the usage of model calls
// as sums by kind of token.
//
// It owns which labels a series gets (labels.go), which instant a sample has
// (fold.go) and the answers of the series endpoints (list.go, range.go); the
// samples themselves are package tsdb's. One goroutine calls Apply, Save, Load
// and Reset, queries run beside them.
package series
