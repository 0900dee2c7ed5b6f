package spans

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// left returns a copy of the newest version of a row that left the open ones;
// nil when there is none. The caller holds a lock; intern is the view where
// that is the write lock, or nil.
func (v *View) left(h uint64, intern *View) (*span, error) {
	if e, ok := v.fresh.find(h); ok {
		return v.decodeRecord(v.fresh.bytes(e), flAgain, intern)
	}
	if v.saving != nil {
		if e, ok := v.saving.find(h); ok {
			s, err := v.decodeRecord(v.saving.bytes(e), flOlder, intern)
			if err == nil {
				s.was = v.eras[len(v.eras)-1].no
			}
			return s, err
		}
	}
	if v.blind || v.visible == 0 {
		return nil, nil
	}
	var s *span
	var err error
	v.filter.each(h, func(from, to uint64) bool {
		s, err = v.stored(h, from, min(to, v.visible-1), intern)
		return s == nil && err == nil
	})
	return s, err
}

// stored looks a hash up in the saves whose first pages lie within from..to, the
// newest era first.
func (v *View) stored(h, from, to uint64, intern *View) (s *span, err error) {
	for i := len(v.eras) - 1; i >= 0 && s == nil && err == nil; i-- {
		if e := &v.eras[i]; e.first <= to {
			s, err = v.storedIn(e, h, from, to, intern)
		}
		if v.eras[i].first <= from {
			break
		}
	}
	return s, err
}

func idKey(era uint32, h, page uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint16(inEra(nil, kID, era), uint16(h>>48)), page)
}

func (v *View) storedIn(e *era, h, from, to uint64, intern *View) (*span, error) {
	lo, hi := idKey(e.no, h, from), idKey(e.no, h, to)
	it, err := v.store.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: append(hi, 0)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.Last(); ok; ok = it.Prev() {
		val, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		off, page, found, good := findID(val, h)
		if !good {
			return nil, fmt.Errorf("%w: ids %x", errRow, it.Key())
		}
		if !found {
			continue
		}
		page += binary.BigEndian.Uint64(it.Key()[8:])
		s, err := (&reading{v: v}).row(page, off, intern)
		if errors.Is(err, errGone) || errors.Is(err, pebble.ErrNotFound) {
			continue
		}
		if err == nil {
			s.flags |= flOlder
			s.was = e.no
		}
		return s, err
	}
	return nil, it.Error()
}

// Ids are entries of hash (8 bytes), pages since the save's first (uvarint) and
// offset since the last entry's (varint).
func appendID(dst []byte, hash, last, off, page uint64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, hash)
	dst = binary.AppendUvarint(dst, page)
	return binary.AppendVarint(dst, int64(off-last))
}

// findID returns the last entry of a hash.
func findID(b []byte, h uint64) (off, page uint64, found, good bool) {
	good = eachID(b, func(hash, o, p uint64) {
		if hash == h {
			off, page, found = o, p, true
		}
	})
	return off, page, found, good
}

func eachID(b []byte, fn func(h, off, page uint64)) bool {
	r, off := reader{b: b}, uint64(0)
	for len(r.b) > 0 && !r.bad {
		h, page := r.u64(), r.uvarint()
		off += uint64(r.varint())
		if !r.bad {
			fn(h, off, page)
		}
	}
	return !r.bad
}

// reading reads rows of the store and keeps the pages it saw last.
type reading struct {
	v     *View
	pages map[uint64][]byte
	order []uint64
}

const readingPages = 64

// row reads the row of an offset from its page.
func (g *reading) row(page, off uint64, intern *View) (s *span, err error) {
	b, ok := g.pages[page]
	if !ok {
		val, closer, err := g.v.store.Get(binary.BigEndian.AppendUint64(prefixed(nil, kPage), page))
		if err != nil {
			return nil, fmt.Errorf("spans: page %d of the row at %d: %w", page, off, err)
		}
		b = append([]byte(nil), val...)
		closer.Close()
		g.keep(page, b)
	}
	good := eachRecord(b, func(rec []byte) bool {
		k, _, ok := recordKey(rec)
		if !ok || k.off != off {
			return ok
		}
		s, err = g.v.decodeRecord(rec, 0, intern)
		return false
	})
	switch {
	case err == nil && !good:
		err = fmt.Errorf("%w: page %d", errRow, page)
	case err == nil && s == nil:
		err = fmt.Errorf("%w: offset %d in page %d", errGone, off, page)
	}
	return s, err
}

