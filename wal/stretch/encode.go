package stretch

import (
	"encoding/binary"
	"math"

	"eyrie/wal/block"

	"github.com/klauspost/compress/zstd"
)

// ChunkInfo is what the index says of a chunk.
type ChunkInfo struct {
	Tier                    uint8
	No                      uint32 // within the tier, from 0
	FirstAgent, LastAgent   uint32
	FirstOffset, LastOffset uint64 // least and greatest
	RecvMin, RecvMax        int64
	Count                   int
	Kinds                   uint32 // block.Kind.Mask of every record
	Classes                 uint64 // bit class & 63 of every record
	Len                     uint32 // of the value
	CRC                     uint32 // CRC32C that the value ends with
	Digest                  uint64 // sum over the records, see Digest
}

// entry is one record of the chunk being made.
type entry struct {
	at  uint32 // place in the stretch: grows with the offset
	rec block.Record
}

// stride is a run of records in order of their offsets, see format.go.
type stride struct {
	count    int
	gap      uint64 // between the end of the stride before and the first offset
	producer int    // index
	recv     int64
	seq      uint64 // of the first record less what was expected
}

// encoder makes chunks. It owns scratch space.
type encoder struct {
	zip     *zstd.Encoder
	order   []uint64 // place in the stretch << 32 | index, ascending
	spare   []uint64
	agents  []uint32
	agentAt []uint16 // of each record, the index of its agent
	strides []stride
	next    []uint64 // of each producer, the number expected
	lastLen []int    // of each shape
	table   table    // producers, then shapes, then keys: those of the chunk made last, each once
	split   splitter
	grams   grams
	bases   table // shapes without key and template
	cols    [colEnd][]byte
	alone   [][]byte // values of a field
	value   []byte
}

// chunk encodes the entries, at least one, ascending by agent and offset. c has
// tier and number; the rest is filled in. The value is valid until the next call.
func (e *encoder) chunk(c *ChunkInfo, recs []entry) []byte {
	for i := range e.cols {
		e.cols[i] = e.cols[i][:0]
	}
	e.summary(c, recs)
	e.sort(recs)
	e.byOffset(recs)
	e.byAgent(recs)

	v := append(e.value[:0], chunkMagic...)
	v = append(v, chunkVersion, c.Tier)
	v = binary.LittleEndian.AppendUint16(v, uint16(len(e.alone)))
	v = binary.LittleEndian.AppendUint32(v, uint32(len(recs)))
	for i := range e.cols {
		v = pack(v, e.zip, e.cols[i])
	}
	for _, f := range e.alone {
		v = pack(v, e.zip, f)
	}
	v = e.filter(v)
	v = seal(v, 0)
	e.value = v
	c.Len, c.CRC = uint32(len(v)), binary.LittleEndian.Uint32(v[len(v)-4:])
	return v
}

// filter appends the filter of what the chunk v holds.
func (e *encoder) filter(v []byte) []byte {
	e.grams.reset()
	for _, i := range [...]int{colTemplates, colValues, colRest} {
		e.grams.add(e.cols[i])
	}
	for _, f := range e.alone {
		e.grams.add(f)
	}
	at := len(v)
	v = append(v, make([]byte, sectionHead)...)
	v = e.grams.filter(v, at/filterShare)
	n := uint32(len(v) - at - sectionHead)
	v[at] = codecNone
	binary.LittleEndian.PutUint32(v[at+1:], n)
	binary.LittleEndian.PutUint32(v[at+5:], n)
	return v
}

