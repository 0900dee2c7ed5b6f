package node

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/views"
	"eyrie/appliance/views/blobs"

	"github.com/cockroachdb/pebble/v2"
)

// Events are taken as soon as log and keys are there; what is folded from the log
// is loaded behind that. Nobody is given a view that is not whole, those within the
// node included: they ask for shown, and get nil. See docs/adr/0021-views-load-behind-ingest.md.

// shown is what is folded from the log.
type shown struct {
	api.Views
	store   *pebble.DB
	sweeper *blobs.Sweeper
	files   views.Files
}

// loading is how far the views are.
type loading struct {
	rows   views.Loading               // while what they saved is read
	opened atomic.Pointer[shown]       // they follow the log
	shown  atomic.Pointer[shown]       // and have got to where it ended at the start
	told   atomic.Pointer[api.Loading] // nil before anything is known
	done   chan struct{}               // closed once they are shown
	ended  chan struct{}               // closed when load has ended, whatever became of it
}

// tellEvery is how often those who wait are told how far the views are.
const tellEvery = 500 * time.Millisecond

// ViewsError says that the views could not be loaded.
type ViewsError struct{ Err error }

// Error says so.
func (e *ViewsError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ViewsError) Unwrap() error { return e.Err }

// Loaded is closed once the views show all that was acknowledged before the start.
func (n *Node) Loaded() <-chan struct{} { return n.loading.done }

// Loading implements api.Host.
func (n *Node) Loading() *api.Loading {
	if n.loading.shown.Load() != nil {
		return nil
	}
	if l := n.loading.told.Load(); l != nil {
		return l
	}
	return &api.Loading{Phase: api.PhaseLoad, Views: []api.ViewLoading{}}
}

// views are what is shown; nil until all of it is loaded.
func (n *Node) views() *shown { return n.loading.shown.Load() }

// unread is where views have got to in the log, as far as a crash would leave it;
// 0 while they are loaded.
func (n *Node) unread() uint64 {
	if v := n.views(); v != nil {
		return v.Runner.Unread()
	}
	return 0
}

// apiViews is views for the API.
func (n *Node) apiViews() *api.Views {
	if v := n.views(); v != nil {
		return &v.Views
	}
	return nil
}

// load brings the views to where the log ended at the start, and shows them. Its
// error ends the process; a stop is none.
func (n *Node) load(ctx context.Context) {
	l, end := &n.loading, n.end
	defer close(l.ended)
	told := make(chan struct{})
	defer func() { <-told }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopRows := context.AfterFunc(ctx, l.rows.Stop)
	defer stopRows()
	go func() {
		defer close(told)
		n.tellLoading(ctx, end)
	}()
	background()
	if n.o.BeforeViews != nil {
		n.o.BeforeViews(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	v, err := n.openViews()
	if err != nil {
		if ctx.Err() == nil {
			n.fail(&ViewsError{err})
		}
		return
	}
	l.opened.Store(v)
	v.Runner.Start()
	if v.Runner.CatchUp(ctx, end) != nil {
		return // stopping, or the runner has said why
	}
	n.timeline.reached("views folded")
	l.shown.Store(v)
	v.Fleet.OnChanged(n.hub.Changed)
	n.hub.Show(fleetOf(v.Fleet))
	n.logger.Info("the views are loaded", n.timeline.args()...)
	close(l.done)
}

// tellLoading tells how far the views are, until ctx ends.
func (n *Node) tellLoading(ctx context.Context, end uint64) {
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	var from []views.FoldStats // where the folds began
	for {
		p, err := n.progress(end, &from)
		if err != nil {
			n.slow("how far the views are cannot be told", "err", err)
		} else {
			n.loading.told.Store(p)
			b, _ := json.Marshal(p)
			n.hub.Loading(b)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// progress says how far the views are; from is where they were when they began to fold.
func (n *Node) progress(end uint64, from *[]views.FoldStats) (*api.Loading, error) {
	v := n.loading.opened.Load()
	if v == nil {
		return n.progressOfLoad()
	}
	p := &api.Loading{Phase: api.PhaseFold, Done: 1}
	now := v.Runner.Stats()
	if *from == nil {
		*from = now
	}
	for i, f := range now {
		one := api.ViewLoading{Name: f.Name, Done: 1}
		if f.Cursor < end && f.Halted == nil {
			one.Behind = end - f.Cursor
			first := min((*from)[i].Cursor, f.Cursor)
			one.Done = float64(f.Cursor-first) / float64(end-first)
		}
		p.Behind = max(p.Behind, one.Behind)
		p.Done = min(p.Done, one.Done)
		p.Views = append(p.Views, one)
	}
	return p, nil
}

func (n *Node) progressOfLoad() (*api.Loading, error) {
	p := &api.Loading{Phase: api.PhaseLoad, Views: []api.ViewLoading{}}
	folds, err := n.loading.rows.Progress()
	if err != nil {
		return nil, err
	}
	var read, all uint64
	for _, f := range folds {
		one := api.ViewLoading{Name: f.Name}
		switch {
		case f.Loaded:
			one.Done = 1
		case f.Bytes > 0: // estimates, each of its own
			one.Done = min(float64(f.Read)/float64(f.Bytes), 1)
		}
		read, all = read+min(f.Read, f.Bytes), all+f.Bytes
		p.Views = append(p.Views, one)
	}
	if all > 0 {
		p.Done = float64(read) / float64(all)
	}
	return p, nil
}

// close saves and closes what load has opened, after that has ended.
func (l *loading) close() error {
	v := l.opened.Load()
	if v == nil {
		return nil
	}
	return errors.Join(v.Runner.Close(), v.store.Close())
}

// errLoading is of what has to wait for the views.
var errLoading = errors.New("the views are not loaded yet")

// loaded waits until the views are shown; false: they never will be.
func (n *Node) loaded(ctx context.Context) (*shown, bool) {
	select {
	case <-n.loading.done:
		return n.views(), true
	case <-ctx.Done():
		return nil, false
	}
}
