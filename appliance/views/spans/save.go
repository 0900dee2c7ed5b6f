package spans

import (
	"cmp"
	"encoding/binary"
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
	if v.err != nil {
		return v.err
	}
	v.mu.Lock()
	g := v.fresh
	v.saving, v.fresh = g, newGeneration(len(g.rows)+len(g.rows)/8)
	v.visible, v.blind = v.pages, v.wipe // blind after a Reset until the batch that wipes is in
	wipe := v.wipe
	v.wipe = false
	v.mu.Unlock()
	b := writer{w: w}
	if wipe {
		b.err = w.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil)
	}
	rows := g.sorted(v.pages)
	v.pages += rows.count()
	b.packs(&rows, kTime, nil, rows.all())
	b.ids(&rows)
	b.byAgent(&rows)
	for _, t := range [...]wire.Type{wire.TypeRun, wire.TypeTask, wire.TypeAsk} {
		b.packs(&rows, kType, []byte{byte(t)}, rows.where(func(e *entry) bool { return e.typ == uint8(t) }))
	}
	b.open(v)
	b.byHash(&rows, kParent, flApart, func(e *entry) uint64 { return e.up })
	b.byHash(&rows, kRun, flGuest, func(e *entry) uint64 { return e.run })
	b.tallies(v)
	b.counts(v)
	b.begin(prefixed(b.k[:0], kHead))
	b.c.head(v)
	b.set()
	b.spilled(&rows)
	b.pages(&rows)
	v.trim()
	return b.err
}

// trim drops stale entries from the queue of open spans.
func (v *View) trim() {
	if len(v.queue) < 2*len(v.open)+1024 {
		return
	}
	kept := v.queue[:0]
	for _, o := range v.queue {
		if s := v.open[o.hash]; s != nil && s.off == o.off {
			kept = append(kept, o)
		}
	}
	v.queue = slices.Clip(kept)
}

func (v *View) sortQueue() {
	slices.SortFunc(v.queue, func(a, b opened) int { return cmp.Compare(a.off, b.off) })
}

// ordered are the rows of a generation in order of their keys, with their pages.
type ordered struct {
	g    *generation
	base uint64
	at   []uint32 // indexes of rows
	page []uint32 // since base
}

func (g *generation) sorted(base uint64) ordered {
	type place struct {
		start int64
		at    uint32
	}
	all := make([]place, 0, len(g.rows))
	for i := range g.rows {
		if _, dead := g.dead[uint32(i)]; !dead {
			all = append(all, place{g.rows[i].start, uint32(i)})
		}
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return cmp.Compare(g.rows[a.at].off, g.rows[b.at].off)
	})
	o := ordered{g: g, base: base, at: make([]uint32, len(all)), page: make([]uint32, len(all))}
	page, rows, bytes := uint32(0), 0, 0
	for i := range all {
		n := int(g.rows[all[i].at].len)
		if rows == pageRows || rows > 0 && bytes+n > pageBytes {
			page, rows, bytes = page+1, 0, 0
		}
		rows, bytes = rows+1, bytes+n
		o.at[i], o.page[i] = all[i].at, page
	}
	return o
}

func (o *ordered) entry(i uint32) *entry { return &o.g.rows[o.at[i]] }

// count returns the number of pages.
func (o *ordered) count() uint64 {
	if len(o.page) == 0 {
		return 0
	}
	return uint64(o.page[len(o.page)-1]) + 1
}

func (o *ordered) all() []uint32 {
	out := make([]uint32, len(o.at))
	for i := range out {
		out[i] = uint32(i)
	}
	return out
}

func (o *ordered) where(fn func(e *entry) bool) (out []uint32) {
	for i := range o.at {
		if fn(&o.g.rows[o.at[i]]) {
			out = append(out, uint32(i))
		}
	}
	return out
}

// writer puts rows into a batch and keeps the first error.
type writer struct {
	w   *pebble.Batch
	k   []byte
	c   coder
	p   packer
	err error
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
		b.k = appendTail(append(prefixed(b.k[:0], kind), group...), b.p.bucket, first)
		b.put(b.p.b)
	}
}

