package stretch

import (
	"encoding/binary"
	"sort"
)

// Index is the directory of a stretch.
type Index struct {
	Stamp
	Base, Next       uint64 // offsets of the first record and behind the last
	RecvMin, RecvMax int64
	Bytes            uint64      // of payload, uncompressed
	Count            int         // records
	Chunks           []ChunkInfo // ascending by tier, agent, offset of the records
	Holes            []Hole      // offsets between Base and Next that the log itself lost, ascending
	keys             []uint32    // the first key of each key page
}

// Hole is offsets From to To, inclusive, that no record has.
type Hole struct{ From, To uint64 }

// OfAgent returns the chunks of the tier that may hold records of the agent, in
// order of their offsets; an alias of x.Chunks.
func (x *Index) OfAgent(tier uint8, agent uint32) []ChunkInfo {
	less := func(c *ChunkInfo, a uint32) bool { return c.Tier < tier || c.Tier == tier && c.LastAgent < a }
	from := sort.Search(len(x.Chunks), func(i int) bool { return !less(&x.Chunks[i], agent) })
	to := from
	for to < len(x.Chunks) && x.Chunks[to].Tier == tier && x.Chunks[to].FirstAgent <= agent {
		to++
	}
	return x.Chunks[from:to]
}

// KeyPages returns the number of key pages.
func (x *Index) KeyPages() int { return len(x.keys) }

// KeyPage returns the page that holds a key, if any does: see LookKey.
func (x *Index) KeyPage(key uint32) (page int, ok bool) {
	page = sort.Search(len(x.keys), func(i int) bool { return x.keys[i] > key }) - 1
	return page, page >= 0 && key != 0
}

// Append appends the index value.
func (x *Index) Append(dst []byte) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, indexMagic...)
	dst = append(dst, indexVersion, 0, 0, 0)
	dst = append(dst, x.LogID[:]...)
	dst = le.AppendUint32(dst, x.Epoch)
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint64(dst, x.Base)
	dst = le.AppendUint64(dst, x.Next)
	dst = le.AppendUint64(dst, uint64(x.RecvMin))
	dst = le.AppendUint64(dst, uint64(x.RecvMax))
	dst = le.AppendUint64(dst, x.Chain)
	dst = le.AppendUint64(dst, x.Stamp.Digest)
	dst = le.AppendUint64(dst, x.Bytes)
	dst = le.AppendUint32(dst, uint32(x.Count))
	section := func(id byte, fill func()) {
		dst = append(dst, id, 0, 0, 0, 0)
		at := len(dst)
		fill()
		le.PutUint32(dst[at-4:], uint32(len(dst)-at))
	}
	section(sectionChunks, func() { dst = x.appendChunks(dst) })
	section(sectionPages, func() {
		for _, k := range x.keys {
			dst = le.AppendUint32(dst, k)
		}
	})
	section(sectionHoles, func() {
		for _, h := range x.Holes {
			dst = binary.AppendUvarint(dst, h.From-x.Base)
			dst = binary.AppendUvarint(dst, h.To-h.From+1)
		}
	})
	return seal(dst, start)
}

func (x *Index) appendChunks(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(x.Chunks)))
	tier, agent := uint8(0), uint32(0)
	for i := range x.Chunks {
		c := &x.Chunks[i]
		if c.Tier != tier {
			agent = 0
		}
		for _, v := range [...]uint64{uint64(c.Tier - tier), uint64(c.FirstAgent - agent), uint64(c.LastAgent - c.FirstAgent),
			c.FirstOffset - x.Base, c.LastOffset - c.FirstOffset, uint64(c.RecvMin) - uint64(x.RecvMin), uint64(c.RecvMax) - uint64(c.RecvMin),
			uint64(c.Count), uint64(c.Kinds), c.Classes, uint64(c.Len)} {
			dst = binary.AppendUvarint(dst, v)
		}
		dst = binary.LittleEndian.AppendUint32(dst, c.CRC)
		dst = binary.LittleEndian.AppendUint64(dst, c.Digest)
		tier, agent = c.Tier, c.LastAgent
	}
	return dst
}

// DecodeIndex checks an index value and opens it; nothing of value is kept.
// Errors are *CorruptError or *VersionError. What is allocated is bounded by the
// length of value.
func DecodeIndex(value []byte) (*Index, error) {
	body, err := check(partIndex, indexMagic, value, indexFixed, indexVersion)
	if err != nil {
		return nil, err
	}
	return openIndex(body)
}

