//go:build linux

package engine

import (
	"encoding/binary"
	"math/bits"

	"github.com/gobwas/ws"
)

// le is the order in which masks are read and applied: any would do, if always
// the same one.
var le = binary.LittleEndian

// header is one frame's header, read in place (RFC 6455, 5.2).
type header struct {
	op     ws.OpCode
	fin    bool
	packed bool   // RSV1: the message is compressed
	size   int    // bytes of the header itself
	mask   uint32 // as it stands in the bytes, little endian; 0 leaves the payload as it is
	length int64  // bytes of payload; negative never
}

// parsed says how far parseHeader came.
type parsed uint8

const (
	parsedMore    parsed = iota // not enough bytes yet
	parsedWhole                 // h is complete
	parsedRefused               // the code says why
)

// lengthMax is above any limit a caller can set; longer frames are refused
// before their length is given to anything.
const lengthMax = 1<<31 - 1

// parseHeader reads the header of a client's frame at the start of b; rsv are
// the reserved bits that an extension has given a meaning. What can be judged
// from the bytes at hand is judged before more of them are awaited.
func parseHeader(b []byte, rsv byte, h *header) (parsed, ws.StatusCode) {
	if len(b) < 1 {
		return parsedMore, 0
	}
	b0 := b[0]
	h.fin, h.op = b0&0x80 != 0, ws.OpCode(b0&0x0f)
	control := h.op&0x8 != 0
	if h.packed = b0&0x70 != 0; h.packed {
		// 5.2: RSV bits without a negotiated extension; RFC 7692, 6.1: only on
		// the first frame of a message.
		if b0&0x70&^rsv != 0 || control || h.op == ws.OpContinuation {
			return parsedRefused, ws.StatusProtocolError
		}
	}
	if h.op.IsReserved() || control && !h.fin { // 5.5: control frames are never fragmented
		return parsedRefused, ws.StatusProtocolError
	}
	if len(b) < 2 {
		return parsedMore, 0
	}
	short := int(b[1] & 0x7f)
	if b[1]&0x80 == 0 || control && short > ws.MaxControlFramePayloadSize { // 5.1: a client masks; 5.5
		return parsedRefused, ws.StatusProtocolError
	}
	switch {
	case short < 126:
		h.length, h.size = int64(short), 2+4
	case short == 126:
		if len(b) < 4 {
			return parsedMore, 0
		}
		h.length, h.size = int64(binary.BigEndian.Uint16(b[2:])), 4+4
		if h.length < 126 { // 5.2: the minimal number of bytes
			return parsedRefused, ws.StatusProtocolError
		}
	default:
		if len(b) < 10 {
			return parsedMore, 0
		}
		n := binary.BigEndian.Uint64(b[2:])
		if n > lengthMax {
			return parsedRefused, ws.StatusMessageTooBig
		}
		if n < 1<<16 {
			return parsedRefused, ws.StatusProtocolError
		}
		h.length, h.size = int64(n), 10+4
	}
	if len(b) < h.size {
		return parsedMore, 0
	}
	h.mask = le.Uint32(b[h.size-4:])
	return parsedWhole, 0
}

// unmask removes the mask from a frame's payload in place and takes it out of
// the header too, so that a frame shown again is not masked by it.
func unmask(frame []byte, h *header) []byte {
	payload := frame[h.size : h.size+int(h.length)]
	if h.mask != 0 {
		xor(payload, h.mask, 0)
		le.PutUint32(frame[h.size-4:], 0)
		h.mask = 0
	}
	return payload
}

// commonFrame reads the header of what nearly every frame is: a whole message
// below 64 KiB that lies whole in b, masked, not compressed. The first byte is
// returned as it stands; size is 0 if the frame is anything else, which is then
// for parseHeader.
func commonFrame(b []byte) (first byte, size, length int) {
	if len(b) < 8 {
		return 0, 0, 0
	}
	v := le.Uint64(b)
	size, length = 2+4, int(v>>8&0xff)-0x80
	if length == 126 {
		size, length = 4+4, int(bits.ReverseBytes16(uint16(v>>16)))
		if length < 126 {
			return 0, 0, 0
		}
	}
	if uint(length) > 1<<16-1 || length == 127 && size == 2+4 || len(b) < size+length {
		return 0, 0, 0
	}
	return byte(v), size, length
}

