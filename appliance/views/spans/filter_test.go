package spans

import (
	"math/rand/v2"
	"testing"
)

// A filter that may grow keeps its wrong answers few, one that may not gives
// more, and neither forgets a row.
func TestFilterGrows(t *testing.T) {
	const rows, asked = 3_000_000, 200_000
	wrong := func(most int) (n int) {
		f := filter{most: most}
		rng := rand.New(rand.NewPCG(1, 2))
		for range rows {
			f.add(rng.Uint64(), 0)
		}
		rng = rand.New(rand.NewPCG(1, 2))
		for i := range rows {
			if h := rng.Uint64(); !f.has(h) {
				t.Fatalf("row %d of a filter of %d layers is forgotten", i, len(f.layers))
			}
		}
		for range asked {
			if f.has(rng.Uint64()) {
				n++
			}
		}
		return n
	}
	if n := wrong(filterFirst << 4); n > asked/400 {
		t.Errorf("%d of %d wrong answers where it may grow", n, asked)
	}
	if n := wrong(filterFirst); n < asked/4 {
		t.Errorf("%d of %d wrong answers where it may not: the bound does not hold", n, asked)
	}
}

// The bound is kept, and a view without one has the least.
func TestFilterBound(t *testing.T) {
	v := New(&dict{}, nil)
	for _, c := range []struct {
		bytes int64
		lines int
	}{{0, filterMost}, {200 << 20, filterMost}, {256 << 20, 2 * filterMost}, {1 << 30, 8 * filterMost}, {4 << 30, 32 * filterMost}} {
		v.BoundFilter(c.bytes)
		v.Reset()
		if got := v.filter.largest(); got != c.lines {
			t.Errorf("bound of %d MiB: %d lines, want %d", c.bytes>>20, got, c.lines)
		}
	}
}
