package tsdb

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// erasOf returns the numbers of eras under which the store has chunks, and how many each.
func erasOf(t *testing.T, db *DB) map[uint32]int {
	t.Helper()
	it, err := db.store.NewIter(db.chunkBounds())
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint32]int{}
	for ok := it.First(); ok; ok = it.Next() {
		k, ok := parseChunkKey(it.Key())
		if !ok {
			t.Fatalf("key %q", it.Key())
		}
		got[k.era]++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestEras fills one era after the other, with late samples among them, and asks each
// for its own.
func TestEras(t *testing.T) {
	const series, minutes, at = 40, 5000, 1_700_000_000_000
	p := testStore(t)
	db := openDB(t, p)
	db.eras.most = 2 << 10
	var refs []uint64
	for i := range series {
		refs = append(refs, db.Series(NewLabels("__name__", "cpu", "i", fmt.Sprint(i))))
	}
	m := model{}
	add := func(ref uint64, t int64, v float64) {
		if m[ref] == nil {
			m[ref] = map[int64]uint64{}
		}
		db.Append(ref, t, v)
		m[ref][t] = math.Float64bits(v)
	}
	for i := range int64(minutes) {
		for k, ref := range refs {
			add(ref, at+i*60_000, float64(i*int64(k)))
		}
		if i%100 == 99 {
			add(refs[0], at-dayMs-i*60_000, 1) // late
			save(t, db, true)
		}
	}
	all := slices.Clone(db.eras.all)
	stored := erasOf(t, db)
	if len(all) < 20 || len(stored) != len(all) {
		t.Fatalf("%d eras, chunks in %d", len(all), len(stored))
	}
	for i, e := range all {
		if e.no != eraFirst+uint32(i) || stored[e.no] == 0 || len(e.times) == 0 {
			t.Errorf("era %d: %+v with %d chunks", i, e, stored[e.no])
		}
		if i < len(all)-1 && e.bytes < db.eras.most {
			t.Errorf("era %d ended with %d bytes", i, e.bytes)
		}
	}
	// An hour lies in few eras, though each has late samples from before all.
	if n := len(db.eras.within(nil, at+3000*60_000, at+3060*60_000)); n == 0 || n > 4 {
		t.Errorf("%d of %d eras for an hour", n, len(all))
	}
	again := openDB(t, p)
	if !reflect.DeepEqual(again.eras.all, all) {
		t.Errorf("loaded %+v, were %+v", again.eras.all, all)
	}
	for _, d := range []*DB{db, again} {
		for _, ref := range refs {
			for _, r := range [][2]int64{{math.MinInt64, math.MaxInt64}, {at + 1000*60_000, at + 1100*60_000}, {at - 5000*60_000, at}} {
				ts, vs, err := d.Range(ref, r[0], r[1], nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				wt, wv := m.want(ref, r[0], r[1])
				if err := equalSamples(ts, wt, vs, wv); err != nil {
					t.Fatalf("series %d, %d..%d: %v", ref, r[0], r[1], err)
				}
			}
		}
	}
	// All eras forget a series, and no other.
	b := p.NewBatch()
	if err := errors.Join(again.Forget(b, map[uint64]bool{refs[3]: true}), b.Commit(pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	again = openDB(t, p)
	for _, ref := range refs[2:5] {
		wt, wv := m.want(ref, math.MinInt64, math.MaxInt64)
		if ref == refs[3] {
			wt, wv = nil, nil
		}
		ts, vs, err := again.Range(ref, math.MinInt64, math.MaxInt64, nil, nil)
		if err = errors.Join(err, equalSamples(ts, wt, vs, wv)); err != nil {
			t.Errorf("series %d with one forgotten: %v", ref, err)
		}
	}
	// Without a row, or with one that cannot be read, an era is looked into all the same.
	row := func(i int) []byte { return appendEraKey(nil, 't', kindEra, resRaw, all[i].no) }
	if err := errors.Join(p.Delete(row(3), pebble.NoSync), p.Delete(row(4), pebble.NoSync), p.Set(row(len(all)-1), []byte{magicEra, eraVersion, 1}, pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	again = openDB(t, p)
	if len(again.eras.all) != len(all) {
		t.Errorf("%d eras with damaged rows, want %d", len(again.eras.all), len(all))
	}
	for _, ref := range refs[:3] {
		wt, wv := m.want(ref, math.MinInt64, math.MaxInt64)
		ts, vs, err := again.Range(ref, math.MinInt64, math.MaxInt64, nil, nil)
		if err = errors.Join(err, equalSamples(ts, wt, vs, wv)); err != nil {
			t.Errorf("series %d with damaged rows of eras: %v", ref, err)
		}
	}
	if e := again.eras.enter(); e.no != all[len(all)-1].no+1 {
		t.Errorf("the next chunks go into era %d, behind %d, whose row is damaged", e.no, all[len(all)-1].no)
	}
}

// TestEraEnds tells when the next chunks begin another era.
func TestEraEnds(t *testing.T) {
	const at = 1_700_000_000_000
	for _, c := range []struct {
		last era
		want uint32
	}{
		{era{eraFirst + 7, eraBytes - 1, at, []span{{at, at}}}, eraFirst + 7},
		{era{eraFirst + 7, eraBytes, at, []span{{at, at}}}, eraFirst + 8},
		{era{eraFirst + 7, eraLeast, at, []span{{at, at + eraSpan}}}, eraFirst + 8},
		{era{eraFirst + 7, eraLeast - 1, at, []span{{at, at + eraSpan}}}, eraFirst + 7},
		{era{eraFirst + 7, eraLeast, at, []span{{0, 1}, {at, at + eraSpan - 1}}}, eraFirst + 7}, // late ones count for nothing
		{era{1<<31 + 19_000, 0, 0, []span{{at, at + dayMs - 1}}}, eraFirst},                     // a day of before
	} {
		x := eras{most: eraBytes}
		x.put(c.last)
		if e := x.enter(); e.no != c.want || e.no != c.last.no && (e.bytes != 0 || len(e.times) > 0) {
			t.Errorf("behind %+v: %+v, want number %d", c.last, e, c.want)
		}
	}
	x := eras{most: eraBytes}
	if e := x.enter(); e.no != eraFirst {
		t.Errorf("the first has number %d", e.no)
	}
}

// TestEraTimes adds chunks at random: no time of theirs may be missing, and what lies far from
// all is not among them while there are few.
func TestEraTimes(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var e era
		var all []span
		places := 1 + rng.IntN(2*eraTimes)
		for range 300 {
			first := int64(rng.IntN(places))*10*dayMs + rng.Int64N(dayMs)
			s := span{first, first + rng.Int64N(spanMs+1)}
			all = append(all, s)
			e.add(s.first, s.last, 1)
			for i := range len(e.times) - 1 {
				if e.times[i].last+eraGap >= e.times[i+1].first {
					t.Fatalf("seed %d: times %v", seed, e.times)
				}
			}
			if len(e.times) > eraTimes || e.bytes != uint64(len(all)) {
				t.Fatalf("seed %d: %d times, %d bytes", seed, len(e.times), e.bytes)
			}
		}
		for _, s := range all {
			if !e.meets(s.first, s.first) || !e.meets(s.last, s.last) || !e.meets(MinTime, MaxTime) {
				t.Fatalf("seed %d: %v is not in %v", seed, s, e.times)
			}
		}
		if places <= eraTimes {
			for i := range int64(places) {
				if at := (i*10 + 5) * dayMs; e.meets(at, at+dayMs) {
					t.Fatalf("seed %d: nothing is at %d, of %v", seed, at, e.times)
				}
			}
		}
	}
}

// BenchmarkMerging tells what the store writes again of chunks, with eras and with one for all
// of them, in a thirty-second of the sizes that a server has: 512 MiB stand for 16 GiB.
func BenchmarkMerging(b *testing.B) {
	for _, c := range []struct {
		name string
		most uint64
	}{{"eras", eraBytes / 32}, {"one", 1 << 62}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(mergedPerByte(b, c.most), "merged-B/B")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func mergedPerByte(b *testing.B, most uint64) float64 {
	const series, perSave, bytes, total = 20_000, 4000, 190, 512 << 20
	o := &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest,
		MemTableSize: 2 << 20, L0CompactionThreshold: 16, L0StopWritesThreshold: 100, LBaseMaxBytes: 8 << 20}
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 2 << 20
	}
	o.Experimental.LevelMultiplier = 1000
	p, err := pebble.Open("", o)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	db, err := Open(p, 't', Options{})
	if err != nil {
		b.Fatal(err)
	}
	db.eras.most = most
	rng := rand.New(rand.NewPCG(1, 2))
	at := int64(1_700_000_000_000)
	for written := 0; written < total; at += 10_000 {
		for range perSave {
			data := make([]byte, bytes)
			for i := 0; i < bytes; i += 8 {
				copy(data[i:], fmt.Sprintf("%08x", rng.Uint32()))
			}
			ref := uint32(1 + rng.IntN(series))
			i, _ := locate(ref)
			s := &db.shards[i]
			s.closed[ref] = append(s.closed[ref], pending{first: at, last: at + 1, data: data})
			written += chunkKeyBytes + bytes
		}
		w := p.NewBatch()
		if err := db.Save(w); err != nil {
			b.Fatal(err)
		}
		if err := w.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
		db.Saved()
		for m := p.Metrics(); m.Compact.NumInProgress > 0 || m.Levels[0].TablesCount > 40; m = p.Metrics() {
			runtime.Gosched()
		}
	}
	merged := uint64(0)
	m := p.Metrics()
	for i := range m.Levels {
		merged += m.Levels[i].TableBytesCompacted
	}
	return float64(merged) / total
}
