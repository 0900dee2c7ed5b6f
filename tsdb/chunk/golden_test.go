package chunk

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden are samples whose encoded bytes must stay what they are: chunks on
// disk outlive the code.
func golden() map[string]struct {
	ts []int64
	vs []float64
} {
	type col = struct {
		ts []int64
		vs []float64
	}
	out := map[string]col{"empty": {}, "one": {[]int64{1_700_000_000_123}, []float64{-0.5}}}
	var c col
	for i := range int64(200) {
		c.ts, c.vs = append(c.ts, 1_700_000_000_000+i*10_000+i*i%17), append(c.vs, float64(i*700+i*i%513))
	}
	out["counter"] = c
	c = col{}
	for i := range int64(100) {
		v := float64(i*37%1000) / 100
		if i%9 == 0 {
			v += 1e-15
		}
		c.ts, c.vs = append(c.ts, i*1000), append(c.vs, v)
	}
	c.vs[5], c.vs[6], c.vs[7], c.vs[8] = math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.Float64frombits(0x7ff8dead0000beef)
	out["decimal"] = c
	c = col{}
	x := uint64(88172645463325252)
	for i := range int64(60) {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		c.ts, c.vs = append(c.ts, int64(x>>20)), append(c.vs, 1+float64(x>>12)/(1<<52))
		_ = i
	}
	out["xor"] = c
	c = col{}
	for range 20 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		c.ts, c.vs = append(c.ts, int64(x)), append(c.vs, math.Float64frombits(x))
	}
	out["raw"] = c
	return out
}

func TestGolden(t *testing.T) {
	encodings := map[byte]bool{}
	for name, c := range golden() {
		path := filepath.Join("testdata", "golden", name+".chunk")
		got := AppendChunk(nil, c.ts, c.vs)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		encodings[want[2]] = true
		ts, vs, err := Decode(want, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name, ts, c.ts, vs, c.vs)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is encoded otherwise than before. If that is meant, and old chunks still decode: go test ./tsdb/chunk -run Golden -update", name)
		}
	}
	if len(encodings) != 3 {
		t.Errorf("golden files of %d encodings, want 3", len(encodings))
	}
}
