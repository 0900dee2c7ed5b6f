package tsdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// era is what is known of one: the chunks of one Save after the other, until they
// are enough. A merge of the store so meets the chunks of the newest eras, not those of
// all time, and a query asks only the eras that have samples of its time. Late samples go where
// they are saved, as all others.
//
// Its row: 0xE9 | version 1 | bytes u | begun s | of each time: first s | last - first u | crc
type era struct {
	no    uint32
	bytes uint64 // of its chunks, with their keys
	begun int64  // the newest sample of the first Save
	times []span // of its samples, ascending, at most eraTimes; not changed once it is among the eras
}

// span is from first to last, both included, Unix ms.
type span struct{ first, last int64 }

const (
	// eraBytes is how much an era gets, eraLeast what it has at least when it ends
	// since it has gone on for eraSpan: what is kept for some days is dropped by the day, or in
	// pieces too small to matter.
	eraBytes = 256 << 20
	eraLeast = 16 << 20
	eraSpan  = dayMs

	// eraTimes is how many times that lie more than eraGap apart are told from each other. Samples of
	// a clock that is wrong, or of what was gathered long ago, would else make one
	// time of all that lies between.
	eraTimes = 16
	eraGap   = spanMs

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
}

// enter returns the era that the next chunks belong to.
func (x *eras) enter() era {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.all) == 0 {
		return era{no: eraFirst}
	}
	e := x.all[len(x.all)-1]
	full := e.bytes >= x.most || e.bytes >= min(eraLeast, x.most) && e.last()-e.begun >= eraSpan
	if e.no < eraFirst || full {
		return era{no: max(eraFirst, e.no+1)}
	}
	e.times = slices.Clone(e.times)
	return e
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
		if x.all[i].meets(from, to) {
			dst = append(dst, x.all[i].no)
		}
	}
	return dst
}

func (e *era) meets(from, to int64) bool {
	for _, t := range e.times {
		if t.first <= to && t.last >= from {
			return true
		}
	}
	return false
}

// last returns the newest sample of an era that has some.
func (e *era) last() int64 { return e.times[len(e.times)-1].last }

// add notes a chunk of the era.
func (e *era) add(first, last int64, bytes int) {
	e.bytes += uint64(bytes)
	// Where it goes: behind all that end more than eraGap before it, in place of those near it.
	i := 0
	for i < len(e.times) && e.times[i].last < first-eraGap {
		i++
	}
	j := i
	for ; j < len(e.times) && e.times[j].first <= last+eraGap; j++ {
		first, last = min(first, e.times[j].first), max(last, e.times[j].last)
	}
	e.times = slices.Replace(e.times, i, j, span{first, last})
	if len(e.times) > eraTimes {
		e.join()
	}
}

// join makes one of the two times that are nearest to each other.
func (e *era) join() {
	at, gap := 0, int64(0)
	for i := range len(e.times) - 1 {
		if g := e.times[i+1].first - e.times[i].last; i == 0 || g < gap {
			at, gap = i, g
		}
	}
	e.times = slices.Replace(e.times, at, at+2, span{e.times[at].first, e.times[at+1].last})
}

// eraUnknown is an era of which no more is known than that it was there: it has ended.
func eraUnknown(no uint32) era {
	return era{no: no, bytes: math.MaxUint64, times: []span{{MinTime, MaxTime}}}
}

func (db *DB) saveEra(b *pebble.Batch, e era) error {
	key := appendEraKey(nil, db.prefix, kindEra, resRaw, e.no)
	row := binary.AppendUvarint([]byte{magicEra, eraVersion}, e.bytes)
	row = binary.AppendVarint(row, e.begun)
	for _, t := range e.times {
		row = binary.AppendUvarint(binary.AppendVarint(row, t.first), uint64(t.last-t.first))
	}
	return b.Set(key, sealRow(key, row), nil)
}

// loadEras reads the rows, and finds the days that have none. They only say where to look: where
// one is damaged or gone, its era is looked into for all times.
func (db *DB) loadEras(r pebble.Reader) (err error) {
	var rows []era
	unknown := int64(0)
	if err := db.each(r, kindEra, func(key, row []byte) error {
		if len(key) != 7 || key[2] != resRaw {
			return fmt.Errorf("%w: row of an era under %q", ErrCorrupt, key)
		}
		no := binary.BigEndian.Uint32(key[3:])
		for n := len(rows); n > 0 && rows[n-1].no+1 < no; n++ {
			rows = append(rows, eraUnknown(rows[n-1].no+1))
			unknown++
		}
		b, err := openRow(key, row, magicEra, eraVersion)
		d := rowReader{b: b}
		e := era{bytes: d.uvarint(), begun: d.varint()}
		for len(d.b) > 0 && len(e.times) < eraTimes {
			first := d.varint()
			e.times = append(e.times, span{first, first + int64(d.uvarint())})
		}
		if err != nil || d.bad || len(d.b) > 0 || len(e.times) == 0 {
			e = eraUnknown(no)
			unknown++
		}
		e.no = no
		rows = append(rows, e)
		return nil
	}); err != nil {
		return err
	}
	days := db.chunkBounds()
	days.UpperBound = appendEraKey(nil, db.prefix, kindChunk, resRaw, eraFirst)
	it, err := r.NewIter(days)
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	var key []byte
	for ok := it.First(); ok; ok = it.SeekGE(key) {
		k, good := parseChunkKey(it.Key())
		if !good {
			return fmt.Errorf("%w: chunk key %q", ErrCorrupt, it.Key())
		}
		from := int64(int32(k.era^1<<31)) * dayMs
		db.eras.put(era{no: k.era, times: []span{{from, from + dayMs - 1}}})
		key = appendEraKey(key[:0], db.prefix, kindChunk, resRaw, k.era+1)
	}
	for _, e := range rows {
		db.eras.put(e)
	}
	db.erasUnknown.Store(unknown)
	return it.Error()
}
