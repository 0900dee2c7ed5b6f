package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/tsdb"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// viewSet is every view over one store.
type viewSet struct {
	store  *pebble.DB
	fleet  *fleet.View
	spans  *spans.View
	series *series.View
	runner *views.Runner
	broken atomic.Pointer[string]
}

func openViews(fs vfs.FS, dir string, log *wal.Log) (_ *viewSet, err error) {
	v := &viewSet{}
	v.store, err = views.OpenStore(fs, dir, func(o *pebble.Options) {
		o.MemTableSize = 64 << 10
		o.EventListener = &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
			v.fail("the views' store is damaged: %s: %v", i.Path, i.Details)
		}}
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.store.Close())
		}
	}()
	db, err := tsdb.Open(v.store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		return nil, err
	}
	v.fleet, v.spans, v.series = fleet.New(log), spans.New(log, v.store), series.New(db, log)
	v.runner, err = views.Open(views.Options{
		Folds: []views.Mount{{Fold: v.fleet, Prefixes: fleet.Prefixes}, {Fold: v.spans, Prefixes: "s"}, {Fold: v.series, Prefixes: "tm"}},
		Store: v.store, Files: views.Files{FS: fs, Dir: dir}, Log: views.FromLog(log), SaveEvery: time.Millisecond, FlushEvery: 3 * time.Millisecond,
		Events: views.Events{
			Poison: func(fold string, off uint64, p any, _ []byte) { v.fail("%s set offset %d aside: %v", fold, off, p) },
			Halted: func(fold string, err error) { v.fail("%s was halted: %v", fold, err) },
			Failed: func(err error) { v.fail("the runner failed: %v", err) },
		},
	})
	return v, err
}

func (v *viewSet) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	v.broken.CompareAndSwap(nil, &s)
}

func (v *viewSet) close() error { return errors.Join(v.runner.Close(), v.store.Close()) }

// catchUp folds everything up to next.
func (v *viewSet) catchUp(next uint64) error {
	v.runner.Start()
	if next > 1 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := v.runner.WaitFor(ctx, next-1); err != nil {
			return fmt.Errorf("the views never caught up: %w", err)
		}
	}
	if s := v.broken.Load(); s != nil {
		return errors.New(*s)
	}
	return nil
}

// dump is all that the views can be asked, as text.
func (v *viewSet) dump() (string, error) {
	ctx := context.Background()
	var b strings.Builder
	put := func(x any, err error) error {
		j, e := json.Marshal(x)
		b.Write(append(j, '\n'))
		return errors.Join(err, e)
	}
	err := errors.Join(put(v.fleet.Fleet(""), nil), put(v.fleet.Attention("", 1000), nil))
	sp, e := v.spans.List(ctx, spans.Query{Limit: 1 << 20})
	err = errors.Join(err, put(sp, e))
	runs, e := v.spans.Runs(ctx, spans.Query{Limit: 1 << 20})
	err = errors.Join(err, put(runs, e))
	for num := range v.fleet.Numbers() {
		a, ok := v.fleet.Row(num)
		if !ok {
			continue
		}
		err = errors.Join(err, put(a, nil), put(v.series.List(a.Space, a.ID), nil))
		lines, e := v.series.Range(a.Space, a.ID, "", 1_700_000_000_000, 1_700_000_100_000, 1000)
		err = errors.Join(err, put(lines, e))
	}
	return b.String(), err
}
