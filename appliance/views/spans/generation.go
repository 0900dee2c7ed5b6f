package spans

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
)

// generation holds rows that left the open ones and await a save. They are
// encoded at once: a million of them are a few objects to the garbage
// collector, and the next save copies their bytes. What it holds is appended
// to and never changed, so a query may go on reading a copy of it (frozen)
// without a lock.
type generation struct {
	rows  []entry
	arena [][]byte // chunks, of which bytes behind used are still to be written
	used  int      // bytes of the last chunk
	dead  map[uint32]struct{}
	over  map[uint64]uint32 // and the era of the version whose place is taken
	low   int64             // least and greatest start
	high  int64

	mu    sync.Mutex // guards what follows: rows are indexed when one is sought, which is seldom
	slots []uint32   // by hash: 1 + index of the newest row; open addressing
	done  int        // rows in slots
}

// entry is a row with what selects it.
type entry struct {
	key
	hash  uint64
	run   uint64
	up    uint64
	agent uint32
	chunk uint32
	at    uint32
	len   uint32
	typ   uint8
	status,
	flags uint8
}

// frozen is a generation as it stood at one moment. dead are indexes of rows
// that a later one takes the place of; over are the offsets of rows whose
// version here takes the place of one in an older generation or the store.
type frozen struct {
	rows  []entry
	arena [][]byte
	dead  map[uint32]struct{}
	over  map[uint64]uint32
}

const chunkBytes = 256 << 10

func newGeneration(rows int) *generation {
	return &generation{rows: make([]entry, 0, rows), low: math.MaxInt64, high: math.MinInt64}
}

// slot returns where h is, or where it belongs.
func (g *generation) slot(h uint64) *uint32 {
	mask := uint64(len(g.slots) - 1)
	for i := h * 0x9e3779b97f4a7c15 >> 20 & mask; ; i = (i + 1) & mask {
		if n := g.slots[i]; n == 0 || g.rows[n-1].hash == h {
			return &g.slots[i]
		}
	}
}

// find returns the newest row of a hash.
func (g *generation) find(h uint64) (*entry, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.newest(h); n != 0 {
		return &g.rows[n-1], true
	}
	return nil, false
}

// newest returns 1 + the index of the newest row of a hash, 0 for none. The
// caller holds mu.
func (g *generation) newest(h uint64) uint32 {
	if 2*len(g.rows) > len(g.slots) {
		n := 1024
		for n < 4*len(g.rows) {
			n *= 2
		}
		g.slots, g.done = make([]uint32, n), 0
	}
	for ; g.done < len(g.rows); g.done++ {
		*g.slot(g.rows[g.done].hash) = uint32(g.done + 1)
	}
	if len(g.slots) == 0 {
		return 0
	}
	return *g.slot(h)
}

func (g *generation) bytes(e *entry) []byte { return g.arena[e.chunk][e.at : e.at+e.len] }

func (f *frozen) bytes(e *entry) []byte { return f.arena[e.chunk][e.at : e.at+e.len] }

// add appends a row.
func (g *generation) add(s *span) {
	most := s.recordMax()
	if len(g.arena) == 0 || g.used+most > len(g.arena[len(g.arena)-1]) {
		g.arena, g.used = append(g.arena, make([]byte, max(chunkBytes, most))), 0
	}
	chunk := g.arena[len(g.arena)-1]
	rec := s.appendRecord(chunk[g.used:g.used])
	at := g.used
	g.used += len(rec)
	if s.flags&flAgain != 0 {
		g.mu.Lock()
		was := g.newest(s.hash)
		g.mu.Unlock()
		if was != 0 {
			if g.dead == nil {
				g.dead = map[uint32]struct{}{}
			}
			g.dead[was-1] = struct{}{}
		}
	}
	n := len(g.rows)
	if n == cap(g.rows) {
		g.rows = slices.Grow(g.rows, max(n/2, 1<<10))
	}
	g.rows = g.rows[:n+1]
	e := &g.rows[n] // in place: what is copied as a whole waits for its own stores
	e.key, e.hash, e.run, e.up = s.key, s.hash, s.run, s.up
	e.agent, e.typ, e.status, e.flags = s.agent, s.typ, s.status, s.flags
	e.chunk, e.at, e.len = uint32(len(g.arena)-1), uint32(at), uint32(len(rec))
	g.low, g.high = min(g.low, s.start), max(g.high, s.start)
}

// replace notes that the row at off has an older version elsewhere, in that era.
func (g *generation) replace(off uint64, era uint32) {
	if g.over == nil {
		g.over = map[uint64]uint32{}
	}
	g.over[off] = era
}

// recordKey takes the key off a record; what is left is the row.
func recordKey(b []byte) (k key, row []byte, ok bool) {
	start, n := binary.Varint(b)
	if n <= 0 {
		return k, nil, false
	}
	off, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return k, nil, false
	}
	return key{start, off}, b[n+m:], true
}
