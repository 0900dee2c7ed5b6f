package wire

import (
	"encoding/binary"
	"math"
)

// kind is the family of a MessagePack token.
type kind uint8

const (
	kBad kind = iota // truncated, or a byte that no token starts with
	kNil
	kBool
	kInt // every integer format
	kFloat
	kStr
	kBin
	kArray
	kMap
	kExt
)

var kindNames = [...]string{"nothing", "nil", "a boolean", "an integer", "a float", "a string", "bytes", "an array", "a map", "an extension"}

// token reads the token at b[i]. n is the length of the body (str, bin, ext) or the number of elements (array,
// map: of pairs); next is the index of the body or first element, and for scalars the index behind the value.
// A length that the rest of b cannot hold is kBad: a header that claims four billion elements costs nothing.
func token(b []byte, i int) (k kind, n, next int) {
	if uint(i) >= uint(len(b)) {
		return kBad, 0, i
	}
	c := b[i]
	switch {
	case c < 0x80:
		return kInt, 0, i + 1
	case c < 0x90:
		n = int(c & 15)
		if 2*n > len(b)-i-1 {
			return kBad, 0, i
		}
		return kMap, n, i + 1
	case c < 0xa0:
		n = int(c & 15)
		if n > len(b)-i-1 {
			return kBad, 0, i
		}
		return kArray, n, i + 1
	case c < 0xc0:
		n = int(c & 31)
		if n > len(b)-i-1 {
			return kBad, 0, i
		}
		return kStr, n, i + 1
	case c >= 0xe0:
		return kInt, 0, i + 1
	}
	return tokenSlow(b, i, c)
}

func tokenSlow(b []byte, i int, c byte) (k kind, n, next int) {
	rest := len(b) - i - 1
	size := int(tokenSizes[c-0xc0])
	if size > rest {
		return kBad, 0, i
	}
	next = i + 1 + size
	var long uint64
	switch size {
	case 1:
		long = uint64(b[i+1])
	case 2:
		long = uint64(binary.BigEndian.Uint16(b[i+1:]))
	case 4:
		long = uint64(binary.BigEndian.Uint32(b[i+1:]))
	}
	room := uint64(len(b) - next)
	switch c {
	case 0xc0:
		return kNil, 0, next
	case 0xc2, 0xc3:
		return kBool, 0, next
	case 0xca, 0xcb:
		return kFloat, 0, next
	case 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3:
		return kInt, 0, next
	case 0xd9, 0xda, 0xdb:
		k = kStr
	case 0xc4, 0xc5, 0xc6:
		k = kBin
	case 0xdc, 0xdd:
		k = kArray
	case 0xde, 0xdf:
		k, room = kMap, room/2
	case 0xc7, 0xc8, 0xc9: // the type byte counts as part of the body
		k, long = kExt, long+1
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		k, long = kExt, 1<<(c-0xd4)+1
	default:
		return kBad, 0, i // 0xc1 is never used
	}
	if long > room {
		return kBad, 0, i
	}
	return k, int(long), next
}

// tokenSizes holds the bytes between the first byte and body or end, for 0xc0 to 0xdf.
var tokenSizes = [32]uint8{
	0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, // c0..cf
	1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4, // d0..df
}

// skipAny returns the index behind the value at b[i], or false when its end is not in b. It counts what is
// still to come instead of descending, so depth costs nothing.
func skipAny(b []byte, i int) (int, bool) {
	for left := uint64(1); left > 0; left-- {
		if uint(i) >= uint(len(b)) {
			return i, false
		}
		if size := flatSizes[b[i]]; size != 0 {
			i += int(size)
			continue
		}
		k, n, next := token(b, i)
		switch k {
		case kBad:
			return i, false
		case kStr, kBin, kExt:
			i = next + n
		case kArray:
			i, left = next, left+uint64(n)
		case kMap:
			i, left = next, left+2*uint64(n)
		default:
			i = next
		}
	}
	return i, i <= len(b)
}

// flatSizes has the size of a value that its first byte tells, with that byte; 0 for others.
var flatSizes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
			t[c] = 1
		case c >= 0xca && c <= 0xd3:
			t[c] = 1 + tokenSizes[c-0xc0]
		case c >= 0xa0 && c < 0xc0:
			t[c] = 1 + uint8(c-0xa0)
		}
	}
	return t
}()

// strAt returns where the body of the string at b[i] begins and its length, -1 where no string is.
func strAt(b []byte, i int) (from, n int) {
	if uint(i) < uint(len(b)) {
		if n = int(b[i]) - 0xa0; uint(n) < 32 && n < len(b)-i {
			return i + 1, n
		}
	}
	return longStrAt(b, i)
}

func longStrAt(b []byte, i int) (from, n int) {
	k, n, next := token(b, i)
	if k != kStr {
		return i, -1
	}
	return next, n
}

// readStr returns the string at b[i] and the index behind it.
func readStr(b []byte, i int) (s []byte, next int, ok bool) {
	k, n, next := token(b, i)
	if k != kStr {
		return nil, i, false
	}
	return b[next : next+n], next + n, true
}

