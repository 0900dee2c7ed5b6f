package tsdb

import (
	"math"
	"slices"
	"sync"

	"eyrie/tsdb/chunk"
)

// run is one series' open run of samples. It holds no pointer: its bytes are in
// the shard's arena.
type run struct {
	s       chunk.Stream
	first   int64  // first timestamp of the run, while s.N > 0
	closedT int64  // last timestamp of the closed chunks in order; noTime: none
	total   uint64 // samples ever kept
	chain   chain

	saved   uint16 // bytes of the chain that the store has; unsaved: nothing that could be added to
	changed bool   // since the last Save
	savedIn uint32 // the cell in which the last of these bytes lies
}

// unsaved is for a run that is not one that the store has with more behind it.
const unsaved = math.MaxUint16

const noTime = math.MinInt64

// A run closes at the first of its bounds: of samples, which is spread over the
// series, of bytes, and of time. The first run of a series ends at a part of the first
// two, a quarter and more, by its number: series that began together, as those of a fleet that is
// started do, would else all close at one moment, and keep on doing so.
const (
	runSamplesMin = 384
	runSpread     = 128
	firstParts    = 128
	firstLeast    = firstParts / 4
)

func samplesMax(ref uint32) uint16 {
	return uint16(runSamplesMin + ref*2654435761>>25%runSpread)
}

// most returns the bounds of the run of samples, and of bytes before another one.
func (r *run) most(ref uint32) (samples, bytes int) {
	samples, bytes = int(samplesMax(ref)), runBytesMax-chunk.MaxStreamSample
	if r.closedT == noTime {
		part := firstLeast + int(ref*2654435761>>16)%(firstParts-firstLeast+1)
		samples, bytes = samples*part/firstParts, bytes*part/firstParts
	}
	return samples, bytes
}

// pending is a chunk that is not yet known to be in the store.
type pending struct {
	first, last int64
	seq         uint32 // as in its key
	data        []byte
}

// late holds samples older than a series' closed chunks until the next Save.
type late struct {
	ts []int64
	vs []float64
}

const lateSamplesMax = 512

// headRuns is how many series, one after the other, share a head row, and with
// it a shard.
const headRuns = 32

const shardRuns = 8 * headRuns

// shard holds every n-th head row's series. All fields are guarded by mu.
type shard struct {
	mu     sync.Mutex
	runs   [][]run
	arena  arena
	heads  []head               // by head row of the shard
	stale  int                  // how many of these are dirty
	closed map[uint32][]pending // since the last Save
	saving map[uint32][]pending // in the batch of the last Save
	late   map[uint32]*late
	ts     []int64 // scratch
	vs     []float64
	out    []byte
	gather []byte

	samples, lateSamples, replaced, dropped, chunks, chunkBytes uint64
}

// head is what is known of a head row.
type head struct {
	dirty bool // differs from the store
	based bool // the store has it
	added bool // the store has additions to it
}

func (s *shard) run(slot uint32) *run { return &s.runs[slot/shardRuns][slot%shardRuns] }

// has tells whether the slot is still there: a query may have found its series
// before a Reset.
func (s *shard) has(slot uint32) bool { return int(slot/shardRuns) < len(s.runs) }

// grow makes room for slot.
func (s *shard) grow(slot uint32) {
	for int(slot/shardRuns) >= len(s.runs) {
		page := make([]run, shardRuns)
		for i := range page {
			page[i].closedT, page[i].saved = noTime, unsaved
		}
		s.runs = append(s.runs, page)
		s.heads = append(s.heads, make([]head, shardRuns/headRuns)...)
	}
}

// bytes returns the bytes of r, valid until the next call.
func (s *shard) bytes(r *run) []byte {
	s.gather = s.arena.bytes(&r.chain, s.gather[:0])
	return s.gather
}

// keep makes b r's bytes.
func (s *shard) keep(r *run, b []byte) {
	s.arena.release(&r.chain)
	s.arena.append(&r.chain, b)
	r.saved = unsaved
}

// mark notes that a run of the head row differs from the store.
func (s *shard) mark(slot uint32) {
	if d := &s.heads[slot/headRuns].dirty; !*d {
		*d = true
		s.stale++
	}
}

// append folds one sample in; t is within MinTime..MaxTime.
func (s *shard) append(db *DB, ref, slot uint32, t int64, v float64) {
	r := s.run(slot)
	s.mark(slot)
	r.changed = true
	switch {
	case r.s.N == 0 && t > r.closedT:
		r.s.Start(t, v)
		r.first = t
		r.total++
	case r.s.N > 0 && t > r.s.LastT:
		if !r.fits(ref, t) {
			s.close(db, ref, r)
			r.s.Start(t, v)
			r.first = t
		} else {
			s.push(r, t, v)
		}
		r.total++
	case r.s.N > 0 && t == r.s.LastT:
		r.s.LastV = math.Float64bits(v)
		s.replaced++
		return
	case r.s.N > 0 && t > r.closedT && r.s.LastT-t <= spanMs:
		if s.insert(db, ref, r, t, v) {
			r.total++
		} else {
			s.replaced++
		}
	default:
		s.keepLate(db, ref, t, v)
		r.total++
		s.lateSamples++
	}
	s.samples++
}

