package spans

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"eyrie/engine/wire"

	"github.com/cockroachdb/pebble/v2"
)

// Rows of a page: as many as a reader of one of them should have to step over.
const (
	pageRows  = 32
	pageBytes = 16 << 10
)

// Save writes what changed since the last Save, in order of keys. What it wrote
// stays in memory until Saved, or the next Save: the caller commits the batch in
// between. Queries run beside it: it changes only what Apply and Save use.
func (v *View) Save(w *pebble.Batch) error {
	rest, err := v.save(w, false)
	if rest != nil && err == nil {
		err = rest(nil)
	}
	return err
}

// SaveApart implements views.Apart: the pages are apart. Nearly all work is in them
// and their indexes, and that is left to who puts the pages.
func (v *View) SaveApart(w *pebble.Batch) (pages, error) { return v.save(w, true) }

// save writes what Apply goes on to change, and returns what writes the rest, which
// is not changed any more.
func (v *View) save(w *pebble.Batch, apart bool) (pages, error) {
	if v.err != nil {
		return nil, v.err
	}
	gone, err := v.expire()
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	g, base := v.fresh, v.pages
	era := v.enter(g, base)
	oldest := v.eras[0].no
	v.saving, v.fresh = g, newGeneration(len(g.rows)+len(g.rows)/8)
	v.visible, v.blind = base, v.wipe // blind after a Reset until the batch that wipes is in
	wipe := v.wipe
	v.wipe = false
	v.pages += g.pagesMost()
	v.mu.Unlock()
	b := writer{w: w}
	if wipe {
		b.err = w.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil)
	}
	b.drop(v, &gone)
	b.open(v)
	saved := b.tallies(v, era, len(gone.eras) > 0)
	b.counts(v)
	b.begin(prefixed(b.k[:0], kHead))
	b.c.head(v)
	b.set()
	if v.stray > base && b.err == nil {
		b.err = w.DeleteRange(pageKey(nil, base), pageKey(nil, v.stray), nil)
		apart = false // it would delete them
	}
	v.stray = 0
	rows := len(g.rows) > len(g.dead)
	if b.err != nil || !rows && len(gone.eras) == 0 {
		return nil, b.err
	}
	apart = apart && !wipe
	return func(put func(key, value []byte) error) error {
		b := writer{w: w, era: era, oldest: oldest}
		b.untally(v, &gone, saved)
		if b.err != nil || !rows {
			return b.err
		}
		rows := b.indexes(g, base)
		if b.err != nil {
			return b.err
		}
		if !apart {
			put = func(key, value []byte) error { return w.Set(key, value, nil) }
		}
		return rows.pages(put)
	}, nil
}

// indexes puts the rows of a generation in order, and writes what leads to them. Its
// pages begin at base.
func (b *writer) indexes(g *generation, base uint64) ordered {
	rows := g.sorted(base)
	b.packs(&rows, kTime, nil, rows.all)
	b.ids(&rows)
	b.groups(&rows, kAgent, rows.by(rows.all, func(e *entry) uint64 { return uint64(e.agent) }, 0), 4)
	for _, t := range [...]wire.Type{wire.TypeRun, wire.TypeTask, wire.TypeAsk} {
		b.packs(&rows, kType, []byte{byte(t)}, rows.types[t])
	}
	b.groups(&rows, kParent, rows.grouped(rows.apart, func(e *entry) uint64 { return e.up }), 8)
	b.groups(&rows, kRun, rows.grouped(rows.guests, func(e *entry) uint64 { return e.run }), 8)
	b.spilled(&rows)
	b.newer(&rows)
	return rows
}

// pagesMost is how many pages the rows take at most, in whatever order they are: a
// page ends with its rows, or two of them in a row have more than pageBytes. What is not taken of
// them stays empty.
func (g *generation) pagesMost() uint64 {
	bytes := 0
	for i := range g.rows {
		bytes += int(g.rows[i].len)
	}
	if len(g.rows) == 0 {
		return 0
	}
	return uint64(len(g.rows)/pageRows + 2*bytes/pageBytes + 2)
}

