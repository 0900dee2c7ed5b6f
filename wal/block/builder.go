package block

// row is the envelope of one record in memory.
type row struct {
	seq      uint64
	recv     int64
	producer uint32
	agent    uint32
	key      uint32
	end      uint32 // of the payload
	kind     Kind
	class    uint8
	flags    uint8
	rng      uint16 // index into ranges
}

// Range is what a block holds of one producer: its numbers From..To, without a
// hole. Two ranges of one producer in a block follow each other (a fence lies
// between). Prev is the base of the nearest earlier block with a range of the
// producer, 0 for none.
type Range struct {
	Producer uint32
	Epoch    uint64
	From, To uint64
	Prev     uint64
}

// Builder fills one block. It belongs to one goroutine. The block it ends in
// takes its memory over; make a new one for the next block.
type Builder struct {
	base    uint64
	rows    []row
	payload []byte
	ranges  []Range
	classes uint64
	kinds   uint32
}

// NewBuilder begins a block at offset base, with room for so many records and
// bytes of payload before it grows.
func NewBuilder(base uint64, records, payload int) *Builder {
	return &Builder{base: base, rows: make([]row, 0, records), payload: make([]byte, 0, payload)}
}

// Base returns the offset of the first record.
func (b *Builder) Base() uint64 { return b.base }

// Len returns the number of records so far.
func (b *Builder) Len() int { return len(b.rows) }

// Bytes returns the bytes of payload so far.
func (b *Builder) Bytes() int { return len(b.payload) }

// Fits tells whether a record with n bytes of payload may still be appended.
func (b *Builder) Fits(n int) bool {
	return len(b.rows) < RecordsMax && (len(b.payload)+n <= PayloadBytesMax || len(b.rows) == 0)
}

// OpenRange adds a range for a producer; Settle extends it. At most RecordsMax
// ranges: each must be followed by a record before the next one is opened.
func (b *Builder) OpenRange(r Range) int {
	b.ranges = append(b.ranges, r)
	return len(b.ranges) - 1
}

// Settle extends range i to the number to.
func (b *Builder) Settle(i int, to uint64) { b.ranges[i].To = to }

// Ranges returns the ranges so far.
func (b *Builder) Ranges() []Range { return b.ranges }

// Append adds a record; its payload is copied, its Offset ignored. rng is the
// index of the producer's range that the record belongs to, -1 for none. The
// caller has asked Fits. It returns the offset given to the record.
func (b *Builder) Append(r *Record, rng int) uint64 {
	b.payload = append(b.payload, r.Payload...)
	return b.push(r.Kind, r.Class, r.Flags, r.Producer, r.Seq, r.Agent, r.Key, r.Recv, uint16(rng))
}

// Event is Append for a record of kind Event, for the hot path.
func (b *Builder) Event(p uint32, seq uint64, class, flags uint8, agent, key uint32, recv int64, payload []byte, rng int) uint64 {
	b.payload = append(b.payload, payload...)
	return b.push(KindEvent, class, flags, p, seq, agent, key, recv, uint16(rng))
}

func (b *Builder) push(kind Kind, class, flags uint8, p uint32, seq uint64, agent, key uint32, recv int64, rng uint16) uint64 {
	b.classes |= 1 << (class & 63)
	b.kinds |= kind.Mask()
	off := b.base + uint64(len(b.rows))
	b.rows = append(b.rows, row{seq: seq, recv: recv, producer: p, agent: agent, key: key, end: uint32(len(b.payload)),
		kind: kind, class: class, flags: flags, rng: rng})
	return off
}

// Record returns the record at index i; its payload is valid until the next Append.
func (b *Builder) Record(i int) Record { return record(b.base, b.rows, b.payload, i) }

// Block ends the block. The builder must not be used any more.
func (b *Builder) Block() *Block {
	return &Block{base: b.base, rows: b.rows, payload: b.payload, ranges: b.ranges, classes: b.classes, kinds: b.kinds}
}

func record(base uint64, rows []row, payload []byte, i int) Record {
	r := &rows[i]
	from := uint32(0)
	if i > 0 {
		from = rows[i-1].end
	}
	return Record{Offset: base + uint64(i), Recv: r.recv, Kind: r.kind, Class: r.class, Flags: r.flags, Producer: r.producer,
		Seq: r.seq, Agent: r.agent, Key: r.key, Payload: payload[from:r.end:r.end]}
}
