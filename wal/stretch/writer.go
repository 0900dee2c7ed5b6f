package stretch

import (
	"errors"
	"fmt"

	"eyrie/wal/block"
)

// chunkBytes of payload end a chunk. Of the mix, twice as much saves 0.9 of 15.8
// bytes a record, half as much costs 2.7; a reader decodes all of it for one agent.
const chunkBytes = 128 << 10

// Stamp is what an index says beside the records.
type Stamp struct {
	LogID  [16]byte
	Epoch  uint32
	Chain  uint64 // digest of all block headers before the stretch
	Digest uint64 // the same up to the stretch's end
}

// Writer makes a sealed stretch of blocks. It belongs to one goroutine.
type Writer struct {
	tier    func(*block.Record) uint8
	blocks  []*block.Block
	records [256][]uint64 // of each tier: agent << 32 | place, in order of place
	holes   []Hole
	bytes   int
	count   int
	err     error // of Add, for Finish to return

	enc    encoder
	spare  []uint64
	look   []entry  // records of one agent, looked at ahead
	chunk  []entry  // of the chunk being filled
	filled int      // bytes of payload in it
	keys   []uint64 // key << 32 | index of the chunk
	page   []byte
}

// A place is a block's index and a row's: what fits into 32 bits.
const (
	rowBits   = 10
	blocksMax = 1 << (32 - rowBits)
)

var _ = [1]int{}[block.RecordsMax>>(rowBits+1)]

// ErrEmpty is returned by Finish if no block was added.
var ErrEmpty = errors.New("stretch: no records to seal")

// NewWriter returns an empty Writer. tier says how long a record is kept
// relative to others, 0 the shortest; it must not keep the record.
func NewWriter(tier func(*block.Record) uint8) *Writer {
	return &Writer{tier: tier, enc: encoder{zip: newEncoder()}}
}

// Reset forgets all blocks; memory is kept for the next stretch.
func (w *Writer) Reset() {
	clear(w.blocks)
	clear(w.look[:cap(w.look)])
	clear(w.chunk[:cap(w.chunk)])
	clear(w.enc.split.holes[:cap(w.enc.split.holes)])
	for i := range w.records {
		w.records[i] = w.records[i][:0]
	}
	w.blocks, w.holes, w.keys = w.blocks[:0], w.holes[:0], w.keys[:0]
	w.look, w.chunk = w.look[:0], w.chunk[:0]
	w.bytes, w.count, w.filled, w.err = 0, 0, 0, nil
}

// Add takes the next block, which lies behind the one before; offsets between
// them are a hole. The block is kept by reference until Reset.
func (w *Writer) Add(b *block.Block) {
	if w.err != nil {
		return
	}
	if b.Len() == 0 || len(w.blocks) == blocksMax {
		w.err = fmt.Errorf("stretch: a block of %d records behind %d blocks", b.Len(), len(w.blocks))
		return
	}
	if n := len(w.blocks); n > 0 {
		switch next := w.blocks[n-1].Next(); {
		case b.Base() < next:
			w.err = fmt.Errorf("stretch: block at offset %d behind offset %d", b.Base(), next)
			return
		case b.Base() > next:
			w.holes = append(w.holes, Hole{From: next, To: b.Base() - 1})
		}
	}
	place := uint64(len(w.blocks)) << rowBits
	w.blocks = append(w.blocks, b)
	var r block.Record
	for i := range b.Len() {
		b.Load(i, &r)
		t := w.tier(&r)
		w.records[t] = append(w.records[t], uint64(r.Agent)<<32|place|uint64(i))
	}
	w.bytes += b.PayloadBytes()
	w.count += b.Len()
}

// Bytes returns the bytes of payload added.
func (w *Writer) Bytes() int { return w.bytes }

// Len returns the number of records added.
func (w *Writer) Len() int { return w.count }

// Finish seals what was added. It calls emit for each chunk, ascending by tier
// and number, then emitKey for each key page, ascending from 0; a value is
// borrowed until the call returns, and an error of theirs ends Finish. Then
// Reset is to be called.
func (w *Writer) Finish(st Stamp, emit func(c *ChunkInfo, value []byte) error, emitKey func(page int, value []byte) error) (*Index, error) {
	if w.err != nil {
		return nil, w.err
	}
	if w.count == 0 {
		return nil, ErrEmpty
	}
	first, last := w.blocks[0], w.blocks[len(w.blocks)-1]
	x := &Index{Stamp: st, Base: first.Base(), Next: last.Next(), Bytes: uint64(w.bytes), Count: w.count,
		Holes: append([]Hole(nil), w.holes...)}
	w.keys = w.keys[:0]
	for t := range w.records {
		if len(w.records[t]) == 0 {
			continue
		}
		w.records[t], w.spare = sortHigh(w.records[t], w.spare)
		if err := w.chunks(x, uint8(t), emit); err != nil {
			return nil, err
		}
	}
	x.RecvMin, x.RecvMax = x.Chunks[0].RecvMin, x.Chunks[0].RecvMax
	for i := range x.Chunks {
		x.RecvMin, x.RecvMax = min(x.RecvMin, x.Chunks[i].RecvMin), max(x.RecvMax, x.Chunks[i].RecvMax)
	}
	return x, w.pages(x, emitKey)
}

// chunks cuts the sorted records of a tier. An agent with less than half a
// chunk is not divided.
func (w *Writer) chunks(x *Index, tier uint8, emit func(*ChunkInfo, []byte) error) error {
	no := uint32(0)
	flush := func() error {
		if len(w.chunk) == 0 {
			return nil
		}
		c := ChunkInfo{Tier: tier, No: no}
		value := w.enc.chunk(&c, w.chunk)
		for _, k := range w.enc.table.values {
			w.keys = append(w.keys, k<<32|uint64(len(x.Chunks)))
		}
		x.Chunks = append(x.Chunks, c)
		no++
		w.chunk, w.filled = w.chunk[:0], 0
		return emit(&c, value)
	}
	for rest := w.records[tier]; len(rest) > 0; {
		n, size := w.agent(rest)
		rest = rest[n:]
		full := w.filled+size > chunkBytes || len(w.chunk)+n > RecordsMax
		if full && (w.filled >= chunkBytes/2 || len(w.chunk) >= RecordsMax/2) {
			if err := flush(); err != nil {
				return err
			}
		}
		for i := range w.look {
			k := len(w.look[i].rec.Payload)
			if k > block.RecordBytesMax {
				return fmt.Errorf("stretch: record at offset %d has %d bytes", w.look[i].rec.Offset, k)
			}
			if w.filled+k > chunkBytes || len(w.chunk) == RecordsMax {
				if err := flush(); err != nil {
					return err
				}
			}
			w.chunk = append(w.chunk, w.look[i])
			w.filled += k
		}
	}
	return flush()
}

// agent loads the records that rest begins with and that are of one agent, at
// most a chunk's. It returns their number and bytes of payload.
func (w *Writer) agent(rest []uint64) (n, size int) {
	w.look = w.look[:0]
	agent := rest[0] >> 32
	for n < len(rest) && n < RecordsMax && rest[n]>>32 == agent {
		at := uint32(rest[n])
		w.look = append(w.look, entry{at: at})
		r := &w.look[n].rec
		w.blocks[at>>rowBits].Load(int(at&(1<<rowBits-1)), r)
		size += len(r.Payload)
		n++
	}
	return n, size
}
