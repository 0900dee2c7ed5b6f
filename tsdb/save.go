package tsdb

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"slices"

	"eyrie/tsdb/chunk"

	"github.com/cockroachdb/pebble/v2"
)

// Rows other than chunks; integers are LEB128 (u: unsigned, s: zigzag):
//
//	series  0xE5 | version 2 | definition, … | crc
//	head    0xE6 | version 3 | number of the Save u | run, … | crc
//	added   0xE8 | version 1 | addition, … | crc
//	meta    0xE7 | version 3 | last late number u | number of the Save u | crc
//
// A series row has the definitions of up to 128 series, the key's and those that
// follow it; what a label shares with the one at the same place of the series
// before in the row is left out:
//
//	definition  labels u | shared u, a bit a label | for the others: bytes u, name, bytes u, value
//
// A head row has one run for each of its series:
//
//	run     samples ever u, alone where that is zero | n u × 2 + closed |
//	        if closed: closed until s | if n: last time s | last value u |
//	        bytes u, the run's bytes
//
// Between two of a head row are rows of what later Saves added to it, to be
// applied in their order:
//
//	addition  series left out since the last one u | n u × 4 + whole × 2 + closed |
//	          samples ever u | the rest is as in a run
//
// whole: in place of all that the run was; else the bytes come behind those that it
// has, and until when chunks are closed stays as it is.
//
// closed tells that there are closed chunks in order and until which timestamp;
// n counts the run's samples, the last included; the last value is its bits
// with the bytes reversed; times are differences from the last one written
// before, of the row's first from zero. crc is CRC-32C, u32 LE, over key and row
// before it, so that a row under a wrong key is noticed.
const (
	magicSeries = 0xE5
	magicHead   = 0xE6
	magicMeta   = 0xE7
	magicAdded  = 0xE8
	rowVersion  = 2 // of series
	rowSeries   = 128

	// Those before are read, too: they lack the number of the Save, and the meta
	// row of version 2 tells of a DB without eras.
	metaVersion = 3
	headVersion = 3

	addedVersion = 1
	addedClosed  = 1
	addedWhole   = 2
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sealRow(key, row []byte) []byte {
	return binary.LittleEndian.AppendUint32(row, crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, row))
}

