package fleet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"
	"github.com/klauspost/compress/s2"
)

// Snapshots of the whole state behind one offset each, from which any past
// moment is folded on. Their keys in the views store:
//
//	'h' 0x00 offset(8, BE)                head: clock, work, number of agents, the rows it adds
//	'h' 0x02 offset(8, BE)                the rest: totals of spaces, producers, agents not seen yet
//	'h' 0x03 offset(8, BE) chunk(4, BE)   agents chunk×1,024 to chunk×1,024 + 1,023
//
// A chunk in which nothing has changed since the snapshot before is not written
// again: of each chunk the newest row at or below the snapshot's offset counts.
// Each value is
//
//	'E' 'S' | format 2 | S2 body | crc32c u32 of all before, LE
//
// and its body MessagePack values, in the order of codec.go.
const (
	pastPrefix = 'h'
	pastHead   = 0x00
	pastRest   = 0x02
	pastChunk  = 0x03
	pastFormat = 2

	chunkAgents = 1024
	bodyMax     = 64 << 20
)

// A snapshot is taken after so much work, counted in what one event takes to
// fold: see docs/adr/0015-fleet-at-any-moment.md for the measurements.
const (
	// Reach is how much work lies at most between two snapshots, and so
	// bounds the time in which a moment comes back.
	Reach = 1_000_000
	// strideMin is the least between two, strideAgent what an agent adds: its
	// share of a snapshot costs about as much as 1.5 events.
	strideMin   = 100_000
	strideAgent = 15
	// workBlock is what reading a block takes beside its events, agentsTick how
	// many agents a tick looks at in the time of an event.
	workBlock  = 16
	agentsTick = 1024
	// KeepAll is how long every snapshot is kept, by the log's clock. Of older
	// ones those go whose neighbours lie no more than Reach apart.
	KeepAll = 24 * 3600e9
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshot is a head: what is known of a snapshot without reading it.
type snapshot struct {
	offset uint64
	clock  int64
	work   uint64 // of all records up to it
	agents uint32 // a number above every agent's
	rows   []chunkRow
}

// chunkRow names one stored chunk.
type chunkRow struct {
	chunk  uint32
	offset uint64
}

// packed is a snapshot ready to be written.
type packed struct {
	snapshot
	keys, values [][]byte
}

// snapshots is what a view knows of its own; guarded by the view's lock.
type snapshots struct {
	min, reach uint64
	perAgent   uint64
	chunk      int // agents a chunk
	never      bool
	first      func() uint64
	keepAll    int64
	background func()

	work    uint64 // of all records folded
	taken   uint64 // work at the last snapshot
	since   uint64 // generation of Apply at the last one
	whole   bool   // the next one writes every chunk
	list    []snapshot
	staged  []snapshot // in the batch of the last Save
	packing chan *packed
	ready   []*packed
	stray   []byte // beyond the last chunk that the store has and nothing leads to; nil: there is none
}

func (s *snapshots) reset() {
	s.work, s.taken, s.since, s.whole = 0, 0, 0, true
	s.list, s.staged, s.ready, s.packing, s.stray = nil, nil, nil, nil, nil
}

// SnapshotOptions say when snapshots are taken and kept; zero fields take the
// package's constants.
type SnapshotOptions struct {
	Min, Reach uint64 // work between two: at least, at most
	KeepAll    int64  // ns
	Background func() // called first by goroutines that compress; nil: nothing
	// First tells the first offset that the log still has: snapshots of which no
	// state can be folded on any more go. nil: it has all.
	First func() uint64
}

// Snapshots sets the options. It is called before Load.
func (v *View) Snapshots(o SnapshotOptions) {
	s := &v.snaps
	s.min, s.reach, s.keepAll, s.background = o.Min, o.Reach, o.KeepAll, o.Background
	s.perAgent, s.chunk = strideAgent, chunkAgents
	if s.min == 0 {
		s.min = strideMin
	}
	if s.reach == 0 {
		s.reach = Reach
	}
	if s.keepAll == 0 {
		s.keepAll = KeepAll
	}
	if s.background == nil {
		s.background = func() {}
	}
	if s.first = o.First; s.first == nil {
		s.first = func() uint64 { return 1 }
	}
}

// NoSnapshots is for a view that is folded to one moment only.
func (v *View) NoSnapshots() { v.snaps.never = true }

// worked notes what the fold of a block has cost.
func (v *View) worked(records, ticks int) {
	v.snaps.work += uint64(records) + workBlock + uint64(ticks)*uint64(len(v.agents)/agentsTick)
}

// snapshotDue tells whether it is time for one.
func (v *View) snapshotDue() bool {
	s := &v.snaps
	return !s.never && s.work-s.taken >= min(max(s.min, uint64(len(v.agents))*s.perAgent), s.reach)
}

// takeSnapshot writes the state down, raw, and hands it to a goroutine that
// compresses it; the next Save stores it. It runs on the goroutine of Apply, and
// only reads what queries read too.
func (v *View) takeSnapshot() {
	v.gather()
	v.mu.RLock()
	s := &v.snaps
	p := &packed{snapshot: snapshot{offset: v.offset, clock: v.clock, work: s.work, agents: uint32(len(v.agents))}}
	var raw [][]byte
	for first := 0; first < len(v.agents); first += s.chunk {
		chunk := v.agents[first:min(first+s.chunk, len(v.agents))]
		if !s.whole && !changedSince(chunk, s.since) {
			continue
		}
		n := uint32(first / s.chunk)
		p.rows = append(p.rows, chunkRow{n, v.offset})
		p.keys = append(p.keys, chunkKey(n, v.offset))
		raw = append(raw, v.chunkBody(chunk))
	}
	p.keys = append(p.keys, offsetKey(pastRest, v.offset), offsetKey(pastHead, v.offset))
	raw = append(raw, v.restBody(), nil) // the head is written with the batch: Save may add to it
	v.mu.RUnlock()
	s.taken, s.since, s.whole = s.work, v.apply, false
	ch, begin := make(chan *packed, 1), s.background
	s.packing = ch
	go func() {
		begin()
		for _, body := range raw[:len(raw)-1] {
			p.values = append(p.values, seal(body))
		}
		ch <- p
	}()
}

// gather waits for the snapshot being compressed, if there is one.
func (v *View) gather() {
	if s := &v.snaps; s.packing != nil {
		s.ready = append(s.ready, <-s.packing)
		s.packing = nil
	}
}

func changedSince(chunk []*agent, generation uint64) bool {
	for _, a := range chunk {
		if a != nil && a.touched > generation {
			return true
		}
	}
	return false
}

func (v *View) chunkBody(chunk []*agent) []byte {
	n := 0
	for _, a := range chunk {
		if a != nil {
			n++
		}
	}
	c := codec{v: v, b: make([]byte, 0, 256*len(chunk))}
	c.size(n)
	for i, a := range chunk {
		if i%nearAgents == 0 {
			c.near(chunk[i:min(i+nearAgents, len(chunk))])
		}
		if a != nil {
			c.u32(&a.num)
			c.agent(a)
		}
	}
	return c.b
}

// nearAgents is how many agents are looked at ahead.
const nearAgents = 16

// near reads a word of each cache line of agents about to be written: the
// processor waits for all of them at once (docs/adr/0012-folds-look-ahead.md).
func (c *codec) near(chunk []*agent) {
	const words = int(unsafe.Sizeof(agent{})) / 8
	sum := c.sink
	for _, a := range chunk {
		if a != nil {
			w := (*[words]uint64)(unsafe.Pointer(a))
			for i := 0; i < words; i += 8 {
				sum += w[i]
			}
		}
	}
	for _, a := range chunk {
		if a != nil && len(a.open) > 0 {
			sum += a.open[0].hash + a.open[len(a.open)-1].hash
		}
	}
	c.sink = sum
}

func (v *View) restBody() []byte {
	c := codec{v: v, b: make([]byte, 0, 1024+24*len(v.prods))}
	c.i64(&v.clock)
	c.u64(&v.offset)
	c.spaces()
	c.size(len(v.prods))
	for n, p := range v.prods {
		c.u32(&n)
		c.producer(p)
	}
	c.size(len(v.awaited))
	for k, w := range v.awaited {
		c.str(&k)
		c.awaited(w)
	}
	return c.b
}

func (v *View) readChunk(body []byte) error {
	c := codec{v: v, b: body, read: true, text: string(body)}
	n := c.size(0)
	if n > chunkAgents {
		return errSnapshot
	}
	agents := make([]agent, n)
	for i := range agents {
		a := &agents[i]
		c.u32(&a.num)
		c.agent(a)
		if c.err != nil {
			return c.err
		}
		v.install(a)
	}
	return c.done()
}

func (v *View) readRest(body []byte) error {
	c := codec{v: v, b: body, read: true}
	c.i64(&v.clock)
	c.u64(&v.offset)
	c.spaces()
	for range c.size(0) {
		var n uint32
		p := &producer{}
		c.u32(&n)
		c.producer(p)
		v.prods[n] = p
	}
	for range c.size(0) {
		var k string
		w := &awaited{}
		c.str(&k)
		c.awaited(w)
		v.awaited[k] = w
	}
	return c.done()
}

// done tells whether all was read, and nothing more.
func (c *codec) done() error {
	if c.err == nil && len(c.b) > 0 {
		return errSnapshot
	}
	return c.err
}

func (s *snapshot) head() []byte {
	c := codec{}
	c.i64(&s.clock)
	c.u64(&s.work)
	c.u32(&s.agents)
	list(&c, &s.rows, func(r *chunkRow) { c.u32(&r.chunk); c.u64(&r.offset) })
	return c.b
}

func readHead(offset uint64, value []byte) (s snapshot, err error) {
	body, err := unseal(value)
	if err != nil {
		return s, err
	}
	s.offset = offset
	c := codec{b: body, read: true}
	c.i64(&s.clock)
	c.u64(&s.work)
	c.u32(&s.agents)
	list(&c, &s.rows, func(r *chunkRow) { c.u32(&r.chunk); c.u64(&r.offset) })
	return s, c.done()
}

const sealBytes = 2 + 1

// seal frames a body.
func seal(body []byte) []byte {
	b := append(make([]byte, 0, sealBytes+s2.MaxEncodedLen(len(body))+4), 'E', 'S', pastFormat)
	b = append(b, s2.Encode(b[sealBytes:cap(b)-4], body)...) // in its place already
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unseal checks a frame and returns its body.
func unseal(value []byte) ([]byte, error) {
	n := len(value) - 4
	if n < sealBytes || value[0] != 'E' || value[1] != 'S' || value[2] != pastFormat {
		return nil, fmt.Errorf("%w: %d bytes, begins %x", errSnapshot, len(value), value[:min(3, len(value))])
	}
	if crc32.Checksum(value[:n], castagnoli) != binary.LittleEndian.Uint32(value[n:]) {
		return nil, fmt.Errorf("%w: crc", errSnapshot)
	}
	if raw, err := s2.DecodedLen(value[sealBytes:n]); err != nil || raw > bodyMax {
		return nil, fmt.Errorf("%w: %d bytes raw (%v)", errSnapshot, raw, err)
	}
	return s2.Decode(nil, value[sealBytes:n])
}

func offsetKey(kind byte, offset uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{pastPrefix, kind}, offset)
}

func chunkKey(chunk uint32, offset uint64) []byte {
	return binary.BigEndian.AppendUint32(offsetKey(pastChunk, offset), chunk)
}

// chunks puts rows in order of their keys, until put has an error.
type chunks = func(put func(key, value []byte) error) error

// saveSnapshots adds those that are ready to the batch, and thins the rest. Chunks
// that may lie apart come back.
func (v *View) saveSnapshots(w *pebble.Batch, apart bool) (chunks, error) {
	s := &v.snaps
	if s.stray != nil {
		if err := w.DeleteRange(offsetKey(pastChunk, v.newestSnapshot()+1), s.stray, nil); err != nil {
			return nil, err
		}
		s.stray, apart = nil, false // it would delete them
	}
	s.staged = s.staged[:0]
	for _, p := range s.ready {
		rest := len(p.values) - 1 // behind the chunks
		if err := w.Set(p.keys[rest], p.values[rest], nil); err != nil {
			return nil, err
		}
		if err := w.Set(p.keys[rest+1], seal(p.head()), nil); err != nil {
			return nil, err
		}
		s.staged = append(s.staged, p.snapshot)
	}
	var rows chunks
	if ready := s.ready; len(ready) > 0 {
		rows = func(put func(key, value []byte) error) error {
			for _, p := range ready {
				for i, val := range p.values[:len(p.values)-1] {
					if err := put(p.keys[i], val); err != nil {
						return err
					}
				}
			}
			return nil
		}
	}
	s.ready = nil
	if rows != nil && !apart {
		if err := rows(func(key, value []byte) error { return w.Set(key, value, nil) }); err != nil {
			return nil, err
		}
		rows = nil
	}
	return rows, v.thin(w)
}

// newestSnapshot returns the offset of the newest one in the store; 0 for none.
func (v *View) newestSnapshot() uint64 {
	if n := len(v.snaps.list); n > 0 {
		return v.snaps.list[n-1].offset
	}
	return 0
}

// thin deletes old snapshots that are not needed to keep to the reach. The rows
// of one that goes belong to the next, unless that has newer ones.
func (v *View) thin(w *pebble.Batch) error {
	s := &v.snaps
	before, first := uint64(0), s.first() // work at the snapshot before
	kept := s.list[:0:len(s.list)]
	for i := range s.list {
		x := &s.list[i]
		last := i+1 == len(s.list)
		useless := !last && s.list[i+1].offset < first // what lies between is gone
		if last || !useless && (v.clock-x.clock <= s.keepAll || s.list[i+1].work-before > s.reach) {
			kept = append(kept, *x)
			before = x.work
			continue
		}
		next := &s.list[i+1]
		rows := slices.Clone(next.rows)
		for _, r := range x.rows {
			if slices.ContainsFunc(next.rows, func(n chunkRow) bool { return n.chunk == r.chunk }) {
				if err := w.Delete(chunkKey(r.chunk, r.offset), nil); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, r)
		}
		next.rows = rows
		for _, kind := range []byte{pastHead, pastRest} {
			if err := w.Delete(offsetKey(kind, x.offset), nil); err != nil {
				return err
			}
		}
		if err := w.Set(offsetKey(pastHead, next.offset), seal(next.head()), nil); err != nil {
			return err
		}
	}
	clear(s.list[len(kept):])
	s.list = kept
	return nil
}

// Saved makes the snapshots of the last Save known: its batch is committed.
func (v *View) Saved() {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := &v.snaps
	for _, x := range s.staged {
		i, found := slices.BinarySearchFunc(s.list, x.offset, func(y snapshot, off uint64) int { return compare(y.offset, off) })
		if found {
			s.list[i] = x
		} else {
			s.list = slices.Insert(s.list, i, x)
		}
	}
	s.staged = s.staged[:0]
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// loadSnapshots reads the heads.
func (v *View) loadSnapshots(r pebble.Reader) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{pastPrefix, pastHead}, UpperBound: []byte{pastPrefix, pastHead + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	s := &v.snaps
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != 10 {
			return fmt.Errorf("%w: key %x", errSnapshot, k)
		}
		x, err := readHead(binary.BigEndian.Uint64(k[2:]), it.Value())
		if err != nil {
			return fmt.Errorf("fleet: snapshot key %x: %w", k, err)
		}
		if x.offset > v.offset {
			return fmt.Errorf("%w: that of %d lies beyond the state at %d", errSnapshot, x.offset, v.offset)
		}
		s.list = append(s.list, x)
		s.taken = x.work
	}
	if err := it.Error(); err != nil {
		return err
	}
	return v.loadStray(r)
}

// loadStray finds chunks behind those of the newest head: a crash kept the batch
// that leads to them from the store.
func (v *View) loadStray(r pebble.Reader) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: offsetKey(pastChunk, v.newestSnapshot()+1), UpperBound: []byte{pastPrefix, pastChunk + 1}})
	if err != nil {
		return err
	}
	if it.Last() {
		v.snaps.stray = append(slices.Clone(it.Key()), 0)
	}
	return it.Close()
}

// SnapshotStats are figures of the stored snapshots.
type SnapshotStats struct {
	Count  int
	Newest uint64 // its offset
}

// SnapshotStats returns them.
func (v *View) SnapshotStats() (st SnapshotStats) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if st.Count = len(v.snaps.list); st.Count > 0 {
		st.Newest = v.snaps.list[st.Count-1].offset
	}
	return st
}
