package views

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// member is a fold and what the runner knows of it. Fields that are not atomic
// belong to the runner's goroutine, and while that waits for it to the one that
// applies or saves the fold.
type member struct {
	Mount
	name      string
	version   uint32
	records   uint64            // applied after which it is saved; 0 = no bound
	next      uint64            // first offset not applied
	saved     uint64            // next of the last batch handed to the committer
	savedAt   time.Time         // when
	writing   bool              // a batch is with the committer
	perRecord float64           // bytes of the last one, by record
	failed    *block.Block      // of the turn at hand, in which it panicked
	poison    map[uint64]string // offsets set aside
	halted    atomic.Pointer[error]
	own       *digests // nil: it was given what the runner has read
	ownNext   uint64
	pieces    []piece // that it was given in the turn at hand, while own is nil
	tried     bool    // to do without own, since that was last held to the log's
	rewrite   bool    // its rows of digests are not those of before flushed
	flushed   uint64  // epoch of the table that is in its rows
	told      func(*Differs)
	agreed    atomic.Uint64 // what it was given below is what the log holds
	differs   atomic.Pointer[Differs]
	cursor    atomic.Uint64 // next, for others
	durable   atomic.Uint64 // next as far as committed
	kept      atomic.Uint64 // next as far as flushed: what a crash leaves
	loaded    atomic.Uint64 // next of the snapshot that it was opened with; 1 for none
	poisons   atomic.Uint64
	applied   *metrics.Counter
	saves     *metrics.Histogram
	poisoned  *metrics.Counter
	rebuilds  *metrics.Counter
	compared  *metrics.Counter
	saveBytes *metrics.Counter
}

// firstPerRecord is how many bytes of batch a record is taken to make at first.
const firstPerRecord = 24

func newMember(m Mount, o *Options) (*member, error) {
	name := m.Fold.Name()
	for i := range len(m.Prefixes) {
		if m.Prefixes[i] == keyPrefix || m.Prefixes[i] == 0xff {
			return nil, fmt.Errorf("views: fold %s: prefix %#x is taken", name, m.Prefixes[i])
		}
	}
	f := &member{Mount: m, name: name, version: m.Fold.Version(), perRecord: firstPerRecord, told: o.Events.Differs}
	if g, ok := m.Fold.(Grower); ok {
		f.records = g.SaveRecords()
	}
	label := fmt.Sprintf("{view=%q}", name)
	f.applied = o.Metrics.GetOrCreateCounter("eyrie_view_applied_total" + label)
	f.saves = o.Metrics.GetOrCreateHistogram("eyrie_view_save_seconds" + label)
	f.saveBytes = o.Metrics.GetOrCreateCounter("eyrie_view_save_bytes_total" + label)
	f.poisoned = o.Metrics.GetOrCreateCounter("eyrie_view_poisoned_total" + label)
	f.rebuilds = o.Metrics.GetOrCreateCounter("eyrie_view_rebuilds_total" + label)
	f.compared = o.Metrics.GetOrCreateCounter("eyrie_view_digests_compared_total" + label)
	o.Metrics.GetOrCreateGauge("eyrie_view_digests_differ"+label, func() float64 {
		if x := f.differs.Load(); x != nil {
			return float64(x.Producers)
		}
		return 0
	})
	o.Metrics.GetOrCreateGauge("eyrie_view_refold"+label, func() float64 { return float64(f.refold()) })
	o.Metrics.GetOrCreateGauge("eyrie_view_lag"+label, func() float64 { return float64(f.lag(o.Log)) })
	for name, at := range map[string]*atomic.Uint64{"loaded": &f.loaded, "next": &f.cursor, "saved": &f.kept} {
		o.Metrics.GetOrCreateGauge("eyrie_view_"+name+"_offset"+label, func() float64 { return float64(at.Load()) })
	}
	return f, nil
}

func (f *member) lag(l Log) uint64 {
	next, at := l.Next(), f.cursor.Load()
	if at >= next {
		return 0
	}
	return next - at
}

// refold returns how many records it would be given again after a crash.
func (f *member) refold() uint64 {
	kept := f.kept.Load() // first: it follows the cursor
	return f.cursor.Load() - min(kept, f.cursor.Load())
}

// open loads the snapshot, or resets for a rebuild when it does not fit the
// log or the fold.
func (f *member) open(o *Options) error {
	reason, err := f.load(o, o.Store)
	if err != nil {
		return err
	}
	return f.opened(o, reason)
}

