package block

import "encoding/binary"

// Header is a block's header value, checked and opened for searching. Its sets
// and ranges alias the value and are read in place.
type Header struct {
	LogID   [16]byte
	Epoch   uint32
	Base    uint64
	Count   int
	RecvMin int64
	RecvMax int64
	Classes uint64 // bit class & 63 of every record
	Kinds   uint32 // Kind.Mask of every record
	BodyLen int
	BodyCRC uint32
	Chain   uint64
	CRC     uint32

	agents, keys, ranges []byte
	rangeTail            int // bytes behind each range
}

// DecodeHeader checks value and opens it in h, which aliases value from then
// on. It returns *CorruptError or *VersionError and allocates only for those.
func DecodeHeader(value []byte, h *Header) error {
	if len(value) < headerMin {
		return badHeader("%d bytes, at least %d expected", len(value), headerMin)
	}
	le := binary.LittleEndian
	want := le.Uint32(value[len(value)-4:])
	if string(value[:4]) != headerMagic {
		return badHeader("begins with %x, not with %q", value[:4], headerMagic)
	}
	if value[4] > headerVersion && checksum(value[:len(value)-4]) == want {
		return &VersionError{Part: "header", Got: int(value[4]), Most: headerVersion}
	}
	if got := checksum(value[:len(value)-4]); got != want {
		return badHeader("CRC32C is %08x, stored %08x", got, want)
	}
	return openHeader(value, h)
}

// openHeader is DecodeHeader behind the checksum.
func openHeader(value []byte, h *Header) error {
	le := binary.LittleEndian
	if value[4] == 0 || value[4] > headerVersion || value[5] != 0 {
		return badHeader("version %d, flags %d", value[4], value[5])
	}
	*h = Header{
		Epoch: le.Uint32(value[24:]), Count: int(le.Uint32(value[28:])), Base: le.Uint64(value[32:]),
		RecvMin: int64(le.Uint64(value[40:])), RecvMax: int64(le.Uint64(value[48:])),
		Classes: le.Uint64(value[56:]), Kinds: le.Uint32(value[64:]),
		BodyLen: int(le.Uint32(value[68:])), BodyCRC: le.Uint32(value[72:]), Chain: le.Uint64(value[76:]),
		CRC: le.Uint32(value[len(value)-4:]),
	}
	copy(h.LogID[:], value[8:])
	if value[4] == 1 {
		h.rangeTail = 8
	}
	if h.Count < 1 || h.Count > RecordsMax {
		return badHeader("%d records, 1 to %d expected", h.Count, RecordsMax)
	}
	if h.Base == 0 || h.Base >= 1<<53 {
		return badHeader("base %d, 1 to 2^53-1 expected", h.Base)
	}
	if h.RecvMin > h.RecvMax {
		return badHeader("recv from %d down to %d", h.RecvMin, h.RecvMax)
	}
	rest := value[headerFixed : len(value)-4]
	for len(rest) > 0 {
		if len(rest) < 5 {
			return badHeader("%d bytes behind the sections", len(rest))
		}
		id, n := rest[0], uint64(le.Uint32(rest[1:]))
		if n > uint64(len(rest)-5) {
			return badHeader("section %d claims %d bytes of %d", id, n, len(rest)-5)
		}
		body := rest[5 : 5+n]
		rest = rest[5+n:]
		switch id {
		case sectionAgents:
			h.agents = body
		case sectionKeys:
			h.keys = body
		case sectionRanges:
			h.ranges = body
		}
	}
	return nil
}

// Next returns the offset behind the block.
func (h *Header) Next() uint64 { return h.Base + uint64(h.Count) }

// Digest is over this header and all before it: the chain of the next one.
func (h *Header) Digest() uint64 { return link(h.Chain, h.Base, h.CRC) }

// HasAgent tells whether a record of the agent is in the block.
func (h *Header) HasAgent(n uint32) bool { return setHas(h.agents, n) }

// MayHaveKey tells whether a record with the key may be in the block; false is certain.
func (h *Header) MayHaveKey(k uint32) bool { return setHas(h.keys, k>>16) }

// Agents appends the sorted numbers of all agents in the block, 0 included if a
// record names none.
func (h *Header) Agents(dst []uint32) []uint32 {
	dst, _ = appendSet(dst, h.agents, 1<<32)
	return dst
}

// Ranges appends what the block holds of each producer.
func (h *Header) Ranges(dst []Range) ([]Range, error) {
	rest := h.ranges
	for len(rest) > 0 {
		var v [5]uint64
		for i := range v {
			x, k := binary.Uvarint(rest)
			if k <= 0 {
				return dst, h.badRange("cut off")
			}
			v[i], rest = x, rest[k:]
		}
		if len(rest) < h.rangeTail {
			return dst, h.badRange("cut off")
		}
		if len(dst) >= RecordsMax {
			return dst, h.badRange("too many")
		}
		if v[0] >= 1<<32 || v[4] >= h.Base || v[2]+v[3] < v[2] {
			return dst, h.badRange("out of bounds")
		}
		r := Range{Producer: uint32(v[0]), Epoch: v[1], From: v[2], To: v[2] + v[3] - 1}
		if v[4] != 0 {
			r.Prev = h.Base - v[4]
		}
		rest = rest[h.rangeTail:]
		dst = append(dst, r)
	}
	return dst, nil
}

func (h *Header) badRange(msg string) error {
	return &CorruptError{Part: "header", Base: h.Base, Msg: "ranges: " + msg}
}
