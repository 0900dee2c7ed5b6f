package oracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/tsdb"
	"eyrie/wal"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Views are all views of one store, caught up with a log.
type Views struct {
	Fleet   *fleet.View
	Spans   *spans.View
	Series  *series.View
	Rebuilt []string // views whose snapshot did not fit, with why
	Loaded  uint64   // first offset that was not in the snapshot of every view
	log     *wal.Log
	store   *pebble.DB
	runner  *views.Runner
	broken  []string
}

// OpenViews opens the views in dir of fs as a server does, and catches up with
// the log.
func OpenViews(ctx context.Context, fs vfs.FS, dir string, l *wal.Log) (v *Views, err error) {
	v = &Views{log: l}
	if v.store, err = views.OpenStore(fs, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			v.Close()
		}
	}()
	db, err := tsdb.Open(v.store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		return nil, err
	}
	v.Fleet, v.Spans, v.Series = fleet.New(l), spans.New(l, v.store), series.New(db, l)
	v.runner, err = views.Open(views.Options{
		Folds: []views.Mount{{Fold: v.Fleet, Prefixes: "f"}, {Fold: v.Spans, Prefixes: "s"}, {Fold: v.Series, Prefixes: series.Prefixes}},
		Store: v.store, Log: views.FromLog(l),
		Events: views.Events{
			Rebuild: func(fold, reason string) { v.Rebuilt = append(v.Rebuilt, fold+": "+reason) },
			Poison: func(fold string, off uint64, p any, _ []byte) {
				v.broken = append(v.broken, fmt.Sprintf("%s set offset %d aside: %v", fold, off, p))
			},
			Malformed: func(off uint64, err error) {
				v.broken = append(v.broken, fmt.Sprintf("offset %d cannot be read: %v", off, err))
			},
		},
	})
	if err != nil {
		return nil, err
	}
	v.Loaded = v.runner.Applied()
	v.runner.Start()
	return v, v.runner.WaitFor(ctx, l.Next()-1)
}

// Close ends following and closes the store.
func (v *Views) Close() error {
	var err error
	if v.runner != nil {
		err = v.runner.Close()
	}
	if e := v.store.Close(); err == nil {
		err = e
	}
	return err
}

// ViewsVerdict is what CompareViews found.
type ViewsVerdict struct {
	Agents, Spans, Runs, Series, Samples uint64 // compared
	Differ                               uint64
	Says                                 []string
}

// Right reports whether nothing differs.
func (v *ViewsVerdict) Right() bool { return v.Differ == 0 }

// CompareViews compares everything that can be asked of two sets of views over
// the same log.
func CompareViews(ctx context.Context, got, want *Views) (*ViewsVerdict, error) {
	v := &ViewsVerdict{}
	var f faults
	for _, s := range slices.Concat(got.broken, want.broken) {
		f.add("%s", s)
	}
	compareFleet(got, want, v, &f)
	if err := compareSpans(ctx, got, want, v, &f); err != nil {
		return v, err
	}
	if err := compareSeries(got, want, v, &f); err != nil {
		return v, err
	}
	v.Differ, v.Says = f.n, f.says
	return v, nil
}

func compareFleet(got, want *Views, v *ViewsVerdict, f *faults) {
	var a, b []byte
	for n := uint32(1); int(n) <= got.log.Agents(); n++ {
		a, b = got.Fleet.Encode(a[:0], n), want.Fleet.Encode(b[:0], n)
		if len(b) > 0 {
			v.Agents++
		}
		same(f, fmt.Sprintf("agent %d", n), a, b)
	}
	same(f, "fleet", print(got.Fleet.Fleet("")), print(want.Fleet.Fleet("")))
	same(f, "attention", print(got.Fleet.Attention("", 1000)), print(want.Fleet.Attention("", 1000)))
}

func compareSpans(ctx context.Context, got, want *Views, v *ViewsVerdict, f *faults) error {
	for q := (spans.Query{Asc: true, Limit: pageRows}); ; {
		a, err := got.Spans.List(ctx, q)
		if err != nil {
			return err
		}
		b, err := want.Spans.List(ctx, q)
		if err != nil {
			return err
		}
		v.Spans += uint64(len(b.Items))
		compareRows(f, "span", a.Items, b.Items)
		same(f, "spans' total and next", print([]any{a.Total, a.Next}), print([]any{b.Total, b.Next}))
		if b.Next == "" || a.Next != b.Next {
			break
		}
		q.After = b.Next
	}
	for q := (spans.Query{Asc: true, Limit: pageRows}); ; {
		a, err := got.Spans.Runs(ctx, q)
		if err != nil {
			return err
		}
		b, err := want.Spans.Runs(ctx, q)
		if err != nil {
			return err
		}
		v.Runs += uint64(len(b.Items))
		compareRows(f, "run", a.Items, b.Items)
		if b.Next == "" || a.Next != b.Next {
			same(f, "runs' next", []byte(a.Next), []byte(b.Next))
			return nil
		}
		q.After = b.Next
	}
}

// pageRows is how many rows are asked for at a time.
const pageRows = 1000

func compareRows[T any](f *faults, what string, got, want []T) {
	for i := range max(len(got), len(want)) {
		var a, b []byte
		if i < len(got) {
			a = print(got[i])
		}
		if i < len(want) {
			b = print(want[i])
		}
		same(f, what, a, b)
	}
}

// line is what one series holds: how many samples, and a hash of them in order.
type line struct {
	samples uint64
	sum     uint64
}

func lines(db *tsdb.DB) (map[string]line, error) {
	out := map[string]line{}
	err := db.Select(nil, tsdb.MinTime, tsdb.MaxTime, func(ls tsdb.Labels, it *tsdb.Iter) error {
		var name strings.Builder
		for _, l := range ls {
			fmt.Fprintf(&name, "%s=%q ", l.Name, l.Value)
		}
		ts, vs := it.Samples()
		h := xxhash.New()
		for i := range ts {
			var b [16]byte
			put(b[:8], uint64(ts[i]))
			put(b[8:], math.Float64bits(vs[i]))
			h.Write(b[:])
		}
		out[name.String()] = line{uint64(len(ts)), h.Sum64()}
		return nil
	})
	return out, err
}

func put(b []byte, x uint64) {
	for i := range 8 {
		b[i] = byte(x >> (8 * i))
	}
}

func compareSeries(got, want *Views, v *ViewsVerdict, f *faults) error {
	a, err := lines(got.Series.DB())
	if err != nil {
		return err
	}
	b, err := lines(want.Series.DB())
	if err != nil {
		return err
	}
	for name, l := range b {
		v.Series++
		v.Samples += l.samples
		if a[name] != l {
			f.add("series %s: %d samples of hash %x, from zero %d of hash %x", name, a[name].samples, a[name].sum, l.samples, l.sum)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			f.add("series %s: not there from zero", name)
		}
	}
	for n := uint32(1); int(n) <= got.log.Agents(); n++ {
		space, id, _ := got.log.Agent(n)
		same(f, "series of "+id, print(got.Series.List(space, id)), print(want.Series.List(space, id)))
	}
	return nil
}

func print(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("cannot be printed: " + err.Error())
	}
	return b
}

func same(f *faults, what string, got, want []byte) {
	if !bytes.Equal(got, want) {
		f.add("%s is %s, from zero %s", what, got, want)
	}
}