// summary fills c and numbers the agents.
func (e *encoder) summary(c *ChunkInfo, recs []entry) {
	e.agents, e.agentAt = e.agents[:0], e.agentAt[:0]
	c.FirstAgent, c.LastAgent = recs[0].rec.Agent, recs[len(recs)-1].rec.Agent
	c.FirstOffset, c.LastOffset = math.MaxUint64, 0
	c.RecvMin, c.RecvMax = math.MaxInt64, math.MinInt64
	c.Count = len(recs)
	for i := range recs {
		r := &recs[i].rec
		if i == 0 || r.Agent != e.agents[len(e.agents)-1] {
			e.agents = append(e.agents, r.Agent)
		}
		e.agentAt = append(e.agentAt, uint16(len(e.agents)-1))
		c.FirstOffset, c.LastOffset = min(c.FirstOffset, r.Offset), max(c.LastOffset, r.Offset)
		c.RecvMin, c.RecvMax = min(c.RecvMin, r.Recv), max(c.RecvMax, r.Recv)
		c.Kinds |= r.Kind.Mask()
		c.Classes |= 1 << (r.Class & 63)
		c.Digest += digest(r)
	}
}

// sort puts the indexes of recs into order, by offset.
func (e *encoder) sort(recs []entry) {
	e.order = e.order[:0]
	for i := range recs {
		e.order = append(e.order, uint64(recs[i].at)<<32|uint64(i))
	}
	e.order, e.spare = sortHigh(e.order, e.spare)
}

// byOffset fills the columns that are in order of offset, and begins the tables.
func (e *encoder) byOffset(recs []entry) {
	first := &recs[uint32(e.order[0])].rec
	tables := binary.AppendUvarint(e.cols[colTables], first.Offset)
	tables = binary.LittleEndian.AppendUint64(tables, uint64(first.Recv))
	tables = binary.AppendUvarint(tables, uint64(len(e.agents)))
	for i, a := range e.agents {
		if i > 0 {
			a -= e.agents[i-1] + 1
		}
		tables = binary.AppendUvarint(tables, uint64(a))
	}
	e.table.reset()
	e.next, e.strides = e.next[:0], e.strides[:0]
	gaps, agents := e.cols[colGaps], e.cols[colAgents]
	after := first.Offset // the offset expected
	var prev *block.Record
	for _, o := range e.order {
		r := &recs[uint32(o)].rec
		if prev != nil && r.Producer == prev.Producer && r.Recv == prev.Recv && r.Seq-prev.Seq == r.Offset-prev.Offset {
			gaps = binary.AppendUvarint(gaps, r.Offset-after)
			e.strides[len(e.strides)-1].count++
		} else {
			e.settle(prev)
			p, isNew := e.table.add(uint64(r.Producer))
			if isNew {
				e.next = append(e.next, 0)
			}
			e.strides = append(e.strides, stride{count: 1, gap: r.Offset - after, producer: p, recv: r.Recv, seq: r.Seq - e.next[p]})
		}
		after, prev = r.Offset+1, r
		agents = append(agents, byte(e.agentAt[uint32(o)]))
	}
	if len(e.agents) > 256 {
		for _, o := range e.order {
			agents = append(agents, byte(e.agentAt[uint32(o)]>>8))
		}
	}
	e.cols[colGaps], e.cols[colAgents] = gaps, agents
	tables = appendFixed(tables, e.table.values, 4)
	e.cols[colTables] = tables
	e.cols[colStrides] = appendStrides(e.cols[colStrides], e.strides, first.Recv)
}

// settle notes the number that prev's producer is expected to go on with.
func (e *encoder) settle(prev *block.Record) {
	if prev != nil {
		e.next[e.strides[len(e.strides)-1].producer] = prev.Seq + 1
	}
}

// appendFixed appends a table, width bytes each.
func appendFixed(dst []byte, values []uint64, width int) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint64(dst, v)
		dst = dst[:len(dst)-8+width]
	}
	return dst
}