// errGone tells of an entry whose row was forgotten, which lasts until the entry
// is, too.
var errGone = errors.New("spans: a row is not there")

func (g *reading) keep(page uint64, b []byte) {
	if g.pages == nil {
		g.pages = map[uint64][]byte{}
	}
	if len(g.order) >= readingPages {
		delete(g.pages, g.order[0])
		g.order = g.order[1:]
	}
	g.pages[page] = b
	g.order = append(g.order, page)
}

// decodeRecord makes a row of a record. intern is the view under its write
// lock, or nil.
func (v *View) decodeRecord(rec []byte, flags uint8, intern *View) (*span, error) {
	k, row, ok := recordKey(rec)
	if !ok {
		return nil, errRow
	}
	s := &span{hot: hot{key: k, rich: true}}
	c := coder{b: row, read: true, v: intern}
	c.row(s)
	if c.bad {
		return nil, fmt.Errorf("%w: offset %d", errRow, k.off)
	}
	space, _, ok := v.names.Agent(s.agent)
	if !ok {
		return nil, fmt.Errorf("%w: offset %d names agent %d", errRow, k.off, s.agent)
	}
	s.space = space
	if intern != nil {
		s.space = intern.space(space)
	}
	seed := seedOf(space)
	if s.flags&flMoved == 0 {
		s.hash = hashOf(seed, s.id)
	}
	s.run, s.up = hashOf(seed, s.runID), hashOf(seed, s.parent)
	s.flags |= flags
	return s, nil
}

func (v *View) storedTally(h uint64) *tally {
	if v.blind || !v.ran.has(h) {
		return nil
	}
	t, err := v.readTally(v.store, h)
	if err != nil {
		v.err = errors.Join(v.err, err)
	}
	return t
}

// readTally returns nil when the store has none.
func (v *View) readTally(r pebble.Reader, h uint64) (*tally, error) {
	val, closer, err := r.Get(hashed(nil, kTally, h))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	t := &tally{hash: h}
	c := coder{b: val, read: true}
	c.tally(t)
	if c.bad {
		return nil, fmt.Errorf("%w: run %x", errRow, h)
	}
	return t, nil
}

// Load replaces the state in memory by the snapshot; an empty store is the
// zero state.
func (v *View) Load(r pebble.Reader) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	if err := v.load(r); err != nil {
		v.reset()
		return fmt.Errorf("spans: %w", err)
	}
	return nil
}

func (v *View) load(r pebble.Reader) error {
	if err := scan(r, kHead, v.loadHead); err != nil {
		return err
	}
	known := 0 // the first era of whose rows the filter says anything
	for known+1 < len(v.eras) && v.eras[known+1].first <= v.filter.since() {
		known++
	}
	if len(v.eras) > 0 {
		if err := scanFrom(r, prefixed(nil, kID), inEra(nil, kID, v.eras[known].no), v.loadIDs); err != nil {
			return err
		}
	}
	for _, x := range []struct {
		kind byte
		fn   func(k, val []byte) error
	}{{kOpen, v.loadOpen}, {kCounts, v.loadCounts}, {kSpilled, v.loadSpilled}, {kTally, v.loadRan}} {
		if err := scan(r, x.kind, x.fn); err != nil {
			return err
		}
	}
	return v.loadStray(r)
}

// loadStray finds pages behind the last one of the snapshot: a crash kept the batch
// that leads to them from the store.
func (v *View) loadStray(r pebble.Reader) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: pageKey(nil, v.pages), UpperBound: prefixed(nil, kPage+1)})
	if err != nil {
		return err
	}
	if it.Last() {
		if k := it.Key(); len(k) == 10 {
			v.stray = binary.BigEndian.Uint64(k[2:]) + 1
		}
	}
	return it.Close()
}

// LoadBounds returns the bounds of the keys that Load reads, those that are many.
func (v *View) LoadBounds() (bounds [][2][]byte) {
	for _, kind := range []byte{kID, kOpen, kCounts, kSpilled, kTally} {
		from := prefixed(nil, kind)
		bounds = append(bounds, [2][]byte{from, after(from)})
	}
	return bounds
}

