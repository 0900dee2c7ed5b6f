package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

// pretended is a server that gets capacity events a second into its views, takes time out for merges,
// and has others in its way.
type pretended struct {
	rng           *rand.Rand
	at, next, lag float64
	capacity      float64
	merge         int     // every so many looks it does half as much for a tenth of them; 0: never
	behind        float64 // bytes that sealing owes
	seals         float64 // events/s that sealing keeps up with; 0: all
}

// look has a second pass at a rate.
func (s *pretended) look(rate float64) Sample {
	s.at++
	does := s.capacity * (0.9 + 0.2*s.rng.Float64())
	if s.merge > 0 && int(s.at)%s.merge < s.merge/10 {
		does /= 2
	}
	s.next += rate
	s.lag = max(0, s.lag+rate-does)
	if s.seals > 0 {
		s.behind = max(0, s.behind+64*(rate-s.seals))
	}
	return Sample{At: s.at, Window: 1, Rate: rate, Next: s.next, Lag: s.lag, Behind: s.behind}
}

// The load that follows a server comes to what it bears, whatever it was begun with, and
// leaves it no debt that lasts.
func TestGovernorFinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    pretended
		want  float64 // events/s
		first float64 // offered first
	}{
		{"from below", pretended{capacity: 100_000}, 100_000, 20_000},
		{"from above", pretended{capacity: 100_000}, 100_000, 400_000},
		{"with merges", pretended{capacity: 100_000, merge: 60}, 95_000, 50_000},
		{"sealing is what ends it", pretended{capacity: 100_000, seals: 60_000}, 60_000, 50_000},
		{"next to nothing", pretended{capacity: 900}, 900, 10_000},
	} {
		for seed := range uint64(20) {
			s := c.of
			s.rng = rand.New(rand.NewPCG(seed, 1))
			g := newGovernor(c.first, c.first/1000)
			worst := 0.0
			for i := range 300 {
				look := s.look(g.rate)
				g.next(look)
				if i > 120 {
					worst = max(worst, look.Lag/c.of.capacity)
				}
			}
			rate, low, high, over := g.borne()
			if math.Abs(rate/c.want-1) > 0.06 || over.Seconds() < 170 || low > rate || high < rate || high > 1.5*low {
				t.Errorf("%s, seed %d: borne %.0f (%.0f to %.0f over %v), want %.0f", c.name, seed, rate, low, high, over, c.want)
				break
			}
			if worst > behindMax.Seconds()/2 {
				t.Errorf("%s, seed %d: views were %.1f s behind", c.name, seed, worst)
				break
			}
		}
	}
}
