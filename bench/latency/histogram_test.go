package latency

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsCoverEverything(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<20; us++ {
		i := index(us)
		if i != last && i != last+1 {
			t.Fatalf("%d µs: bucket %d after %d", us, i, last)
		}
		last = i
		if u := upper(i); us > u || float64(u-us) > float64(us)/sub {
			t.Fatalf("%d µs: its bucket ends at %d", us, u)
		}
	}
	for _, us := range []uint64{1 << 30, 1<<39 - 1} {
		if u := upper(index(us)); u < us || float64(u-us) > float64(us)/sub {
			t.Errorf("%d µs: its bucket ends at %d", us, u)
		}
	}
	if index(1<<63) != buckets-1 {
		t.Error("what is too long has no bucket")
	}
}

// Quantiles of histograms merged from several, through JSON, are those of all
// durations sorted, to within a bucket.
func TestMergedQuantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var whole Histogram
	for range 7 {
		var part Histogram
		for range 5000 {
			d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
			all = append(all, d)
			part.Add(d)
		}
		b, err := json.Marshal(&part)
		if err != nil {
			t.Fatal(err)
		}
		var back Histogram
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if back != part {
			t.Fatal("a histogram changed on its way through JSON")
		}
		whole.Merge(&back)
	}
	slices.Sort(all)
	if whole.Count() != uint64(len(all)) || whole.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %v", whole.Count(), whole.Max())
	}
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(0, min(len(all)-1, int(q*float64(len(all)))-1))]
		got := whole.Quantile(q)
		if got < want-time.Microsecond || got > want+want/sub+2*time.Microsecond {
			t.Errorf("quantile %v: %v, sorted says %v", q, got, want)
		}
	}
	var none Histogram
	if none.Quantile(0.5) != 0 || none.Mean() != 0 {
		t.Error("an empty histogram has quantiles")
	}
}

// A window holds what was added since, and what it is merged with makes the whole.
func TestSince(t *testing.T) {
	var all, before Histogram
	for i := range 1000 {
		all.Add(time.Duration(i) * time.Millisecond)
	}
	before = all
	for range 100 {
		all.Add(7 * time.Millisecond)
	}
	all.Add(20 * time.Millisecond)
	w := all.Since(&before)
	if w.Count() != 101 || w.Quantile(0.5) < 7*time.Millisecond || w.Quantile(0.5) > 8*time.Millisecond {
		t.Errorf("%d durations, median %v", w.Count(), w.Quantile(0.5))
	}
	if w.Max() < 20*time.Millisecond || w.Max() > 21*time.Millisecond {
		t.Errorf("the longest of the window is %v", w.Max())
	}
	if m := w.Mean(); m < 7*time.Millisecond || m > 8*time.Millisecond {
		t.Errorf("mean %v", m)
	}
	before.Merge(&w)
	if before != all {
		t.Error("the window and what was before do not make the whole")
	}
	if empty := all.Since(&all); empty.Count() != 0 || empty.Max() != 0 {
		t.Errorf("nothing since: %d, %v", empty.Count(), empty.Max())
	}
}
