package stretch

import (
	"encoding/binary"
	"slices"
	"sort"
	"sync"
	"unsafe"

	"eyrie/wal/block"

	"github.com/klauspost/compress/zstd"
)

// row is the envelope of one record in memory.
type row struct {
	offset   uint64
	recv     int64
	seq      uint64
	producer uint32
	agent    uint32
	key      uint32
	end      uint32 // of the payload
	kind     block.Kind
	class    uint8
	flags    uint8
}

// Part is a decoded chunk: immutable and read by any number of goroutines, until
// its owner has another chunk decoded into it. Records are in order of agent, then offset; payloads alias the part.
type Part struct {
	rows    []row
	payload []byte
}

// Len returns the number of records.
func (p *Part) Len() int { return len(p.rows) }

// Bytes returns the memory that the part holds.
func (p *Part) Bytes() int {
	return cap(p.payload) + cap(p.rows)*int(unsafe.Sizeof(row{})) + int(unsafe.Sizeof(*p))
}

// Record returns the record at index i, 0 ≤ i < Len. Its payload aliases the part.
func (p *Part) Record(i int) (r block.Record) {
	p.Load(i, &r)
	return r
}

// Load is Record into r, for loops over many.
func (p *Part) Load(i int, r *block.Record) {
	x, from := &p.rows[i], uint32(0)
	if i > 0 {
		from = p.rows[i-1].end
	}
	r.Offset, r.Recv = x.offset, x.recv
	r.Kind, r.Class, r.Flags = x.kind, x.class, x.flags
	r.Producer, r.Seq, r.Agent, r.Key = x.producer, x.seq, x.agent, x.key
	r.Payload = p.payload[from:x.end:x.end]
}

// Agent returns the indexes from ≤ i < to of the agent's records, ascending by
// offset; from = to if there is none.
func (p *Part) Agent(a uint32) (from, to int) {
	from = sort.Search(len(p.rows), func(i int) bool { return p.rows[i].agent >= a })
	to = from + sort.Search(len(p.rows)-from, func(i int) bool { return p.rows[from+i].agent > a })
	return from, to
}

// DecodeChunk checks the value of the chunk that info describes and opens it;
// nothing of value is kept. What it allocates is bounded by the limits of the
// format and by what so many bytes can give. Errors are *CorruptError, with the
// chunk's tier and number, or *VersionError.
func DecodeChunk(info *ChunkInfo, value []byte) (*Part, error) {
	return DecodeChunkUnless(info, value, Skip{}, nil)
}

// Skip tells of a chunk that none of its records is wanted. What is not set tells nothing.
type Skip struct {
	// Texts does so from what may says: whether a text, whatever the case of its
	// ASCII letters, can be among the payloads. It is asked before Payloads.
	Texts func(may func(text []byte) bool) bool
	// Payloads does so from the bytes of all payloads. It is given them in pieces
	// that it borrows, in no order and with what is alike once; each name and each
	// value that is no map lies whole in one of them.
	Payloads func(payloads [][]byte) bool
}

// Empty tells that nothing is set.
func (s *Skip) Empty() bool { return s.Texts == nil && s.Payloads == nil }

// ProveChunk is DecodeChunk that also tells whether the chunk's filter would have
// a reader skip what is there.
func ProveChunk(info *ChunkInfo, value []byte) (*Part, error) {
	var may func([]byte) bool
	covered := true
	p, err := DecodeChunkUnless(info, value, Skip{
		Texts: func(m func([]byte) bool) bool { may = m; return false },
		Payloads: func(pieces [][]byte) bool {
			for _, piece := range pieces {
				covered = covered && may(piece)
			}
			return false
		},
	}, nil)
	if err == nil && !covered {
		return nil, &CorruptError{Part: partChunk, Tier: info.Tier, No: info.No, Msg: "its filter says of a text in it that it is not"}
	}
	return p, err
}

