package chunk

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// same holds got against want bit by bit.
func same(t *testing.T, name string, ts, wantT []int64, vs, wantV []float64) {
	t.Helper()
	if len(ts) != len(wantT) || len(vs) != len(wantV) {
		t.Fatalf("%s: got %d times, %d values, want %d", name, len(ts), len(vs), len(wantT))
	}
	for i := range ts {
		if ts[i] != wantT[i] || math.Float64bits(vs[i]) != math.Float64bits(wantV[i]) {
			t.Fatalf("%s: sample %d: got (%d, %x), want (%d, %x)", name, i, ts[i], math.Float64bits(vs[i]), wantT[i], math.Float64bits(wantV[i]))
		}
	}
}

// shapes makes columns of the kinds that encodings care about.
func shapes(rng *rand.Rand, n int) (ts []int64, vs []float64) {
	t := rng.Int64N(1 << 41)
	step := rng.Int64N(60000)
	jitter := rng.Int64N(50) + 1
	tkind, vkind := rng.IntN(5), rng.IntN(12)
	e := pow10[rng.IntN(6)]
	x := rng.Int64N(1000)
	for i := range n {
		switch tkind {
		case 0:
			t += step
			ts = append(ts, t)
		case 1:
			t += step
			ts = append(ts, t+rng.Int64N(jitter))
		case 2:
			t += rng.Int64N(step + 1)
			ts = append(ts, t)
		case 3:
			ts = append(ts, int64(rng.Uint64()))
		case 4:
			t += 1000 * rng.Int64N(20)
			ts = append(ts, t)
		}
		switch vkind {
		case 0:
			vs = append(vs, float64(x))
		case 1:
			vs = append(vs, float64(rng.Int64N(200)))
		case 2:
			x += rng.Int64N(50)
			if rng.IntN(100) == 0 {
				x = 0
			}
			vs = append(vs, float64(x))
		case 3:
			vs = append(vs, float64(rng.Int64N(100000))/e)
		case 4:
			x += rng.Int64N(101) - 50
			vs = append(vs, float64(x)/e)
		case 5:
			vs = append(vs, rng.NormFloat64())
		case 6:
			vs = append(vs, math.Float64frombits(rng.Uint64()))
		case 7:
			if rng.IntN(10) == 0 {
				vs = append(vs, math.Float64frombits(0x7ff8000000000000|rng.Uint64N(1<<51)))
			} else {
				vs = append(vs, float64(i))
			}
		case 8:
			vs = append(vs, []float64{0, math.Copysign(0, -1), 1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64}[rng.IntN(8)])
		case 9:
			vs = append(vs, float64(rng.Int64N(1<<53))*1024)
		case 10:
			vs = append(vs, 100+math.Sin(float64(i)/10))
		case 11:
			vs = append(vs, float64(int64(1)<<53-rng.Int64N(4)))
		}
	}
	return ts, vs
}

func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := map[byte]int{}
	for range 6000 {
		n := rng.IntN(40)
		if rng.IntN(3) == 0 {
			n = rng.IntN(600)
		}
		ts, vs := shapes(rng, n)
		b := AppendChunk([]byte("x"), ts, vs)[1:]
		gt, gv, err := Decode(b, []int64{7}, []float64{8})
		if err != nil {
			t.Fatal(err)
		}
		if gt[0] != 7 || gv[0] != 8 {
			t.Fatal("what stood in the destination is gone")
		}
		same(t, "chunk", gt[1:], ts, gv[1:], vs)
		in, err := Peek(b)
		if err != nil || in.Samples != n || n > 0 && (in.First != ts[0] || in.Last != ts[n-1]) {
			t.Fatalf("Peek: %+v %v", in, err)
		}
		seen[in.Encoding]++
		// Never larger than the naive form by more than the frame.
		if limit := 16*n + 64; len(b) > limit+n {
			t.Fatalf("%d bytes for %d samples", len(b), n)
		}
	}
	for _, e := range []byte{encRaw, encDecimal, encXOR} {
		if seen[e] < 50 {
			t.Errorf("encoding %d chosen %d times only", e, seen[e])
		}
	}
}

func TestStreamRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		ts, vs := shapes(rng, 1+rng.IntN(200))
		var s Stream
		var b []byte
		s.Start(ts[0], vs[0])
		cut := rng.IntN(len(ts))
		for i := 1; i < len(ts); i++ {
			if i == cut {
				var r Stream
				first, err := r.Restore(b, int(s.N), s.LastT, s.LastV)
				if err != nil || first != ts[0] {
					t.Fatalf("Restore: first %d, %v; want %d", first, err, ts[0])
				}
				if r != s {
					t.Fatalf("restored %+v, want %+v", r, s)
				}
			}
			was := len(b)
			b = s.Push(b, ts[i], vs[i])
			if len(b)-was > MaxStreamSample {
				t.Fatalf("one sample took %d bytes", len(b)-was)
			}
		}
		gt, gv, err := s.AppendSamples(b, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stream", gt, ts, gv, vs)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		ts, vs := shapes(rng, 30)
		b := AppendChunk(nil, ts, vs)
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			if _, _, err := Decode(b, nil, nil); err == nil {
				t.Fatalf("bit %d flipped and not noticed", i)
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("bit %d: %v is neither ErrCorrupt nor ErrVersion", i, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		for n := range b {
			if _, _, err := Decode(b[:n], nil, nil); err == nil {
				t.Fatalf("cut to %d of %d bytes and not noticed", n, len(b))
			}
		}
	}
}
