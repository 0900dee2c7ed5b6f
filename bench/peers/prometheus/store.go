package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// store is a tsdb with its default options, its write-ahead log on.
type store struct {
	data  *data
	dir   string
	db    *tsdb.DB
	ls    []labels.Labels
	refs  []storage.SeriesRef
	empty uint64 // bytes of the heap before it was opened
}

func open(dir, file string) (*store, error) {
	d, err := read(file)
	if err != nil {
		return nil, err
	}
	s := &store{data: d, dir: dir, refs: make([]storage.SeriesRef, len(d.labels)), empty: live()}
	for _, ls := range d.labels {
		s.ls = append(s.ls, labels.FromStrings(ls...))
	}
	s.db, err = tsdb.Open(dir, slog.New(slog.DiscardHandler), nil, tsdb.DefaultOptions(), nil)
	return s, err
}

// live is what Go's heap holds once its garbage is gone.
func live() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// batch is how many samples are committed together at least.
const batch = 10_000

// append adds steps with the references of the series, as its scrapes do.
func (s *store) append(from, to int) (time.Duration, error) {
	if from < 0 || to > s.data.steps {
		return 0, fmt.Errorf("steps %d to %d of %d", from, to, s.data.steps)
	}
	began, n := time.Now(), len(s.ls)
	app, open := s.db.Appender(context.Background()), 0
	for k := from; k < to; k++ {
		at := s.data.at(k)
		for i, v := range s.data.values[k*n : (k+1)*n] {
			ref, err := app.Append(s.refs[i], s.ls[i], at, v)
			if err != nil {
				return 0, errors.Join(err, app.Rollback())
			}
			s.refs[i] = ref
			if open++; open == batch {
				if err := app.Commit(); err != nil {
					return 0, err
				}
				app, open = s.db.Appender(context.Background()), 0
			}
		}
	}
	err := app.Commit()
	return time.Since(began), err
}

// flush makes blocks of what is in memory.
func (s *store) flush() (d disk, err error) {
	if d.WAL, err = size(filepath.Join(s.dir, "wal")); err != nil {
		return d, err
	}
	h := s.db.Head()
	if err := s.db.CompactHead(tsdb.NewRangeHead(h, h.MinTime(), h.MaxTime())); err != nil {
		return d, err
	}
	for _, b := range s.db.Blocks() {
		n, err := size(b.Dir())
		if err != nil {
			return d, err
		}
		d.Bytes += n
	}
	return d, nil
}

func size(dir string) (n uint64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		if err == nil {
			n += uint64(i.Size())
		}
		return err
	})
	return n, err
}

const (
	minuteMs = 60_000
	hourMs   = 3_600_000
	lookback = 5 * minuteMs // Prometheus' own for the newest sample
)

func (s *store) query(q string, host int) (f found, err error) {
	end := s.data.at(s.data.steps - 1)
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, "cpu_usage_user")}
	from, width := s.data.first, int64(hourMs)
	switch q {
	case "single-groupby-1-1-1":
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, "hostname", fmt.Sprintf("host_%d", host)))
		from, width = end-hourMs+1, minuteMs
	case "lastpoint":
		from, width = end-lookback+1, lookback
	case "double-groupby-1":
	default:
		return f, fmt.Errorf("no query %q", q)
	}
	begin := from - 1
	if q == "double-groupby-1" {
		begin = s.data.first - s.data.step
	}
	querier, err := s.db.Querier(from, end)
	if err != nil {
		return f, err
	}
	defer querier.Close()
	set := querier.Select(context.Background(), false, &storage.SelectHints{Start: from, End: end}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		at, n := int64(-1), 0
		most, sum, last := math.Inf(-1), 0.0, 0.0
		flush := func() {
			if n == 0 {
				return
			}
			f.Count++
			switch q {
			case "single-groupby-1-1-1":
				f.Sum += most
			case "lastpoint":
				f.Sum += last
			default:
				f.Sum += sum / float64(n)
			}
			most, sum, n = math.Inf(-1), 0, 0
		}
		for it.Next() != chunkenc.ValNone {
			t, v := it.At()
			if k := (t - begin - 1) / width; k != at {
				flush()
				at = k
			}
			most, sum, last = max(most, v), sum+v, v
			n++
		}
		flush()
		if err := it.Err(); err != nil {
			return f, err
		}
	}
	return f, set.Err()
}
