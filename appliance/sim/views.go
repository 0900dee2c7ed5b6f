//go:build linux

package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

// viewSet is every view over one store. Its runner has goroutines of its own:
// how far it got when the server dies is not part of the trace.
type viewSet struct {
	store  *pebble.DB
	fleet  *fleet.View
	spans  *spans.View
	series *series.View
	runner *views.Runner
}

func openViews(fs vfs.FS, log *wal.Log) (_ *viewSet, err error) {
	v := &viewSet{}
	v.store, err = views.OpenStore(fs, "data/views", func(o *pebble.Options) { o.MemTableSize = 256 << 10 })
	if err != nil {
		return nil, err
	}
	db, err := tsdb.Open(v.store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		return nil, errors.Join(err, v.store.Close())
	}
	v.fleet, v.spans, v.series = fleet.New(log), spans.New(log, v.store), series.New(db, log)
	v.runner, err = views.Open(views.Options{
		Folds: []views.Mount{{Fold: v.fleet, Prefixes: fleet.Prefixes}, {Fold: v.spans, Prefixes: "s"}, {Fold: v.series, Prefixes: "tm"}},
		Store: v.store, Files: views.Files{FS: fs, Dir: "data/views"}, Log: views.FromLog(log), SaveEvery: 5 * time.Millisecond, FlushEvery: 20 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(err, v.store.Close())
	}
	v.runner.Start()
	return v, nil
}

func (v *viewSet) close() { _ = errors.Join(v.runner.Close(), v.store.Close()) }

// dump is what the views can be asked, as text, once they have folded the log.
func (v *viewSet) dump(next uint64) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openWait)
	defer cancel()
	if next > 1 {
		if err := v.runner.WaitFor(ctx, next-1); err != nil {
			return "", fmt.Errorf("the views do not catch up: %w", err)
		}
	}
	var b strings.Builder
	put := func(x any, err error) error {
		j, e := json.Marshal(x)
		b.Write(append(j, '\n'))
		return errors.Join(err, e)
	}
	err := errors.Join(put(v.fleet.Fleet(""), nil), put(v.fleet.Attention("", 1000), nil))
	sp, e := v.spans.List(ctx, spans.Query{Limit: 1 << 20})
	err = errors.Join(err, put(sp, e))
	for num := range v.fleet.Numbers() {
		if a, ok := v.fleet.Row(num); ok {
			err = errors.Join(err, put(a, nil), put(v.series.List(a.Space, a.ID), nil))
		}
	}
	return b.String(), err
}

// compareViews holds the views against a fold from the log's beginning.
func (s *site) compareViews() {
	next := s.log.Next()
	got, err := s.views.dump(next)
	if err == nil {
		var fresh *viewSet
		if fresh, err = openViews(vfs.NewMem(), s.log); err == nil {
			var want string
			if want, err = fresh.dump(next); err == nil && got != want {
				err = fmt.Errorf("a view differs from its fold from zero:\n got %.2000s\nwant %.2000s", got, want)
			}
			fresh.close()
		}
	}
	if err != nil {
		s.w.fail("%w", err)
	}
}
