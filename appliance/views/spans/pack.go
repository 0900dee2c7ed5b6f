package spans

import "encoding/binary"

// marks is what an index entry says of its row, so that filters need not read it.
type marks struct {
	typ, status uint8
	run, up     uint32 // low bits of the hashes of run and parent
	agent       uint32
}

func (e *entry) marks() marks {
	return marks{e.typ, e.status, uint32(e.run), uint32(e.up), e.agent}
}

// item is one entry of an index: a row's key, what selects it, and its page.
type item struct {
	key
	marks
	page uint64
}

// A pack's value: the first entry's offset, then entries of
//
//	pages since the last entry × 4 + same run × 1 + same parent × 2   uvarint
//	start since the last entry's, at first since the bucket's         varint
//	offset since the last entry's                                     varint
//	type × 16 + status                                                1 byte
//	agent        uvarint, unless the group is an agent's
//	run, parent  4 bytes each, unless the same, the group's, or of no use there
//
// in order of their keys; "same" is as in the entry before, at first zero.
type packer struct {
	kind   byte
	b      []byte
	n      int
	start  uint64
	off    uint64
	page   uint64
	up     uint32
	run    uint32
	bucket uint64
}

// packMax bounds the entries of a pack; it is above pageRows, so that no two
// packs of a bucket begin in the same page.
const packMax = 4096

func hasRun(kind byte) bool   { return kind == kAgent || kind == kParent }
func hasUp(kind byte) bool    { return kind == kAgent || kind == kRun }
func hasAgent(kind byte) bool { return kind != kAgent }

func (p *packer) begin(kind byte, bucket, off, page uint64) {
	p.kind, p.n, p.bucket, p.run, p.up = kind, 0, bucket, 0, 0
	p.b = binary.AppendUvarint(p.b[:0], off)
	p.start, p.off, p.page = bucket<<shift(kind), off, page
}

func (p *packer) add(e *entry, page uint64) {
	run, up := uint32(e.run), uint32(e.up)
	head := (page - p.page) << 2
	if !hasRun(p.kind) || run == p.run {
		head |= 1
	}
	if !hasUp(p.kind) || up == p.up {
		head |= 2
	}
	start := uint64(e.start) ^ 1<<63
	b := p.b
	if head < 0x80 {
		b = append(b, byte(head))
	} else {
		b = binary.AppendUvarint(b, head)
	}
	b = binary.AppendVarint(b, int64(start-p.start))
	b = binary.AppendVarint(b, int64(e.off-p.off))
	b = append(b, e.typ<<4|e.status)
	if hasAgent(p.kind) {
		b = binary.AppendUvarint(b, uint64(e.agent))
	}
	if head&1 == 0 {
		b = binary.LittleEndian.AppendUint32(b, run)
	}
	if head&2 == 0 {
		b = binary.LittleEndian.AppendUint32(b, up)
	}
	p.b = b
	p.start, p.off, p.page, p.run, p.up = start, e.off, page, run, up
	p.n++
}

// unpack appends the entries of a pack. group is what they share: the agent,
// or the hash of run or parent.
func unpack(dst []item, kind byte, group, bucket, page uint64, b []byte) ([]item, bool) {
	r := reader{b: b}
	start, off := bucket<<shift(kind), r.uvarint()
	m := marks{}
	for len(r.b) > 0 && !r.bad {
		head := r.uvarint()
		page += head >> 2
		start += uint64(r.varint())
		off += uint64(r.varint())
		ts := r.byte()
		m.typ, m.status = ts>>4, ts&15
		m.agent = uint32(group)
		if hasAgent(kind) {
			m.agent = uint32(r.uvarint())
		}
		if head&1 == 0 {
			m.run = r.u32()
		}
		if head&2 == 0 {
			m.up = r.u32()
		}
		it := item{key{int64(start ^ 1<<63), off}, m, page}
		switch kind {
		case kRun:
			it.run = uint32(group)
		case kParent:
			it.up = uint32(group)
		}
		dst = append(dst, it)
	}
	return dst, !r.bad
}

// reader takes fields off the front of b; bad is set once, checked once.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) varint() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// A page of rows, and a row of open spans: format, then records, each behind
// its length. eachRecord stops where fn returns false.
func eachRecord(b []byte, fn func(rec []byte) bool) bool {
	r := reader{b: b}
	if r.byte() != format {
		return false
	}
	for len(r.b) > 0 && !r.bad {
		rec := r.take(int(min(r.uvarint(), 1<<31-1)))
		if !r.bad && !fn(rec) {
			return true
		}
	}
	return !r.bad
}

func appendRecord(dst, rec []byte) []byte {
	if len(dst) == 0 {
		dst = append(dst, format)
	}
	return append(binary.AppendUvarint(dst, uint64(len(rec))), rec...)
}
