package spans

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"eyrie/engine/wire"

	"github.com/cockroachdb/pebble/v2"
)

// stored reads a row by its hash; nil when the store has none. A read that
// fails is told by the next Save: it must not look like a span never seen.
func (v *View) stored(h uint64) *span {
	if v.blind {
		return nil
	}
	lo := hashed(nil, kID, h)
	it, err := v.store.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: after(lo)})
	if err != nil {
		v.err = errors.Join(v.err, err)
		return nil
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		k := key{off: binary.BigEndian.Uint64(it.Key()[10:]), start: int64(binary.BigEndian.Uint64(it.Value()) ^ 1<<63)}
		s, err := v.readRow(v.store, k, v)
		if err == nil {
			return s
		}
		v.err = errors.Join(v.err, err)
	}
	v.err = errors.Join(v.err, it.Error())
	return nil
}

// readRow reads one row. intern is the view under its write lock, or nil.
func (v *View) readRow(r pebble.Reader, k key, intern *View) (*span, error) {
	val, closer, err := r.Get(k.append(prefixed(nil, kRow)))
	if err != nil {
		return nil, fmt.Errorf("spans: row at %d: %w", k.off, err)
	}
	defer closer.Close()
	return v.decode(k, val, intern)
}

func (v *View) decode(k key, val []byte, intern *View) (*span, error) {
	s := &span{key: k}
	c := coder{b: val, read: true, v: intern}
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
	s.run, s.up = hashOf(seed, s.runID), hashOf(seed, s.parent)
	return s, nil
}

func (v *View) storedTally(h uint64) *tally {
	if v.blind {
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

// Save writes what changed since the last Save. What it wrote stays in memory
// until the next one: the caller commits the batch in between.
func (v *View) Save(w *pebble.Batch) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return v.err
	}
	for _, s := range v.saving.list {
		if v.open[s.hash] != s && v.fresh.by[s.hash] != s && len(v.free) < 1<<14 {
			v.free = append(v.free, s)
		}
	}
	clear(v.saving.by)
	v.saving.list = v.saving.list[:0]
	v.saving, v.fresh = v.fresh, v.saving
	b := writer{w: w}
	v.blind = v.wipe // after Reset: until the batch that wipes is sure to be in
	if v.wipe {
		v.wipe = false
		b.err = w.DeleteRange([]byte{prefix}, []byte{prefix + 1}, nil)
	}
	for _, s := range v.saving.list {
		b.row(s)
	}
	for _, h := range v.dirty {
		if s := v.open[h]; s != nil && s.flags&flDirty != 0 {
			b.open(s)
		}
	}
	v.dirty = v.dirty[:0]
	for _, t := range v.runs {
		t.saving = false
	}
	for _, t := range v.tallies {
		t.dirty, t.saving = false, true
		b.begin(hashed(b.k[:0], kTally, t.hash))
		b.c.tally(t)
		b.set()
	}
	v.tallies = v.tallies[:0]
	for i, n := range v.changed {
		n.dirty = false
		b.begin(numbered(b.k[:0], kCounts, v.whose[i]))
		b.c.counts(&n.n)
		b.set()
	}
	v.changed, v.whose = v.changed[:0], v.whose[:0]
	b.begin(prefixed(b.k[:0], kHead))
	b.c.uint(&v.offset)
	b.c.uint(&v.rows)
	b.set()
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

// writer puts rows into a batch and keeps the first error.
type writer struct {
	w   *pebble.Batch
	k   []byte
	c   coder
	err error
}

func (b *writer) begin(k []byte) { b.k, b.c.b = k, b.c.b[:0] }

func (b *writer) set() {
	if b.err == nil {
		b.err = b.w.Set(b.k, b.c.b, nil)
	}
}

func (b *writer) delete(k []byte) {
	b.k = k
	if b.err == nil {
		b.err = b.w.Delete(k, nil)
	}
}

// row writes a row that is not in the set of open ones, with its index keys.
func (b *writer) row(s *span) {
	b.begin(s.key.append(prefixed(b.k[:0], kRow)))
	b.c.row(s)
	b.set()
	b.begin(binary.BigEndian.AppendUint64(hashed(b.k[:0], kID, s.hash), s.off))
	b.c.b = appendStart(b.c.b, s.start)
	b.set()
	b.begin(s.key.append(numbered(b.k[:0], kAgent, s.agent)))
	b.c.b = s.marks().append(b.c.b)
	b.set()
	if indexed(s.typ) {
		b.mark(s, s.key.append(append(prefixed(b.k[:0], kType), s.typ)))
	}
	if s.flags&flApart != 0 {
		b.mark(s, s.key.append(hashed(b.k[:0], kParent, s.up)))
	}
	if s.flags&flGuest != 0 {
		b.mark(s, s.key.append(hashed(b.k[:0], kRun, s.run)))
	}
	if s.flags&flSpilled != 0 {
		if s.status == stOpen {
			b.mark(s, s.key.append(prefixed(b.k[:0], kSpilled)))
		} else {
			b.delete(s.key.append(prefixed(b.k[:0], kSpilled)))
			s.flags &^= flSpilled
		}
	}
	if s.flags&flSaved != 0 {
		b.delete(binary.BigEndian.AppendUint64(hashed(b.k[:0], kOpen, s.hash), s.off))
		s.flags &^= flSaved
	}
}

func (b *writer) mark(s *span, k []byte) {
	b.begin(k)
	b.c.b = s.marks().append(b.c.b)
	b.set()
}

// open writes an open row into the snapshot.
func (b *writer) open(s *span) {
	b.begin(binary.BigEndian.AppendUint64(hashed(b.k[:0], kOpen, s.hash), s.off))
	b.c.b = appendStart(b.c.b, s.start)
	b.c.row(s)
	b.set()
	s.flags = s.flags&^flDirty | flSaved
}

// indexed tells which types have an index of their own: those that are rare.
func indexed(typ uint8) bool {
	t := wire.Type(typ)
	return t == wire.TypeRun || t == wire.TypeTask || t == wire.TypeAsk
}

// Load replaces the state in memory by the snapshot; an empty store is the
// zero state.
func (v *View) Load(r pebble.Reader) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	for kind, fn := range map[byte]func(k, val []byte) error{kID: v.loadID, kOpen: v.loadOpen, kCounts: v.loadCounts, kHead: v.loadHead, kSpilled: v.loadSpilled} {
		if err := scan(r, kind, fn); err != nil {
			v.reset()
			return fmt.Errorf("spans: %w", err)
		}
	}
	slices.SortFunc(v.queue, func(a, b opened) int { return int(int64(a.off - b.off)) })
	return nil
}

