package tsdb

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestDownsample holds buckets against sums made the slow way.
func TestDownsample(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		var ts []int64
		var vs []float64
		at := rng.Int64N(1e12) - 5e11
		from := at + rng.Int64N(2000)
		for range rng.IntN(500) {
			at += 1 + rng.Int64N(100)
			if rng.IntN(60) == 0 {
				at += rng.Int64N(20000)
			}
			v := float64(rng.IntN(2001) - 1000)
			if rng.IntN(20) == 0 {
				v = math.NaN()
			}
			ts, vs = append(ts, at), append(vs, v)
		}
		to := from + rng.Int64N(40000)
		points := 2 + rng.IntN(200)
		b := Downsample(ts, vs, from, to, points)
		if len(b.T) > points || len(b.T) != len(b.Avg) || len(b.T) != len(b.N) || len(b.T) != len(b.Min) || len(b.T) != len(b.Max) {
			t.Fatalf("%d entries (%d %d) of at most %d", len(b.T), len(b.Avg), len(b.N), points)
		}
		total := 0
		for i, start := range b.T {
			if i > 0 && b.T[i-1] >= start || mod(start, b.Step) != 0 {
				t.Fatalf("entry %d begins at %d after %v, step %d", i, start, b.T[:i], b.Step)
			}
			n, sum, lo, hi := 0, 0.0, math.Inf(1), math.Inf(-1)
			for k, x := range ts {
				if x >= from && x <= to && x >= start && x < start+b.Step && vs[k] == vs[k] {
					n, sum, lo, hi = n+1, sum+vs[k], min(lo, vs[k]), max(hi, vs[k])
				}
			}
			total += n
			if n != b.N[i] {
				t.Fatalf("entry %d has %d samples, want %d", i, b.N[i], n)
			}
			if n == 0 {
				if b.Avg[i] == b.Avg[i] || b.Min[i] == b.Min[i] || b.Max[i] == b.Max[i] {
					t.Fatalf("a hole shows numbers: %v", b.Avg[i])
				}
				continue
			}
			if b.Avg[i] != sum/float64(n) || b.Min[i] != lo || b.Max[i] != hi {
				t.Fatalf("entry %d: got %v %v %v, want %v %v %v", i, b.Avg[i], b.Min[i], b.Max[i], sum/float64(n), lo, hi)
			}
		}
		want := 0
		for k, x := range ts {
			if x >= from && x <= to && vs[k] == vs[k] {
				want++
			}
		}
		if total != want {
			t.Fatalf("%d samples in buckets, want %d", total, want)
		}
	}
}

func TestDownsampleTellsHolesFromSparseSeries(t *testing.T) {
	var ts []int64
	var vs []float64
	for i := range int64(100) {
		if i < 40 || i >= 60 {
			ts, vs = append(ts, i*10_000), append(vs, 0)
		}
	}
	// Steps of 1 s, a sample each 10 s: only the 200 s without one are a hole.
	b := Downsample(ts, vs, 0, 999_000, 1001)
	holes := 0
	for i := range b.T {
		if b.N[i] == 0 {
			holes++
			if b.T[i] <= 390_000 || b.T[i] >= 600_000 {
				t.Errorf("hole at %d", b.T[i])
			}
		}
	}
	if holes != 1 || len(b.T) != 81 {
		t.Errorf("%d holes in %d entries, want 1 in 81", holes, len(b.T))
	}
}