// Save writes into b all that differs from the store: definitions of new
// series, open runs, closed chunks. No sample may be appended between Save and
// the moment its cursor stands for; queries may run. The caller commits b
// before it calls Save again, and tells by Saved that it did. A batch that
// cannot be committed leaves memory ahead of the store: Reset and Load.
func (db *DB) Save(b *pebble.Batch) error {
	db.dropSaving()
	db.saves++
	if err := db.saveChunks(b); err != nil {
		return err
	}
	if err := db.saveHeads(b); err != nil {
		return err
	}
	key := []byte{db.prefix, kindMeta}
	row := binary.AppendUvarint([]byte{magicMeta, metaVersion}, uint64(db.lateSeq.Load()))
	row = binary.AppendUvarint(row, db.saves)
	if err := b.Set(key, sealRow(key, row), nil); err != nil {
		return err
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.saveSeries(b)
}

func (db *DB) saveSeries(b *pebble.Batch) error {
	var key, row []byte
	for db.saved < db.ix.len() {
		key = appendRefKey(key[:0], db.prefix, kindSeries, uint64(db.saved+1))
		row = append(row[:0], magicSeries, rowVersion)
		var before []pair
		for end := min(db.saved+rowSeries, db.ix.len()); db.saved < end; db.saved++ {
			ps := db.ix.pairs(uint32(db.saved + 1))
			row = db.ix.appendDefinition(row, ps, before)
			before = ps
		}
		if err := b.Set(key, sealRow(key, row), nil); err != nil {
			return err
		}
	}
	return nil
}

// appendDefinition appends the labels ps of a series; before are those of the
// series before in the row.
func (x *index) appendDefinition(row []byte, ps, before []pair) []byte {
	shared := uint64(0)
	for i := range min(len(ps), len(before)) {
		if ps[i] == before[i] {
			shared |= 1 << i
		}
	}
	row = binary.AppendUvarint(binary.AppendUvarint(row, uint64(len(ps))), shared)
	for i, p := range ps {
		if shared>>i&1 == 0 {
			for _, s := range [...]string{x.syms.names[p.name], x.syms.names[p.value]} {
				row = append(binary.AppendUvarint(row, uint64(len(s))), s...)
			}
		}
	}
	return row
}

// saveChunks writes what was closed into the era of this Save, in order of keys: a
// batch in order costs the store least.
func (db *DB) saveChunks(b *pebble.Batch) error {
	type closed struct {
		chunkKey
		data []byte
	}
	var all []closed
	e := db.eras.enter()
	for i := range db.shards {
		s := &db.shards[i]
		s.mu.Lock()
		for ref, l := range s.late {
			s.flushLate(db, ref, l)
		}
		clear(s.late)
		for ref, ps := range s.closed {
			for _, p := range ps {
				all = append(all, closed{chunkKey{e.no, uint64(ref), p.first, p.seq}, p.data})
				e.add(p.first, p.last, chunkKeyBytes+len(p.data))
			}
		}
		s.saving, s.closed = s.closed, map[uint32][]pending{}
		s.mu.Unlock()
	}
	slices.SortFunc(all, func(x, y closed) int {
		return cmp.Or(cmp.Compare(x.ref, y.ref), cmp.Compare(x.start, y.start), cmp.Compare(x.seq, y.seq))
	})
	if len(all) == 0 {
		return nil
	}
	if e.begun == 0 {
		e.begun = e.last()
	}
	db.eras.put(e) // before a query may look for them in the store
	var key []byte
	for i := range all {
		key = all[i].append(key[:0], db.prefix, resRaw)
		if err := b.Set(key, all[i].data, nil); err != nil {
			return err
		}
	}
	return db.saveEra(b, e)
}

// headEvery is after how many saves at most a head row is written again, in place
// of additions to it. The more, the less is written, and the more a Load puts
// together. Rows take turns.
const headEvery = 16

// saveHeads writes what changed of the open runs: additions to head rows that the
// store has, and the rows whose turn it is, or of which half is new.
func (db *DB) saveHeads(b *pebble.Batch) error {
	var key, row []byte
	for n := uint32(0); int(n)*headRuns < db.ix.len(); n++ {
		s := &db.shards[n%shardCount]
		first := n / shardCount * headRuns
		h := &s.heads[first/headRuns]
		turn := uint64(n)%headEvery == db.saves%headEvery
		if !h.dirty && !(turn && h.added) {
			continue
		}
		s.mu.Lock()
		if h.dirty {
			h.dirty = false
			s.stale--
		}
		end := first + uint32(min(headRuns, db.ix.len()-int(n)*headRuns))
		if turn || !h.based || s.mostlyNew(first, end) {
			key = appendRefKey(key[:0], db.prefix, kindHead, uint64(n))
			row = s.appendHead(row[:0], db.saves, first, end)
			h.based, h.added = true, false
		} else {
			key = appendAddedKey(key[:0], db.prefix, db.saves, uint64(n))
			row = s.appendAdded(row[:0], first, end)
			h.added = true
		}
		s.mu.Unlock()
		row = sealRow(key, row)
		if err := b.Set(key, row, nil); err != nil {
			return err
		}
	}
	if db.saves <= headEvery {
		return nil
	}
	// Every row has had its turn since.
	old := db.saves - headEvery
	return b.DeleteRange(appendAddedKey(nil, db.prefix, old, 0), appendAddedKey(nil, db.prefix, old+1, 0), nil)
}

// mostlyNew tells whether additions would be no less than half of the row.
func (s *shard) mostlyNew(first, end uint32) bool {
	const others = 8 // bytes of a run that are not its samples'
	all, added := 0, 0
	for slot := first; slot < end; slot++ {
		r := s.run(slot)
		if r.s.N == 0 {
			continue
		}
		all += int(r.chain.len) + others
		switch {
		case !r.changed:
		case r.saved == unsaved:
			added += int(r.chain.len) + others
		default:
			added += int(r.chain.len-r.saved) + others
		}
	}
	return 2*added >= all
}

func (s *shard) appendHead(row []byte, saves uint64, first, end uint32) []byte {
	row = binary.AppendUvarint(append(row, magicHead, headVersion), saves)
	last := int64(0)
	s.approach(first, end)
	for slot := first; slot < end; slot++ {
		r := s.run(slot)
		row, last = s.appendRun(row, r, last)
		r.keptAll()
	}
	return row
}

// keptAll notes that the store is to have all of the run.
func (r *run) keptAll() {
	r.changed = false
	if r.saved = unsaved; r.s.N > 0 {
		r.saved, r.savedIn = r.chain.len, r.chain.tail
	}
}

func (s *shard) appendAdded(row []byte, first, end uint32) []byte {
	row = append(row, magicAdded, addedVersion)
	last, before := int64(0), first
	for slot := first; slot < end; slot++ {
		r := s.run(slot)
		if !r.changed {
			continue
		}
		row = binary.AppendUvarint(row, uint64(slot-before))
		before = slot + 1
		n := uint64(r.s.N) << 2
		var b []byte
		if r.saved == unsaved {
			if n |= addedWhole; r.closedT != noTime {
				n |= addedClosed
			}
			b = s.bytes(r)
		} else {
			s.gather = s.arena.since(&r.chain, r.saved, r.savedIn, s.gather[:0])
			b = s.gather
		}
		row = binary.AppendUvarint(binary.AppendUvarint(row, n), r.total)
		if n&addedClosed != 0 {
			row = binary.AppendVarint(row, r.closedT-last)
			last = r.closedT
		}
		if r.s.N > 0 {
			row = binary.AppendVarint(row, r.s.LastT-last)
			row = binary.AppendUvarint(row, bits.ReverseBytes64(r.s.LastV))
			row = append(binary.AppendUvarint(row, uint64(len(b))), b...)
			last = r.s.LastT
		}
		r.keptAll()
	}
	return row
}

// approach reads the bytes of the runs first..end-1, at most headRuns, side by
// side: their cells lie anywhere, and one chain after the other would be waited
// for cell by cell.
func (s *shard) approach(first, end uint32) {
	var at [headRuns]uint32
	n := 0
	for slot := first; slot < end; slot++ {
		if c := &s.run(slot).chain; c.len > 0 {
			at[n] = c.head
			n++
		}
	}
	for n > 0 {
		for k := n - 1; k >= 0; k-- {
			if at[k] = binary.LittleEndian.Uint32(s.arena.cell(at[k])); at[k] == 0 {
				n--
				at[k] = at[n]
			}
		}
	}
}

func (s *shard) appendRun(row []byte, r *run, last int64) ([]byte, int64) {
	row = binary.AppendUvarint(row, r.total)
	if r.total == 0 {
		return row, last
	}
	n := uint64(r.s.N) << 1
	if r.closedT != noTime {
		row = binary.AppendVarint(binary.AppendUvarint(row, n|1), r.closedT-last)
		last = r.closedT
	} else {
		row = binary.AppendUvarint(row, n)
	}
	if n == 0 {
		return row, last
	}
	row = binary.AppendVarint(row, r.s.LastT-last)
	row = binary.AppendUvarint(row, bits.ReverseBytes64(r.s.LastV))
	row = binary.AppendUvarint(row, uint64(r.chain.len))
	return append(row, s.bytes(r)...), r.s.LastT
}

// Saved tells that the batch of the last Save is committed, so that its chunks
// are read from the store from now on.
func (db *DB) Saved() { db.dropSaving() }

func (db *DB) dropSaving() {
	db.stored.Add(1) // before the chunks go: see query.refresh
	for i := range db.shards {
		s := &db.shards[i]
		s.mu.Lock()
		s.saving = nil
		s.mu.Unlock()
	}
}

// Load reads series and open runs of the last committed Save from r, after
// which Append goes on as if there had been no break. The DB must be empty.
func (db *DB) Load(r pebble.Reader) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.loadSeries(r); err != nil {
		return err
	}
	if err := db.loadHeads(r); err != nil {
		return err
	}
	if err := db.loadMeta(r); err != nil {
		return err
	}
	return db.loadEras(r)
}

