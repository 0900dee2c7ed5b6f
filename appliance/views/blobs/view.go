package blobs

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/engine/wire"
	"eyrie/wal/blob"
	"eyrie/wal/block"
)

// Names tells what the log's dictionary says about a dense agent number.
type Names interface {
	Agent(num uint32) (space, id string, ok bool)
}

// View is the fold. Make one with New.
type View struct {
	names Names
	next  atomic.Uint64 // first offset not applied; 0 before the first block

	mu     sync.Mutex
	fresh  map[blob.Key][]row // not in the store: since the last Save
	saving map[blob.Key][]row // on their way there
}

// New returns an empty view.
func New(names Names) *View { return &View{names: names, fresh: map[blob.Key][]row{}} }

// Name is the view's name in cursors and reports.
func (v *View) Name() string { return "blobs" }

// Version is the version of rules and rows: another one means a rebuild.
func (v *View) Version() uint32 { return 1 }

// SaveRecords bounds what is not saved: an event may name many blobs.
func (v *View) SaveRecords() uint64 { return 1 << 20 }

// Load forgets what was not saved; all else is in the store.
func (v *View) Load(pebble.Reader) error {
	v.Reset()
	return nil
}

// Reset forgets everything in memory.
func (v *View) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fresh, v.saving = map[blob.Key][]row{}, nil
	v.next.Store(0)
}

// Apply folds the records from index from on. Events that name no blob cost the
// look at their flags.
func (v *View) Apply(b *block.Block, from int, _ []wire.View) {
	for i := from; i < b.Len(); i++ {
		if wire.FlagsBlob(b.Flags(i)) && b.Kind(i) == block.KindEvent {
			r := b.Record(i)
			v.add(&r)
		}
	}
	v.next.Store(b.Next())
}

func (v *View) add(r *block.Record) {
	space, _, ok := v.names.Agent(r.Agent)
	if !ok {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range wire.Blobs(nil, r.Payload) {
		k := blob.Key{Space: space, Sum: n.SHA256}
		if rows := v.fresh[k]; len(rows) == 0 || rows[len(rows)-1].offset != r.Offset {
			v.fresh[k] = append(rows, row{r.Offset, r.Agent, k})
		}
	}
}

// Save writes the rows since the last Save.
func (v *View) Save(w *pebble.Batch) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, rows := range v.fresh {
		for _, r := range rows {
			if err := errors.Join(w.Set(r.offsetKey(), r.value(), nil), w.Set(r.nameKey(), nil, nil)); err != nil {
				return err
			}
		}
	}
	v.saving, v.fresh = v.fresh, map[blob.Key][]row{}
	return nil
}

// Saved tells that the batch of the last Save is committed.
func (v *View) Saved() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.saving = nil
}

// named reports whether an event that was applied names the blob.
func (v *View) named(db pebble.Reader, k blob.Key) (bool, error) {
	// Memory first: what leaves it is in the store by then.
	v.mu.Lock()
	some := len(v.fresh[k])+len(v.saving[k]) > 0
	v.mu.Unlock()
	if some {
		return true, nil
	}
	from := nameKey(k)
	to := append(append([]byte{}, from...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return false, err
	}
	ok := it.First()
	if err := it.Error(); err != nil {
		_ = it.Close()
		return false, err
	}
	return ok, it.Close()
}
