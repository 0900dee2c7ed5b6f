package tsdb

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/tsdb/chunk"
)

// memory is what a shard's memory holds of one series; priority rises from
// chunks to ts to lateChunks to lateT.
type memory struct {
	chunks, lateChunks [][]byte
	ts, lateT          []int64
	vs, lateV          []float64
}

func (m *memory) clear() {
	clear(m.chunks)
	clear(m.lateChunks)
	*m = memory{m.chunks[:0], m.lateChunks[:0], m.ts[:0], m.lateT[:0], m.vs[:0], m.lateV[:0]}
}

// query reads series after series through one view of the store.
type query struct {
	db     *DB
	it     *pebble.Iterator
	stored uint64 // db.stored from before it was made
	mem    memory
	key    []byte
	eras   []uint32
	late   []stored
}

// stored is a late chunk found in the store.
type stored struct {
	seq  uint32
	data []byte
}

func (q *query) close() error {
	if q.it == nil {
		return nil
	}
	it := q.it
	q.it = nil
	return it.Close()
}

// refresh takes a view of the store that has all that memory has dropped.
func (q *query) refresh() (err error) {
	if now := q.db.stored.Load(); q.it == nil || now != q.stored {
		if err := q.close(); err != nil {
			return err
		}
		q.stored = now
		q.it, err = q.db.store.NewIter(q.db.chunkBounds())
	}
	return err
}

// read appends the samples of ref within from..to, ascending, to ts and vs.
// Memory is looked at first: a chunk that moves to the store meanwhile is then
// found twice, which the merge undoes, but never missed.
func (q *query) read(ref uint32, from, to int64, ts []int64, vs []float64) ([]int64, []float64, error) {
	q.mem.clear()
	i, slot := locate(ref)
	s := &q.db.shards[i]
	s.mu.Lock()
	if s.has(slot) {
		s.memory(ref, s.run(slot), from, to, &q.mem)
	}
	s.mu.Unlock()
	if err := q.refresh(); err != nil {
		return ts, vs, err
	}
	nt := len(ts)
	ts, vs, err := q.readChunks(ref, from, to, ts, vs)
	if err != nil {
		return ts, vs, err
	}
	for _, b := range q.mem.chunks {
		if ts, vs, err = chunk.Decode(b, ts, vs); err != nil {
			return ts, vs, err
		}
	}
	ts, vs = append(ts, q.mem.ts...), append(vs, q.mem.vs...)
	for _, l := range q.late {
		if ts, vs, err = chunk.Decode(l.data, ts, vs); err != nil {
			return ts, vs, err
		}
	}
	for _, b := range q.mem.lateChunks {
		if ts, vs, err = chunk.Decode(b, ts, vs); err != nil {
			return ts, vs, err
		}
	}
	ts, vs = append(ts, q.mem.lateT...), append(vs, q.mem.lateV...)
	newT, newV := sortLastWins(ts[nt:], vs[nt:])
	newT, newV = clip(newT, newV, from, to)
	n := copy(ts[nt:], newT)
	copy(vs[nt:], newV)
	return ts[:nt+n], vs[:nt+n], nil
}

// readChunks appends the stored chunks in order and gathers late ones.
func (q *query) readChunks(ref uint32, from, to int64, ts []int64, vs []float64) ([]int64, []float64, error) {
	q.late = q.late[:0]
	start := max(from, MinTime+spanMs) - spanMs
	q.eras = q.db.eras.within(q.eras[:0], from, to)
	for _, era := range q.eras {
		q.key = appendStart(q.key[:0], q.db.prefix, resRaw, era, uint64(ref), start)
		for ok := q.it.SeekGE(q.key); ok; ok = q.it.Next() {
			k, good := parseChunkKey(q.it.Key())
			if !good {
				return ts, vs, fmt.Errorf("%w: chunk key %q", ErrCorrupt, q.it.Key())
			}
			if k.era != era || k.ref != uint64(ref) || k.start > to {
				break
			}
			data, err := q.it.ValueAndErr()
			if err != nil {
				return ts, vs, err
			}
			in, err := chunk.Peek(data)
			if err == nil && in.Last >= from {
				if k.seq != 0 {
					q.keepLate(k.seq, data)
				} else {
					ts, vs, err = chunk.Decode(data, ts, vs)
				}
			}
			if err != nil {
				return ts, vs, fmt.Errorf("chunk of series %d at %d: %w", ref, k.start, err)
			}
		}
		if err := q.it.Error(); err != nil {
			return ts, vs, err
		}
	}
	return ts, vs, nil
}

// keepLate copies a late chunk into order of seq.
func (q *query) keepLate(seq uint32, data []byte) {
	i := len(q.late)
	for i > 0 && q.late[i-1].seq > seq {
		i--
	}
	q.late = append(q.late, stored{})
	copy(q.late[i+1:], q.late[i:])
	q.late[i] = stored{seq, append([]byte(nil), data...)}
}

// clip cuts ascending samples to from..to.
func clip(ts []int64, vs []float64, from, to int64) ([]int64, []float64) {
	for len(ts) > 0 && ts[0] < from {
		ts, vs = ts[1:], vs[1:]
	}
	for n := len(ts); n > 0 && ts[n-1] > to; n-- {
		ts, vs = ts[:n-1], vs[:n-1]
	}
	return ts, vs
}

// Range appends the samples of one series within from..to (Unix ms, both
// included), ascending and each time once, to dstT and dstV.
func (db *DB) Range(ref uint64, from, to int64, dstT []int64, dstV []float64) ([]int64, []float64, error) {
	q := query{db: db}
	ts, vs, err := q.read(uint32(ref), from, to, dstT, dstV)
	if e := q.close(); err == nil {
		err = e
	}
	return ts, vs, err
}

// Select calls fn for every series that suits all matchers and has samples
// within from..to, in order of first sight. ls and it are valid until fn
// returns. An error of fn ends it.
func (db *DB) Select(ms []Matcher, from, to int64, fn func(ls Labels, it *Iter) error) (err error) {
	db.mu.RLock()
	refs := db.ix.match(ms)
	db.mu.RUnlock()
	q := query{db: db}
	defer func() {
		if e := q.close(); err == nil {
			err = e
		}
	}()
	var it Iter
	var ls Labels
	for _, ref := range refs {
		it.ts, it.vs, err = q.read(ref, from, to, it.ts[:0], it.vs[:0])
		if err != nil {
			return err
		}
		if len(it.ts) == 0 {
			continue
		}
		db.mu.RLock()
		ls = db.ix.labels(ref, ls[:0])
		db.mu.RUnlock()
		it.i = -1
		if err = fn(ls, &it); err != nil {
			return err
		}
	}
	return nil
}
