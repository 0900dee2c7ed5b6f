package chunk

import (
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// loadNAB reads one file of real series.
func loadNAB(t testing.TB, path string) (ts []int64, vs []float64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		at, err := time.Parse(time.DateTime, row[0])
		if err != nil {
			t.Fatal(err)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		ts, vs = append(ts, at.UnixMilli()), append(vs, v)
	}
	return ts, vs
}

// perSample encodes in chunks of n, holds the result against the input and
// returns bytes a sample.
func perSample(t testing.TB, ts []int64, vs []float64, n int) float64 {
	t.Helper()
	bytes := 0
	for i := 0; i < len(ts); i += n {
		j := min(i+n, len(ts))
		b := AppendChunk(nil, ts[i:j], vs[i:j])
		bytes += len(b)
		gt, gv, err := Decode(b, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt, ok := t.(*testing.T); ok {
			same(tt, "chunk", gt, ts[i:j], gv, vs[i:j])
		}
	}
	return float64(bytes) / float64(len(ts))
}

// TestNAB holds bytes a sample on real series below what is reached today, so
// that a worse choice of encoding is noticed.
func TestNAB(t *testing.T) {
	files, err := filepath.Glob("testdata/nab/*.csv")
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		ts, vs := loadNAB(t, path)
		got := perSample(t, ts, vs, 512)
		t.Logf("%s: %d samples, %.3f B/sample", filepath.Base(path), len(ts), got)
		if most := nabMost[filepath.Base(path)]; got > most {
			t.Errorf("%s: %.3f B/sample, was %.3f", path, got, most)
		}
	}
}

// agentMix makes the metrics that agents send: counters of tokens and cost,
// queue lengths, latencies, states.
func agentMix(rng *rand.Rand, n int, jitter int64) (ts [][]int64, vs [][]float64) {
	for kind := range 5 {
		var t []int64
		var v []float64
		at, sum := int64(1_700_000_000_000), 0.0
		for i := range n {
			at += 10_000
			j := int64(0)
			if jitter > 0 {
				j = rng.Int64N(jitter)
			}
			t = append(t, at+j)
			switch kind {
			case 0:
				if rng.IntN(3) == 0 {
					sum += float64(rng.IntN(4000))
				}
			case 1:
				if rng.IntN(3) == 0 {
					sum += float64(rng.IntN(900)) / 1000
				}
			case 2:
				sum = float64(rng.IntN(16))
			case 3:
				sum = float64(200+rng.IntN(1500)) / 10
			case 4:
				sum = float64(i / 60 % 3)
			}
			v = append(v, sum)
		}
		ts, vs = append(ts, t), append(vs, v)
	}
	return ts, vs
}

func TestAgentMix(t *testing.T) {
	for _, jitter := range []int64{0, 20} {
		ts, vs := agentMix(rand.New(rand.NewPCG(1, 2)), 3600, jitter)
		sum := 0.0
		for i := range ts {
			got := perSample(t, ts[i], vs[i], 480)
			sum += got
			t.Logf("jitter %d kind %d: %.3f B/sample", jitter, i, got)
		}
		mean := sum / float64(len(ts))
		t.Logf("jitter %d: mean %.3f B/sample", jitter, mean)
		if mean > 2.2 {
			t.Errorf("jitter %d: %.3f B/sample", jitter, mean)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	ts, vs := loadNAB(b, "testdata/nab/rds_cpu_utilization_e47b3b.csv")
	mt, mv := agentMix(rand.New(rand.NewPCG(1, 2)), 512, 0)
	for _, c := range []struct {
		name string
		ts   []int64
		vs   []float64
	}{{"data=nab", ts[:512], vs[:512]}, {"data=tokens", mt[0], mv[0]}, {"data=latency", mt[3], mv[3]}} {
		b.Run(c.name, func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for range b.N {
				dst = AppendChunk(dst[:0], c.ts, c.vs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*512), "ns/sample")
			b.ReportMetric(float64(len(dst))/512, "B/sample")
		})
		b.Run(c.name+"/decode", func(b *testing.B) {
			src := AppendChunk(nil, c.ts, c.vs)
			var t []int64
			var v []float64
			b.ReportAllocs()
			for range b.N {
				var err error
				if t, v, err = Decode(src, t[:0], v[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*512), "ns/sample")
		})
	}
}

// nabMost is bytes a sample when last improved, rounded up.
var nabMost = map[string]float64{
	"ec2_network_in_257a54.csv":              2.38,
	"ec2_request_latency_system_failure.csv": 2.39,
	"rds_cpu_utilization_e47b3b.csv":         1.70,
}