// readInt returns the integer at b[i]; a float that is a whole number below 2^53 counts. big is set for unsigned
// values beyond int64, whose bits come back in v.
func readInt(b []byte, i int) (v int64, big, ok bool) {
	if uint(i) >= uint(len(b)) {
		return 0, false, false
	}
	c := b[i]
	if c < 0x80 || c >= 0xe0 {
		return int64(int8(c)), false, true
	}
	if i+int(numberSizes[c]) > len(b) {
		return 0, false, false
	}
	p := b[i+1:]
	switch c {
	case 0xcc:
		return int64(p[0]), false, true
	case 0xcd:
		return int64(binary.BigEndian.Uint16(p)), false, true
	case 0xce:
		return int64(binary.BigEndian.Uint32(p)), false, true
	case 0xcf:
		u := binary.BigEndian.Uint64(p)
		return int64(u), u > math.MaxInt64, true
	case 0xd0:
		return int64(int8(p[0])), false, true
	case 0xd1:
		return int64(int16(binary.BigEndian.Uint16(p))), false, true
	case 0xd2:
		return int64(int32(binary.BigEndian.Uint32(p))), false, true
	case 0xd3:
		return int64(binary.BigEndian.Uint64(p)), false, true
	case 0xca, 0xcb:
		f, _ := readFloat(b, i)
		if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
			return int64(f), false, true
		}
	}
	return 0, false, false
}

// uintAt returns the unsigned integer at b[i] and the index behind it, -1 for anything else.
func uintAt(b []byte, i int) (x uint64, next int) {
	if uint(i) >= uint(len(b)) {
		return 0, -1
	}
	c := b[i]
	switch {
	case c < 0x80:
		return uint64(c), i + 1
	case c == 0xcd && i+3 <= len(b):
		return uint64(binary.BigEndian.Uint16(b[i+1:])), i + 3
	case c == 0xce && i+5 <= len(b):
		return uint64(binary.BigEndian.Uint32(b[i+1:])), i + 5
	case c == 0xcc && i+2 <= len(b):
		return uint64(b[i+1]), i + 2
	case c == 0xcf && i+9 <= len(b):
		return binary.BigEndian.Uint64(b[i+1:]), i + 9
	}
	return 0, -1
}

// readFloat returns the number at b[i], integer or float.
func readFloat(b []byte, i int) (float64, bool) {
	if uint(i) < uint(len(b)) && b[i] == 0xcb && i+9 <= len(b) {
		return math.Float64frombits(binary.BigEndian.Uint64(b[i+1:])), true
	}
	k, _, next := token(b, i)
	switch k {
	case kFloat:
		if next-i == 5 {
			return float64(math.Float32frombits(binary.BigEndian.Uint32(b[i+1:]))), true
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b[i+1:])), true
	case kInt:
		v, big, _ := readInt(b, i)
		if big {
			return float64(uint64(v)), true
		}
		return float64(v), true
	}
	return 0, false
}

// AppendMapHeader appends the header of a map of n pairs.
func AppendMapHeader(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x80|byte(n))
	case n < 1<<16:
		return append(dst, 0xde, byte(n>>8), byte(n))
	}
	return append(dst, 0xdf, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// AppendArrayHeader appends the header of an array of n elements.
func AppendArrayHeader(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, 0x90|byte(n))
	case n < 1<<16:
		return append(dst, 0xdc, byte(n>>8), byte(n))
	}
	return append(dst, 0xdd, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// AppendStr appends s as a MessagePack string; the caller vouches for its UTF-8.
func AppendStr[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = appendStrHeader(dst, len(s))
	return append(dst, s...)
}

func appendStrHeader(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, 0xa0|byte(n))
	case n < 1<<8:
		return append(dst, 0xd9, byte(n))
	case n < 1<<16:
		return append(dst, 0xda, byte(n>>8), byte(n))
	}
	return append(dst, 0xdb, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// AppendBin appends p as MessagePack bytes.
func AppendBin(dst, p []byte) []byte {
	n := len(p)
	switch {
	case n < 1<<8:
		dst = append(dst, 0xc4, byte(n))
	case n < 1<<16:
		dst = append(dst, 0xc5, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0xc6, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, p...)
}

// AppendInt appends v in the shortest integer format.
func AppendInt(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return AppendUint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, 0xd0, byte(v))
	case v >= math.MinInt16:
		return append(dst, 0xd1, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
}

// AppendUint appends v in the shortest unsigned format.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(dst, byte(v))
	case v < 1<<8:
		return append(dst, 0xcc, byte(v))
	case v < 1<<16:
		return append(dst, 0xcd, byte(v>>8), byte(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

// AppendFloat appends v as a 64-bit float.
func AppendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(v))
}

// AppendNumber appends v as an integer where that loses nothing, else as a float.
func AppendNumber(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 && (v != 0 || !math.Signbit(v)) {
		return AppendInt(dst, int64(v))
	}
	return AppendFloat(dst, v)
}

// AppendBool appends v.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

// AppendNil appends nil.
func AppendNil(dst []byte) []byte { return append(dst, 0xc0) }

func appendDecimal(dst []byte, v uint64) []byte {
	var t [20]byte
	i := len(t)
	for {
		i--
		t[i] = byte('0' + v%10)
		if v /= 10; v == 0 {
			return append(dst, t[i:]...)
		}
	}
}
