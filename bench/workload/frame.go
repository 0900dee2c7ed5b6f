package workload

import (
	"encoding/binary"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// Framer writes messages as one client's WebSocket frames: final, masked.
type Framer struct {
	Codec wire.Codec
	mask  dice
	msg   []byte
	ev    []byte
	at    []int
}

// NewFramer returns a Framer whose masking keys follow from seed.
func NewFramer(c wire.Codec, seed uint64) *Framer { return &Framer{Codec: c, mask: dice(seed)} }

// Events appends a frame of the stream's next n events, which happened at ts
// (Unix ms). With sum, it is called with each event's number and payload; the
// payload is borrowed.
func (f *Framer) Events(dst []byte, s Source, n int, ts int64, sum func(seq uint64, payload []byte)) []byte {
	return f.events(dst, s, n, ts, s.Append, sum)
}

// Message appends a frame of one message of the stream's first agent, which is
// not part of the mix: an event that leaves nothing open behind it.
func (f *Framer) Message(dst []byte, s Source, ts int64, sum func(seq uint64, payload []byte)) []byte {
	return f.events(dst, s, 1, ts, s.AppendMessage, sum)
}

func (f *Framer) events(dst []byte, s Source, n int, ts int64, next func([]byte, int64) []byte, sum func(uint64, []byte)) []byte {
	first := s.Seq()
	f.ev, f.at = f.ev[:0], append(f.at[:0], 0)
	for range n {
		f.ev = next(f.ev, ts)
		f.at = append(f.at, len(f.ev))
	}
	if sum != nil {
		for i := range n {
			sum(first+uint64(i), f.ev[f.at[i]:f.at[i+1]])
		}
	}
	if f.Codec != wire.MsgPack {
		parts := make([][]byte, n)
		for i := range parts {
			parts[i] = f.ev[f.at[i]:f.at[i+1]]
		}
		f.msg = wire.AppendEvents(f.msg[:0], f.Codec, first, nil, parts...)
		return f.Frame(dst, f.msg)
	}
	f.msg = append(f.msg[:0], "\x83\xa2op\xa6events\xa3seq"...)
	f.msg = wire.AppendUint(f.msg, first)
	f.msg = wire.AppendArrayHeader(wire.AppendStr(f.msg, "events"), n)
	f.msg = append(f.msg, f.ev...)
	return f.Frame(dst, f.msg)
}

// Frame appends msg as one data frame of the codec.
func (f *Framer) Frame(dst, msg []byte) []byte {
	op := ws.OpBinary
	if f.Codec == wire.JSON {
		op = ws.OpText
	}
	return f.Control(dst, op, msg)
}

// Control appends a frame with the given opcode (RFC 6455, 5.2).
func (f *Framer) Control(dst []byte, op ws.OpCode, msg []byte) []byte {
	const fin, masked = 0x80, 0x80
	switch n := len(msg); {
	case n < 126:
		dst = append(dst, fin|byte(op), masked|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, fin|byte(op), masked|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, fin|byte(op), masked|127), uint64(n))
	}
	key := uint32(f.mask.next()) | 1 // never zero: the server's unmasking is to be measured too
	dst = binary.LittleEndian.AppendUint32(dst, key)
	at := len(dst)
	dst = append(dst, msg...)
	applyMask(dst[at:], key)
	return dst
}

func applyMask(b []byte, key uint32) {
	k := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * (i & 3)))
	}
}
