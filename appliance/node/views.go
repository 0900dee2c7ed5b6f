package node

import (
	"fmt"
	"path/filepath"

	"eyrie/appliance/views"
	"eyrie/appliance/views/blobs"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/tsdb"

	"github.com/cockroachdb/pebble/v2"
)

// openViews opens the views store and every view at its cursor.
func (n *Node) openViews() (_ *shown, err error) {
	v := &shown{files: views.Files{FS: n.log.FS(), Dir: filepath.Join(n.cfg.Data, "views")}}
	cache := pebble.NewCache(n.tuning.cacheBytes * 3 / 4)
	defer cache.Unref()
	v.store, err = views.OpenStore(v.files.FS, v.files.Dir, func(o *pebble.Options) {
		o.Cache = cache
		o.MemTableSize = n.tuning.memtableBytes
		o.Logger = quietLogger{n}
		behind(o)
	})
	if err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	defer func() {
		if err != nil {
			v.store.Close()
		}
	}()
	n.timeline.reached("views store")
	v.Fleet = fleet.New(n.log)
	v.Fleet.Snapshots(fleet.SnapshotOptions{Background: background, First: n.log.First})
	v.Past = fleet.NewPast(fleet.PastOptions{
		Log: fleet.PastLogOf(n.log), Fleet: v.Fleet, Store: v.store, Background: background, Now: n.now, Metrics: n.set,
		Aside: func() (map[uint64]string, error) { return views.SetAside(v.store, v.Fleet.Name()) },
	})
	v.Spans = spans.New(n.log, v.store)
	v.Spans.BoundFilter(n.tuning.filterBytes)
	v.Spans.Retain(spans.Retention{From: n.spansFrom, Held: n.heldRuns})
	db, err := tsdb.Open(v.store, series.DBPrefix, tsdb.Options{Metrics: n.set})
	if err != nil {
		return nil, fmt.Errorf("views: %w", err)
	}
	v.Series = series.New(db, n.log)
	named := blobs.New(n.log)
	v.sweeper = blobs.NewSweeper(blobs.Options{View: named, Blobs: n.blobs, Store: v.store, Log: n.log, Now: n.now})
	v.Runner, err = views.Open(views.Options{
		Folds: []views.Mount{
			{Fold: v.Fleet, Prefixes: fleet.Prefixes},
			{Fold: v.Spans, Prefixes: "s"},
			{Fold: v.Series, Prefixes: "tm"},
			{Fold: named, Prefixes: blobs.Prefixes},
		},
		Background: background, Loading: &n.loading.rows,
		Store: v.store, Files: v.files, Log: views.FromLog(n.log), Metrics: n.set, Now: n.now, FlushEvery: n.cfg.Save.D(),
		Events: views.Events{
			Rebuild: func(fold, reason string) {
				n.logger.Warn("a view is rebuilt from the log", "view", fold, "reason", reason)
			},
			Poison: func(fold string, off uint64, p any, stack []byte) {
				n.logger.Error("a record was set aside: a view cannot fold it", "view", fold, "offset", off, "panic", fmt.Sprint(p), "stack", string(stack))
			},
			Lost:      func(err error) { n.logger.Error("views are folded without records that cannot be read", "err", err) },
			Malformed: func(off uint64, err error) { n.slow("an event's payload cannot be read", "offset", off, "err", err) },
			Halted:    func(fold string, err error) { n.logger.Error("a view was halted", "view", fold, "err", err) },
			Differs: func(d *views.Differs) {
				n.logger.Error("a view was not given what the log holds: stop eyrie and delete the folder of views, it is folded anew", "view", d.Fold, "what", d.String())
			},
			Failed: n.fail,
		},
	})
	if err != nil {
		return nil, err
	}
	n.timeline.reached("views loaded")
	n.forgets.anew = n.rebuilt(v.Runner)
	return v, nil
}

// rebuilt tells whether a view is folded from the beginning, of a log that is not new.
func (n *Node) rebuilt(r *views.Runner) (anew bool) {
	for _, s := range r.Stats() {
		anew = anew || s.Cursor == 1 && n.end > 1
	}
	return anew
}

// quietLogger hands the views store's words to the node's logger.
type quietLogger struct{ n *Node }

func (q quietLogger) Infof(format string, args ...any) {
	q.n.logger.Debug("views store", "msg", fmt.Sprintf(format, args...))
}

func (q quietLogger) Errorf(format string, args ...any) {
	q.n.slow("views store", "msg", fmt.Sprintf(format, args...))
}

func (q quietLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("views store: "+format, args...)
	q.n.fail(err)
	panic(err)
}