// openRow checks a row's frame and returns its body.
func openRow(key, row []byte, magic byte, versions ...byte) ([]byte, error) {
	if len(row) < 6 || row[0] != magic {
		return nil, fmt.Errorf("%w: %q begins %x, want %x", ErrCorrupt, key, row[:min(len(row), 2)], magic)
	}
	if !slices.Contains(versions, row[1]) {
		return nil, fmt.Errorf("%w: %q has %d, want %d", ErrVersion, key, row[1], versions[0])
	}
	body := row[:len(row)-4]
	got := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
	if want := binary.LittleEndian.Uint32(row[len(body):]); got != want {
		return nil, fmt.Errorf("%w: %q has crc %08x, want %08x", ErrCorrupt, key, got, want)
	}
	return body[2:], nil
}

// each calls fn for the rows of one kind.
func (db *DB) each(r pebble.Reader, kind byte, fn func(key, row []byte) error) (err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{db.prefix, kind}, UpperBound: []byte{db.prefix, kind + 1}})
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		row, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := fn(it.Key(), row); err != nil {
			return err
		}
	}
	return it.Error()
}

func refOf(key []byte) (uint64, error) {
	if len(key) != 10 {
		return 0, fmt.Errorf("%w: key %q", ErrCorrupt, key)
	}
	return binary.BigEndian.Uint64(key[2:]), nil
}

