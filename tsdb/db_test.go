package tsdb

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testStore is a Pebble without a log of its own, as the views store is.
func testStore(t testing.TB) *pebble.DB {
	t.Helper()
	p, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func openDB(t testing.TB, p *pebble.DB) *DB {
	t.Helper()
	db, err := Open(p, 't', Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Load(p); err != nil {
		t.Fatal(err)
	}
	return db
}

func save(t testing.TB, db *DB, told bool) {
	t.Helper()
	b := db.store.NewBatch()
	if err := db.Save(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if told {
		db.Saved()
	}
}

// count returns the rows of a kind.
func count(t testing.TB, p *pebble.DB, kind byte) (n int) {
	t.Helper()
	it, err := p.NewIter(&pebble.IterOptions{LowerBound: []byte{'t', kind}, UpperBound: []byte{'t', kind + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// model is the naive DB: every sample in a map.
type model map[uint64]map[int64]uint64

func (m model) clone() model {
	c := model{}
	for k, v := range m {
		c[k] = maps.Clone(v)
	}
	return c
}

func (m model) want(ref uint64, from, to int64) (ts []int64, vs []float64) {
	for _, t := range slices.Sorted(maps.Keys(m[ref])) {
		if t >= from && t <= to {
			ts, vs = append(ts, t), append(vs, math.Float64frombits(m[ref][t]))
		}
	}
	return ts, vs
}

func equalSamples(ts, wantT []int64, vs, wantV []float64) error {
	if len(ts) != len(wantT) || len(vs) != len(wantV) {
		return fmt.Errorf("got %d times, %d values, want %d", len(ts), len(vs), len(wantT))
	}
	for i := range ts {
		if ts[i] != wantT[i] || math.Float64bits(vs[i]) != math.Float64bits(wantV[i]) {
			return fmt.Errorf("sample %d: got (%d, %v), want (%d, %v)", i, ts[i], vs[i], wantT[i], wantV[i])
		}
	}
	return nil
}

// TestAgainstModel appends, saves, crashes and reads at random, beside a map.
func TestAgainstModel(t *testing.T) {
	var seen Stats
	added, eras := 0, 0
	defer func() {
		if eras < 30*5 {
			t.Errorf("only %d eras in 30 DBs", eras)
		}
		if added < 1000 {
			t.Errorf("only %d additions were there when a DB was opened", added)
		}
		if seen.LateSamples < 50 || seen.Replaced < 50 || seen.Chunks < 100 {
			t.Errorf("the test went past something: %+v", seen)
		}
	}()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 9))
		p := testStore(t)
		open := func() *DB {
			db := openDB(t, p)
			db.eras.most = 2 << 10
			return db
		}
		db := open()
		const series = 20
		names := make([]Labels, series)
		refs := make([]uint64, series)
		now := make([]int64, series)
		sum := make([]float64, series)
		step := make([]int64, series)
		for i := range names {
			names[i] = NewLabels("__name__", fmt.Sprint("m", i%5), "agent", fmt.Sprint("a", i))
			step[i] = []int64{1, 10, 1000, 60_000, 3_600_000, 20_000_000}[rng.IntN(6)]
			now[i] = 1_700_000_000_000 - rng.Int64N(1e9)
		}
		m, saved := model{}, model{}
		savedNow, savedSum := slices.Clone(now), slices.Clone(sum)
		find := func() {
			for i := range refs {
				refs[i] = db.Series(names[i])
				if m[refs[i]] == nil {
					m[refs[i]] = map[int64]uint64{}
				}
			}
		}
		find()
		for op := range 6000 {
			i := rng.IntN(series)
			ref := refs[i]
			switch k := rng.IntN(1000); {
			case k < 900:
				at := now[i]
				switch rng.IntN(40) {
				case 0: // the same instant again
				case 1: // a little out of order
					at -= rng.Int64N(20*step[i] + 1)
				case 2: // late
					at -= rng.Int64N(3000*step[i] + 1)
				default:
					at += 1 + rng.Int64N(step[i])
				}
				v := float64(rng.IntN(1000)) / 10
				if rng.IntN(50) == 0 {
					v = math.Float64frombits(rng.Uint64())
				}
				if i%7 == 0 {
					// A cumulative series: never behind its newest sample.
					d := float64(rng.IntN(9))
					if len(m[ref]) > 0 {
						at = max(at, now[i])
					}
					sum[i] += d
					db.Add(ref, at, d)
					v = sum[i]
				} else {
					db.Append(ref, at, v)
				}
				m[ref][at] = math.Float64bits(v)
				now[i] = max(now[i], at)
			case k < 930:
				save(t, db, rng.IntN(2) == 0)
				saved, savedNow, savedSum = m.clone(), slices.Clone(now), slices.Clone(sum)
			case k < 940: // crash
				rows := count(t, p, kindAdded)
				if added += rows; rows > headEvery {
					t.Fatalf("seed %d op %d: %d rows of additions to one head row", seed, op, rows)
				}
				db = open()
				m, now, sum = saved.clone(), slices.Clone(savedNow), slices.Clone(savedSum)
				find()
			default:
				from := now[i] - rng.Int64N(5000*step[i]+1)
				to := from + rng.Int64N(5000*step[i]+1)
				if rng.IntN(10) == 0 {
					from, to = math.MinInt64, math.MaxInt64
				}
				ts, vs, err := db.Range(ref, from, to, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				wt, wv := m.want(ref, from, to)
				if err := equalSamples(ts, wt, vs, wv); err != nil {
					t.Fatalf("seed %d op %d series %d range %d..%d: %v", seed, op, i, from, to, err)
				}
			}
		}
		save(t, db, true)
		eras += len(db.eras.all)
		for _, d := range []*DB{db, openDB(t, p)} {
			got := 0
			err := d.Select([]Matcher{Eq("__name__", "m1")}, math.MinInt64, math.MaxInt64, func(ls Labels, it *Iter) error {
				got++
				ref, ok := d.Find(ls)
				if !ok || ls.Get("__name__") != "m1" {
					return fmt.Errorf("labels %v", ls)
				}
				ts, vs := it.Samples()
				wt, wv := m.want(ref, math.MinInt64, math.MaxInt64)
				at, v, n, ok := d.Last(ref)
				if !ok || at != wt[len(wt)-1] || math.Float64bits(v) != math.Float64bits(wv[len(wv)-1]) || n < uint64(len(wt)) {
					return fmt.Errorf("last (%d, %v) of %d, %v", at, v, n, ok)
				}
				return equalSamples(ts, wt, vs, wv)
			})
			if err != nil || got != 4 {
				t.Fatalf("seed %d: %d series, %v", seed, got, err)
			}
			st := d.Stats()
			seen.LateSamples += st.LateSamples
			seen.Replaced += st.Replaced
			seen.Chunks += st.Chunks
		}
	}
}

// TestReadersSeeEverySample reads while samples are appended, saved and moved
// to the store: no reader may miss one that was there before it began.
func TestReadersSeeEverySample(t *testing.T) {
	p := testStore(t)
	db := openDB(t, p)
	db.eras.most = 1 << 10
	const series, samples = 8, 6000
	var refs []uint64
	for i := range series {
		refs = append(refs, db.Series(NewLabels("__name__", "x", "i", fmt.Sprint(i))))
	}
	var mu sync.Mutex
	done := int64(0)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for r := range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				least := done
				mu.Unlock()
				check := func(ts []int64, vs []float64) error {
					if int64(len(ts)) < least {
						return fmt.Errorf("%d samples, %d were there", len(ts), least)
					}
					for i, at := range ts {
						if at != int64(i)*1000 || vs[i] != float64(i) {
							return fmt.Errorf("sample %d is (%d, %v)", i, at, vs[i])
						}
					}
					return nil
				}
				var err error
				if r == 0 {
					err = db.Select([]Matcher{Eq("__name__", "x")}, 0, math.MaxInt64, func(ls Labels, it *Iter) error { return check(it.Samples()) })
				} else {
					var ts []int64
					var vs []float64
					if ts, vs, err = db.Range(refs[r], 0, math.MaxInt64, nil, nil); err == nil {
						err = check(ts, vs)
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range int64(samples) {
		for _, ref := range refs {
			db.Append(ref, i*1000, float64(i))
		}
		mu.Lock()
		done = i + 1
		mu.Unlock()
		if i%97 == 0 {
			save(t, db, i%2 == 0)
		}
	}
	close(stop)
	wg.Wait()
	if len(db.eras.all) < 10 {
		t.Errorf("only %d eras", len(db.eras.all))
	}
}

func TestMatchers(t *testing.T) {
	db := openDB(t, testStore(t))
	add := func(pairs ...string) {
		db.Append(db.Series(NewLabels(pairs...)), 1, 1)
	}
	add("__name__", "cpu", "agent", "a1", "space", "main")
	add("__name__", "cpu", "agent", "a2", "space", "main")
	add("__name__", "mem", "agent", "a1", "space", "main", "host", "h1")
	add("__name__", "mem", "agent", "a\n3", "space", "other", "host", "h2")
	match := func(want string, ms ...Matcher) {
		t.Helper()
		if got := fmt.Sprint(db.Refs(ms)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	m := func(ty MatchType, n, v string) Matcher {
		t.Helper()
		x, err := NewMatcher(ty, n, v)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	match("[1 2 3 4]")
	match("[1 2]", Eq("__name__", "cpu"))
	match("[]", Eq("__name__", "cp"))
	match("[]", Eq("nosuch", "x"))
	match("[1 2]", Eq("host", ""))
	match("[1 2 3 4]", Eq("nosuch", ""))
	match("[3 4]", m(NotEqual, "host", ""))
	match("[]", m(NotEqual, "nosuch", ""))
	match("[1 2 4]", m(NotEqual, "host", "h1"))
	match("[3]", m(Regexp, "host", "h1|x"), Eq("space", "main"))
	match("[3 4]", m(Regexp, "host", "h."))
	match("[1 2 3 4]", m(Regexp, "host", ".*"))
	match("[3 4]", m(Regexp, "host", ".+"))
	match("[1 2 3]", m(NotRegexp, "agent", "a.+3"))
	match("[]", m(Regexp, "agent", "a")) // the whole value
	match("[2]", Eq("space", "main"), Eq("__name__", "cpu"), m(NotEqual, "agent", "a1"))
	if _, err := NewMatcher(Regexp, "a", "("); err == nil {
		t.Error("a broken expression was taken")
	}
	if got := fmt.Sprint(db.Names(), db.Values("host"), db.Values("nosuch")); got != "[__name__ agent host space] [h1 h2] []" {
		t.Error(got)
	}
}

func TestBounds(t *testing.T) {
	p := testStore(t)
	db, err := Open(p, 't', Options{SeriesMax: 2})
	if err != nil {
		t.Fatal(err)
	}
	a, b := db.Series(NewLabels("n", "1")), db.Series(NewLabels("n", "2"))
	if a != 1 || b != 2 || db.Series(NewLabels("n", "3")) != 0 || db.Series(NewLabels("n", "1")) != 1 {
		t.Fatal("the bound on series does not hold")
	}
	if db.Series(Labels{}) != 0 || db.Series(Labels{{"n", ""}}) != 0 {
		t.Fatal("a series without labels was made")
	}
	for _, at := range []int64{math.MinInt64, MinTime - 1, MaxTime + 1, math.MaxInt64} {
		db.Append(a, at, 1)
		db.Add(a, at, 1)
	}
	if st := db.Stats(); st.Dropped != 8 || st.Refused != 3 || st.Samples != 0 {
		t.Fatalf("%+v", st)
	}
	db.Append(a, MinTime, 1)
	db.Append(a, -1, 2)
	db.Append(a, 0, 3)
	db.Append(a, MaxTime, 4)
	save(t, db, true)
	db = openDB(t, p)
	ts, vs, err := db.Range(a, math.MinInt64, math.MaxInt64, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := equalSamples(ts, []int64{MinTime, -1, 0, MaxTime}, vs, []float64{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
}

// TestDamageIsNoticed flips bytes of every row and opens.
func TestDamageIsNoticed(t *testing.T) {
	p := testStore(t)
	db := openDB(t, p)
	ref := db.Series(NewLabels("__name__", "x"))
	for i := range int64(1000) {
		db.Append(ref, i, float64(i))
	}
	save(t, db, true)
	it, err := p.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]byte{}
	for ok := it.First(); ok; ok = it.Next() {
		rows[string(it.Key())] = slices.Clone(it.Value())
	}
	it.Close()
	kinds := map[byte]bool{}
	for k, v := range rows {
		kinds[k[1]] = true
		for i := range v {
			bad := slices.Clone(v)
			bad[i] ^= 0x10
			if err := p.Set([]byte(k), bad, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			d, _ := Open(p, 't', Options{})
			err := d.Load(p)
			if err == nil {
				_, _, err = d.Range(ref, 0, 5000, nil, nil)
			}
			if k[1] == kindEra && err == nil && d.Stats().ErasUnknown == 1 {
				if ts, _, err := d.Range(ref, 0, 5000, nil, nil); err != nil || len(ts) != 1000 {
					t.Fatalf("byte %d of %q damaged: %d samples, %v", i, k, len(ts), err)
				}
				continue
			}
			if err == nil {
				t.Fatalf("byte %d of %q damaged and not noticed", i, k)
			}
		}
		if err := p.Set([]byte(k), v, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if len(kinds) != 5 {
		t.Fatalf("rows of %d kinds, want 5", len(kinds))
	}
}
