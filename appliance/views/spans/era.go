package spans

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// era is a stretch of saves whose rows go together. All that leads to rows has
// their era before it in its key, so that what is written is merged with keys of
// the same era alone, and an old one is dropped by a few ranges. A row belongs to
// the era of its newest version: one that is open for long moves on.
type era struct {
	no        uint32 // from 1 on
	first     uint64 // its first page
	next      uint64 // offset behind all that its rows were folded from
	rows      uint64 // saved in it, all versions
	low, high int64  // least and greatest start of its rows; low > high while it has none
}

const (
	// eraRows is how many rows an era has at least, eraShare the number of eras
	// that one more is reckoned against: with more rows than both eras are larger.
	eraRows  = 2 << 20
	eraShare = 64
	// erasDropped bounds the eras that go with one save: the folds wait for it.
	erasDropped = 2
)

// eraKinds are the kinds of keys that have an era.
var eraKinds = [...]byte{kTime, kID, kAgent, kType, kParent, kRun, kNewer, kSaved}

// Retention says which rows are kept. Either may be nil; both are called by Save.
type Retention struct {
	// From returns the offset from which on the log keeps what rows are folded from: rows of
	// eras that end before it go.
	From func() uint64
	// Held returns the runs whose rows are kept nevertheless.
	Held func() []RunID
}

// RunID names a run.
type RunID struct{ Space, Run string }

// HoldName is the name of the log's hold of the run.
func (r RunID) HoldName() string { return r.Space + "/" + r.Run }

// HeldRun is the run of a hold of that name; no space has a slash.
func HeldRun(hold string) (r RunID) {
	r.Space, r.Run, _ = strings.Cut(hold, "/")
	return r
}

// Retain sets what is kept; without it all is. It is called before Load.
func (v *View) Retain(o Retention) { v.retention = o }