// pages puts pages in their order, until put has an error.
type pages = func(put func(key, value []byte) error) error

func pageKey(dst []byte, page uint64) []byte {
	return binary.BigEndian.AppendUint64(prefixed(dst, kPage), page)
}

// ordered are the rows of a generation in order of their keys, with their pages.
type ordered struct {
	g    *generation
	base uint64
	at   []uint32 // indexes of rows
	page []uint32 // since base
	a, b []ranked // scratch

	// Places in at: of all rows, and of those that have more indexes.
	all, apart, guests []uint32
	types              [typeMax][]uint32
}

func (g *generation) sorted(base uint64) ordered {
	n := len(g.rows) - len(g.dead)
	o := ordered{g: g, base: base, at: make([]uint32, n), page: make([]uint32, n), a: make([]ranked, 0, n), b: make([]ranked, n),
		all: make([]uint32, n), guests: make([]uint32, 0, n)}
	low, high := key{start: 1<<63 - 1, off: allPages}, key{start: -1 << 63}
	unit := int64(1e6)
	for i := range g.rows {
		k := g.rows[i].key
		low.start, low.off = min(low.start, k.start), min(low.off, k.off)
		high.start, high.off = max(high.start, k.start), max(high.off, k.off)
		if k.start%unit != 0 {
			unit = 1
		}
	}
	width := bits.Len64(high.off - low.off)
	for i := range g.rows {
		if _, dead := g.dead[uint32(i)]; !dead {
			o.a = append(o.a, ranked{g.rows[i].off - low.off, uint32(i)})
		}
	}
	var all []ranked
	if span := uint64(high.start-low.start) / uint64(unit); n > 0 && width+bits.Len64(span) <= 64 {
		// Start and offset fit one number: one sort, of few digits where starts
		// are whole milliseconds, as most are.
		for i := range o.a {
			o.a[i].key |= uint64(g.rows[o.a[i].at].start-low.start) / uint64(unit) << width
		}
		all = sortRanked(o.a, o.b, 0)
	} else {
		all = sortRanked(o.a, o.b, 0)
		for i := range all {
			all[i].key = uint64(g.rows[all[i].at].start - low.start)
		}
		other := o.b
		if n > 0 && &all[0] == &o.b[0] {
			other = o.a
		}
		all = sortRanked(all, other, 0)
	}
	page, rows, bytes := uint32(0), 0, 0
	for i := range all {
		e := &g.rows[all[i].at]
		size := int(e.len)
		if rows == pageRows || rows > 0 && bytes+size > pageBytes {
			page, rows, bytes = page+1, 0, 0
		}
		rows, bytes = rows+1, bytes+size
		o.at[i], o.page[i], o.all[i] = all[i].at, page, uint32(i)
		if e.flags&flApart != 0 {
			o.apart = append(o.apart, uint32(i))
		}
		if e.flags&flGuest != 0 {
			o.guests = append(o.guests, uint32(i))
		}
		switch wire.Type(e.typ) {
		case wire.TypeRun, wire.TypeTask, wire.TypeAsk:
			o.types[e.typ] = append(o.types[e.typ], uint32(i))
		}
	}
	return o
}

// by returns those rows in order of what fn returns for them, without regard to
// its lowest bits.
func (o *ordered) by(rows []uint32, fn func(e *entry) uint64, low int) []ranked {
	a := o.a[:len(rows)]
	for i, at := range rows {
		a[i] = ranked{fn(o.entry(at)), at}
	}
	return sortRanked(a, o.b[:len(a)], low)
}

