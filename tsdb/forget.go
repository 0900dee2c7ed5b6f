package tsdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2"
)

// ForgottenLabel is the one label of a series that was forgotten: its number, so
// that no other has the same.
const ForgottenLabel = "__forgotten__"

// Forget takes the samples and labels of these series out of the store, and adds
// the changes to b. All must be saved, nothing may be appended meanwhile, and then the DB is
// to be loaded again: their refs stay taken, and labels that come again get others.
func (db *DB) Forget(b *pebble.Batch, refs map[uint64]bool) error {
	maps.Copy(db.gone, refs) // rows share them with series of what was forgotten before
	if err := db.each(db.store, kindSeries, func(key, row []byte) error { return db.forgetSeries(b, key, row, db.gone) }); err != nil {
		return err
	}
	if err := db.forgetHeads(b); err != nil {
		return err
	}
	return db.forgetChunks(b, slices.Sorted(maps.Keys(refs)))
}

// forgetChunks deletes the chunks of these series in the eras that have some.
func (db *DB) forgetChunks(b *pebble.Batch, refs []uint64) (err error) {
	it, err := db.store.NewIter(db.chunkBounds())
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for _, era := range db.eras.within(nil, MinTime, MaxTime) {
		for _, ref := range refs {
			from := appendStart(nil, db.prefix, resRaw, era, ref, MinTime)
			to := appendStart(nil, db.prefix, resRaw, era, ref+1, MinTime)
			if it.SeekGE(from) && bytes.Compare(it.Key(), to) < 0 {
				if err := b.DeleteRange(from, to, nil); err != nil {
					return err
				}
			}
			if err := it.Error(); err != nil { // the next seek would forget it
				return err
			}
		}
	}
	return nil
}

// forgetSeries writes a row of definitions again.
func (db *DB) forgetSeries(b *pebble.Batch, key, row []byte, refs map[uint64]bool) error {
	first, err := refOf(key)
	if err != nil {
		return err
	}
	body, err := openRow(key, row, magicSeries, rowVersion)
	if err != nil {
		return err
	}
	n, any := uint64(0), false
	for r := (rowReader{b: body}); len(r.b) > 0; n++ {
		labels, shared := r.uvarint(), r.uvarint()
		for i := uint64(0); i < labels && !r.bad; i++ {
			if shared>>i&1 == 0 {
				r.string()
				r.string()
			}
		}
		if r.bad {
			return fmt.Errorf("%w: definition of series %d", ErrCorrupt, first+n)
		}
	}
	for ref := first; ref < first+n; ref++ {
		any = any || refs[ref]
	}
	if !any {
		return nil
	}
	x := newIndex()
	var before []pair
	out := []byte{magicSeries, rowVersion}
	for ref := first; ref < first+n; ref++ {
		ls := db.ix.labels(uint32(ref), nil)
		if refs[ref] {
			ls = Labels{{ForgottenLabel, strconv.FormatUint(ref, 10)}}
		}
		at, _ := x.add(ls)
		ps := x.pairs(at)
		out = x.appendDefinition(out, ps, before)
		before = ps
	}
	return b.Set(key, sealRow(key, out), nil)
}

// forgetHeads writes the rows of open runs again, without what was added to them.
func (db *DB) forgetHeads(b *pebble.Batch) error {
	rows := map[uint64]bool{}
	for ref := range db.gone {
		rows[(ref-1)/headRuns] = true
	}
	for _, n := range slices.Sorted(maps.Keys(rows)) {
		if s := &db.shards[n%shardCount]; s.heads == nil || !s.heads[n/shardCount].based {
			continue
		}
		key := appendRefKey(nil, db.prefix, kindHead, n)
		if err := b.Set(key, sealRow(key, db.keptHead(n)), nil); err != nil {
			return err
		}
		for save := uint64(1); save <= min(db.saves, headEvery); save++ {
			if err := b.Delete(appendAddedKey(nil, db.prefix, db.saves+1-save, n), nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptHead makes a head row without the runs of series that are gone.
func (db *DB) keptHead(n uint64) []byte {
	s := &db.shards[n%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	row, last := binary.AppendUvarint([]byte{magicHead, headVersion}, db.saves), int64(0)
	for i := range uint64(min(headRuns, db.ix.len()-int(n)*headRuns)) {
		r := &run{}
		if !db.gone[n*headRuns+1+i] {
			r = s.run(uint32(n/shardCount*headRuns + i))
		}
		row, last = s.appendRun(row, r, last)
	}
	return row
}
