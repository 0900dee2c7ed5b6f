package node

import (
	"fmt"
	"path/filepath"

	"eyrie/appliance/views"
	"eyrie/appliance/views/blobs"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/live"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/tsdb"

	"github.com/cockroachdb/pebble/v2"
)

// openViews opens the views store and every view at its cursor.
func (n *Node) openViews() (err error) {
	cache := pebble.NewCache(n.tuning.cacheBytes * 3 / 4)
	defer cache.Unref()
	n.store, err = views.OpenStore(n.log.FS(), filepath.Join(n.cfg.Data, "views"), func(o *pebble.Options) {
		o.Cache = cache
		o.MemTableSize = n.tuning.memtableBytes
		o.Logger = quietLogger{n}
		behind(o)
	})
	if err != nil {
		return fmt.Errorf("views: %w", err)
	}
	defer func() {
		if err != nil {
			n.store.Close()
		}
	}()
	n.fleet = fleet.New(n.log)
	n.fleet.Snapshots(fleet.SnapshotOptions{Background: background, First: n.log.First})
	n.past = fleet.NewPast(fleet.PastOptions{
		Log: fleet.PastLogOf(n.log), Fleet: n.fleet, Store: n.store, Background: background, Now: n.now, Metrics: n.set,
		Aside: func() (map[uint64]string, error) { return views.SetAside(n.store, n.fleet.Name()) },
	})
	n.spans = spans.New(n.log, n.store)
	n.spans.BoundFilter(n.tuning.filterBytes)
	db, err := tsdb.Open(n.store, series.DBPrefix, tsdb.Options{Metrics: n.set})
	if err != nil {
		return fmt.Errorf("views: %w", err)
	}
	n.series = series.New(db, n.log)
	named := blobs.New(n.log)
	n.sweeper = blobs.NewSweeper(blobs.Options{View: named, Blobs: n.blobs, Store: n.store, Log: n.log, Now: n.now})
	n.hub = live.New(n.liveOptions())
	n.runner, err = views.Open(views.Options{
		Folds: []views.Mount{
			{Fold: n.fleet, Prefixes: fleet.Prefixes},
			{Fold: n.spans, Prefixes: "s"},
			{Fold: n.series, Prefixes: "tm"},
			{Fold: named, Prefixes: blobs.Prefixes},
		},
		Background: background,
		Store:      n.store, Files: views.Files{FS: n.log.FS(), Dir: filepath.Join(n.cfg.Data, "views")}, Log: views.FromLog(n.log), Metrics: n.set, Now: n.now, FlushEvery: n.cfg.Save.D(),
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
	if err == nil {
		for _, s := range n.runner.Stats() {
			n.forgets.anew = n.forgets.anew || s.Cursor == 1 && n.log.Next() > 1
		}
	}
	return err
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
