package tsdb

import (
	"encoding/binary"
	"fmt"
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
	if err := db.each(db.store, kindSeries, func(key, row []byte) error { return db.forgetSeries(b, key, row, refs) }); err != nil {
		return err
	}
	if err := db.each(db.store, kindHead, func(key, row []byte) error { return db.forgetHeads(b, key, row, refs) }); err != nil {
		return err
	}
	lo, hi := db.parts.bounds()
	for part := int64(lo); part <= int64(hi); part++ {
		for ref := range refs {
			from := appendStart(nil, db.prefix, resRaw, int32(part), ref, MinTime)
			to := appendStart(nil, db.prefix, resRaw, int32(part), ref+1, MinTime)
			if err := b.DeleteRange(from, to, nil); err != nil {
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

// forgetHeads writes a row of open runs again.
func (db *DB) forgetHeads(b *pebble.Batch, key, row []byte, refs map[uint64]bool) error {
	n, err := refOf(key)
	if err != nil {
		return err
	}
	any := false
	for ref := n*headRuns + 1; ref <= (n+1)*headRuns; ref++ {
		any = any || refs[ref]
	}
	if !any {
		return nil
	}
	d, err := openRow(key, row, magicHead, headVersion)
	if err != nil {
		return err
	}
	r, out := rowReader{b: d}, []byte{magicHead, headVersion}
	last, kept := int64(0), int64(0) // as read, as written
	for ref := n*headRuns + 1; len(r.b) > 0; ref++ {
		total := r.uvarint()
		if total == 0 {
			out = binary.AppendUvarint(out, 0)
			continue
		}
		count, closed, value, run := r.uvarint(), int64(0), uint64(0), ""
		if count&1 == 1 {
			last += r.varint()
			closed = last
		}
		if count>>1 > 0 {
			last += r.varint()
			value, run = r.uvarint(), r.string()
		}
		if r.bad {
			return fmt.Errorf("%w: run of series %d", ErrCorrupt, ref)
		}
		if refs[ref] {
			out = binary.AppendUvarint(out, 0)
			continue
		}
		out = binary.AppendUvarint(binary.AppendUvarint(out, total), count)
		if count&1 == 1 {
			out = binary.AppendVarint(out, closed-kept)
			kept = closed
		}
		if count>>1 > 0 {
			out = binary.AppendUvarint(binary.AppendVarint(out, last-kept), value)
			out = append(binary.AppendUvarint(out, uint64(len(run))), run...)
			kept = last
		}
	}
	return b.Set(key, sealRow(key, out), nil)
}