// grouped is by for hashes, of which it sorts no more than it takes to bring
// equal ones together.
func (o *ordered) grouped(rows []uint32, fn func(e *entry) (hash uint64)) []ranked {
	const skipped = 40
	all := o.by(rows, fn, skipped)
	for i, k := 0, 0; i < len(all); i = k {
		top, same := all[i].key>>skipped, true
		for k = i; k < len(all) && all[k].key>>skipped == top; k++ {
			same = same && all[k].key == all[i].key
		}
		if !same {
			slices.SortStableFunc(all[i:k], func(x, y ranked) int { return cmp.Compare(x.key, y.key) })
		}
	}
	return all
}

func (o *ordered) entry(i uint32) *entry { return &o.g.rows[o.at[i]] }

// ahead is how many entries before its turn one is read, so that it is in the
// cache by then: in other orders than that of starts they lie anywhere.
const ahead = 24

// writer puts rows into a batch and keeps the first error.
type writer struct {
	w      *pebble.Batch
	era    uint32 // of the save
	oldest uint32 // that is kept
	k      []byte
	c      coder
	p      packer
	err    error
	sink   uint64
}

func (b *writer) begin(k []byte) { b.k, b.c.b = k, b.c.b[:0] }

func (b *writer) set() { b.put(b.c.b) }

func (b *writer) put(val []byte) {
	if b.err == nil {
		b.err = b.w.Set(b.k, val, nil)
	}
}

func (b *writer) delete(k []byte) {
	b.k = k
	if b.err == nil {
		b.err = b.w.Delete(k, nil)
	}
}

func (b *writer) deleteRange(from, to []byte) {
	if b.err == nil {
		b.err = b.w.DeleteRange(from, to, nil)
	}
}

// packs writes the rows of one group, given in order, one pack for each bucket.
func (b *writer) packs(o *ordered, kind byte, group []byte, rows []uint32) {
	for n := 0; n < len(rows); {
		e := o.entry(rows[n])
		first := o.base + uint64(o.page[rows[n]])
		b.p.begin(kind, bucketOf(kind, e.start), e.off, first)
		for ; n < len(rows) && b.p.n < packMax; n++ {
			if e = o.entry(rows[n]); bucketOf(kind, e.start) != b.p.bucket {
				break
			}
			b.p.add(e, o.base+uint64(o.page[rows[n]]))
		}
		b.k = appendTail(append(inEra(b.k[:0], kind, b.era), group...), b.p.bucket, first)
		b.put(b.p.b)
	}
}

// groups writes the packs of each group of rows that have the same key.
func (b *writer) groups(o *ordered, kind byte, all []ranked, width int) {
	var rows []uint32
	var group [8]byte
	for i := 0; i < len(all); {
		k := all[i].key
		for rows = rows[:0]; i < len(all) && all[i].key == k; i++ {
			rows = append(rows, all[i].at)
			if i+ahead < len(all) {
				b.sink += o.entry(all[i+ahead].at).off
			}
		}
		binary.BigEndian.PutUint64(group[:], k)
		b.packs(o, kind, group[8-width:], rows)
	}
}

// ids writes the look-up by hash.
func (b *writer) ids(o *ordered) {
	const low = 48
	all := o.by(o.all, func(e *entry) uint64 { return e.hash }, low)
	for i := 0; i < len(all); {
		top, last := all[i].key>>low, uint64(0)
		b.begin(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(inEra(b.k[:0], kID, b.era), uint16(top)), o.base))
		val := b.c.b
		for ; i < len(all) && all[i].key>>low == top; i++ {
			off := o.entry(all[i].at).off
			if i+ahead < len(all) {
				b.sink += o.entry(all[i+ahead].at).off
			}
			val = appendID(val, all[i].key, last, off, uint64(o.page[all[i].at]))
			last = off
		}
		b.c.b = val
		b.set()
	}
}