func scan(r pebble.Reader, kind byte, fn func(k, val []byte) error) error {
	return scanAt(r, prefixed(nil, kind), fn)
}

// scanAt calls fn with each key that begins with lo, and its value: both are borrowed.
func scanAt(r pebble.Reader, lo []byte, fn func(k, val []byte) error) error {
	return scanFrom(r, lo, lo, fn)
}

// scanFrom is scanAt from a key on.
func scanFrom(r pebble.Reader, lo, from []byte, fn func(k, val []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: after(lo)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.SeekGE(from); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return fmt.Errorf("key %x: %w", it.Key(), err)
		}
	}
	return it.Error()
}

func (v *View) loadIDs(k, val []byte) error {
	if len(k) != 16 || len(v.filter.layers) == 0 {
		return errRow
	}
	page := binary.BigEndian.Uint64(k[8:])
	if !eachID(val, func(h, _, _ uint64) { v.filter.restore(h, page) }) {
		return errRow
	}
	return nil
}

// loadRan notes which runs have totals in the store.
func (v *View) loadRan(k, _ []byte) error {
	if len(k) != 10 {
		return errRow
	}
	v.ran.add(binary.BigEndian.Uint64(k[2:]), 0)
	return nil
}

func (v *View) loadSpilled(_, _ []byte) error {
	v.spilled++
	return nil
}

func (v *View) loadOpen(_, val []byte) (err error) {
	good := eachRecord(val, func(rec []byte) bool {
		var s *span
		if s, err = v.decodeRecord(rec, 0, v); err != nil {
			return false
		}
		v.open.set(s.hash, s)
		return true
	})
	if err == nil && !good {
		err = errRow
	}
	return err
}

func (v *View) loadCounts(k, val []byte) error {
	if len(k) != 6 || len(val) == 0 || val[0] != format {
		return errRow
	}
	first := uint64(binary.BigEndian.Uint32(k[2:])) << countsPage
	c := coder{b: val[1:], read: true}
	for num := first; len(c.b) > 0 && !c.bad && num <= math.MaxUint32; num++ {
		var n *counts
		if c.counts(&n); n == nil || c.bad {
			continue
		}
		v.countsOf(uint32(num)).n = n.n
	}
	if c.bad {
		return errRow
	}
	clear(v.marked)
	return nil
}

func (v *View) loadHead(_, val []byte) error {
	c := coder{b: val, read: true}
	c.head(v)
	if c.bad {
		return errRow
	}
	return nil
}

// Of a filter, of whatever bound, that a snapshot may have.
const (
	layersMax = 64
	linesMost = 1 << 26 // of a layer: 4 GiB
)

// head is what else a snapshot needs.
func (c *coder) head(v *View) {
	c.uint(&v.offset)
	c.uint(&v.rows)
	c.uint(&v.pages)
	n := uint64(len(v.eras))
	c.uint(&n)
	for i := 0; i < int(n) && !c.bad; i++ {
		if c.read {
			v.eras = append(v.eras, era{})
		}
		e := &v.eras[i]
		c.u32(&e.no)
		c.uint(&e.first)
		c.uint(&e.next)
		c.uint(&e.rows)
		c.int(&e.low)
		c.int(&e.high)
	}
	if c.read && len(v.eras) > 0 {
		v.lastEra = v.eras[len(v.eras)-1].no
	}
	n = uint64(len(v.filter.layers))
	c.uint(&n)
	if n > layersMax {
		c.bad = true
	}
	var of []int // lines of layers read, and their first pages
	var firsts []uint64
	for i := 0; i < int(n) && !c.bad; i++ {
		lines, first := uint64(0), uint64(0)
		if !c.read {
			lines, first = uint64(len(v.filter.layers[i].lines)), v.filter.layers[i].first
		}
		c.uint(&lines)
		c.uint(&first)
		c.bad = c.bad || lines == 0 || lines&(lines-1) != 0 || lines > linesMost
		of, firsts = append(of, int(lines)), append(firsts, first)
	}
	if c.read && !c.bad {
		v.filter.begin(of, firsts)
	}
}