func scan(r pebble.Reader, kind byte, fn func(k, val []byte) error) error {
	lo := prefixed(nil, kind)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: after(lo)})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return fmt.Errorf("key %x: %w", it.Key(), err)
		}
	}
	return it.Error()
}

func (v *View) loadID(k, _ []byte) error {
	v.filter.add(binary.BigEndian.Uint64(k[2:]))
	return nil
}

func (v *View) loadSpilled(_, _ []byte) error {
	v.spilled++
	return nil
}

func (v *View) loadOpen(k, val []byte) error {
	if len(k) != 18 || len(val) < 8 {
		return errRow
	}
	s, err := v.decode(key{int64(binary.BigEndian.Uint64(val) ^ 1<<63), binary.BigEndian.Uint64(k[10:])}, val[8:], v)
	if err != nil {
		return err
	}
	s.flags |= flSaved
	v.open[s.hash] = s
	v.queue = append(v.queue, opened{s.hash, s.off})
	return nil
}

func (v *View) loadCounts(k, val []byte) error {
	c := coder{b: val, read: true}
	num := binary.BigEndian.Uint32(k[2:])
	if space, _, ok := v.names.Agent(num); ok {
		v.space(space)
	}
	n := v.countsOf(num)
	c.counts(&n.n)
	n.dirty = false
	v.changed, v.whose = v.changed[:0], v.whose[:0]
	if c.bad {
		return errRow
	}
	return nil
}

func (v *View) loadHead(_, val []byte) error {
	c := coder{b: val, read: true}
	c.uint(&v.offset)
	c.uint(&v.rows)
	if c.bad {
		return errRow
	}
	return nil
}