// open rewrites the slots of the snapshot of open spans that changed.
func (b *writer) open(v *View) {
	var by []ranked
	var open []*span
	for h, s := range v.open.all() {
		if v.slots[openSlot(h)] {
			by = append(by, ranked{uint64(openSlot(h)), uint32(len(open))})
			open = append(open, s)
		}
	}
	by = sortRanked(by, make([]ranked, len(by)), 0)
	var rec []byte
	for slot := range v.slots {
		if !v.slots[slot] {
			continue
		}
		v.slots[slot] = false
		b.begin(short(b.k[:0], kOpen, uint16(slot)))
		for len(by) > 0 && by[0].key == uint64(slot) {
			rec = open[by[0].at].appendRecord(rec[:0])
			b.c.b = appendRecord(b.c.b, rec)
			by = by[1:]
		}
		if len(b.c.b) == 0 {
			b.delete(b.k)
		} else {
			b.set()
		}
	}
}

// tallies writes the totals of runs that changed, and returns of which runs where
// that is asked for.
func (b *writer) tallies(v *View, era uint32, tell bool) (saved map[uint64]bool) {
	if tell {
		saved = make(map[uint64]bool, len(v.tallies))
	}
	for _, t := range v.runs {
		t.saving = false
	}
	slices.SortFunc(v.tallies, func(x, y *tally) int { return cmp.Compare(x.hash, y.hash) })
	for _, t := range v.tallies {
		t.dirty, t.saving, t.era = false, true, era
		b.begin(hashed(b.k[:0], kTally, t.hash))
		b.c.tally(t)
		b.set()
		b.begin(binary.BigEndian.AppendUint64(inEra(b.k[:0], kSaved, era), t.hash))
		b.set()
		if tell {
			saved[t.hash] = true
		}
	}
	clear(v.tallies)
	v.tallies = v.tallies[:0]
	return saved
}

func (b *writer) counts(v *View) {
	for page, marked := range v.marked {
		if !marked {
			continue
		}
		v.marked[page] = false
		b.begin(numbered(b.k[:0], kCounts, uint32(page)))
		b.c.b = append(b.c.b, format)
		for num := page << countsPage; num < min(len(v.counts), (page+1)<<countsPage); num++ {
			b.c.counts(&v.counts[num])
		}
		b.set()
	}
}

// spilled keeps the index of open rows that left memory.
func (b *writer) spilled(o *ordered) {
	for i := range o.at {
		e := o.entry(uint32(i))
		if e.flags&flSpilled == 0 {
			continue
		}
		bucket, page := bucketOf(kSpilled, e.start), o.base+uint64(o.page[i])
		b.k = appendTail(prefixed(b.k[:0], kSpilled), bucket, e.off)
		if e.status != stOpen {
			b.delete(b.k)
			continue
		}
		b.p.begin(kSpilled, bucket, e.off, 0)
		b.p.add(e, page)
		b.put(b.p.b)
	}
}

// newer notes where rows are whose older versions are in the store.
func (b *writer) newer(o *ordered) {
	if len(o.g.over) == 0 {
		return
	}
	for i := range o.at {
		e := o.entry(uint32(i))
		era, ok := o.g.over[e.off]
		if !ok || era < b.oldest {
			continue
		}
		b.begin(binary.BigEndian.AppendUint64(inEra(b.k[:0], kNewer, era), e.off))
		b.c.b = binary.AppendUvarint(b.c.b, o.base+uint64(o.page[i]))
		b.set()
	}
}

// pages puts the rows. It may run beside everything but the next Save.
func (o *ordered) pages(put func(key, value []byte) error) error {
	var key, val []byte
	for i := 0; i < len(o.at); {
		page := o.page[i]
		for val = val[:0]; i < len(o.at) && o.page[i] == page; i++ {
			val = appendRecord(val, o.g.bytes(o.entry(uint32(i))))
		}
		key = pageKey(key[:0], o.base+uint64(page))
		if err := put(key, val); err != nil {
			return err
		}
	}
	return nil
}
