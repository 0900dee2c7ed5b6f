package views

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// diary is a tally that keeps a row of each save, too, apart from its batch.
type diary struct {
	*tally
	day  uint64
	fail error
}

func (d *diary) SaveApart(w *pebble.Batch) (Rows, error) {
	if err := d.Save(w); err != nil {
		return nil, err
	}
	d.day++
	day := d.day
	if day%4 == 0 {
		return nil, nil
	}
	return func(put func(key, value []byte) error) error {
		for page := range uint64(3) {
			key := binary.BigEndian.AppendUint64([]byte{'s', 0x0c}, day<<8|page)
			if err := put(key, fmt.Appendf(nil, "day %d, page %d", day, page)); err != nil {
				return err
			}
		}
		return d.fail
	}, nil
}

// Rows that lie apart are in the store with the save they belong to, below all
// levels that are merged, and no merge writes them again.
func TestApart(t *testing.T) {
	fs, l := vfs.NewMem(), newLog()
	p := openTestStore(t, fs)
	d := &diary{tally: newTally('a', "diary")}
	other := newTally('z', "other") // its tables would reach over the rows
	o := Options{Folds: []Mount{{Fold: d, Prefixes: "as"}, {Fold: other, Prefixes: "z"}}, Store: p, Files: Files{FS: fs, Dir: "views"}, Log: l}
	rng := rand.New(rand.NewPCG(1, 1))
	left, err := fs.Create("views/diary.rows", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = left.Write([]byte("what a crash has left"))
	}
	if err = errors.Join(err, left.Close()); err != nil {
		t.Fatal(err)
	}
	open(t, o)
	if _, err := fs.Stat("views/diary.rows"); !oserror.IsNotExist(err) {
		t.Errorf("what a crash has left is still there: %v", err)
	}
	for range 40 {
		l.add(events(rng, 200)...)
		r := open(t, o)
		r.Start()
		waitFor(t, r, l.Next()-1)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m := p.Metrics()
	if want := uint64(30); m.Levels[6].TablesIngested != want {
		t.Errorf("%d tables were taken into the lowest level, want %d; %s", m.Levels[6].TablesIngested, want, m)
	}
	if m.Compact.Count == 0 {
		t.Error("nothing was merged: the test shows nothing")
	}
	it, err := p.NewIter(&pebble.IterOptions{LowerBound: []byte{'s'}, UpperBound: []byte{'t'}})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
		at := binary.BigEndian.Uint64(it.Key()[2:])
		if want := fmt.Sprintf("day %d, page %d", at>>8, at&0xff); string(it.Value()) != want {
			t.Errorf("%q, want %q", it.Value(), want)
		}
	}
	if err := it.Close(); err != nil || n != 30*3 {
		t.Errorf("%d rows, %v", n, err)
	}
	tables, err := p.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	low := 0
	for _, table := range tables[6] {
		if k := table.Smallest.UserKey; len(k) == 10 && k[0] == 's' {
			low++
		}
	}
	if low != 30 {
		t.Errorf("%d tables of rows are left, want each of 30 as it was written", low)
	}
	files, err := fs.List("views")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, ".rows") {
			t.Errorf("%s was left behind", f)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// A table that cannot be written stops the runner before the batch that leads to it.
func TestApartFails(t *testing.T) {
	fs, l := vfs.NewMem(), newLog()
	p := openTestStore(t, fs)
	d := &diary{tally: newTally('a', "diary"), fail: fmt.Errorf("no room")}
	o := Options{Folds: []Mount{{Fold: d, Prefixes: "as"}}, Store: p, Files: Files{FS: fs, Dir: "views"}, Log: l}
	l.add(events(rand.New(rand.NewPCG(1, 1)), 200)...)
	r := open(t, o)
	r.Start()
	waitFor(t, r, l.Next()-1)
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("close: %v", err)
	}
	if ss, err := Snapshots(p); err != nil || len(ss) != 0 {
		t.Errorf("%d snapshots, %v", len(ss), err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