func appendStrides(dst []byte, ss []stride, recv int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ss)))
	for i := range ss {
		dst = binary.AppendUvarint(dst, uint64(ss[i].count-1))
	}
	for i := range ss {
		dst = binary.AppendUvarint(dst, ss[i].gap)
	}
	for i := range ss {
		dst = binary.AppendUvarint(dst, uint64(ss[i].producer))
	}
	for i := range ss {
		dst = binary.AppendUvarint(dst, zigzag(uint64(ss[i].recv)-uint64(recv)))
		recv = ss[i].recv
	}
	for i := range ss {
		dst = binary.AppendUvarint(dst, zigzag(ss[i].seq))
	}
	return dst
}

// shape packs what many records have alike.
func shape(r *block.Record, template int) uint64 {
	s := uint64(r.Kind) | uint64(r.Class)<<8 | uint64(r.Flags)<<16 | uint64(template)<<32
	if r.Key != 0 {
		s |= shapeKey
	}
	return s
}

const shapeKey = 1 << 24

// shapeBytes of a shape in the tables.
const shapeBytes = 5

// byAgent fills the columns that are in order of agent, and ends the tables.
func (e *encoder) byAgent(recs []entry) {
	e.table.reset()
	e.split.reset()
	e.bases.reset()
	e.lastLen = e.lastLen[:0]
	shapes, lengths, rest := e.cols[colShapes], e.cols[colLengths], e.cols[colRest]
	e.order = e.order[:0] // from here on the shapes' numbers
	for i := range recs {
		r, t := &recs[i].rec, 0
		if len(recs) > 1 {
			base, _ := e.bases.add(shape(r, 0) &^ shapeKey)
			t = e.split.split(r.Payload, base)
		}
		s, isNew := e.table.add(shape(r, t))
		if isNew {
			e.lastLen = append(e.lastLen, 0)
		}
		shapes = append(shapes, byte(s))
		e.order = append(e.order, uint64(s))
		if t > 0 {
			continue
		}
		lengths = binary.AppendUvarint(lengths, zigzag(uint64(len(r.Payload)-e.lastLen[s])))
		e.lastLen[s] = len(r.Payload)
		rest = append(rest, r.Payload...)
	}
	if len(e.table.values) > 256 {
		for _, s := range e.order {
			shapes = append(shapes, byte(s>>8))
		}
	}
	e.cols[colShapes], e.cols[colLengths], e.cols[colRest] = shapes, lengths, rest
	e.cols[colTemplates], e.cols[colValues], e.alone = e.split.append(e.cols[colTemplates], e.cols[colValues], e.alone[:0])
	e.cols[colTables] = appendFixed(e.cols[colTables], e.table.values, shapeBytes)

	e.table.reset()
	keys, last := e.cols[colKeys], -1
	for i := range recs {
		k := recs[i].rec.Key
		if k == 0 {
			continue
		}
		at, isNew := e.table.add(uint64(k))
		switch {
		case at == last:
			keys = append(keys, 0)
		case isNew:
			keys = append(keys, 1)
		default:
			keys = binary.AppendUvarint(keys, uint64(at)+2)
		}
		last = at
	}
	e.cols[colKeys] = keys
	e.cols[colTables] = appendFixed(e.cols[colTables], e.table.values, 4)
}

// sortHigh sorts by the upper 32 bits, equal ones in their order: a radix sort,
// one pass for each byte in which they differ. It returns the sorted slice and
// the other one, which is grown if it is too small.
func sortHigh(a, b []uint64) (sorted, spare []uint64) {
	if cap(b) < len(a) {
		b = make([]uint64, len(a))
	}
	b = b[:len(a)]
	or, and := uint64(0), ^uint64(0)
	for _, v := range a {
		or |= v
		and &= v
	}
	for shift := 32; shift < 64; shift += 8 {
		if (or^and)>>shift&0xff == 0 {
			continue
		}
		var at [256]int
		for _, v := range a {
			at[v>>shift&0xff]++
		}
		sum := 0
		for i, n := range at {
			at[i] = sum
			sum += n
		}
		for _, v := range a {
			d := v >> shift & 0xff
			b[at[d]] = v
			at[d]++
		}
		a, b = b, a
	}
	return a, b
}
