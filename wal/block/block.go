package block

import "unsafe"

// Block is a stretch of the log in memory: immutable, read by any number of
// goroutines, never recycled. Payloads of its records alias it and stay valid
// as long as anything refers to them.
type Block struct {
	base    uint64
	rows    []row
	payload []byte
	ranges  []Range
	classes uint64
	kinds   uint32
	// what EncodeBody leaves for EncodeHeader
	agents []byte
	keys   []byte
}

// Base returns the offset of the first record.
func (b *Block) Base() uint64 { return b.base }

// Next returns the offset behind the last record.
func (b *Block) Next() uint64 { return b.base + uint64(len(b.rows)) }

// Len returns the number of records.
func (b *Block) Len() int { return len(b.rows) }

// Record returns the record at index i, 0 ≤ i < Len. Its payload aliases the block.
func (b *Block) Record(i int) Record { return record(b.base, b.rows, b.payload, i) }

// Load is Record into r, for loops over many: field by field, for a record that
// is made and then copied as a whole waits for its own stores.
func (b *Block) Load(i int, r *Record) {
	x, from := &b.rows[i], uint32(0)
	if i > 0 {
		from = b.rows[i-1].end
	}
	r.Offset, r.Recv = b.base+uint64(i), x.recv
	r.Kind, r.Class, r.Flags = x.kind, x.class, x.flags
	r.Producer, r.Seq, r.Agent, r.Key = x.producer, x.seq, x.agent, x.key
	r.Payload = b.payload[from:x.end:x.end]
}

// Agent returns the agent's number of the record at index i, for those who look ahead.
func (b *Block) Agent(i int) uint32 { return b.rows[i].agent }

// Key returns the key of the record at index i.
func (b *Block) Key(i int) uint32 { return b.rows[i].key }

// Kind returns the kind of the record at index i.
func (b *Block) Kind(i int) Kind { return b.rows[i].kind }

// Class returns the class of the record at index i, for them too.
func (b *Block) Class(i int) uint8 { return b.rows[i].class }

// Flags returns the flags of the record at index i.
func (b *Block) Flags(i int) uint8 { return b.rows[i].flags }

// RecvMin and RecvMax return the recv of the first and the last record.
func (b *Block) RecvMin() int64 { return b.rows[0].recv }

// RecvMax returns the recv of the last record.
func (b *Block) RecvMax() int64 { return b.rows[len(b.rows)-1].recv }

// Kinds returns the mask of kinds in the block, see Kind.Mask.
func (b *Block) Kinds() uint32 { return b.kinds }

// Classes returns the mask of classes in the block: bit class & 63.
func (b *Block) Classes() uint64 { return b.classes }

// Ranges returns what the block holds of each producer. Not to be changed.
func (b *Block) Ranges() []Range { return b.ranges }

// Payloads returns the payloads of all records, end to end. They alias the block.
func (b *Block) Payloads() []byte { return b.payload }

// PayloadBytes returns the bytes of payload in the block.
func (b *Block) PayloadBytes() int { return len(b.payload) }

// Bytes returns the memory that the block holds.
func (b *Block) Bytes() int {
	return cap(b.payload) + cap(b.rows)*int(unsafe.Sizeof(row{})) + cap(b.ranges)*int(unsafe.Sizeof(Range{})) + 256
}

// Find returns the index of the record that settles number seq of producer p,
// looking at index hint first; -1 if there is none.
func (b *Block) Find(p uint32, seq uint64, hint int) int {
	return find(b.rows, p, seq, hint, b.payload)
}

// Find does for the records so far what Block.Find does.
func (b *Builder) Find(p uint32, seq uint64, hint int) int {
	return find(b.rows, p, seq, hint, b.payload)
}

func find(rows []row, p uint32, seq uint64, hint int, payload []byte) int {
	if hint >= 0 && hint < len(rows) && rows[hint].producer == p && rows[hint].seq == seq && rows[hint].kind.Numbered() {
		return hint
	}
	for i := range rows {
		r := &rows[i]
		if r.producer != p || !r.kind.Numbered() {
			continue
		}
		if r.seq == seq {
			return i
		}
		if r.seq < seq && (r.kind == KindLost || r.kind == KindShed) {
			if rec := record(0, rows, payload, i); rec.To() >= seq {
				return i
			}
		}
	}
	return -1
}