// fits tells whether a sample at t may follow in the same run.
func (r *run) fits(ref uint32, t int64) bool {
	samples, bytes := r.most(ref)
	return int(r.s.N) < samples && int(r.chain.len) <= bytes && t-r.first <= spanMs
}

// push appends behind the newest sample.
func (s *shard) push(r *run, t int64, v float64) {
	s.gather = r.s.Push(s.gather[:0], t, v)
	s.arena.append(&r.chain, s.gather)
}

// decode returns the samples of r in the shard's scratch.
func (s *shard) decode(r *run) ([]int64, []float64) {
	ts, vs, err := r.s.AppendSamples(s.bytes(r), s.ts[:0], s.vs[:0])
	if err != nil {
		panic(err) // the bytes are ours and in memory: a bug, not input
	}
	s.ts, s.vs = ts, vs
	return ts, vs
}

// close turns the run into a pending chunk and leaves it empty.
func (s *shard) close(db *DB, ref uint32, r *run) {
	ts, vs := s.decode(r)
	s.pend(db, ref, ts, vs, 0)
	r.closedT = r.s.LastT
	r.s = chunk.Stream{}
	s.arena.release(&r.chain)
	r.saved = unsaved
}

// pend encodes a chunk and keeps it until it is stored.
func (s *shard) pend(db *DB, ref uint32, ts []int64, vs []float64, seq uint32) {
	s.out = chunk.AppendChunk(s.out[:0], ts, vs)
	p := pending{first: ts[0], last: ts[len(ts)-1], seq: seq, data: slices.Clone(s.out)}
	s.closed[ref] = append(s.closed[ref], p)
	s.chunks++
	s.chunkBytes += uint64(len(p.data))
}

// insert puts a sample among those of the run; it tells whether it is one more
// or replaced one at the same time.
func (s *shard) insert(db *DB, ref uint32, r *run, t int64, v float64) (added bool) {
	ts, vs := s.decode(r)
	i, found := slices.BinarySearch(ts, t)
	if found {
		vs[i] = v
	} else {
		ts, vs = slices.Insert(ts, i, t), slices.Insert(vs, i, v)
	}
	s.ts, s.vs = ts, vs
	var st chunk.Stream
	var tmp [runBytesMax + chunk.MaxStreamSample]byte
	b := tmp[:0]
	st.Start(ts[0], vs[0])
	for k := 1; k < len(ts); k++ {
		if b = st.Push(b, ts[k], vs[k]); len(b) > runBytesMax {
			// Too long as a run: all but the newest become a chunk.
			n := len(ts) - 1
			s.pend(db, ref, ts[:n], vs[:n], 0)
			r.closedT, r.first = ts[n-1], ts[n]
			s.arena.release(&r.chain)
			r.s.Start(ts[n], vs[n])
			r.saved = unsaved
			return !found
		}
	}
	r.s, r.first = st, ts[0]
	s.keep(r, b)
	return !found
}

// keepLate buffers a sample older than what is closed.
func (s *shard) keepLate(db *DB, ref uint32, t int64, v float64) {
	l := s.late[ref]
	if l == nil {
		l = new(late)
		s.late[ref] = l
	}
	l.ts, l.vs = append(l.ts, t), append(l.vs, v)
	if len(l.ts) >= lateSamplesMax {
		s.flushLate(db, ref, l)
		delete(s.late, ref)
	}
}

// flushLate turns late samples into chunks of their own.
func (s *shard) flushLate(db *DB, ref uint32, l *late) {
	ts, vs := sortLastWins(l.ts, l.vs)
	for len(ts) > 0 {
		n := 1
		for n < len(ts) && ts[n]-ts[0] <= spanMs {
			n++
		}
		s.pend(db, ref, ts[:n], vs[:n], db.lateSeq.Add(1))
		ts, vs = ts[n:], vs[n:]
	}
}

// memory appends what memory holds of ref within from..to: chunks by
// reference, in order and late ones apart, and the samples of run and late
// buffer.
func (s *shard) memory(ref uint32, r *run, from, to int64, m *memory) {
	for _, set := range []map[uint32][]pending{s.saving, s.closed} {
		for _, p := range set[ref] {
			if p.last < from || p.first > to {
				continue
			}
			if p.seq == 0 {
				m.chunks = append(m.chunks, p.data)
			} else {
				m.lateChunks = append(m.lateChunks, p.data)
			}
		}
	}
	if r.s.N > 0 && r.first <= to && r.s.LastT >= from {
		ts, vs := s.decode(r)
		m.ts, m.vs = append(m.ts, ts...), append(m.vs, vs...)
	}
	if l := s.late[ref]; l != nil {
		m.lateT, m.lateV = append(m.lateT, l.ts...), append(m.lateV, l.vs...)
	}
}
