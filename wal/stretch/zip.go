package stretch

import (
	"encoding/binary"

	"eyrie/wal/block"

	"github.com/klauspost/compress/zstd"
)

// level of zstd: the next one takes half as much time again for 0.4 % less.
const level = zstd.SpeedFastest

// newEncoder makes a compressor of sections. Options that are constants cannot fail.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err)
	}
	return e
}

// newDecoder makes a decompressor with a memory cap. It starts no goroutine.
func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(block.RecordBytesMax),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return d
}

const sectionHead = 9

// pack appends raw as a section, compressed if that is shorter.
func pack(dst []byte, e *zstd.Encoder, raw []byte) []byte {
	at := len(dst)
	codec := byte(codecZstd)
	dst = e.EncodeAll(raw, append(dst, make([]byte, sectionHead)...))
	if len(dst)-at-sectionHead >= len(raw) {
		codec = codecNone
		dst = append(dst[:at+sectionHead], raw...)
	}
	dst[at] = codec
	binary.LittleEndian.PutUint32(dst[at+1:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(dst[at+5:], uint32(len(dst)-at-sectionHead))
	return dst
}

// zstdBlock is the most that one block of zstd gives, zstdBlockMin what it takes.
const (
	zstdBlock    = 128 << 10
	zstdBlockMin = 4
)

// section is one section of a chunk, as stored.
type section struct {
	codec byte
	raw   int // bytes that it claims to give
	src   []byte
}

// cut takes a section off r. What it claims is at most most, and as much as so
// many bytes can give; msg says what is wrong.
func cut(r *reader, most int) (s section, msg string) {
	head := r.bytes(sectionHead)
	if head == nil {
		return s, "is cut off"
	}
	n := binary.LittleEndian.Uint32(head[1:])
	s = section{head[0], int(n), r.bytes(uint64(binary.LittleEndian.Uint32(head[5:])))}
	switch {
	case r.bad:
		return s, "is cut off"
	case uint64(n) > uint64(most):
		return s, "is larger than allowed"
	case s.codec == codecNone && s.raw != len(s.src):
		return s, "has two lengths"
	case s.codec != codecNone && s.codec != codecZstd:
		return s, "has an unknown codec"
	case s.codec == codecZstd && uint64(n) > uint64(len(s.src)/zstdBlockMin)*zstdBlock:
		return s, "is larger than its bytes can give"
	}
	return s, ""
}

// unpack returns the section's bytes: as they are stored, or in dst if that is
// large enough.
func (s *section) unpack(d *zstd.Decoder, dst []byte) (raw []byte, msg string) {
	if s.codec == codecNone {
		return s.src, ""
	}
	if cap(dst) < s.raw {
		dst = make([]byte, 0, s.raw)
	}
	raw, err := d.DecodeAll(s.src, dst[:0:s.raw])
	if err != nil {
		return nil, err.Error()
	}
	if len(raw) != s.raw {
		return nil, "is shorter than it claims"
	}
	return raw, ""
}
