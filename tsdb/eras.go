package tsdb

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// era is what is known of one: the chunks of one Save after the other, until they
// are enough. A merge of the store so meets the chunks of the newest eras, not those of
// all time, and a query asks only the eras that have samples of its time. Late samples go where
// they are saved, as all others.
//
// Its row: 0xE9 | version 1 | first s | last s | bytes u | crc
type era struct {
	no          uint32
	first, last int64  // timestamps of its samples, Unix ms
	bytes       uint64 // of its chunks, with their keys
}

const (
	// eraBytes is how much an era gets, eraLeast what it has at least when it ends
	// since its samples span eraSpan: what is kept for some days is dropped by the day, or in
	// pieces too small to matter.
	eraBytes = 256 << 20
	eraLeast = 16 << 20
	eraSpan  = dayMs

	// eraFirst is the first number. Those below are days since 1970, the sign bit flipped,
	// by which chunks were parted before; they have no rows.
	eraFirst = 0xC000_0000

	magicEra   = 0xE9
	eraVersion = 1
)

// eras are those that have chunks, in order of their numbers. Save changes them, and
// queries read them beside it.
type eras struct {
	mu   sync.Mutex
	all  []era
	most uint64 // bytes of one: eraBytes, less in tests
}

func (x *eras) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.all = nil
	if x.most == 0 {
		x.most = eraBytes
	}
}

// enter returns the era that the next chunks belong to.
func (x *eras) enter() era {
	x.mu.Lock()
	defer x.mu.Unlock()
	fresh := era{no: eraFirst, first: MaxTime, last: MinTime}
	if len(x.all) == 0 {
		return fresh
	}
	e := x.all[len(x.all)-1]
	full := e.bytes >= x.most || e.bytes >= min(eraLeast, x.most) && e.last-e.first >= eraSpan
	if e.no >= eraFirst && !full {
		return e
	}
	fresh.no = max(eraFirst, e.no+1)
	return fresh
}

// put adds an era, or what there is more of the newest one.
func (x *eras) put(e era) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.all); n > 0 && x.all[n-1].no == e.no {
		x.all[n-1] = e
	} else {
		x.all = append(x.all, e)
	}
}

// within appends the numbers of those that have samples within from..to, ascending.
func (x *eras) within(dst []uint32, from, to int64) []uint32 {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.all {
		if e := &x.all[i]; e.first <= to && e.last >= from {
			dst = append(dst, e.no)
		}
	}
	return dst
}

// add notes a chunk of the era.
func (e *era) add(first, last int64, bytes int) {
	e.first, e.last = min(e.first, first), max(e.last, last)
	e.bytes += uint64(bytes)
}

func (db *DB) saveEra(b *pebble.Batch, e era) error {
	key := appendEraKey(nil, db.prefix, kindEra, resRaw, e.no)
	row := binary.AppendVarint([]byte{magicEra, eraVersion}, e.first)
	row = binary.AppendUvarint(binary.AppendVarint(row, e.last), e.bytes)
	return b.Set(key, sealRow(key, row), nil)
}

// loadEras reads the rows, and finds the days that have none.
func (db *DB) loadEras(r pebble.Reader) (err error) {
	var rows []era
	if err := db.each(r, kindEra, func(key, row []byte) error {
		b, err := openRow(key, row, magicEra, eraVersion)
		if err != nil {
			return err
		}
		d := rowReader{b: b}
		e := era{first: d.varint(), last: d.varint(), bytes: d.uvarint()}
		if len(key) != 7 || key[2] != resRaw || d.bad || len(d.b) > 0 || e.first > e.last {
			return fmt.Errorf("%w: row of an era under %q", ErrCorrupt, key)
		}
		e.no = binary.BigEndian.Uint32(key[3:])
		rows = append(rows, e)
		return nil
	}); err != nil {
		return err
	}
	it, err := r.NewIter(db.chunkBounds())
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	var key []byte
	known := rows
	for ok := it.First(); ok; ok = it.SeekGE(key) {
		k, good := parseChunkKey(it.Key())
		if !good {
			return fmt.Errorf("%w: chunk key %q", ErrCorrupt, it.Key())
		}
		if k.era < eraFirst {
			from := int64(int32(k.era^1<<31)) * dayMs
			db.eras.put(era{no: k.era, first: from, last: from + dayMs - 1})
		} else {
			for len(known) > 0 && known[0].no < k.era {
				known = known[1:]
			}
			if len(known) == 0 || known[0].no != k.era {
				return fmt.Errorf("%w: era %d has chunks and no row", ErrCorrupt, k.era)
			}
		}
		key = appendEraKey(key[:0], db.prefix, kindChunk, resRaw, k.era+1)
	}
	for _, e := range rows {
		db.eras.put(e)
	}
	return it.Error()
}
