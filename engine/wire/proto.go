package wire

import (
	"encoding/binary"
	"math"
)

// The wire types of Protobuf. Groups (3 and 4) are refused.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// protoToken is one field as it lies on the wire.
type protoToken struct {
	num  uint64
	typ  uint8
	v    uint64 // of a varint or fixed
	body []byte // of bytes
}

// readProto reads the field at b[i] and returns the index behind it, -1 where none can be read.
func readProto(b []byte, i int, t *protoToken) int {
	key, i := uvarintAt(b, i)
	if i < 0 || key>>3 == 0 || key>>3 > 1<<29-1 {
		return -1
	}
	t.num, t.typ, t.body = key>>3, uint8(key&7), nil
	switch t.typ {
	case wireVarint:
		t.v, i = uvarintAt(b, i)
		return i
	case wireFixed64:
		if len(b)-i < 8 {
			return -1
		}
		t.v = binary.LittleEndian.Uint64(b[i:])
		return i + 8
	case wireFixed32:
		if len(b)-i < 4 {
			return -1
		}
		t.v = uint64(binary.LittleEndian.Uint32(b[i:]))
		return i + 4
	case wireBytes:
		n, i := uvarintAt(b, i)
		if i < 0 || n > uint64(len(b)-i) {
			return -1
		}
		t.body = b[i : i+int(n)]
		return i + int(n)
	}
	return -1
}

// uvarintAt reads at most ten bytes, of which the last adds one bit; next is -1 where no varint is.
func uvarintAt(b []byte, i int) (v uint64, next int) {
	for shift := uint(0); uint(i) < uint(len(b)) && shift < 70; shift += 7 {
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

func appendKey(dst []byte, num int, typ uint8) []byte {
	return binary.AppendUvarint(dst, uint64(num)<<3|uint64(typ))
}

func appendProtoUint(dst []byte, num int, v uint64) []byte {
	return binary.AppendUvarint(appendKey(dst, num, wireVarint), v)
}

func appendProtoDouble(dst []byte, num int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(appendKey(dst, num, wireFixed64), math.Float64bits(v))
}

func appendProtoBytes(dst []byte, num int, p []byte) []byte {
	dst = binary.AppendUvarint(appendKey(dst, num, wireBytes), uint64(len(p)))
	return append(dst, p...)
}

// openProto begins a field of bytes whose length closeProto writes: it leaves one byte for it.
func openProto(dst []byte, num int) ([]byte, int) {
	dst = append(appendKey(dst, num, wireBytes), 0)
	return dst, len(dst)
}

func closeProto(dst []byte, body int) []byte {
	n := len(dst) - body
	if n < 0x80 {
		dst[body-1] = byte(n)
		return dst
	}
	var size [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(size[:], uint64(n))
	dst = append(dst, size[1:k]...)
	copy(dst[body-1+k:], dst[body:body+n])
	copy(dst[body-1:], size[:k])
	return dst
}