// opened ends an open: with a reason why the snapshot could not be used the fold
// is rebuilt.
func (f *member) opened(o *Options, reason string) error {
	first := o.Log.First()
	if first > 1 && (reason != "" || f.next == 1) {
		if reason == "" {
			reason = "there is no snapshot of it"
		}
		reason += fmt.Sprintf("; what lies before offset %d was dropped by retention and cannot be shown", first)
	}
	if reason == "" {
		return nil
	}
	return f.rebuild(o, reason)
}

// load returns why the snapshot cannot be used, "" when it could. The fold reads
// through rows.
func (f *member) load(o *Options, rows pebble.Reader) (reason string, err error) {
	c, ok, err := readCursor(o.Store, f.name)
	switch {
	case err != nil && ofSystem(err):
		return "", err
	case err != nil:
		reason = err.Error()
	case !ok:
		// No snapshot: a new fold, or one that was never saved, but for rows apart.
		if err := f.fresh(o.Store); err != nil {
			return "", err
		}
		f.begin(o.Log)
		f.at(1)
		f.poison, err = readPoison(o.Store, f.name)
		return "", err
	case c.version != f.version:
		reason = fmt.Sprintf("snapshot of version %d, this is %d", c.version, f.version)
	case c.log != o.Log.ID():
		reason = fmt.Sprintf("snapshot of log %x, this is %x", c.log, o.Log.ID())
	case c.epoch != o.Log.Epoch():
		reason = fmt.Sprintf("snapshot of epoch %d, this is %d", c.epoch, o.Log.Epoch())
	case c.next > o.Log.Next():
		reason = fmt.Sprintf("snapshot stands at %d, the log ends at %d", c.next, o.Log.Next())
	}
	if reason != "" {
		return reason, nil
	}
	if f.poison, err = readPoison(o.Store, f.name); err != nil {
		return "", err
	}
	f.Fold.Reset()
	if err := errors.Join(f.Fold.Load(rows), f.resume(o.Store, &c, o.Log)); ofSystem(err) {
		return "", err
	} else if err != nil {
		return err.Error(), nil
	}
	f.at(c.next)
	return "", nil
}

// ofSystem tells that an error is the operating system's: what is stored may be well, and is found so
// at the next try. A view holds what the log has dropped by now, so it is not thrown away for that.
func ofSystem(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no)
}

// rebuild deletes the fold's rows and starts it before offset 1, loudly.
func (f *member) rebuild(o *Options, reason string) error {
	f.rebuilds.Inc()
	if o.Events.Rebuild != nil {
		o.Events.Rebuild(f.name, reason)
	}
	b := o.Store.NewBatch()
	poison := append(append([]byte{keyPrefix, keyPoison}, f.name...), 0)
	end := append(append([]byte{keyPrefix, keyPoison}, f.name...), 1)
	if err := b.DeleteRange(poison, end, nil); err != nil {
		return err
	}
	if err := b.DeleteRange(digestsKey(f.name), digestsEnd(f.name), nil); err != nil {
		return err
	}
	if err := b.Delete(cursorKey(f.name), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	if err := f.fresh(o.Store); err != nil {
		return err
	}
	f.begin(o.Log)
	f.poison = map[uint64]string{}
	f.poisons.Store(0)
	f.at(1)
	f.kept.Store(1)
	return nil
}

// fresh deletes the fold's rows, and has it begin with none. Where there are none
// nothing is deleted: tables of rows apart could not lie below that.
func (f *member) fresh(store *pebble.DB) error {
	for i := range len(f.Prefixes) {
		from, to := []byte{f.Prefixes[i]}, []byte{f.Prefixes[i] + 1}
		it, err := store.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			return err
		}
		any := it.First()
		if err := it.Close(); err != nil {
			return err
		}
		if any {
			if err := store.DeleteRange(from, to, pebble.NoSync); err != nil {
				return err
			}
		}
	}
	f.Fold.Reset()
	return f.Fold.Load(store) // that of no rows: the next Save has nothing to delete
}

// at says where the fold stands after a load: applied and saved.
func (f *member) at(next uint64) {
	f.next, f.saved = next, next
	f.cursor.Store(next)
	f.durable.Store(next)
	f.poisons.Store(uint64(len(f.poison)))
	f.agreed.Store(0)
	f.differs.Store(nil)
}
