package views

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Bounder is what a Fold implements that tells which keys its Load reads, from one
// to below another, so that it can be told how far that is.
type Bounder interface{ LoadBounds() [][2][]byte }

// Loading shows how far an Open is, and ends it. Its zero value is for the
// Options of one Open; the methods are for any goroutine.
type Loading struct {
	stopped atomic.Bool

	mu    sync.Mutex
	store *pebble.DB
	folds []*foldLoading
}

// FoldProgress is how far the load of one fold is, in bytes of the store's tables.
type FoldProgress struct {
	Name        string
	Read, Bytes uint64
	Loaded      bool
}

// foldLoading is one fold of a Loading.
type foldLoading struct {
	l     *Loading
	name  string
	reads [][2][]byte
	bytes []uint64 // of each

	mu     sync.Mutex
	at     map[string][]byte // the last key seen, by the first of its bounds
	loaded bool
}

// Stop ends the Open, which returns ErrClosed. It does not wait for it.
func (l *Loading) Stop() { l.stopped.Store(true) }

// Progress tells how far every fold is. It asks the store, so not for each of many
// who want to know.
func (l *Loading) Progress() ([]FoldProgress, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]FoldProgress, 0, len(l.folds))
	for _, f := range l.folds {
		p, err := f.progress(l.store)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// begin notes what is to be loaded.
func (l *Loading) begin(store *pebble.DB, folds []*member) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store = store
	for _, f := range folds {
		x := &foldLoading{l: l, name: f.name, at: map[string][]byte{}}
		if b, ok := f.Fold.(Bounder); ok {
			x.reads = b.LoadBounds()
		}
		for _, b := range x.reads {
			n, err := store.EstimateDiskUsage(b[0], b[1])
			if err != nil {
				return err
			}
			x.bytes = append(x.bytes, n)
		}
		l.folds = append(l.folds, x)
	}
	return nil
}

// end lets go of the store: who opened it may close it.
func (l *Loading) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.store = nil
}

func (f *foldLoading) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = true
}

func (f *foldLoading) progress(store *pebble.DB) (FoldProgress, error) {
	f.mu.Lock()
	p := FoldProgress{Name: f.name, Loaded: f.loaded}
	at := make(map[string][]byte, len(f.at))
	for from, key := range f.at {
		at[from] = bytes.Clone(key)
	}
	f.mu.Unlock()
	for i, b := range f.reads {
		p.Bytes += f.bytes[i]
		key := at[string(b[0])]
		if p.Loaded || store == nil || key == nil || bytes.Compare(key, b[0]) <= 0 {
			continue
		}
		n, err := store.EstimateDiskUsage(b[0], key)
		if err != nil {
			return p, err
		}
		p.Read += n - min(n, blockSize) // the block that key lies in counts once it was read to its end
	}
	if p.Loaded {
		p.Read = p.Bytes
	}
	return p, nil
}

// noteEvery is after how many keys of a load one is noted.
const noteEvery = 64

// watched is a Reader whose iterators tell f where they are. Once the load is stopped
// those that it has find nothing any more, and it gives no others.
type watched struct {
	pebble.Reader
	f *foldLoading
}

// NewIter implements pebble.Reader.
func (w watched) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	return w.NewIterWithContext(context.Background(), o)
}

// NewIterWithContext implements pebble.Reader.
func (w watched) NewIterWithContext(ctx context.Context, o *pebble.IterOptions) (*pebble.Iterator, error) {
	if w.f.l.stopped.Load() {
		return nil, ErrClosed
	}
	var opts pebble.IterOptions
	if o != nil {
		opts = *o
	}
	from, n, skip := string(opts.LowerBound), 0, opts.SkipPoint
	opts.SkipPoint = func(key []byte) bool {
		if n++; n%noteEvery == 1 {
			w.f.note(from, key)
		}
		return w.f.l.stopped.Load() || skip != nil && skip(key)
	}
	return w.Reader.NewIterWithContext(ctx, &opts)
}

// note notes that the load is at key, of the iterator that begins at from: all
// before it has been read, and what iterators before this one went through.
func (f *foldLoading) note(from string, key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.at[from]; !ok {
		for _, b := range f.reads {
			if f.at[string(b[0])] != nil {
				f.at[string(b[0])] = b[1]
			}
		}
	}
	f.at[from] = append(f.at[from][:0:0], key...)
}
