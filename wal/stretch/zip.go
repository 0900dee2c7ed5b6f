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

// unpack takes a section off r. What it claims is allocated only if it is at
// most most and so many bytes can give so much. stored says that raw aliases r,
// else it is dst if that is large enough.
func unpack(r *reader, d *zstd.Decoder, dst []byte, most int) (raw []byte, stored bool, msg string) {
	head := r.bytes(sectionHead)
	if head == nil {
		return nil, false, "is cut off"
	}
	n := binary.LittleEndian.Uint32(head[1:])
	src := r.bytes(uint64(binary.LittleEndian.Uint32(head[5:])))
	switch {
	case r.bad:
		return nil, false, "is cut off"
	case uint64(n) > uint64(most):
		return nil, false, "is larger than allowed"
	case head[0] == codecNone:
		if int(n) != len(src) {
			return nil, false, "has two lengths"
		}
		return src, true, ""
	case head[0] != codecZstd:
		return nil, false, "has an unknown codec"
	case uint64(n) > uint64(len(src)/zstdBlockMin)*zstdBlock:
		return nil, false, "is larger than its bytes can give"
	}
	if cap(dst) < int(n) {
		dst = make([]byte, 0, n)
	}
	raw, err := d.DecodeAll(src, dst[:0:n])
	if err != nil {
		return nil, false, err.Error()
	}
	if len(raw) != int(n) {
		return nil, false, "is shorter than it claims"
	}
	return raw, false, ""
}
