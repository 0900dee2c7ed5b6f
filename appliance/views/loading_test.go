package views

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// paged is a fold whose Load reads many rows and tells how far it is.
type paged struct {
	rows int
	met  int
	at   func(row int)
}

func (p *paged) Name() string    { return "paged" }
func (p *paged) Version() uint32 { return 1 }
func (p *paged) Reset()          { p.met = 0 }

func (p *paged) LoadBounds() [][2][]byte { return [][2][]byte{{{'p'}, {'q'}}} }

func (p *paged) Apply(*block.Block, int, []wire.View) {}

func (p *paged) Save(w *pebble.Batch) error {
	for i := range p.rows {
		if err := w.Set(fmt.Appendf(nil, "p%08d", i), make([]byte, 512), nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *paged) Load(r pebble.Reader) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{'p'}, UpperBound: []byte{'q'}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if p.met++; p.at != nil {
			p.at(p.met)
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// TestLoading: how far a load is grows from nothing to all, and a stop ends it where
// it is, with the store as it was.
func TestLoading(t *testing.T) {
	const rows = 20_000
	l := newLog()
	l.add(make([]wire.Event, 10)...)
	store, err := OpenStore(vfs.NewMem(), "views")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	open := func(p *paged, l2 *Loading) (*Runner, error) {
		return Open(Options{Folds: []Mount{{Fold: p, Prefixes: "p"}}, Store: store, Log: l, Loading: l2})
	}
	r, err := open(&paged{rows: rows}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	if err := r.CatchUp(t.Context(), l.Next()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	var seen []FoldProgress
	var watch Loading
	look := func(row int) {
		if row%(rows/4) != 0 {
			return
		}
		p, err := watch.Progress()
		if err != nil || len(p) != 1 {
			t.Fatal(p, err)
		}
		seen = append(seen, p[0])
	}
	if r, err = open(&paged{at: look}, &watch); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 4 {
		t.Fatalf("%d of 4 looks", len(seen))
	}
	for i, p := range seen {
		share := float64(p.Read) / float64(p.Bytes)
		if want := float64(i+1) / 4; p.Loaded || p.Bytes == 0 || share < want-0.1 || share > want {
			t.Errorf("after %.0f %%: %+v", 100*want, p)
		}
	}
	if p, err := watch.Progress(); err != nil || !p[0].Loaded || p[0].Read != p[0].Bytes {
		t.Errorf("at the end: %+v, %v", p, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	var stop Loading
	half := &paged{at: func(row int) {
		if row == rows/2 {
			stop.Stop()
		}
	}}
	if _, err := open(half, &stop); !errors.Is(err, ErrClosed) || half.met != rows/2 {
		t.Errorf("stopped after %d rows, it went on to %d: %v", rows/2, half.met, err)
	}
	whole := &paged{}
	if r, err = open(whole, nil); err != nil || whole.met != rows || r.Applied() != l.Next() {
		t.Errorf("%d rows behind a load that was stopped: %v", whole.met, err)
	}
	r.Close()
}
