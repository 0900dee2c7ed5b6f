package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Good events with a few bytes changed lie close to every border of the checks.
func TestMutatedEventsAreJudgedAsByTheNaiveReading(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	pool := seeds()
	taken := 0
	for range 30000 {
		in := bytes.Clone(pool[rnd.IntN(len(pool))])
		for range 1 + rnd.IntN(4) {
			if len(in) > 0 {
				in[rnd.IntN(len(in))] = byte(rnd.Uint32())
			}
		}
		h, e := CheckPayload(in)
		if e == nil {
			taken++
			checkHead(t, in, h)
		} else {
			checkError(t, e)
			if sameRefusal(e) {
				continue
			}
		}
		if want := naiveCheck(in); want != (e == nil) && !repeats(in) {
			t.Fatalf("%q: got %v, naive says %v", in, e, want)
		}
	}
	if taken < 1000 || taken > 29000 {
		t.Fatalf("%d of 30000 were good: the mutations miss the borders", taken)
	}
}
