package stats

import (
	"math"
	"slices"
)

// Trend is the growth of a value over time: a slope by least squares with its
// 95 % confidence interval, by Student's t on the residuals.
type Trend struct {
	Slope     float64 `json:"slope"` // per unit of t
	Low, High float64 `json:"-"`
}

// TrendOf returns the trend of v over t. Of fewer than three points, or where t
// does not vary, nothing is known: the interval has no bounds.
func TrendOf(t, v []float64) Trend {
	n := float64(len(t))
	x := Trend{Slope: Slope(t, v), Low: math.Inf(-1), High: math.Inf(1)}
	mt, mv := mean(t), mean(v)
	var stt, residual float64
	for i := range t {
		d := t[i] - mt
		e := v[i] - mv - x.Slope*d
		stt += d * d
		residual += e * e
	}
	if len(t) < 3 || stt == 0 {
		return x
	}
	half := student975(len(t)-2) * math.Sqrt(residual/(n-2)/stt)
	x.Low, x.High = x.Slope-half, x.Slope+half
	return x
}

// Blocks cuts a series into n stretches of equal length and takes the of of each,
// Median or Trough, at the middle of its time. A value that saws up and down is
// compared at the same point of its period so.
func Blocks(t, v []float64, n int, of func([]float64) float64) (bt, bv []float64) {
	n = min(n, len(t))
	for i := range n {
		a, b := i*len(t)/n, (i+1)*len(t)/n
		bt, bv = append(bt, mean(t[a:b])), append(bv, of(v[a:b]))
	}
	return bt, bv
}

// Trough is the least value.
func Trough(v []float64) float64 { return slices.Min(v) }

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x
	}
	return m / float64(max(len(v), 1))
}
