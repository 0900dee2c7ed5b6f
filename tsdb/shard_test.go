package tsdb

import "testing"

// TestRunsCloseSpread has many series begin together and get a sample each second:
// their runs close all along, the first as the later ones.
func TestRunsCloseSpread(t *testing.T) {
	const series, seconds, at = 2000, 2000, 1_700_000_000_000
	db := openDB(t, testStore(t))
	refs := make([]uint64, series)
	for i := range refs {
		refs[i] = db.Series(NewLabels("__name__", "cpu", "agent", string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)), "space", "main"))
	}
	closed := func() (n uint64) {
		for i := range db.shards {
			n += db.shards[i].chunks
		}
		return n
	}
	before, most, first := uint64(0), uint64(0), -1
	for s := range seconds {
		for i, ref := range refs {
			db.Append(ref, at+int64(s)*1000, float64((s*7+i)%100))
		}
		n := closed() - before
		before += n
		most = max(most, n)
		if n > 0 && first < 0 {
			first = s
		}
	}
	if before < series || first > seconds/8 {
		t.Fatalf("%d runs of %d series were closed in %d s, the first after %d", before, series, seconds, first)
	}
	if most > series/20 {
		t.Errorf("%d of %d runs closed in one second", most, series)
	}
	t.Logf("%d runs closed, at most %d in a second, from second %d on", before, most, first)
}