// byAgent writes the packs of each agent.
func (b *writer) byAgent(o *ordered) {
	keys := make([]uint64, len(o.at))
	for i := range keys {
		keys[i] = uint64(o.entry(uint32(i)).agent)<<32 | uint64(i)
	}
	slices.Sort(keys)
	var rows []uint32
	var group [4]byte
	for i := 0; i < len(keys); {
		agent := keys[i] >> 32
		for rows = rows[:0]; i < len(keys) && keys[i]>>32 == agent; i++ {
			rows = append(rows, uint32(keys[i]))
		}
		binary.BigEndian.PutUint32(group[:], uint32(agent))
		b.packs(o, kAgent, group[:], rows)
	}
}

// byHash writes the packs of the rows with a flag, grouped by a hash.
func (b *writer) byHash(o *ordered, kind byte, flag uint8, hash func(e *entry) uint64) {
	type place struct {
		h  uint64
		at uint32
	}
	var keys []place
	for i := range o.at {
		if e := o.entry(uint32(i)); e.flags&flag != 0 {
			keys = append(keys, place{hash(e), uint32(i)})
		}
	}
	slices.SortFunc(keys, func(x, y place) int { return cmp.Or(cmp.Compare(x.h, y.h), cmp.Compare(x.at, y.at)) })
	var rows []uint32
	var group [8]byte
	for i := 0; i < len(keys); {
		h := keys[i].h
		for rows = rows[:0]; i < len(keys) && keys[i].h == h; i++ {
			rows = append(rows, keys[i].at)
		}
		binary.BigEndian.PutUint64(group[:], h)
		b.packs(o, kind, group[:], rows)
	}
}

// ids writes the look-up by hash.
func (b *writer) ids(o *ordered) {
	keys := make([]uint64, len(o.at))
	for i := range keys {
		keys[i] = o.entry(uint32(i)).hash>>48<<32 | uint64(i)
	}
	slices.Sort(keys)
	for i := 0; i < len(keys); {
		top, last := keys[i]>>32, uint64(0)
		b.begin(binary.BigEndian.AppendUint64(short(b.k[:0], kID, uint16(top)), o.base))
		for ; i < len(keys) && keys[i]>>32 == top; i++ {
			at := uint32(keys[i])
			e := o.entry(at)
			b.c.b = appendID(b.c.b, e, last, uint64(o.page[at]))
			last = e.off
		}
		b.set()
	}
}

// open rewrites the slots of the snapshot of open spans that changed.
func (b *writer) open(v *View) {
	var all []*span
	for h, s := range v.open {
		if v.slots[openSlot(h)] {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y *span) int { return cmp.Compare(x.hash, y.hash) })
	var rec coder
	for slot := range v.slots {
		if !v.slots[slot] {
			continue
		}
		v.slots[slot] = false
		b.begin(short(b.k[:0], kOpen, uint16(slot)))
		for len(all) > 0 && openSlot(all[0].hash) == slot {
			rec.record(all[0])
			b.c.b = appendRecord(b.c.b, rec.b)
			all = all[1:]
		}
		if len(b.c.b) == 0 {
			b.delete(b.k)
		} else {
			b.set()
		}
	}
}

func (b *writer) tallies(v *View) {
	for _, t := range v.runs {
		t.saving = false
	}
	slices.SortFunc(v.tallies, func(x, y *tally) int { return cmp.Compare(x.hash, y.hash) })
	for _, t := range v.tallies {
		t.dirty, t.saving = false, true
		b.begin(hashed(b.k[:0], kTally, t.hash))
		b.c.tally(t)
		b.set()
	}
	clear(v.tallies)
	v.tallies = v.tallies[:0]
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

// pages writes the rows.
func (b *writer) pages(o *ordered) {
	for i := 0; i < len(o.at); {
		page := o.page[i]
		b.begin(binary.BigEndian.AppendUint64(prefixed(b.k[:0], kPage), o.base+uint64(page)))
		for ; i < len(o.at) && o.page[i] == page; i++ {
			b.c.b = appendRecord(b.c.b, o.g.bytes(o.entry(uint32(i))))
		}
		b.set()
	}
}
