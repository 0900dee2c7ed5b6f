//go:build linux

package bench

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// watched makes three minutes of samples, one each five seconds, of a load of
// 50,000 events/s; change makes of them what a test wants.
func watched(seed uint64, change func(rng *rand.Rand, i int, s *Sample)) []Sample {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := make([]Sample, 36)
	for i := range out {
		s := &out[i]
		*s = Sample{
			At: float64(5 * (i + 1)), Window: 5, Rate: 50_000 + 200*rng.NormFloat64(), P50: 4 + rng.Float64(),
			Lag: 3000 * rng.Float64(), LogL0: float64(80+i%4*16) * (1 << 20), ViewL0Depth: float64(i % 9),
		}
		change(rng, i, s)
	}
	return out
}

// What saws and scatters holds, what grows does not and is named, each by its
// own name alone.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(rng *rand.Rand, i int, s *Sample)
		grows  string // part of the only reason
	}{
		{"steady", func(*rand.Rand, int, *Sample) {}, ""},
		{"lag that saws, far above what is normal", func(rng *rand.Rand, i int, s *Sample) {
			s.Lag = 40_000 * float64(i%3) * (1 + 0.2*rng.Float64())
		}, ""},
		{"lag that grows", func(rng *rand.Rand, i int, s *Sample) { s.Lag = 2_000*float64(i) + 3000*rng.Float64() }, "view lag grew from"},
		{"lag that grows faster and faster", func(rng *rand.Rand, i int, s *Sample) {
			s.Lag = 100*float64(i*i) + 3000*rng.Float64()
		}, "view lag grew from"},
		{"lag that grew and was worked off", func(rng *rand.Rand, i int, s *Sample) { s.Lag = 500_000 - 20_000*min(float64(i), 24) }, ""},
		{"lag that grows below what is normal", func(rng *rand.Rand, i int, s *Sample) { s.Lag = 100 * float64(i) }, ""},
		{"a stall that views did not get over", func(rng *rand.Rand, i int, s *Sample) { s.Lag = 600_000 - 2000*float64(i) }, "what views showed was 11 s old at worst in the second half"},
		{"sealing in a saw", func(rng *rand.Rand, i int, s *Sample) { s.Behind = float64(i%5) * (40 << 20) }, ""},
		{"sealing that falls behind", func(rng *rand.Rand, i int, s *Sample) {
			s.Behind = (8*float64(i) + 4*rng.NormFloat64()) * (1 << 20)
		}, "unsealed log owed grew from"},
		{"level 0 of the log", func(rng *rand.Rand, i int, s *Sample) {
			s.LogL0 = (200 + 16*float64(i) + 10*rng.Float64()) * (1 << 20)
		}, "level 0 of the log grew from"},
		{"level 0 of the views up to where it is merged", func(rng *rand.Rand, i int, s *Sample) {
			s.ViewL0Depth = min(float64(i/3), 12)
		}, ""},
		{"level 0 of the views without end", func(rng *rand.Rand, i int, s *Sample) { s.ViewL0Depth = 2 + float64(i) }, "level 0 of the views grew from"},
		{"acknowledgements that wait longer and longer", func(rng *rand.Rand, i int, s *Sample) { s.P50 = 50 * float64(i) }, "wait for acknowledgement grew from"},
		{"too little acknowledged", func(rng *rand.Rand, i int, s *Sample) { s.Rate = 48_500 }, "48,500 events/s were acknowledged of 50,000"},
		{"a stall in the first half", func(rng *rand.Rand, i int, s *Sample) {
			if i == 5 {
				s.Rate, s.P50, s.Lag = 0, 5000, 300_000
			}
		}, ""},
	} {
		for seed := range uint64(50) {
			v := Judge(watched(seed, c.change), 50_000)
			if v.Holds != (len(v.Why) == 0) || v.Holds != (c.grows == "") {
				t.Errorf("%s, seed %d: %v %v", c.name, seed, v.Holds, v.Why)
				break
			}
			if c.grows != "" && (len(v.Why) != 1 || !strings.HasPrefix(v.Why[0], c.grows)) {
				t.Errorf("%s, seed %d: %q", c.name, seed, v.Why)
				break
			}
		}
	}
	if v := Judge(watched(1, func(*rand.Rand, int, *Sample) {})[:5], 0); v.Holds {
		t.Error("five looks were enough for a verdict")
	}
}
