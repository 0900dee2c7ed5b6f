package tsdb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// Rows other than chunks; integers are LEB128 (u: unsigned, s: zigzag):
//
//	series  0xE5 | version 1 | labels u | (bytes u, name, bytes u, value)… | crc
//	head    0xE6 | version 1 | samples ever u | closed s | n u | last time s |
//	        last value u64 LE | run's bytes | crc
//	meta    0xE7 | version 1 | last late number u | crc
//
// closed is the last timestamp of the closed chunks in order (the least int64:
// none); n counts the run's samples, the last included; crc is CRC-32C, u32
// LE, over key and row before it, so that a row under a wrong key is noticed.
const (
	magicSeries = 0xE5
	magicHead   = 0xE6
	magicMeta   = 0xE7
	rowVersion  = 1
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
	db.mu.RLock()
	err := db.saveSeries(b)
	db.mu.RUnlock()
	if err != nil {
		return err
	}
	var key, row []byte
	for i := range db.shards {
		s := &db.shards[i]
		s.mu.Lock()
		key, row, err = s.save(db, b, key, row)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	key = append(key[:0], db.prefix, kindMeta)
	row = binary.AppendUvarint(append(row[:0], magicMeta, rowVersion), uint64(db.lateSeq.Load()))
	return b.Set(key, sealRow(key, row), nil)
}

func (db *DB) saveSeries(b *pebble.Batch) error {
	var key, row []byte
	var ls Labels
	for ; db.saved < db.ix.len(); db.saved++ {
		ref := uint32(db.saved + 1)
		ls = db.ix.labels(ref, ls[:0])
		key = appendRefKey(key[:0], db.prefix, kindSeries, uint64(ref))
		row = binary.AppendUvarint(append(row[:0], magicSeries, rowVersion), uint64(len(ls)))
		for _, l := range ls {
			row = append(binary.AppendUvarint(row, uint64(len(l.Name))), l.Name...)
			row = append(binary.AppendUvarint(row, uint64(len(l.Value))), l.Value...)
		}
		if err := b.Set(key, sealRow(key, row), nil); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) save(db *DB, b *pebble.Batch, key, row []byte) (k, r []byte, err error) {
	for ref, l := range s.late {
		s.flushLate(db, ref, l)
	}
	clear(s.late)
	for _, ref := range s.dirty {
		_, slot := locate(ref)
		r := s.run(slot)
		r.dirty = false
		key = appendRefKey(key[:0], db.prefix, kindHead, uint64(ref))
		row = s.appendHead(row[:0], r)
		row = sealRow(key, row)
		if err := b.Set(key, row, nil); err != nil {
			return key, row, err
		}
	}
	s.dirty = s.dirty[:0]
	for ref, ps := range s.closed {
		for _, p := range ps {
			key = chunkKey{partOf(p.first), uint64(ref), p.first, p.seq}.append(key[:0], db.prefix, resRaw)
			if err := b.Set(key, p.data, nil); err != nil {
				return key, row, err
			}
		}
	}
	s.saving, s.closed = s.closed, map[uint32][]pending{}
	return key, row, nil
}

func (s *shard) appendHead(row []byte, r *run) []byte {
	row = append(row, magicHead, rowVersion)
	row = binary.AppendUvarint(row, r.total)
	row = binary.AppendVarint(row, r.closedT)
	row = binary.AppendUvarint(row, uint64(r.s.N))
	row = binary.AppendVarint(row, r.s.LastT)
	row = binary.LittleEndian.AppendUint64(row, r.s.LastV)
	return append(row, s.bytes(r)...)
}

// Saved tells that the batch of the last Save is committed, so that its chunks
// are read from the store from now on.
func (db *DB) Saved() { db.dropSaving() }

func (db *DB) dropSaving() {
	db.stored.Add(1) // before the chunks go: see readChunks
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
	return db.loadParts(r)
}

// openRow checks a row's frame and returns its body.
func openRow(key, row []byte, magic byte) ([]byte, error) {
	if len(row) < 6 || row[0] != magic {
		return nil, fmt.Errorf("%w: %q begins %x, want %x", ErrCorrupt, key, row[:min(len(row), 2)], magic)
	}
	if row[1] != rowVersion {
		return nil, fmt.Errorf("%w: %q has %d, want %d", ErrVersion, key, row[1], rowVersion)
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
	var ls Labels
	return db.each(r, kindSeries, func(key, row []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		b, err := openRow(key, row, magicSeries)
		if err != nil {
			return err
		}
		d := rowReader{b: b}
		n := d.uvarint()
		ls = ls[:0]
		for i := uint64(0); i < n && n <= labelsMax && !d.bad; i++ {
			ls = append(ls, Label{d.string(), d.string()})
		}
		if d.bad || len(d.b) != 0 || n == 0 || n > labelsMax || ref != uint64(db.ix.len()+1) {
			return fmt.Errorf("%w: series %d after %d with %d labels", ErrCorrupt, ref, db.ix.len(), n)
		}
		if got := db.addLocked(ls); uint64(got) != ref {
			return fmt.Errorf("%w: series %d has the labels of %d", ErrCorrupt, ref, got)
		}
		db.saved++
		return nil
	})
}

func (db *DB) loadHeads(r pebble.Reader) error {
	return db.each(r, kindHead, func(key, row []byte) error {
		ref, err := refOf(key)
		if err != nil {
			return err
		}
		b, err := openRow(key, row, magicHead)
		if err != nil {
			return err
		}
		d := rowReader{b: b}
		total, closed, n, t, v := d.uvarint(), d.varint(), d.uvarint(), d.varint(), d.uint64()
		if d.bad || ref == 0 || ref > uint64(db.ix.len()) || n > math.MaxUint16 || n == 0 && len(d.b) > 0 || len(d.b) > runBytesMax {
			return fmt.Errorf("%w: run of series %d of %d: %d samples in %d bytes", ErrCorrupt, ref, db.ix.len(), n, len(d.b))
		}
		i, slot := locate(uint32(ref))
		s := &db.shards[i]
		s.mu.Lock()
		defer s.mu.Unlock()
		u := s.run(slot)
		u.total, u.closedT = total, closed
		if n > 0 {
			if u.first, err = u.s.Restore(d.b, int(n), t, v); err != nil {
				return fmt.Errorf("run of series %d: %w", ref, err)
			}
			s.keep(u, d.b)
		}
		return nil
	})
}

func (db *DB) loadMeta(r pebble.Reader) error {
	return db.each(r, kindMeta, func(key, row []byte) error {
		b, err := openRow(key, row, magicMeta)
		if err != nil {
			return err
		}
		d := rowReader{b: b}
		db.lateSeq.Store(uint32(d.uvarint()))
		if d.bad {
			return fmt.Errorf("%w: meta row of %d bytes", ErrCorrupt, len(b))
		}
		return nil
	})
}

// loadParts finds the first and the last partition.
func (db *DB) loadParts(r pebble.Reader) (err error) {
	it, err := r.NewIter(db.chunkBounds())
	if err != nil {
		return err
	}
	for _, seek := range []func() bool{it.First, it.Last} {
		if !seek() {
			break
		}
		if k, ok := parseChunkKey(it.Key()); ok {
			db.parts.widen(k.part)
		}
	}
	return it.Close()
}

func (db *DB) chunkBounds() *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: []byte{db.prefix, kindChunk, resRaw}, UpperBound: []byte{db.prefix, kindChunk, resRaw + 1}}
}
