package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Of many intervals around a known slope, about 95 in 100 cover it.
func TestTrend(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const times, points, truth = 2000, 6, 2.0
	covered := 0
	for range times {
		var at, v []float64
		for i := range points {
			at, v = append(at, float64(i)), append(v, 7+truth*float64(i)+rng.NormFloat64())
		}
		if x := TrendOf(at, v); x.Low <= truth && truth <= x.High {
			covered++
		}
	}
	if share := float64(covered) / times; share < 0.93 || share > 0.97 {
		t.Errorf("%.1f %% of the intervals cover the slope", 100*share)
	}
}

func TestTrendOfLittle(t *testing.T) {
	if x := TrendOf([]float64{1, 2}, []float64{1, 5}); x.Slope != 4 || !math.IsInf(x.Low, -1) || !math.IsInf(x.High, 1) {
		t.Errorf("two points: %+v", x)
	}
	if x := TrendOf([]float64{1, 1, 1}, []float64{1, 5, 9}); x.Slope != 0 || !math.IsInf(x.Low, -1) {
		t.Errorf("one instant: %+v", x)
	}
	if x := TrendOf([]float64{1, 2, 3}, []float64{4, 4, 4}); x.Slope != 0 || x.Low != 0 || x.High != 0 {
		t.Errorf("no change: %+v", x)
	}
}

// A saw has the same trough in each of its stretches.
func TestBlocks(t *testing.T) {
	var at, v []float64
	for i := range 60 {
		at, v = append(at, float64(i)), append(v, 5+float64(i%7))
	}
	bt, bv := Blocks(at, v, 6, Trough)
	if len(bt) != 6 || bt[0] != 4.5 || bt[5] != 54.5 {
		t.Errorf("times %v", bt)
	}
	for _, x := range bv {
		if x != 5 {
			t.Errorf("troughs %v", bv)
			break
		}
	}
	if _, bv = Blocks(at, v, 6, Median); bv[0] <= 5 {
		t.Errorf("medians %v", bv)
	}
	if bt, _ = Blocks(at[:2], v[:2], 6, Median); len(bt) != 2 {
		t.Errorf("two points make %d stretches", len(bt))
	}
}
