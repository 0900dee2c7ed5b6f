package seriesbench

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"time"

	"eyrie/appliance/views"
	"eyrie/tsdb"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// own is eyrie's tsdb on a store as the server opens it.
type own struct {
	data  *Data
	dir   string
	store *pebble.DB
	db    *tsdb.DB
	refs  []uint64

	ts []int64
	vs []float64
}

const ownPrefix = 't'

func openOwn(dir string, d *Data) (*own, error) {
	o := &own{data: d, dir: dir}
	return o, o.open()
}

// live is what Go's heap holds once its garbage is gone.
func live() uint64 {
	for range 3 { // pools give up what they hold at the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// append adds steps as a view does: all series of an instant, and at the end what
// is closed goes to the store.
func (o *own) append(from, to int) (time.Duration, error) {
	began := time.Now()
	if o.refs == nil {
		for _, ls := range o.data.Labels {
			ref := o.db.Series(tsdb.NewLabels(ls...))
			if ref == 0 {
				return 0, errors.New("a series is refused")
			}
			o.refs = append(o.refs, ref)
		}
	}
	for s := from; s < to; s++ {
		at := o.data.At(s)
		for i, v := range o.data.Row(s) {
			o.db.Append(o.refs[i], at, v)
		}
	}
	b := o.store.NewBatch()
	err := o.db.Save(b)
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err := errors.Join(err, b.Close()); err != nil {
		return 0, err
	}
	o.db.Saved()
	return time.Since(began), nil
}

// memory is what the series hold beside their store: by how much less lives once they
// are let go, while the closed store, which keeps its last write buffer, is not.
func (o *own) memory() (uint64, error) {
	store := o.store
	if err := errors.Join(store.Flush(), store.Close()); err != nil {
		return 0, err
	}
	with := live()
	o.store, o.db = nil, nil
	without := live()
	runtime.KeepAlive(store)
	return with - min(with, without), o.open()
}

// open opens the store and what lies in it.
func (o *own) open() (err error) {
	if o.store, err = views.OpenStore(vfs.Default, o.dir); err != nil {
		return err
	}
	if o.db, err = tsdb.Open(o.store, ownPrefix, tsdb.Options{}); err != nil {
		return err
	}
	return o.db.Load(o.store)
}

func (o *own) flush() (Disk, error) {
	if err := o.store.Flush(); err != nil {
		return Disk{}, err
	}
	if err := o.store.Compact(background, []byte{ownPrefix}, []byte{ownPrefix + 1}, true); err != nil {
		return Disk{}, err
	}
	size, err := Size(o.dir)
	return Disk{Bytes: size}, err
}

// Size is what the files below a folder hold.
func Size(dir string) (n uint64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has just been merged away
		}
		if err == nil {
			n += uint64(i.Size())
		}
		return err
	})
	return n, err
}

func (o *own) query(q Query, host int) (a Answer, err error) {
	const metric = MetricPrefix + "usage_user"
	name := tsdb.Eq(tsdb.MetricName, metric)
	end := o.data.At(o.data.Steps - 1)
	var out []float64
	switch q {
	case SingleGroupBy:
		for _, ref := range o.db.Refs([]tsdb.Matcher{name, tsdb.Eq("hostname", Host(host))}) {
			if o.ts, o.vs, err = o.db.Range(ref, end-hourMs+1, end, o.ts[:0], o.vs[:0]); err != nil {
				return a, err
			}
			out = Greatest(out, o.ts, o.vs, end-hourMs, minuteMs)
		}
	case LastPoint:
		for _, ref := range o.db.Refs([]tsdb.Matcher{name}) {
			if _, v, _, ok := o.db.Last(ref); ok {
				out = append(out, v)
			}
		}
	case DoubleGroupBy:
		err = o.db.Select([]tsdb.Matcher{name}, o.data.First, end, func(_ tsdb.Labels, it *tsdb.Iter) error {
			ts, vs := it.Samples()
			out = Means(out, ts, vs, o.data.First-o.data.Step, hourMs)
			return nil
		})
	default:
		err = fmt.Errorf("no query %q", q)
	}
	a.Count = len(out)
	for _, v := range out {
		a.Sum += v
	}
	return a, err
}

const minuteMs = 60_000

// Greatest appends the greatest value of each stretch of width ms behind from, of
// ascending samples; a stretch has its end, not its beginning.
func Greatest(out []float64, ts []int64, vs []float64, from, width int64) []float64 {
	at := int64(-1)
	for i, t := range ts {
		if n := (t - from - 1) / width; n != at {
			at, out = n, append(out, vs[i])
		} else {
			out[len(out)-1] = max(out[len(out)-1], vs[i])
		}
	}
	return out
}

// Means appends the mean of each stretch likewise.
func Means(out []float64, ts []int64, vs []float64, from, width int64) []float64 {
	at, sum, n := int64(-1), 0.0, 0
	flush := func() {
		if n > 0 {
			out = append(out, sum/float64(n))
		}
		sum, n = 0, 0
	}
	for i, t := range ts {
		if k := (t - from - 1) / width; k != at {
			flush()
			at = k
		}
		sum += vs[i]
		n++
	}
	flush()
	return out
}