// DecodeChunkUnless is DecodeChunk that returns nil where skip tells to. The part
// is made in into, if that is set: what was in it is gone then, also after an error.
func DecodeChunkUnless(info *ChunkInfo, value []byte, skip Skip, into *Part) (*Part, error) {
	body, err := check(partChunk, chunkMagic, value, chunkFixed, chunkVersion)
	if err == nil && (len(value) != int(info.Len) || binary.LittleEndian.Uint32(value[len(body):]) != info.CRC) {
		err = corrupt(partChunk, "%d bytes with CRC32C %x, the index says %d with %08x", len(value), value[len(body):], info.Len, info.CRC)
	}
	var p *Part
	if err == nil {
		p, err = openChunk(body, skip, into)
	}
	if err == nil && p != nil {
		err = p.compare(info, body[5])
	}
	if c, ok := err.(*CorruptError); ok {
		c.Tier, c.No = info.Tier, info.No
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// compare tells whether the chunk is the one that info describes.
func (p *Part) compare(info *ChunkInfo, tier uint8) error {
	c := ChunkInfo{Tier: tier, No: info.No, FirstAgent: p.rows[0].agent, LastAgent: p.rows[len(p.rows)-1].agent, Count: len(p.rows),
		FirstOffset: p.rows[0].offset, RecvMin: p.rows[0].recv, RecvMax: p.rows[0].recv, Len: info.Len, CRC: info.CRC, Digest: info.Digest}
	for i := range p.rows {
		r := &p.rows[i]
		c.FirstOffset, c.LastOffset = min(c.FirstOffset, r.offset), max(c.LastOffset, r.offset)
		c.RecvMin, c.RecvMax = min(c.RecvMin, r.recv), max(c.RecvMax, r.recv)
		c.Kinds |= r.kind.Mask()
		c.Classes |= 1 << (r.class & 63)
	}
	if c != *info {
		return corrupt(partChunk, "is %+v, the index says %+v", c, *info)
	}
	return nil
}

// opener decodes chunks. It owns scratch space and is pooled.
type opener struct {
	zip      *zstd.Decoder
	sections []section
	filter   filter                     // of the chunk; an alias of the value
	cols     [colEnd][]byte             // of the chunk; an alias of bufs or of the value
	alone    [][]byte                   // values of one field each, alike
	bufs     [colEnd + fieldsMax][]byte // kept
	values   int                        // bytes of whole payloads and of all values
	join     joiner
	agents   []uint32
	strides  []stride
	next     []uint64 // of each producer, the number expected
	place    []int32  // of each agent, where its next record goes
	lastLen  []int    // of each shape
}

// keptBytesMax is the largest buffer that is kept for the next chunk.
const keptBytesMax = 128 << 10

// openers starts no goroutine: decompressing is done by the caller's.
var openers = sync.Pool{New: func() any { return &opener{zip: newDecoder()} }}

// openChunk is DecodeChunk behind the checksum, without the index.
func openChunk(body []byte, skip Skip, into *Part) (*Part, error) {
	o := openers.Get().(*opener)
	defer openers.Put(o)
	return o.open(body, skip, into)
}

func (o *opener) open(body []byte, skip Skip, p *Part) (*Part, error) {
	n := int(binary.LittleEndian.Uint32(body[8:]))
	fields := int(binary.LittleEndian.Uint16(body[6:]))
	if n < 1 || n > RecordsMax || fields > fieldsMax {
		return nil, corrupt(partChunk, "%d records, 1 to %d expected, %d fields of at most %d", n, RecordsMax, fields, fieldsMax)
	}
	if err := o.cut(n, fields, body); err != nil {
		return nil, err
	}
	if skip.Texts != nil && skip.Texts(o.filter.may) {
		return nil, nil
	}
	// The words first: most chunks that are skipped need no more.
	o.alone = o.alone[:0]
	if err := o.unpack(colTemplates, len(o.sections)); err != nil {
		return nil, err
	}
	if skip.Payloads != nil && skip.Payloads(append([][]byte{o.cols[colTemplates], o.cols[colValues], o.cols[colRest]}, o.alone...)) {
		return nil, nil
	}
	if err := o.unpack(0, colTemplates); err != nil {
		return nil, err
	}
	t := reader{p: o.cols[colTables]}
	offset, recv := t.uvarint(), t.uint64()
	o.ascending(&t)
	producers, shapes, keys := fixed(&t, 4), fixed(&t, shapeBytes), fixed(&t, 4)
	if t.bad || len(t.p) != 0 || len(o.agents) == 0 {
		return nil, badColumn(colTables)
	}
	// What the rows take is no more than these columns are long, give or take a constant.
	wide := func(values int) int {
		if values > 256 {
			return 2 * n
		}
		return n
	}
	if len(o.cols[colAgents]) != wide(len(o.agents)) {
		return nil, badColumn(colAgents)
	}
	if len(o.cols[colShapes]) != wide(len(shapes)/shapeBytes) {
		return nil, badColumn(colShapes)
	}
	if !o.join.open(o.cols[colTemplates], o.cols[colValues], o.alone) {
		return nil, badColumn(colTemplates)
	}
	if p == nil {
		p = &Part{}
	}
	p.rows = slices.Grow(p.rows[:0], n)[:n]
	if err := o.byOffset(p.rows, offset, recv, producers); err != nil {
		return nil, err
	}
	return p, o.byAgent(p, shapes, keys)
}

// cut finds the sections of the chunk and its filter.
func (o *opener) cut(n, fields int, body []byte) error {
	r := reader{p: body[chunkFixed:]}
	o.sections, o.values = o.sections[:0], 0
	for i := range colEnd + fields {
		most := columnBytesMax
		if i >= colValues {
			most = PayloadBytesMax
			if n == 1 {
				most = block.RecordBytesMax
			}
			most -= o.values // of the sections before
		}
		s, msg := cut(&r, most)
		if msg != "" {
			return corrupt(partChunk, "section %d %s", i+1, msg)
		}
		if i >= colValues {
			o.values += s.raw
		}
		o.sections = append(o.sections, s)
	}
	o.filter = nil
	if body[4] >= versionFilter {
		s, msg := cut(&r, len(body))
		if msg == "" && s.codec != codecNone {
			msg = "is compressed"
		}
		if msg != "" {
			return corrupt(partChunk, "its filter %s", msg)
		}
		o.filter = s.src
	}
	if len(r.p) != 0 {
		return corrupt(partChunk, "%d bytes behind the sections", len(r.p))
	}
	return nil
}

// unpack decompresses the sections from ≤ i < to into o.bufs.
func (o *opener) unpack(from, to int) error {
	for i := from; i < to; i++ {
		s := &o.sections[i]
		raw, msg := s.unpack(o.zip, o.bufs[i])
		if msg != "" {
			return corrupt(partChunk, "section %d %s", i+1, msg)
		}
		if s.codec != codecNone && len(raw) <= keptBytesMax {
			o.bufs[i] = raw
		}
		if i < colEnd {
			o.cols[i] = raw
		} else {
			o.alone = append(o.alone, raw)
		}
	}
	return nil
}

func badColumn(i int) error { return corrupt(partChunk, "section %d is damaged", i+1) }

// ascending reads a sorted set into o.agents.
func (o *opener) ascending(r *reader) {
	o.agents = o.agents[:0]
	n, cur := r.uvarint(), uint64(0)
	r.bad = r.bad || n > RecordsMax
	for i := uint64(0); i < n && !r.bad; i++ {
		d := r.uvarint()
		if i > 0 {
			d++
		}
		cur += d
		r.bad = r.bad || d > 1<<32 || cur >= 1<<32
		o.agents = append(o.agents, uint32(cur))
	}
}

// fixed reads a table of width bytes each.
func fixed(r *reader, width uint64) []byte {
	n := r.uvarint()
	if n > RecordsMax {
		r.bad = true
		return nil
	}
	return r.bytes(width * n)
}

func entryOf(table []byte, i uint64) uint32 { return binary.LittleEndian.Uint32(table[4*i:]) }

// readStrides fills o.strides for n records.
func (o *opener) readStrides(n int, recv uint64, producers int) error {
	r := reader{p: o.cols[colStrides]}
	k := r.uvarint()
	if k == 0 || k > uint64(n) || k*5 > uint64(len(r.p)) {
		return badColumn(colStrides)
	}
	o.strides = slices.Grow(o.strides[:0], int(k))[:k]
	ss, left := o.strides, uint64(n)
	for i := range ss {
		c := r.uvarint()
		if c >= left {
			return badColumn(colStrides)
		}
		left -= c + 1
		ss[i].count = int(c) + 1
	}
	for i := range ss {
		ss[i].gap = r.uvarint()
	}
	for i := range ss {
		v := r.uvarint()
		if v >= uint64(producers) {
			return badColumn(colStrides)
		}
		ss[i].producer = int(v)
	}
	for i := range ss {
		recv += unzigzag(r.uvarint())
		ss[i].recv = int64(recv)
	}
	for i := range ss {
		ss[i].seq = unzigzag(r.uvarint())
	}
	if r.bad || len(r.p) != 0 || left != 0 {
		return badColumn(colStrides)
	}
	return nil
}

// offsetMax bounds what offsets can add up to, far from where they would wrap.
const offsetMax = 1 << 54

// byOffset puts each record at its place among those of its agent, with what
// the columns in order of offset say.
func (o *opener) byOffset(rows []row, offset, recv uint64, producers []byte) error {
	n := len(rows)
	if err := o.readStrides(n, recv, len(producers)/4); err != nil {
		return err
	}
	low, high := o.cols[colAgents][:n], o.cols[colAgents][n:]
	if !o.places(low, high) {
		return badColumn(colAgents)
	}
	o.next = slices.Grow(o.next[:0], len(producers)/4)[:len(producers)/4]
	clear(o.next)
	gaps := reader{p: o.cols[colGaps]}
	i := 0
	for si := range o.strides {
		s := &o.strides[si]
		if s.gap > offsetMax {
			return badColumn(colStrides)
		}
		offset += s.gap
		lead := o.next[s.producer] + s.seq - offset // of the numbers over the offsets
		producer := entryOf(producers, uint64(s.producer))
		for j := range s.count {
			if j > 0 {
				g := gaps.uvarint()
				if g > offsetMax {
					return badColumn(colGaps)
				}
				offset += g
			}
			if offset > offsetMax {
				return badColumn(colGaps)
			}
			a := int(low[i])
			if len(high) > 0 {
				a |= int(high[i]) << 8
			}
			r := &rows[o.place[a]]
			o.place[a]++
			r.offset, r.recv, r.seq, r.producer, r.agent = offset, s.recv, offset+lead, producer, o.agents[a]
			offset++
			i++
		}
		o.next[s.producer] = offset + lead
	}
	if gaps.bad || len(gaps.p) != 0 {
		return badColumn(colGaps)
	}
	return nil
}

// places counts the records of each agent and sets o.place to where they begin.
func (o *opener) places(low, high []byte) bool {
	o.place = slices.Grow(o.place[:0], len(o.agents))[:len(o.agents)]
	clear(o.place)
	for i, a := range low {
		k := int(a)
		if len(high) > 0 {
			k |= int(high[i]) << 8
		}
		if k >= len(o.place) {
			return false
		}
		o.place[k]++
	}
	sum := int32(0)
	for i, n := range o.place {
		if n == 0 {
			return false
		}
		o.place[i] = sum
		sum += n
	}
	return true
}

// byAgent fills in what the columns in order of agent say, and the payloads.
func (o *opener) byAgent(p *Part, shapes, keys []byte) error {
	n, values := len(p.rows), len(shapes)/shapeBytes
	low, high := o.cols[colShapes][:n], o.cols[colShapes][n:]
	o.lastLen = slices.Grow(o.lastLen[:0], values)[:values]
	clear(o.lastLen)
	lengths, ks, rest := reader{p: o.cols[colLengths]}, reader{p: o.cols[colKeys]}, reader{p: o.cols[colRest]}
	size, ok := o.size(low, high, shapes)
	if !ok {
		return badColumn(colShapes)
	}
	payload := slices.Grow(p.payload[:0], size)
	fresh, last := uint64(0), uint32(0)
	for i := range p.rows {
		s := int(low[i])
		if len(high) > 0 {
			s |= int(high[i]) << 8
		}
		r, v := &p.rows[i], shapes[shapeBytes*s:]
		r.kind, r.class, r.flags = block.Kind(v[0]), v[1], v[2]
		if t := v[4]; t > 0 {
			if payload, ok = o.join.append(payload, int(t)); !ok {
				return badColumn(colValues)
			}
		} else {
			o.lastLen[s] += int(unzigzag(lengths.uvarint()))
			whole := rest.bytes(uint64(o.lastLen[s]))
			if rest.bad {
				return badColumn(colLengths)
			}
			payload = append(payload, whole...)
		}
		if r.end, r.key = uint32(len(payload)), 0; v[3] == 0 {
			continue
		}
		switch k := ks.uvarint(); {
		case k == 0:
		case k == 1 && fresh < uint64(len(keys)/4):
			last = entryOf(keys, fresh)
			fresh++
		case k >= 2 && k-2 < fresh:
			last = entryOf(keys, k-2)
		default:
			return badColumn(colKeys)
		}
		if last == 0 {
			return badColumn(colKeys)
		}
		r.key = last
	}
	p.payload = payload
	switch {
	case lengths.bad || len(lengths.p) != 0 || len(rest.p) != 0:
		return badColumn(colLengths)
	case ks.bad || len(ks.p) != 0:
		return badColumn(colKeys)
	case !o.join.done():
		return badColumn(colValues)
	}
	return nil
}

// size returns the bytes of all payloads: the whole ones, the values of the
// others, and the words of their templates.
func (o *opener) size(low, high, shapes []byte) (size int, ok bool) {
	size = o.values
	for i, l := range low {
		s := int(l)
		if len(high) > 0 {
			s |= int(high[i]) << 8
		}
		if s >= len(shapes)/shapeBytes {
			return 0, false
		}
		v := shapes[shapeBytes*s:]
		if int(v[4]) >= len(o.join.templates) || v[3] > 1 {
			return 0, false
		}
		size += o.join.templates[v[4]].words
	}
	return size, len(low) == 1 || size <= PayloadBytesMax
}