func (db *DB) loadSeries(r pebble.Reader) error {
	return db.each(r, kindSeries, func(key, row []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		b, err := openRow(key, row, magicSeries, rowVersion)
		if err != nil {
			return err
		}
		if len(b) == 0 || ref != uint64(db.ix.len()+1) {
			return fmt.Errorf("%w: series %d after %d in %d bytes", ErrCorrupt, ref, db.ix.len(), len(b))
		}
		d := rowReader{b: b}
		var ls Labels
		for ; len(d.b) > 0; ref++ {
			n, shared := d.uvarint(), d.uvarint()
			if d.bad || n == 0 || n > labelsMax || n < 64 && shared>>n != 0 {
				return fmt.Errorf("%w: series %d with %d labels", ErrCorrupt, ref, n)
			}
			next := make(Labels, n)
			for i := range next {
				switch {
				case shared>>i&1 == 0:
					next[i] = Label{d.string(), d.string()}
				case i < len(ls):
					next[i] = ls[i]
				default:
					d.bad = true
				}
			}
			if d.bad {
				return fmt.Errorf("%w: definition of series %d", ErrCorrupt, ref)
			}
			if ls = next; uint64(db.addLocked(ls)) != ref {
				return fmt.Errorf("%w: series %d has the labels of another", ErrCorrupt, ref)
			}
			db.saved++
		}
		return nil
	})
}

// loadHeads reads the open runs: each head row, and at once what was added to it
// since, while its runs are in the cache.
func (db *DB) loadHeads(r pebble.Reader) error {
	var added [][]addition // by head row
	if err := db.each(r, kindAdded, func(key, row []byte) error {
		save, n, ok := parseAddedKey(key)
		b, err := openRow(key, row, magicAdded, addedVersion)
		if err != nil {
			return err
		}
		if !ok || n*headRuns >= uint64(db.ix.len()) {
			return fmt.Errorf("%w: %q adds to head row %d of %d series", ErrCorrupt, key, n, db.ix.len())
		}
		if added == nil {
			added = make([][]addition, (db.ix.len()+headRuns-1)/headRuns)
		}
		added[n] = append(added[n], addition{save, slices.Clone(b)})
		return nil
	}); err != nil {
		return err
	}
	if err := db.each(r, kindHead, func(key, row []byte) error {
		n, err := refOf(key)
		if err != nil {
			return err
		}
		b, err := openRow(key, row, magicHead, headVersion, headVersion-1)
		if err != nil {
			return err
		}
		if n*headRuns >= uint64(db.ix.len()) {
			return fmt.Errorf("%w: head row %d with %d series", ErrCorrupt, n, db.ix.len())
		}
		var more []addition
		if added != nil {
			more, added[n] = added[n], nil
		}
		h := rowHeads{s: &db.shards[n%shardCount], row: n, first: uint32(n / shardCount * headRuns), runs: uint64(min(headRuns, db.ix.len()-int(n)*headRuns))}
		return h.load(b, row[1] == headVersion, more)
	}); err != nil {
		return err
	}
	for n := range added {
		if added[n] != nil {
			return fmt.Errorf("%w: additions to head row %d, which is not there", ErrCorrupt, n)
		}
	}
	return nil
}

// addition is what a Save added to a head row.
type addition struct {
	save uint64
	row  []byte
}

// rowHeads are the runs of a head row that is loaded.
type rowHeads struct {
	s     *shard
	row   uint64
	first uint32 // slot
	runs  uint64
}