// cipherFrom is the length from which the vectors of ws.Cipher are worth its
// call.
const cipherFrom = 256

// xor applies mask to b, whose first byte is byte number at of the payload.
func xor(b []byte, mask uint32, at int) {
	if len(b) >= cipherFrom {
		xorLong(b, mask, at)
		return
	}
	m := uint64(bits.RotateLeft32(mask, -8*(at&3)))
	m |= m << 32
	for len(b) >= 32 {
		w := (*[32]byte)(b)
		le.PutUint64(w[0:], le.Uint64(w[0:])^m)
		le.PutUint64(w[8:], le.Uint64(w[8:])^m)
		le.PutUint64(w[16:], le.Uint64(w[16:])^m)
		le.PutUint64(w[24:], le.Uint64(w[24:])^m)
		b = b[32:]
	}
	for len(b) >= 8 {
		le.PutUint64(b, le.Uint64(b)^m)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(m >> (8 * (i & 7)))
	}
}

// xorTo writes to dst what removing the mask from src gives. dst is at least as
// long.
func xorTo(dst, src []byte, mask uint32) {
	m := uint64(mask)
	m |= m << 32
	dst = dst[:len(src)]
	for len(src) >= 32 && len(dst) >= 32 {
		s, d := (*[32]byte)(src), (*[32]byte)(dst)
		le.PutUint64(d[0:], le.Uint64(s[0:])^m)
		le.PutUint64(d[8:], le.Uint64(s[8:])^m)
		le.PutUint64(d[16:], le.Uint64(s[16:])^m)
		le.PutUint64(d[24:], le.Uint64(s[24:])^m)
		src, dst = src[32:], dst[32:]
	}
	for len(src) >= 8 && len(dst) >= 8 {
		le.PutUint64(dst, le.Uint64(src)^m)
		src, dst = src[8:], dst[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(m>>(8*(i&7)))
	}
}

func xorLong(b []byte, mask uint32, at int) {
	var m [4]byte
	le.PutUint32(m[:], mask)
	ws.Cipher(b, m, at)
}

// appendHeader appends an unfragmented, unmasked server frame's header.
func appendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// appendFrame appends a whole server frame.
func appendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(appendHeader(dst, op, len(payload)), payload...)
}

// closeReasonMax leaves room for the code in a control frame.
const closeReasonMax = ws.MaxControlFramePayloadSize - 2

// appendClose appends a close frame; a reason that is too long is cut at a rune.
func appendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if len(reason) > closeReasonMax {
		n := closeReasonMax
		for n > 0 && reason[n]&0xc0 == 0x80 {
			n--
		}
		reason = reason[:n]
	}
	dst = appendHeader(dst, ws.OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// closeCode judges the body of a received close frame (7.4): the code to answer
// with, the code the peer gave (1005 for none), and its reason.
func closeCode(body []byte) (answer, got ws.StatusCode, reason []byte) {
	if len(body) == 0 {
		return ws.StatusNormalClosure, ws.StatusNoStatusRcvd, nil
	}
	if len(body) == 1 {
		return ws.StatusProtocolError, ws.StatusNoStatusRcvd, nil
	}
	got = ws.StatusCode(binary.BigEndian.Uint16(body))
	switch {
	case got >= 3000 && got <= 4999:
	case got >= 1000 && got <= 1003, got >= 1007 && got <= 1014:
	default: // 7.4.2: not used, reserved, or never on the wire (1004, 1005, 1006, 1015)
		return ws.StatusProtocolError, got, nil
	}
	reason = body[2:]
	if _, ok := validPrefix(reason, true); !ok {
		return ws.StatusInvalidFramePayloadData, got, nil
	}
	return got, got, reason
}
