package block

import (
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Decode checks the body value of the block with header h and returns the
// block. It keeps nothing of value. What it allocates is bounded by the limits
// of the format, whatever value claims. Errors are *CorruptError or *VersionError.
func Decode(h *Header, value []byte) (*Block, error) {
	var s Scratch
	return s.decode(h, value, &Block{})
}

// Scratch is memory for blocks that are looked at one after the other. It belongs
// to one goroutine.
type Scratch struct {
	block            Block
	columns, payload []byte
	agents           []uint32
}

// Decode does what Decode does; the block is valid until the next call.
func (s *Scratch) Decode(h *Header, value []byte) (*Block, error) {
	s.block = Block{rows: s.block.rows, ranges: s.block.ranges}
	return s.decode(h, value, &s.block)
}

func (s *Scratch) decode(h *Header, value []byte, b *Block) (*Block, error) {
	if len(value) != h.BodyLen {
		return nil, badBody(h.Base, "%d bytes, %d expected", len(value), h.BodyLen)
	}
	if got := checksum(value); got != h.BodyCRC {
		return nil, badBody(h.Base, "CRC32C is %08x, the header says %08x", got, h.BodyCRC)
	}
	return s.open(h, value, b)
}

// open is decode behind the checksum.
func (s *Scratch) open(h *Header, value []byte, b *Block) (*Block, error) {
	if len(value) < bodyFixed || string(value[:4]) != bodyMagic {
		return nil, badBody(h.Base, "does not begin with %q", bodyMagic)
	}
	if value[4] > bodyVersion {
		return nil, &VersionError{Part: "body", Got: int(value[4]), Most: bodyVersion}
	}
	if value[4] != bodyVersion {
		return nil, badBody(h.Base, "version %d", value[4])
	}
	n := int(value[5])
	at := bodyFixed + n*sectionDir
	if at > len(value) {
		return nil, badBody(h.Base, "%d sections in %d bytes", n, len(value))
	}
	var columns, payload []byte
	for i := range n {
		d := value[bodyFixed+i*sectionDir:]
		raw, stored := uint64(binary.LittleEndian.Uint32(d[4:])), uint64(binary.LittleEndian.Uint32(d[8:]))
		if stored > uint64(len(value)-at) {
			return nil, badBody(h.Base, "section %d claims %d bytes of %d", d[0], stored, len(value)-at)
		}
		src := value[at : at+int(stored)]
		at += int(stored)
		var err error
		switch d[0] {
		case sectionColumns:
			columns, err = open(h, d[1], src, raw, RecordsMax*64, s.columns)
			s.columns = columns
		case sectionPayloads:
			most := uint64(PayloadBytesMax)
			if h.Count == 1 {
				most = RecordBytesMax
			}
			payload, err = open(h, d[1], src, raw, most, s.payload)
			s.payload = payload
		}
		if err != nil {
			return nil, err
		}
	}
	b.base, b.payload, b.classes, b.kinds = h.Base, payload, h.Classes, h.Kinds
	b.rows = slices.Grow(b.rows[:0], h.Count)[:h.Count]
	var err error
	if b.ranges, err = h.Ranges(b.ranges[:0]); err != nil {
		return nil, err
	}
	if s.agents, err = b.open(h, columns, s.agents[:0]); err != nil {
		return nil, err
	}
	return b, nil
}

// Payloads checks the body value of the block with header h and returns the
// payloads of all its records, end to end, in buf or in more memory where that is
// short. Errors are those of Decode.
func Payloads(h *Header, value, buf []byte) ([]byte, error) {
	if len(value) != h.BodyLen || checksum(value) != h.BodyCRC || len(value) < bodyFixed || string(value[:4]) != bodyMagic || value[4] != bodyVersion {
		_, err := Decode(h, value) // says what is wrong
		return nil, err
	}
	n := int(value[5])
	at := bodyFixed + n*sectionDir
	for i := range n {
		if at > len(value) {
			break
		}
		d := value[bodyFixed+i*sectionDir:]
		raw, stored := uint64(binary.LittleEndian.Uint32(d[4:])), uint64(binary.LittleEndian.Uint32(d[8:]))
		if stored > uint64(len(value)-at) {
			break
		}
		if src := value[at : at+int(stored)]; d[0] == sectionPayloads && d[1] == codecS2 && raw <= RecordBytesMax {
			if m, err := s2.DecodedLen(src); err == nil && uint64(m) == raw {
				if p, err := s2.Decode(buf[:cap(buf)], src); err == nil {
					return p, nil
				}
			}
		}
		at += int(stored)
	}
	b, err := Decode(h, value)
	if err != nil {
		return nil, err
	}
	return b.payload, nil
}

// open returns a section's bytes, in dst if that is large enough.
func open(h *Header, codec byte, src []byte, raw, most uint64, dst []byte) ([]byte, error) {
	if raw > most {
		return nil, badBody(h.Base, "section of %d bytes, at most %d allowed", raw, most)
	}
	switch codec {
	case codecNone:
		if uint64(len(src)) != raw {
			return nil, badBody(h.Base, "section of %d bytes, %d expected", len(src), raw)
		}
		return append(dst[:0], src...), nil
	case codecS2:
		n, err := s2.DecodedLen(src)
		if err != nil || uint64(n) != raw {
			return nil, badBody(h.Base, "S2 announces %d bytes, %d expected", n, raw)
		}
		if dst, err = s2.Decode(slices.Grow(dst[:0], n)[:n], src); err != nil {
			return nil, badBody(h.Base, "S2: %v", err)
		}
		return dst, nil
	}
	return nil, badBody(h.Base, "codec %d is not known", codec)
}

// column is one column being read. The first failure sticks in bad.
type column struct {
	enc  byte
	data []byte
	bad  bool
}

func (c *column) uvarint() uint64 {
	v, k := binary.Uvarint(c.data)
	if k <= 0 {
		c.bad = true
		return 0
	}
	c.data = c.data[k:]
	return v
}

// runs calls fn for each of the n rows.
func (c *column) runs(n int, fn func(i int, v uint64)) {
	for i := 0; i < n && !c.bad; {
		run, v := c.uvarint(), c.uvarint()
		if c.bad || run == 0 || run > uint64(n-i) {
			c.bad = true
			return
		}
		for end := i + int(run); i < end; i++ {
			fn(i, v)
		}
	}
	if len(c.data) != 0 {
		c.bad = true
	}
}

func (c *column) bytes(n int, fn func(i int, v byte)) {
	switch {
	case c.enc == encConst && len(c.data) == 1:
		for i := range n {
			fn(i, c.data[0])
		}
	case c.enc == encBytes && len(c.data) == n:
		for i := range n {
			fn(i, c.data[i])
		}
	default:
		c.bad = true
	}
}

func (c *column) indexes(n int, table []uint32, fn func(i int, v uint32)) {
	width := 1
	if c.enc == encIndex2 {
		width = 2
	} else if c.enc != encIndex1 {
		c.bad = true
		return
	}
	if len(c.data) != n*width {
		c.bad = true
		return
	}
	for i := range n {
		x := int(c.data[i*width])
		if width == 2 {
			x |= int(c.data[i*2+1]) << 8
		}
		if x >= len(table) {
			c.bad = true
			return
		}
		fn(i, table[x])
	}
}

func (c *column) keys(n int, fn func(i int, v uint32)) {
	switch c.enc {
	case encConst:
		c.bad = len(c.data) != 0
		for i := range n {
			fn(i, 0)
		}
	case encFixed4:
		if len(c.data) != 4*n {
			c.bad = true
			return
		}
		for i := range n {
			fn(i, binary.LittleEndian.Uint32(c.data[4*i:]))
		}
	default:
		distinct := c.uvarint()
		if c.bad || distinct > RecordsMax || uint64(len(c.data)) < 4*distinct {
			c.bad = true
			return
		}
		table := make([]uint32, distinct)
		for i := range table {
			table[i] = binary.LittleEndian.Uint32(c.data[4*i:])
		}
		c.data = c.data[4*distinct:]
		c.indexes(n, table, fn)
	}
}

// open fills the rows from the columns. It returns the memory for agents, perhaps
// grown.
func (b *Block) open(h *Header, raw []byte, agents []uint32) ([]uint32, error) {
	cols, err := directory(h, raw)
	if err != nil {
		return agents, err
	}
	rows, n := b.rows, len(b.rows)
	agents, ok := appendSet(slices.Grow(agents, min(RecordsMax, len(h.agents))), h.agents, 1<<32)
	if !ok {
		return agents, badBody(h.Base, "the header's set of agents is damaged")
	}
	cols[columnKind].bytes(n, func(i int, v byte) { rows[i].kind = Kind(v) })
	cols[columnClass].bytes(n, func(i int, v byte) { rows[i].class = v })
	cols[columnFlags].bytes(n, func(i int, v byte) { rows[i].flags = v })
	cols[columnProducer].runs(n, func(i int, v uint64) { rows[i].producer = uint32(v) })
	prev := ^uint64(0)
	cols[columnSeq].runs(n, func(i int, v uint64) {
		prev += 1 + uint64(unzigzag(v))
		rows[i].seq = prev
	})
	cols[columnAgent].indexes(n, agents, func(i int, v uint32) { rows[i].agent = v })
	cols[columnKey].keys(n, func(i int, v uint32) { rows[i].key = v })
	recv := h.RecvMin
	cols[columnRecv].runs(n, func(i int, v uint64) {
		recv += unzigzag(v)
		rows[i].recv = recv
	})
	length, end := &cols[columnLength], uint64(0)
	for i := range rows {
		v := length.uvarint()
		if v > uint64(len(b.payload))-end {
			length.bad = true
			break
		}
		end += v
		rows[i].end = uint32(end)
	}
	if len(length.data) != 0 || end != uint64(len(b.payload)) {
		length.bad = true
	}
	for id := columnKind; id < columnEnd; id++ {
		if cols[id].bad {
			return agents, badBody(h.Base, "column %d is damaged", id)
		}
	}
	return agents, nil
}

func directory(h *Header, raw []byte) (cols [columnEnd]column, err error) {
	for i := range cols {
		cols[i].bad = true // until found
	}
	dir := column{data: raw}
	n := dir.uvarint()
	type entry struct {
		id, enc byte
		length  uint64
	}
	var entries [64]entry
	if n > uint64(len(entries)) {
		return cols, badBody(h.Base, "%d columns", n)
	}
	for i := range entries[:n] {
		if len(dir.data) < 3 {
			return cols, badBody(h.Base, "the directory of columns is cut off")
		}
		entries[i].id, entries[i].enc = dir.data[0], dir.data[1]
		dir.data = dir.data[2:]
		entries[i].length = dir.uvarint()
	}
	for _, e := range entries[:n] {
		if dir.bad || e.length > uint64(len(dir.data)) {
			return cols, badBody(h.Base, "column %d claims %d bytes of %d", e.id, e.length, len(dir.data))
		}
		if e.id >= columnKind && e.id < columnEnd {
			cols[e.id] = column{enc: e.enc, data: dir.data[:e.length]}
		}
		dir.data = dir.data[e.length:]
	}
	return cols, nil
}