// load reads the row and applies what was added after it was written.
func (h *rowHeads) load(b []byte, numbered bool, more []addition) error {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	d, save := rowReader{b: b}, uint64(0)
	if numbered {
		save = d.uvarint()
	}
	if err := h.base(&d); err != nil {
		return fmt.Errorf("head row %d: %w", h.row, err)
	}
	head := &h.s.heads[h.first/headRuns]
	head.based = true
	for _, x := range more {
		if x.save <= save {
			continue
		}
		head.added = true
		if err := h.add(&rowReader{b: x.row}); err != nil {
			return fmt.Errorf("additions to head row %d: %w", h.row, err)
		}
	}
	for i := range uint32(h.runs) {
		u := h.s.run(h.first + i)
		if u.s.N > 0 {
			var err error
			if u.first, err = u.s.Restore(h.s.bytes(u), int(u.s.N), u.s.LastT, u.s.LastV); err != nil {
				return fmt.Errorf("head row %d, run %d: %w", h.row, i, err)
			}
		}
		u.keptAll()
	}
	return nil
}

func (h *rowHeads) base(d *rowReader) (err error) {
	last := int64(0)
	for i := uint64(0); len(d.b) > 0; i++ {
		if i >= h.runs {
			return fmt.Errorf("%w: more than %d runs", ErrCorrupt, h.runs)
		}
		total := d.uvarint()
		if total == 0 && !d.bad {
			continue
		}
		u, n := h.s.run(h.first+uint32(i)), d.uvarint()
		if u.total = total; n&1 == 1 {
			last += d.varint()
			u.closedT = last
		}
		if last, err = h.s.readRun(u, d, n>>1, last); err != nil {
			return err
		}
	}
	return nil
}

func (h *rowHeads) add(d *rowReader) (err error) {
	last := int64(0)
	for i := uint64(0); len(d.b) > 0; i++ {
		gap := d.uvarint()
		if gap >= headRuns || i+gap >= h.runs {
			return fmt.Errorf("%w: a series beyond the %d of it", ErrCorrupt, h.runs)
		}
		i += gap
		u, n := h.s.run(h.first+uint32(i)), d.uvarint()
		u.total = d.uvarint()
		if n&addedWhole != 0 {
			h.s.arena.release(&u.chain)
			u.s, u.closedT = chunk.Stream{}, noTime
		}
		if n&addedClosed != 0 {
			last += d.varint()
			u.closedT = last
		}
		if n>>2 < uint64(u.s.N) {
			return fmt.Errorf("%w: %d samples where %d were", ErrCorrupt, n>>2, u.s.N)
		}
		if last, err = h.s.readRun(u, d, n>>2, last); err != nil {
			return err
		}
	}
	return nil
}

// readRun reads what follows of a run of n samples, and puts its bytes behind those that it has.
func (s *shard) readRun(u *run, d *rowReader, n uint64, last int64) (int64, error) {
	if n == 0 && !d.bad {
		return last, nil
	}
	last += d.varint()
	v := bits.ReverseBytes64(d.uvarint())
	size := d.uvarint()
	if d.bad || n > math.MaxUint16 || size > uint64(len(d.b)) || uint64(u.chain.len)+size > runBytesMax {
		return last, fmt.Errorf("%w: %d samples in %d bytes", ErrCorrupt, n, size)
	}
	u.s.N, u.s.LastT, u.s.LastV = uint16(n), last, v
	s.arena.append(&u.chain, d.b[:size])
	d.b = d.b[size:]
	return last, nil
}

func (db *DB) loadMeta(r pebble.Reader) error {
	return db.each(r, kindMeta, func(key, row []byte) error {
		b, err := openRow(key, row, magicMeta, metaVersion, metaVersion-1, metaVersion-2)
		if err != nil {
			return err
		}
		d := rowReader{b: b}
		db.lateSeq.Store(uint32(d.uvarint()))
		if row[1] >= metaVersion-1 {
			db.saves = d.uvarint()
		}
		if d.bad {
			return fmt.Errorf("%w: meta row of %d bytes", ErrCorrupt, len(b))
		}
		return nil
	})
}

func (db *DB) chunkBounds() *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{db.prefix, kindChunk, resRaw}, UpperBound: []byte{db.prefix, kindChunk, resRaw + 1}}
}

// LoadBounds returns the bounds of the keys that Load reads, chunks apart.
func (db *DB) LoadBounds() (bounds [][2][]byte) {
	for _, kind := range []byte{kindSeries, kindHead, kindAdded} {
		bounds = append(bounds, [2][]byte{{db.prefix, kind}, {db.prefix, kind + 1}})
	}
	return bounds
}
