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

// A filter of rows that come and go keeps every row that is left, with the save that it is in, in
// memory and with wrong answers that do not grow with what has gone.
func TestFilterForgets(t *testing.T) {
	const save, kept, saves = 20_000, 20, 300
	f := filter{most: filterFirst}
	rows := rand.New(rand.NewPCG(1, 2))
	var left [][]uint64 // hashes, by save
	for n := range uint64(saves) {
		page := 10 * n // of the save; it has as many
		var hs []uint64
		for range save {
			h := rows.Uint64()
			f.add(h, page)
			hs = append(hs, h)
		}
		left = append(left, hs)
		if len(left) > kept {
			left = left[1:]
		}
		first := page - 10*uint64(len(left)-1)
		f.forget(first, page, uint64(save*len(left)))
		if len(f.layers) > 3 {
			t.Fatalf("%d layers after %d saves", len(f.layers), n+1)
		}
		if n%50 != 49 {
			continue
		}
		for i, hs := range left {
			of := first + 10*uint64(i)
			for _, h := range hs {
				found := false
				f.each(h, func(from, to uint64) bool {
					found = from <= of && of <= to
					return !found
				})
				if !found || !f.has(h) {
					t.Fatalf("after %d saves a row of the one at page %d is forgotten", n+1, of)
				}
			}
		}
	}
	wrong, asked := 0, 200_000
	for range asked {
		if f.has(rows.Uint64()) {
			wrong++
		}
	}
	if wrong > asked/20 {
		t.Errorf("%d of %d wrong answers with %d rows left of %d", wrong, asked, save*kept, save*saves)
	}
	t.Logf("%d layers, %d of %d wrong answers", len(f.layers), wrong, asked)
}
