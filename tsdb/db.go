package tsdb

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2"
)

// Options of a DB; the zero value serves.
type Options struct {
	SeriesMax int          // series kept; more are refused and counted. 0: 4,000,000
	Metrics   *metrics.Set // where the DB's own figures go; nil: nowhere
}

const (
	seriesMaxDefault = 4_000_000
	seriesMaxMost    = 1 << 22 // the index has room for so many of labelsMax labels
)

// shardCount spreads lock and arenas; a power of two.
const shardCount = 16

// DB is a set of series. See the package doc for what may run concurrently.
type DB struct {
	store  *pebble.DB
	prefix byte
	o      Options

	mu    sync.RWMutex // guards ix
	ix    index
	saved int             // series whose definition is stored or in a batch: refs 1..saved
	saves uint64          // number of the last Save
	gone  map[uint64]bool // series that were forgotten since the Load

	shards  [shardCount]shard
	eras    eras
	lateSeq atomic.Uint32 // last number given to a late chunk
	// stored counts the times that pending chunks were dropped because they
	// are in the store: a reader whose view of the store is older takes a new
	// one.
	stored      atomic.Uint64
	refused     atomic.Uint64
	erasUnknown atomic.Int64 // of the last Load
}

// Open makes an empty DB over the keys below prefix in store; Load fills it.
// It does not close the store.
func Open(store *pebble.DB, prefix byte, o Options) (*DB, error) {
	if o.SeriesMax == 0 {
		o.SeriesMax = seriesMaxDefault
	}
	if o.SeriesMax < 0 || o.SeriesMax > seriesMaxMost {
		return nil, fmt.Errorf("tsdb: SeriesMax %d, want 1..%d", o.SeriesMax, seriesMaxMost)
	}
	db := &DB{store: store, prefix: prefix, o: o}
	db.eras.most = eraBytes
	db.Reset()
	if o.Metrics != nil {
		db.register(o.Metrics)
	}
	return db, nil
}

// Reset forgets all that is in memory. The stored rows are the caller's to
// delete (all keys below the prefix) before the next Save, unless Load follows.
func (db *DB) Reset() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.ix, db.saved = newIndex(), 0
	db.saves, db.gone = 0, map[uint64]bool{}
	db.eras.clear()
	db.lateSeq.Store(0)
	for i := range db.shards {
		s := &db.shards[i]
		s.mu.Lock()
		s.runs, s.arena, s.heads, s.stale = nil, arena{}, nil, 0
		s.closed, s.saving, s.late = map[uint32][]pending{}, nil, map[uint32]*late{}
		s.mu.Unlock()
	}
	db.stored.Add(1)
}

// locate says where the run of a series is: head rows go round the shards.
func locate(ref uint32) (shard, slot uint32) {
	row := (ref - 1) / headRuns
	return row % shardCount, row/shardCount*headRuns + (ref-1)%headRuns
}

