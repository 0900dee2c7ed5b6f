package stats

import (
	"math"
	"slices"
)

// Ratio is a/b over pairs that were measured next to each other.
type Ratio struct {
	Mean     float64 `json:"mean"` // geometric
	Low      float64 `json:"low"`  // 95 % confidence interval, by Student's t on the logarithms
	High     float64 `json:"high"`
	Pairs    int     `json:"pairs"`
	Smallest float64 `json:"smallest"`
	Largest  float64 `json:"largest"`
}

// Ratios compares a[i] with b[i]; all positive, of one length, at least two.
func Ratios(a, b []float64) Ratio {
	n := float64(len(a))
	var sum, squares float64
	r := Ratio{Pairs: len(a), Smallest: math.Inf(1)}
	for i := range a {
		q := a[i] / b[i]
		r.Smallest, r.Largest = min(r.Smallest, q), max(r.Largest, q)
		l := math.Log(q)
		sum += l
		squares += l * l
	}
	mean := sum / n
	variance := max(0, squares-n*mean*mean) / (n - 1)
	half := student975(len(a)-1) * math.Sqrt(variance/n)
	r.Mean, r.Low, r.High = math.Exp(mean), math.Exp(mean-half), math.Exp(mean+half)
	return r
}

// student975 is the 97.5 % quantile of Student's t with df degrees of freedom:
// exact for one and two, else the Cornish-Fisher expansion around the normal
// one (within 2 % from three on).
func student975(df int) float64 {
	switch df {
	case 1:
		return 12.706
	case 2:
		return 4.303
	}
	const z = 1.959964
	v := float64(df)
	return z + (z*z*z+z)/(4*v) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*v*v) +
		(3*math.Pow(z, 7)+19*math.Pow(z, 5)+17*z*z*z-15*z)/(384*v*v*v)
}

// Geometric is the geometric mean.
func Geometric(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// Mean is the geometric mean of positive values with its 95 % confidence
// interval by Student's t on their logarithms; a single value is its own interval.
func Mean(v []float64) (mean, low, high float64) {
	one := make([]float64, len(v))
	for i := range one {
		one[i] = 1
	}
	if len(v) < 2 {
		m := Geometric(v)
		return m, m, m
	}
	r := Ratios(v, one)
	return r.Mean, r.Low, r.High
}

// Unpaired is b/a of positive values that were measured apart, with its 95 %
// confidence interval by Welch's t on the logarithms. ok is false where one side
// has fewer than two values: the ratio stands then, the interval does not.
func Unpaired(a, b []float64) (ratio, low, high float64, ok bool) {
	ma, va := logMoments(a)
	mb, vb := logMoments(b)
	ratio = math.Exp(mb - ma)
	if len(a) < 2 || len(b) < 2 {
		return ratio, ratio, ratio, false
	}
	na, nb := float64(len(a)), float64(len(b))
	sa, sb := va/na, vb/nb
	df := float64(len(a) + len(b) - 2)
	if d := sa*sa/(na-1) + sb*sb/(nb-1); d > 0 {
		df = (sa + sb) * (sa + sb) / d
	}
	half := student975(max(1, int(df))) * math.Sqrt(sa+sb)
	return ratio, math.Exp(mb - ma - half), math.Exp(mb - ma + half), true
}

// logMoments are mean and sample variance of the logarithms.
func logMoments(v []float64) (mean, variance float64) {
	for _, x := range v {
		mean += math.Log(x)
	}
	mean /= float64(len(v))
	if len(v) < 2 {
		return mean, 0
	}
	for _, x := range v {
		d := math.Log(x) - mean
		variance += d * d
	}
	return mean, variance / float64(len(v)-1)
}

// Median is the middle value, or the mean of the two in the middle.
func Median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Slope is the growth of v per unit of t by least squares; 0 where t does not
// vary.
func Slope(t, v []float64) float64 {
	var n, st, sv, stt, stv float64
	for i := range t {
		n, st, sv, stt, stv = n+1, st+t[i], sv+v[i], stt+t[i]*t[i], stv+t[i]*v[i]
	}
	if d := n*stt - st*st; d != 0 {
		return (n*stv - st*sv) / d
	}
	return 0
}
