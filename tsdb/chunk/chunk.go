package chunk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
)

// Layout of a chunk; integers are LEB128 (u: unsigned, s: zigzag) unless a
// width is given:
//
//	magic 0xEC | version 1 | encoding u8 | n u | first s | span u |
//	len(times) u | times | values | crc32c u32 LE over everything before
//
// encoding holds the value encoding. span is last-first modulo 2^64, so the
// range of a chunk with ascending times is known without decoding it.
// The times column is an integer column (ints.go) of the timestamps less
// first.
const (
	magic   = 0xEC
	version = 1

	crcBytes = 4
	minBytes = 3 + 3 + 1 + crcBytes
)

// MaxSamples bounds the samples of one chunk, so that a damaged count cannot
// claim memory.
const MaxSamples = 1 << 16

// Value encodings; zero is invalid.
const (
	encRaw     = 1 // 8 bytes LE each
	encDecimal = 2 // decimal.go
	encXOR     = 3 // xor.go
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scratch is what one encode or decode needs beside its result.
type scratch struct {
	ints  []int64
	vals  []float64
	cols  columns
	bytes []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// AppendChunk appends one chunk with the samples (ts[i], vs[i]) to dst and
// returns the extended slice. Timestamps may be any int64; ascending ones are
// small. It panics when the lengths differ or exceed MaxSamples.
func AppendChunk(dst []byte, ts []int64, vs []float64) []byte {
	if len(ts) != len(vs) || len(ts) > MaxSamples {
		panic(fmt.Sprintf("chunk: %d timestamps, %d values, at most %d", len(ts), len(vs), MaxSamples))
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)

	start := len(dst)
	var first, last int64
	if len(ts) > 0 {
		first, last = ts[0], ts[len(ts)-1]
	}
	dst = append(dst, magic, version, 0)
	dst = binary.AppendUvarint(dst, uint64(len(ts)))
	dst = binary.AppendVarint(dst, first)
	dst = binary.AppendUvarint(dst, uint64(last)-uint64(first))

	s.ints = s.ints[:0]
	for _, t := range ts {
		s.ints = append(s.ints, t-first)
	}
	s.bytes = s.cols.append(s.bytes[:0], s.ints)
	dst = binary.AppendUvarint(dst, uint64(len(s.bytes)))
	dst = append(dst, s.bytes...)

	var enc byte
	dst, enc = s.appendValues(dst, vs)
	dst[start+2] = enc
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendValues appends the smallest encoding of vs and tells which it is.
func (s *scratch) appendValues(dst []byte, vs []float64) ([]byte, byte) {
	start := len(dst)
	raw := 8 * len(vs)
	enc := byte(encRaw)
	out, ok := s.appendDecimal(dst, vs)
	best := raw
	if ok && len(out)-start < raw {
		dst, enc, best = out, encDecimal, len(out)-start
	}
	// XOR rarely wins below four bytes a sample: do not even try there.
	if best > 4*len(vs) {
		s.bytes = appendXOR(s.bytes[:0], vs)
		if len(s.bytes) < best {
			return append(dst[:start], s.bytes...), encXOR
		}
	}
	if enc == encRaw {
		dst = dst[:start]
		for _, v := range vs {
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
		}
	}
	return dst, enc
}

// Info is what a chunk's header tells.
type Info struct {
	Samples     int
	First, Last int64 // timestamps of the first and the last sample
	Encoding    byte
	times       []byte
	values      []byte
}

// Peek reads the header without decoding the columns or checking the CRC:
// enough to skip a chunk, not to trust it.
func Peek(b []byte) (Info, error) {
	var in Info
	if len(b) < minBytes || b[0] != magic {
		return in, fmt.Errorf("%w: no chunk header in %d bytes", ErrCorrupt, len(b))
	}
	if b[1] != version {
		return in, fmt.Errorf("%w: got %d, want %d", ErrVersion, b[1], version)
	}
	in.Encoding = b[2]
	r := reader{b: b[3 : len(b)-crcBytes]}
	n, first, span, tlen := r.uvarint(), r.varint(), r.uvarint(), r.uvarint()
	if r.bad || n > MaxSamples || tlen > uint64(len(r.b)) {
		return in, fmt.Errorf("%w: header claims %d samples, %d bytes of times in %d", ErrCorrupt, n, tlen, len(b))
	}
	in.Samples, in.First, in.Last = int(n), first, int64(uint64(first)+span)
	in.times, in.values = r.b[:tlen], r.b[tlen:]
	return in, nil
}

// Decode appends the samples of the chunk b to ts and vs and returns them; b
// is not kept. On an error ts and vs come back as they were.
func Decode(b []byte, ts []int64, vs []float64) ([]int64, []float64, error) {
	in, err := Peek(b)
	if err != nil {
		return ts, vs, err
	}
	body := b[:len(b)-crcBytes]
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(b[len(body):]); got != want {
		return ts, vs, fmt.Errorf("%w: crc %08x, want %08x", ErrCorrupt, got, want)
	}
	nt, nv := len(ts), len(vs)
	ts, err = decodeInts(in.times, ts, in.Samples)
	if err != nil {
		return ts[:nt], vs, err
	}
	for i := nt; i < len(ts); i++ {
		ts[i] += in.First
	}
	switch in.Encoding {
	case encRaw:
		vs, err = decodeRaw(in.values, vs, in.Samples)
	case encDecimal:
		s := scratches.Get().(*scratch)
		vs, err = s.decodeDecimal(in.values, vs, in.Samples)
		scratches.Put(s)
	case encXOR:
		vs, err = decodeXOR(in.values, vs, in.Samples)
	default:
		err = fmt.Errorf("%w: value encoding %d", ErrCorrupt, in.Encoding)
	}
	if err != nil {
		return ts[:nt], vs[:nv], err
	}
	return ts, vs, nil
}

func decodeRaw(b []byte, vs []float64, n int) ([]float64, error) {
	if len(b) != 8*n {
		return vs, fmt.Errorf("%w: %d bytes for %d raw values", ErrCorrupt, len(b), n)
	}
	for ; len(b) > 0; b = b[8:] {
		vs = append(vs, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	return vs, nil
}

// reader takes numbers off the front of b; bad is set once, checked once.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.bad, r.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}