// openIndex is DecodeIndex behind the checksum.
func openIndex(body []byte) (*Index, error) {
	le := binary.LittleEndian
	if string(body[5:8]) != "\x00\x00\x00" || le.Uint32(body[28:]) != 0 {
		return nil, corrupt(partIndex, "reserved bytes are not zero")
	}
	x := &Index{Base: le.Uint64(body[32:]), Next: le.Uint64(body[40:]), RecvMin: int64(le.Uint64(body[48:])),
		RecvMax: int64(le.Uint64(body[56:])), Bytes: le.Uint64(body[80:]), Count: int(le.Uint32(body[88:]))}
	copy(x.LogID[:], body[8:])
	x.Epoch, x.Chain, x.Stamp.Digest = le.Uint32(body[24:]), le.Uint64(body[64:]), le.Uint64(body[72:])
	if x.Base == 0 || x.Next <= x.Base || x.Next > offsetMax || uint64(x.Count) > x.Next-x.Base || x.RecvMin > x.RecvMax {
		return nil, corrupt(partIndex, "%d records, offsets %d to %d, recv %d to %d", x.Count, x.Base, x.Next, x.RecvMin, x.RecvMax)
	}
	rest := reader{p: body[indexFixed:]}
	for len(rest.p) > 0 {
		head := rest.bytes(5)
		if head == nil {
			return nil, corrupt(partIndex, "cut off between sections")
		}
		sec := rest.bytes(uint64(le.Uint32(head[1:])))
		if rest.bad {
			return nil, corrupt(partIndex, "section %d is cut off", head[0])
		}
		ok := true
		switch head[0] {
		case sectionChunks:
			ok = x.openChunks(reader{p: sec})
		case sectionPages:
			ok = x.openPages(sec)
		case sectionHoles:
			ok = x.openHoles(reader{p: sec})
		}
		if !ok {
			return nil, corrupt(partIndex, "section %d is damaged", head[0])
		}
	}
	return x, x.audit()
}

func (x *Index) openChunks(r reader) bool {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.p)/chunkEntryMin) {
		return false
	}
	x.Chunks = make([]ChunkInfo, n)
	tier, agent, no := uint64(0), uint64(0), uint32(0)
	for i := range x.Chunks {
		c := &x.Chunks[i]
		if d := r.uvarint(); d != 0 {
			tier += d
			agent, no = 0, 0
			if d > 255 || tier > 255 {
				return false
			}
		}
		first, wide := r.uvarint(), r.uvarint()
		if first >= 1<<32 || wide >= 1<<32 || agent+first+wide >= 1<<32 {
			return false
		}
		c.Tier, c.No, c.FirstAgent = uint8(tier), no, uint32(agent+first)
		agent += first + wide
		c.LastAgent = uint32(agent)
		no++
		from, to := r.uvarint(), r.uvarint()
		c.FirstOffset, c.LastOffset = x.Base+from, x.Base+from+to
		if size := x.Next - x.Base; from >= size || to >= size-from {
			return false
		}
		early, late := r.uvarint(), r.uvarint()
		c.RecvMin, c.RecvMax = int64(uint64(x.RecvMin)+early), int64(uint64(x.RecvMin)+early+late)
		if span := uint64(x.RecvMax) - uint64(x.RecvMin); early > span || late > span-early {
			return false
		}
		count, kinds, classes, size := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
		if count == 0 || count > RecordsMax || kinds >= 1<<32 || size >= 1<<32 {
			return false
		}
		c.Count, c.Kinds, c.Classes, c.Len = int(count), uint32(kinds), classes, uint32(size)
		c.CRC, c.Digest = r.uint32(), r.uint64()
		if r.bad {
			return false
		}
	}
	return len(r.p) == 0
}

func (x *Index) openPages(p []byte) bool {
	x.keys = make([]uint32, len(p)/4)
	for i := range x.keys {
		x.keys[i] = binary.LittleEndian.Uint32(p[4*i:])
		if x.keys[i] == 0 || i > 0 && x.keys[i] <= x.keys[i-1] {
			return false
		}
	}
	return len(p)%4 == 0
}

func (x *Index) openHoles(r reader) bool {
	x.Holes = nil
	for at := uint64(0); len(r.p) > 0; {
		from, n := r.uvarint(), r.uvarint()
		if size := x.Next - x.Base; r.bad || from <= at || n == 0 || from >= size || n >= size-from {
			return false
		}
		x.Holes = append(x.Holes, Hole{From: x.Base + from, To: x.Base + from + n - 1})
		at = from + n
	}
	return true
}

// audit tells whether the sums are right.
func (x *Index) audit() error {
	records, holes := 0, uint64(0)
	for i := range x.Chunks {
		records += x.Chunks[i].Count
	}
	for _, h := range x.Holes {
		holes += h.To - h.From + 1
	}
	if records != x.Count || uint64(records)+holes != x.Next-x.Base {
		return corrupt(partIndex, "offsets %d to %d, %d records said, %d in chunks, %d offsets lost", x.Base, x.Next, x.Count, records, holes)
	}
	return nil
}

// Sum is the sum of the chunks' digests; it must be that over the blocks, see Digest.
func (x *Index) Sum() (sum uint64) {
	for i := range x.Chunks {
		sum += x.Chunks[i].Digest
	}
	return sum
}
