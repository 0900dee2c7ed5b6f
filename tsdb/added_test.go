package tsdb

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// A save that follows few samples writes little, however long the runs are, and
// what is loaded is what was saved, at every one of many saves.
func TestAdditions(t *testing.T) {
	p := testStore(t)
	db := openDB(t, p)
	const series, rounds = 200, 4 * headEvery
	var refs []uint64
	for i := range series {
		refs = append(refs, db.Series(NewLabels("__name__", "m", "agent", fmt.Sprint(i))))
	}
	at := int64(1_700_000_000_000)
	round := func(n int) {
		for range n {
			at += 1000
			for i, ref := range refs {
				db.Append(ref, at, float64((int(at/1000)*(i+3))%977)/10)
			}
		}
	}
	round(300)
	write := func() int {
		b := p.NewBatch()
		defer b.Close()
		if err := db.Save(b); err != nil {
			t.Fatal(err)
		}
		n := b.Len()
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		db.Saved()
		return n
	}
	whole, sum := write(), 0
	for k := range rounds {
		round(1)
		sum += write()
		if n := count(t, p, kindAdded); n > headEvery*(series/headRuns+1) {
			t.Fatalf("save %d: %d rows of additions", k, n)
		}
		again := openDB(t, p)
		for _, ref := range refs {
			wt, wv, err := db.Range(ref, MinTime, MaxTime, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			ts, vs, err := again.Range(ref, MinTime, MaxTime, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := equalSamples(ts, wt, vs, wv); err != nil {
				t.Fatalf("save %d, series %d: %v", k, ref, err)
			}
		}
		if k%5 == 4 {
			db = again // goes on from what was loaded
		}
	}
	if mean := sum / rounds; mean > whole/4 {
		t.Errorf("a save of one sample a series takes %d bytes, all %d", mean, whole)
	}
}

// Series that are forgotten one after the other, before anything is loaded again,
// are all gone: samples in rows and additions, and labels.
func TestForgetTwice(t *testing.T) {
	p := testStore(t)
	db := openDB(t, p)
	var refs []uint64
	for i := range 5 {
		refs = append(refs, db.Series(NewLabels("__name__", "m", "agent", fmt.Sprint(i))))
	}
	for at := range int64(200) {
		for _, ref := range refs {
			db.Append(ref, at*1000, 1)
		}
	}
	save(t, db, true)
	for k := range int64(3) {
		for _, ref := range refs {
			db.Append(ref, 1_000_000+k, 2)
		}
		save(t, db, true)
	}
	if count(t, p, kindAdded) == 0 {
		t.Fatal("nothing was added to a head row")
	}
	for _, i := range []int{1, 3} {
		b := p.NewBatch()
		if err := db.Forget(b, map[uint64]bool{refs[i]: true}); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, p, kindAdded); n != 0 {
		t.Errorf("%d rows of additions stay, with what was forgotten in them", n)
	}
	db = openDB(t, p)
	for i, ref := range refs {
		ts, _, err := db.Range(ref, MinTime, MaxTime, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, found := db.Find(NewLabels("__name__", "m", "agent", fmt.Sprint(i)))
		if gone := i == 1 || i == 3; gone != (len(ts) == 0) || gone == found || !gone && len(ts) != 203 {
			t.Errorf("series %d: %d samples, found %v", i, len(ts), found)
		}
	}
}
