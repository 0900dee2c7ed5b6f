package tsdb

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// fleet makes the series of agents × metrics.
func fleet(db *DB, agents, metrics int) []uint64 {
	refs := make([]uint64, 0, agents*metrics)
	for a := range agents {
		agent := fmt.Sprintf("7f3c9a12-5d1e-4b7a-9c55-%012d", a)
		for m := range metrics {
			refs = append(refs, db.Series(NewLabels(MetricName, fmt.Sprintf("metric_%d", m), "agent", agent, "space", "main")))
		}
	}
	return refs
}

func heap() uint64 {
	for range 3 { // pools give up what they hold at the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBytesPerSeries reports the memory of a series with labels and index
// after so many samples of a 10 s report with a jitter of some ms.
func BenchmarkBytesPerSeries(b *testing.B) {
	for _, samples := range []int{1, 5, 30, 100} {
		b.Run(fmt.Sprintf("samples=%d", samples), func(b *testing.B) {
			const agents, metrics = 6500, 10
			for range b.N {
				before := heap()
				p, err := pebble.Open(b.TempDir(), &pebble.Options{DisableWAL: true, Logger: quiet{}})
				if err != nil {
					b.Fatal(err)
				}
				db := openDB(b, p)
				refs := fleet(db, agents, metrics)
				rng := rand.New(rand.NewPCG(1, 1))
				for i := range samples {
					for k, ref := range refs {
						db.Append(ref, 1_700_000_000_000+int64(i)*10_000+rng.Int64N(20), value(k%metrics, i, rng))
					}
					if i%10 == 0 { // what is closed goes to the store
						save(b, db, true)
						if err := p.Flush(); err != nil {
							b.Fatal(err)
						}
					}
				}
				// The store's own memory is bounded by its options, not by series.
				if err := p.Close(); err != nil {
					b.Fatal(err)
				}
				db.store = nil
				p = nil
				after := heap()
				b.ReportMetric(float64(after-before)/float64(len(refs)), "B/series")
				runtime.KeepAlive(refs)
				runtime.KeepAlive(db)
			}
		})
	}
}

// value makes ten kinds of metric: counters, gauges, decimals, states.
func value(kind, i int, rng *rand.Rand) float64 {
	switch kind {
	case 0, 1, 2:
		return float64(i*700 + rng.IntN(700))
	case 3:
		return float64(rng.IntN(1000)) / 10
	case 4:
		return float64(rng.IntN(100_000)) / 1000
	case 5:
		return float64(rng.IntN(12))
	case 6:
		return float64(i / 50)
	case 7:
		return 4096 * float64(50_000+rng.IntN(100))
	case 8:
		return rng.Float64()
	default:
		return 1
	}
}

func BenchmarkAppend(b *testing.B) {
	db := openDB(b, testStore(b))
	refs := fleet(db, 6500, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	vals := make([]float64, 1<<16)
	for i := range vals {
		vals[i] = value(i%10, i/10, rng)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		k := i % len(refs)
		db.Append(refs[k], 1_700_000_000_000+int64(i/len(refs))*10_000, vals[i&0xffff])
	}
}

// BenchmarkSave saves 65,000 series that all got samples: how long the fold
// stands still, what the commit costs beside it.
func BenchmarkSave(b *testing.B) {
	p := testStore(b)
	db := openDB(b, p)
	refs := fleet(db, 6500, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	at := int64(1_700_000_000_000)
	bytes := 0
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		for range 3 {
			at += 10_000
			for k, ref := range refs {
				db.Append(ref, at, value(k%10, int(at/10_000%1000), rng))
			}
		}
		b.StartTimer()
		batch := p.NewBatch()
		if err := db.Save(batch); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		bytes += batch.Len()
		if err := batch.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
		batch.Close()
		db.Saved()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(refs)), "ns/series")
	b.ReportMetric(float64(bytes)/float64(b.N*len(refs)), "B/series")
}

func BenchmarkLoad(b *testing.B) {
	p := testStore(b)
	db := openDB(b, p)
	refs := fleet(db, 6500, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 50 {
		for k, ref := range refs {
			db.Append(ref, 1_700_000_000_000+int64(i)*10_000, value(k%10, i, rng))
		}
	}
	save(b, db, true)
	b.ResetTimer()
	for range b.N {
		openDB(b, p)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(refs)), "ns/series")
}

func BenchmarkRange(b *testing.B) {
	p := testStore(b)
	db := openDB(b, p)
	refs := fleet(db, 10, 10)
	rng := rand.New(rand.NewPCG(1, 1))
	const samples = 8640
	for i := range samples {
		for k, ref := range refs {
			db.Append(ref, 1_700_000_000_000+int64(i)*10_000, value(k%10, i, rng))
		}
		if i%60 == 0 {
			save(b, db, true)
		}
	}
	var ts []int64
	var vs []float64
	var err error
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if ts, vs, err = db.Range(refs[i%len(refs)], 0, MaxTime, ts[:0], vs[:0]); err != nil || len(ts) != samples {
			b.Fatal(len(ts), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samples), "ns/sample")
}