// Series returns the ref of the series with these labels, making it on first
// sight; 0 when it would be one series, or one label, too many. Refs are never
// reused, and outlive a reopening once they are saved.
func (db *DB) Series(ls Labels) uint64 {
	ls = ls.normal()
	if len(ls) > labelsMax || len(ls) == 0 {
		db.refused.Add(1)
		return 0
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.ix.len() >= db.o.SeriesMax {
		ref, ok := db.ix.find(ls)
		if !ok {
			db.refused.Add(1)
		}
		return uint64(ref)
	}
	return uint64(db.addLocked(ls))
}

// Find returns the ref of the series with these labels if there is one.
func (db *DB) Find(ls Labels) (ref uint64, ok bool) {
	ls = ls.normal()
	if len(ls) > labelsMax {
		return 0, false
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	r, ok := db.ix.find(ls)
	return uint64(r), ok
}

// Pair is a label as the DB numbers it until the next Reset.
type Pair struct {
	p    pair
	list *posting
}

// Pair returns the label's numbers. They are kept for good, so it is for labels
// that some series has or is about to get; ok is false when there are none and
// the DB takes no more series.
func (db *DB) Pair(name, value string) (p Pair, ok bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.ix.len() < db.o.SeriesMax {
		k := pair{db.ix.syms.add(name), db.ix.syms.add(value)}
		return Pair{k, db.ix.posting(k)}, true
	}
	n, ok1 := db.ix.syms.ids[name]
	x, ok2 := db.ix.syms.ids[value]
	l := db.ix.postings[pair{n, x}]
	return Pair{pair{n, x}, l}, ok1 && ok2 && l != nil
}

// SeriesOf does what Series does, for labels in order of their names, no value
// empty. It tells whether the series is new.
func (db *DB) SeriesOf(ls ...Pair) (ref uint64, fresh bool) {
	if len(ls) == 0 || len(ls) > labelsMax {
		db.refused.Add(1)
		return 0, false
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	ps, lists := db.ix.ps[:0], db.ix.lists[:0]
	for i := range ls {
		ps, lists = append(ps, ls[i].p), append(lists, ls[i].list)
	}
	db.ix.ps, db.ix.lists = ps, lists
	if db.ix.len() >= db.o.SeriesMax {
		r, _ := db.ix.probe(ps)
		if r == 0 {
			db.refused.Add(1)
		}
		return uint64(r), false
	}
	r, fresh := db.ix.addPairs(ps, lists)
	db.grow(r, fresh)
	return uint64(r), fresh
}

func (db *DB) addLocked(ls Labels) uint32 {
	ref, fresh := db.ix.add(ls)
	db.grow(ref, fresh)
	return ref
}

// grow makes room for the run of a series that is new.
func (db *DB) grow(ref uint32, fresh bool) {
	if !fresh {
		return
	}
	i, slot := locate(ref)
	s := &db.shards[i]
	s.mu.Lock()
	s.grow(slot)
	s.mu.Unlock()
}

// Append adds the sample (t, v), t in Unix ms, to a series. A sample at a time
// that the series has replaces it; one that is out of order is sorted in. What
// lies outside MinTime..MaxTime is dropped and counted. ref must come from
// Series since the last Reset.
func (db *DB) Append(ref uint64, t int64, v float64) {
	w := db.Writer()
	defer w.Done()
	w.Append(ref, t, v)
}

// Add makes the series cumulative: it appends the newest value plus delta at
// t, or at the newest sample's time when that is later. The sum survives a
// reopening with the series.
func (db *DB) Add(ref uint64, t int64, delta float64) {
	w := db.Writer()
	defer w.Done()
	w.Add(ref, t, delta)
}

// Last returns a series' newest sample and how many it ever kept; ok is false
// when it has none.
func (db *DB) Last(ref uint64) (t int64, v float64, samples uint64, ok bool) {
	i, slot := locate(uint32(ref))
	s := &db.shards[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has(slot) {
		return 0, 0, 0, false
	}
	r := s.run(slot)
	return r.s.LastT, r.s.Value(), r.total, r.s.N > 0
}

// Labels returns the labels of a series, nil of one that a Reset forgot.
func (db *DB) Labels(ref uint64) Labels {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.ix.labels(uint32(ref), nil)
}

// Refs returns the series that suit all matchers, in order of first sight.
func (db *DB) Refs(ms []Matcher) []uint64 {
	db.mu.RLock()
	refs := db.ix.match(ms)
	db.mu.RUnlock()
	out := make([]uint64, len(refs))
	for i, r := range refs {
		out[i] = uint64(r)
	}
	return out
}

// Names returns the label names in use, sorted.
func (db *DB) Names() []string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var out []string
	for n := range db.ix.values {
		out = append(out, db.ix.syms.names[n])
	}
	return sorted(out)
}

// Values returns the values in use of one label, sorted.
func (db *DB) Values(name string) []string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	var out []string
	if n, ok := db.ix.syms.ids[name]; ok {
		for _, v := range db.ix.values[n] {
			out = append(out, db.ix.syms.names[v])
		}
	}
	return sorted(out)
}

// Symbol returns the DB's own copy of s if it is in use as a label's name or
// value, else a fresh one: callers that cache names share their bytes so.
func (db *DB) Symbol(s []byte) string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if id, ok := db.ix.syms.ids[string(s)]; ok {
		return db.ix.syms.names[id]
	}
	return strings.Clone(string(s))
}