// eraAt returns the era of a page; nil once that is dropped. The caller holds a lock or is
// the one that applies.
func (v *View) eraAt(page uint64) *era {
	i, found := slices.BinarySearchFunc(v.eras, page, func(e era, page uint64) int {
		switch {
		case e.first < page:
			return -1
		case e.first > page:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return nil
	}
	return &v.eras[i]
}

// kept adds up the rows of eras.
func kept(eras []era) (rows uint64) {
	for i := range eras {
		rows += eras[i].rows
	}
	return rows
}

// enter returns the era of a save whose first page that is, and takes its rows in.
// The caller holds the lock.
func (v *View) enter(g *generation, base uint64) uint32 {
	n := len(v.eras)
	if n == 0 || v.eras[n-1].rows >= max(v.eraRows, kept(v.eras)/eraShare) {
		v.lastEra++
		v.eras = append(v.eras, era{no: v.lastEra, first: base, low: math.MaxInt64, high: math.MinInt64})
		n++
	}
	e := &v.eras[n-1]
	e.next = v.offset + 1
	e.rows += uint64(len(g.rows) - len(g.dead))
	e.low, e.high = min(e.low, g.low), max(e.high, g.high)
	return e.no
}

// dropping is what a save takes out of the store.
type dropping struct {
	eras    []era
	spilled [][]byte // keys
}

// expire drops eras that are over their time: their rows are taken off the counts, but
// for those of held runs, which wait for this save with the new ones. What is in the
// store goes with the batch that drop is given.
func (v *View) expire() (d dropping, err error) {
	if v.retention.From == nil || len(v.eras) < 2 || v.blind || v.wipe {
		return d, nil
	}
	from := v.retention.From()
	for len(d.eras) < erasDropped && len(v.eras) > 1 && v.eras[0].next <= from {
		e := v.eras[0]
		x := expiring{v: v, era: e, d: &d, rows: reading{v: v}}
		if err := x.run(); err != nil {
			return d, fmt.Errorf("spans: rows that are not kept: %w", err)
		}
		d.eras = append(d.eras, e)
		v.mu.Lock()
		v.eras = slices.Clone(v.eras[1:])
		v.filter.forget(v.eras[0].first)
		v.mu.Unlock()
	}
	return d, nil
}

// expiring takes the rows of one era off the counts.
type expiring struct {
	v     *View
	era   era
	d     *dropping
	rows  reading
	newer map[uint64]uint64   // offsets → pages of versions that took the place of rows in the era
	held  map[uint64]RunID    // by hash
	low   map[uint32]struct{} // of the hashes, what entries tell
	off   map[uint32]*[typeMax][statusMax]uint32
	keep  []*span

	spilled int
}

func (x *expiring) run() error {
	x.newer, x.off = map[uint64]uint64{}, map[uint32]*[typeMax][statusMax]uint32{}
	x.held, x.low = map[uint64]RunID{}, map[uint32]struct{}{}
	if x.v.retention.Held != nil {
		for _, r := range x.v.retention.Held() {
			h := hashOf(seedOf(r.Space), r.Run)
			x.held[h], x.low[uint32(h)] = r, struct{}{}
		}
	}
	err := scanAt(x.v.store, inEra(nil, kNewer, x.era.no), func(k, val []byte) error {
		page, n := binary.Uvarint(val)
		if len(k) != 14 || n <= 0 {
			return errRow
		}
		x.newer[binary.BigEndian.Uint64(k[6:])] = page
		return nil
	})
	if err != nil {
		return err
	}
	var items []item
	err = scanAt(x.v.store, inEra(nil, kAgent, x.era.no), func(k, val []byte) error {
		if len(k) != 2+4+4+tailLen {
			return errRow
		}
		bucket, page := tailOf(k)
		var ok bool
		if items, ok = unpack(items[:0], kAgent, uint64(binary.BigEndian.Uint32(k[6:])), bucket, page, val); !ok {
			return errRow
		}
		for i := range items {
			if err := x.take(&items[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.v.mu.Lock()
	defer x.v.mu.Unlock()
	x.v.spilled -= x.spilled
	for agent, was := range x.off {
		n := &x.v.countsOf(agent).n
		for t := range was {
			for st := range was[t] {
				n[t][st] -= min(n[t][st], was[t][st])
			}
		}
	}
	for _, s := range x.v.open.all() { // what is open keeps the totals of its run
		x.v.tally(s.agent, s.run)
	}
	for _, s := range x.keep {
		s.was = x.era.no
		s.flags |= flOlder
		x.v.put(s)
	}
	return x.v.err
}

// take decides on a row of the era.
func (x *expiring) take(it *item) error {
	if page, ok := x.newer[it.off]; ok && page != it.page {
		return nil // a newer version is elsewhere
	}
	if _, ok := x.v.fresh.over[it.off]; ok {
		return nil // or waits for this save
	}
	if _, ok := x.low[it.run]; ok {
		s, err := x.rows.row(it.page, it.off, nil)
		if err != nil {
			return err
		}
		if r, ok := x.held[s.run]; ok && r.Run == s.runID {
			x.keep = append(x.keep, s)
			return nil
		}
	}
	if x.off[it.agent] == nil {
		x.off[it.agent] = &[typeMax][statusMax]uint32{}
	}
	x.off[it.agent][it.typ][it.status]++
	if it.status == stOpen {
		x.spilled++
		x.d.spilled = append(x.d.spilled, appendTail(prefixed(nil, kSpilled), bucketOf(kSpilled, it.start), it.off))
	}
	return nil
}

// drop deletes what the eras had. The ranges begin with the first key of all: a table that has
// some of several eras goes as a whole once the last of them does.
func (b *writer) drop(v *View, d *dropping) {
	if len(d.eras) == 0 {
		return
	}
	for _, kind := range eraKinds {
		b.deleteRange(inEra(nil, kind, 0), inEra(nil, kind, v.eras[0].no))
	}
	b.deleteRange(pageKey(nil, 0), pageKey(nil, v.eras[0].first))
	for _, k := range d.spilled {
		b.delete(k)
	}
}

// untally deletes the totals of runs that were saved last in one of the eras. It may run
// beside Apply.
func (b *writer) untally(v *View, d *dropping, saved map[uint64]bool) {
	for _, e := range d.eras {
		err := scanAt(v.store, inEra(nil, kSaved, e.no), func(k, _ []byte) error {
			if len(k) != 14 {
				return errRow
			}
			h := binary.BigEndian.Uint64(k[6:])
			if saved[h] {
				return nil
			}
			if t, err := v.readTally(v.store, h); err != nil || t == nil || t.era != e.no {
				return err
			}
			b.delete(hashed(b.k[:0], kTally, h))
			return nil
		})
		if b.err == nil {
			b.err = err
		}
	}
}

// DiskUsage estimates what rows and all that leads to them take on the disk, if
// eras that end before that offset were gone. It may run beside everything.
func (v *View) DiskUsage(store *pebble.DB, from uint64) (bytes uint64, err error) {
	v.mu.RLock()
	eras, pages := slices.Clone(v.eras), v.pages
	v.mu.RUnlock()
	for len(eras) > 1 && eras[0].next <= from {
		eras = eras[1:]
	}
	if len(eras) == 0 {
		return 0, nil
	}
	ranges := [][2][]byte{{pageKey(nil, eras[0].first), pageKey(nil, pages+1)}}
	for _, kind := range eraKinds {
		ranges = append(ranges, [2][]byte{inEra(nil, kind, eras[0].no), after(prefixed(nil, kind))})
	}
	for _, r := range ranges {
		// A block in which a range ends counts whole: of ranges that follow each other each
		// would count it, so what lies below is taken off what lies below and within.
		upTo, err := store.EstimateDiskUsage([]byte{prefix}, r[1])
		if err != nil {
			return 0, err
		}
		below, err := store.EstimateDiskUsage([]byte{prefix}, r[0])
		if err != nil {
			return 0, err
		}
		bytes += upTo - min(upTo, below) // less, where a merge came in between
	}
	return bytes, nil
}
