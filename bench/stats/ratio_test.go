package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestStudent(t *testing.T) {
	for _, c := range []struct {
		df   int
		want float64
	}{{1, 12.706}, {2, 4.303}, {3, 3.182}, {5, 2.571}, {19, 2.093}, {23, 2.069}, {100, 1.984}} {
		if got := student975(c.df); math.Abs(got-c.want) > 0.02*c.want {
			t.Errorf("%d degrees of freedom: %.3f, want %.3f", c.df, got, c.want)
		}
	}
}

// TestRatios: of many intervals around a known ratio, about 95 in 100 cover it.
func TestRatios(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const times, pairs, truth = 2000, 20, 1.25
	covered := 0
	for range times {
		var a, b []float64
		for range pairs {
			load := 1e5 * (1 + rng.Float64()) // hurts both alike
			a = append(a, truth*load*math.Exp(0.1*rng.NormFloat64()))
			b = append(b, load*math.Exp(0.1*rng.NormFloat64()))
		}
		if r := Ratios(a, b); r.Low <= truth && truth <= r.High && r.Pairs == pairs && r.Smallest < r.Mean && r.Mean < r.Largest {
			covered++
		}
	}
	if share := float64(covered) / times; share < 0.93 || share > 0.97 {
		t.Errorf("%.1f %% of the intervals cover the ratio", 100*share)
	}
	if r := Ratios([]float64{2, 4}, []float64{1, 2}); r.Mean != 2 || r.High-r.Low > 1e-6 {
		t.Errorf("%+v", r)
	}
}

// TestUnpaired: of many intervals around a known ratio of unequal samples, about
// 95 in 100 cover it, and none is given where one side has a single value.
func TestUnpaired(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	sample := func(n int, centre, spread float64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = centre * math.Exp(spread*r.NormFloat64())
		}
		return v
	}
	covered, trials := 0, 4000
	for range trials {
		_, lo, hi, ok := Unpaired(sample(5, 100, 0.1), sample(8, 130, 0.05))
		if !ok {
			t.Fatal("no interval for 5 and 8 values")
		}
		if lo <= 1.3 && 1.3 <= hi {
			covered++
		}
	}
	if share := float64(covered) / float64(trials); share < 0.93 || share > 0.97 {
		t.Errorf("%.1f %% of the intervals cover the ratio, want about 95 %%", 100*share)
	}
	if q, _, _, ok := Unpaired([]float64{2}, []float64{3, 3}); ok || math.Abs(q-1.5) > 1e-12 {
		t.Errorf("one value against two: %v, %v", q, ok)
	}
}

func TestMedianAndSlope(t *testing.T) {
	if got := Median([]float64{5, 1, 3}); got != 3 {
		t.Errorf("median of three: %v", got)
	}
	if got := Median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of four: %v", got)
	}
	if got := Slope([]float64{0, 1, 2}, []float64{1, 3, 5}); got != 2 {
		t.Errorf("slope: %v", got)
	}
	if got := Slope([]float64{1, 1}, []float64{1, 3}); got != 0 {
		t.Errorf("slope at one time: %v", got)
	}
}
