package block

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"
)

// Encoder turns blocks into values. It owns scratch space and belongs to one
// goroutine.
type Encoder struct {
	sort    sorter
	index   [RecordsMax]uint16
	columns []byte
	data    []byte
}

// Stamp is what a header says beside the block itself.
type Stamp struct {
	LogID [16]byte
	Epoch uint32
	Chain uint64 // Header.Digest of the header before, 0 before the first
}

// Body appends the body value of b to dst. It also completes b: EncodeHeader
// needs it. b must not be shared yet.
func (e *Encoder) Body(dst []byte, b *Block) []byte {
	e.column(b)
	dst = append(dst, bodyMagic...)
	dst = append(dst, bodyVersion, 2, 0, 0)
	dir := len(dst)
	dst = append(dst, make([]byte, 2*sectionDir)...)
	dst = section(dst, dir, sectionColumns, e.columns)
	dst = section(dst, dir+sectionDir, sectionPayloads, b.payload)
	return dst
}

// section appends raw, compressed if that is shorter, and describes it at dir.
func section(dst []byte, dir int, id byte, raw []byte) []byte {
	at := len(dst)
	most := s2.MaxEncodedLen(len(raw))
	if cap(dst)-at < most {
		grown := make([]byte, at, at+most+at/4)
		copy(grown, dst)
		dst = grown
	}
	codec := byte(codecS2)
	out := s2.Encode(dst[at:at+most], raw)
	if len(out) >= len(raw) {
		codec = codecNone
		out = dst[at : at+copy(dst[at:at+most], raw)]
	}
	dst = dst[:at+len(out)]
	d := dst[dir : dir+sectionDir]
	d[0], d[1] = id, codec
	binary.LittleEndian.PutUint32(d[4:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(d[8:], uint32(len(out)))
	return dst
}

// column fills e.columns and the sets of b that its header will hold.
func (e *Encoder) column(b *Block) {
	e.data = e.data[:0]
	dir := append(e.columns[:0], columnEnd-columnKind)
	at := 0
	put := func(id, enc byte) {
		dir = append(dir, id, enc)
		dir = binary.AppendUvarint(dir, uint64(len(e.data)-at))
		at = len(e.data)
	}
	rows := b.rows
	put(columnKind, e.bytes(rows, func(r *row) byte { return byte(r.kind) }))
	put(columnClass, e.bytes(rows, func(r *row) byte { return r.class }))
	put(columnFlags, e.bytes(rows, func(r *row) byte { return r.flags }))
	e.producers(rows)
	put(columnProducer, encRuns)
	e.seqs(rows)
	put(columnSeq, encDeltaRuns)
	put(columnAgent, e.agents(b))
	put(columnKey, e.keys(b))
	e.recvs(rows)
	put(columnRecv, encDeltaRuns)
	from := uint32(0)
	for i := range rows {
		e.data = binary.AppendUvarint(e.data, uint64(rows[i].end-from))
		from = rows[i].end
	}
	put(columnLength, encUvarint)
	e.columns = append(dir, e.data...)
}

func (e *Encoder) bytes(rows []row, get func(*row) byte) byte {
	first := get(&rows[0])
	for i := range rows {
		if get(&rows[i]) != first {
			for j := range rows {
				e.data = append(e.data, get(&rows[j]))
			}
			return encBytes
		}
	}
	e.data = append(e.data, first)
	return encConst
}

func (e *Encoder) producers(rows []row) {
	for i := 0; i < len(rows); {
		j := i + 1
		for j < len(rows) && rows[j].producer == rows[i].producer {
			j++
		}
		e.run(j-i, uint64(rows[i].producer))
		i = j
	}
}

func (e *Encoder) seqs(rows []row) {
	prev, run, last := ^uint64(0), 0, uint64(0)
	for i := range rows {
		d := zigzag(int64(rows[i].seq - (prev + 1)))
		prev = rows[i].seq
		if run > 0 && d != last {
			e.run(run, last)
			run = 0
		}
		last = d
		run++
	}
	e.run(run, last)
}

func (e *Encoder) recvs(rows []row) {
	prev, run, last := rows[0].recv, 0, uint64(0)
	for i := range rows {
		d := zigzag(rows[i].recv - prev)
		prev = rows[i].recv
		if run > 0 && d != last {
			e.run(run, last)
			run = 0
		}
		last = d
		run++
	}
	e.run(run, last)
}

func (e *Encoder) run(n int, v uint64) {
	e.data = binary.AppendUvarint(e.data, uint64(n))
	e.data = binary.AppendUvarint(e.data, v)
}

// agents codes the set into b.agents and each row's index into the column.
func (e *Encoder) agents(b *Block) byte {
	s := &e.sort
	s.n = len(b.rows)
	for i := range b.rows {
		s.a[i] = uint64(b.rows[i].agent)<<16 | uint64(i)
	}
	sorted := s.sort()
	set, n, prev := b.agents[:0], 0, uint32(0)
	set = append(set, 0, 0) // the count, two bytes of uvarint
	for _, x := range sorted {
		v := uint32(x >> 16)
		if n == 0 || v != prev {
			set = appendSetItem(set, n == 0, prev, v)
			n++
			prev = v
		}
		e.index[x&0xffff] = uint16(n - 1)
	}
	set[0], set[1] = byte(n)|0x80, byte(n>>7)
	b.agents = set
	return e.indexes(len(b.rows), n)
}

func (e *Encoder) indexes(rows, n int) byte {
	if n <= 256 {
		for _, x := range e.index[:rows] {
			e.data = append(e.data, byte(x))
		}
		return encIndex1
	}
	for _, x := range e.index[:rows] {
		e.data = append(e.data, byte(x), byte(x>>8))
	}
	return encIndex2
}

// keys codes the filter into b.keys and the keys into the column.
func (e *Encoder) keys(b *Block) byte {
	s := &e.sort
	s.n = len(b.rows)
	for i := range b.rows {
		s.a[i] = uint64(b.rows[i].key)<<16 | uint64(i)
	}
	sorted := s.sort()
	set, n, distinct := append(b.keys[:0], 0, 0), 0, 0
	prevKey, prevMark := uint32(0), uint32(0)
	for _, x := range sorted {
		v := uint32(x >> 16)
		if distinct == 0 || v != prevKey {
			distinct++
			prevKey = v
			if v == 0 {
				continue // no key
			}
			if m := v >> 16; n == 0 || m != prevMark {
				set = appendSetItem(set, n == 0, prevMark, m)
				n++
				prevMark = m
			}
		}
	}
	set[0], set[1] = byte(n)|0x80, byte(n>>7)
	b.keys = set
	if distinct == 1 && prevKey == 0 {
		return encConst
	}
	if distinct > len(b.rows)/2 {
		for i := range b.rows {
			e.data = binary.LittleEndian.AppendUint32(e.data, b.rows[i].key)
		}
		return encFixed4
	}
	e.data = binary.AppendUvarint(e.data, uint64(distinct))
	distinct = 0
	for _, x := range sorted {
		if v := uint32(x >> 16); distinct == 0 || v != prevKey {
			e.data = binary.LittleEndian.AppendUint32(e.data, v)
			distinct++
			prevKey = v
		}
		e.index[x&0xffff] = uint16(distinct - 1)
	}
	return e.indexes(len(b.rows), distinct)
}

// EncodeHeader appends the header value of b, whose body value Encoder.Body has
// made. It returns the digest that is the next header's chain.
func EncodeHeader(dst []byte, b *Block, body []byte, s Stamp) (value []byte, chain uint64) {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, headerMagic...)
	dst = append(dst, headerVersion, 0, 0, 0)
	dst = append(dst, s.LogID[:]...)
	dst = le.AppendUint32(dst, s.Epoch)
	dst = le.AppendUint32(dst, uint32(len(b.rows)))
	dst = le.AppendUint64(dst, b.base)
	dst = le.AppendUint64(dst, uint64(b.RecvMin()))
	dst = le.AppendUint64(dst, uint64(b.RecvMax()))
	dst = le.AppendUint64(dst, b.classes)
	dst = le.AppendUint32(dst, b.kinds)
	dst = le.AppendUint32(dst, uint32(len(body)))
	dst = le.AppendUint32(dst, checksum(body))
	dst = le.AppendUint64(dst, s.Chain)
	dst = append(dst, sectionAgents)
	dst = le.AppendUint32(dst, uint32(len(b.agents)))
	dst = append(dst, b.agents...)
	dst = append(dst, sectionKeys)
	dst = le.AppendUint32(dst, uint32(len(b.keys)))
	dst = append(dst, b.keys...)
	dst = append(dst, sectionRanges, 0, 0, 0, 0)
	at := len(dst)
	for i := range b.ranges {
		dst = appendRange(dst, &b.ranges[i], b.base)
	}
	le.PutUint32(dst[at-4:], uint32(len(dst)-at))
	crc := checksum(dst[start:])
	return le.AppendUint32(dst, crc), link(s.Chain, b.base, crc)
}

func appendRange(dst []byte, r *Range, base uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Producer))
	dst = binary.AppendUvarint(dst, r.Epoch)
	dst = binary.AppendUvarint(dst, r.From)
	dst = binary.AppendUvarint(dst, r.To-r.From+1)
	back := uint64(0)
	if r.Prev != 0 {
		back = base - r.Prev
	}
	return binary.AppendUvarint(dst, back)
}

// link is the digest of a chain that ends in the header with this base and CRC.
func link(chain, base uint64, crc uint32) uint64 {
	var p [20]byte
	binary.LittleEndian.PutUint64(p[:], chain)
	binary.LittleEndian.PutUint64(p[8:], base)
	binary.LittleEndian.PutUint32(p[16:], crc)
	return xxhash.Sum64(p[:])
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// Restamp gives an intact header value another chain, for a log that is put
// together again behind a loss. It changes value and returns the next chain.
func Restamp(value []byte, h *Header, chain uint64) uint64 {
	binary.LittleEndian.PutUint64(value[76:], chain)
	crc := checksum(value[:len(value)-4])
	binary.LittleEndian.PutUint32(value[len(value)-4:], crc)
	return link(chain, h.Base, crc)
}
