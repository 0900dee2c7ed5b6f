package peers

import "math"

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
