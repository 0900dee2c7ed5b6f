package spans

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"eyrie/engine/wire"
)

// A filter that may grow keeps its wrong answers few, one that may not gives
// more, and neither forgets a row.
func TestFilterGrows(t *testing.T) {
	const rows, asked = 3_000_000, 200_000
	wrong := func(f filter) (n int) {
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
	if n := wrong(filter{most: filterFirst << 4}); n > asked/400 {
		t.Errorf("%d of %d wrong answers where it may grow", n, asked)
	}
	if n := wrong(filter{most: filterFirst, keeps: true}); n < asked/4 {
		t.Errorf("%d of %d wrong answers where it may not: the bound does not hold", n, asked)
	}
}

// The bound is kept, and a view without one has the least.
func TestFilterBound(t *testing.T) {
	v := New(&dict{}, nil)
	for _, c := range []struct {
		bytes int64
		lines int
	}{{0, filterMost}, {100 << 20, filterMost}, {200 << 20, 200 << 20 / lineBytes}, {4 << 30, 32 * filterMost}} {
		v.BoundFilter(c.bytes)
		v.Reset()
		if got := v.filter.bound(); got != c.lines {
			t.Errorf("bound of %d MiB: %d lines, want %d", c.bytes>>20, got, c.lines)
		}
	}
}

// A snapshot of a larger bound does not take more than there is now, and has the newest rows.
func TestFilterOfALargerBound(t *testing.T) {
	const least = filterFirst / 64
	v := New(&dict{}, nil)
	for name, c := range map[string]struct {
		lines []int
		most  int
		want  []int
	}{
		"fits":            {[]int{least, 2 * least, 4 * least}, 8 * least, []int{least, 2 * least, 4 * least}},
		"the oldest":      {[]int{4 * least, 4 * least, 4 * least}, 8 * least, []int{4 * least, 4 * least}},
		"one is too much": {[]int{least, 64 * least}, 8 * least, []int{least, 4 * least}},
		"none":            {nil, 8 * least, nil},
	} {
		f := filter{most: c.most, least: least}
		var first []uint64
		for i := range c.lines {
			first = append(first, uint64(10*i))
		}
		f.begin(slices.Clone(c.lines), first)
		var got []int
		for i := range f.layers {
			got = append(got, len(f.layers[i].lines))
		}
		if !slices.Equal(got, c.want) || len(got) > 0 && f.since() != uint64(10*(len(c.lines)-len(got))) {
			t.Errorf("%s: %d from page %d on, want %d", name, got, f.since(), c.want)
		}
		f.add(1, 100)
		if !f.has(1) || v.filter.bound() != filterMost {
			t.Errorf("%s: what was just added is not known", name)
		}
	}
}

// A filter at its bound knows the newest rows, most of its room full of them, and lets go of those before.
func TestFilterLetsGo(t *testing.T) {
	const most = 2 * filterFirst // lines, some 800,000 rows
	const saves, save = 20, 100_000
	f := filter{most: most, least: filterFirst / 8}
	rng := rand.New(rand.NewPCG(1, 2))
	var hs []uint64
	for n := range uint64(saves) {
		for range save {
			h := rng.Uint64()
			hs = append(hs, h)
			f.add(h, 10*n)
		}
		lines := 0
		for _, l := range f.layers {
			lines += len(l.lines)
		}
		if lines > most {
			t.Fatalf("%d lines after %d saves", lines, n+1)
		}
	}
	known := most * perLine * (filterShare - 1) / filterShare
	for i, h := range hs[len(hs)-known:] {
		if !f.has(h) {
			t.Fatalf("row %d of the newest %d is forgotten", i, known)
		}
	}
	if f.since() == 0 || f.since() >= 10*saves {
		t.Errorf("it says that it knows the saves from page %d on", f.since())
	}
	old := 0
	for _, h := range hs[:len(hs)-most*perLine] {
		if f.has(h) {
			old++
		}
	}
	if old > len(hs)/100 {
		t.Errorf("it may know %d rows of before its bound", old)
	}
	// Restored, it knows the rows of the saves that it covers.
	g := filter{most: most, least: filterFirst / 8}
	for _, l := range f.layers {
		g.put(len(l.lines), l.first)
	}
	for i, h := range hs {
		g.restore(h, 10*uint64(i/save))
	}
	for i, h := range hs {
		if page := 10 * uint64(i/save); page >= g.since() && !g.has(h) {
			t.Fatalf("row %d of page %d is not restored; from %d on", i, page, g.since())
		}
	}
	if n := g.layers[0].room; n < -save {
		t.Errorf("rows from before were put into the oldest layer: room for %d", n)
	}
}

// A filter of rows that come and go keeps every row that is left, with the save that it is in, in
// memory and with wrong answers that do not grow with what has gone.
func TestFilterForgets(t *testing.T) {
	const save, kept, saves = 20_000, 20, 300
	f := filter{most: filterShare * filterFirst}
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
		f.forget(first)
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

// A span from before what the filter knows is found by its id, in memory and loaded again; named again it is a new
// one, and its row stays. One that the filter knows is what it was.
func TestSpansFromBeforeTheFilter(t *testing.T) {
	d := &dict{}
	num := d.add("main", "a")
	db := openStore(t)
	defer db.Close()
	open := func() *View {
		v := New(d, db)
		v.eraRows = 1000
		v.filter.least, v.filter.most = 8, 64 // 192 and 1,536 rows
		return v
	}
	v, next := open(), uint64(1)
	name := func(id string) {
		next = apply(v, next, num,
			ev(wire.PhaseStart, func(e *wire.Event) { e.Span, e.TS, e.Name = id, t0+int64(next)*1e6, fmt.Sprint(next) }),
			ev(wire.PhaseEnd, func(e *wire.Event) { e.Span, e.TS, e.Status = id, t0+int64(next)*1e6, wire.StatusOK }))
	}
	const rows = 6000
	for i := range rows {
		if name(fmt.Sprint("s", i)); i%250 == 249 {
			save(t, v, db)
			v.Saved()
		}
	}
	check := func(total uint64, named map[string]string) {
		t.Helper()
		if p, err := v.List(t.Context(), Query{Limit: 1}); err != nil || p.Total != total {
			t.Errorf("%d rows (%v), want %d", p.Total, err, total)
		}
		for id, want := range named {
			if s, found, err := v.Get(t.Context(), "main", id); err != nil || !found || s.Name != want {
				t.Errorf("%s: %q, %v, %v; want %q", id, s.Name, found, err, want)
			}
		}
		if _, found, err := v.Get(t.Context(), "main", "none"); found || err != nil {
			t.Errorf("there is none of this name: %v", err)
		}
	}
	again := func() {
		if v.err != nil {
			t.Fatal(v.err)
		}
		v = open()
		if err := v.Load(db); err != nil {
			t.Fatal(err)
		}
	}
	if v.filter.since() == 0 {
		t.Fatal("the filter knows all: the test sees nothing")
	}
	first := map[string]string{"s0": "1", "s3": "7", fmt.Sprint("s", rows-1): fmt.Sprint(2*rows - 1), fmt.Sprint("s", rows-1400): fmt.Sprint(2*(rows-1400) + 1)}
	check(rows, first)
	again()
	check(rows, first)
	at := next
	name("s3")
	name(fmt.Sprint("s", rows-1))
	first["s3"] = fmt.Sprint(at)
	check(rows+1, first)
	save(t, v, db)
	v.Saved()
	check(rows+1, first)
	again()
	check(rows+1, first)
}
