//go:build linux

package engine

import (
	"encoding/binary"

	"eyrie/engine/wire"
)

// An ItemShed stands for numbers without a gap between them that were dropped.
// Class is the highest class among them, and Payload says how many were of
// which agent and class, each
//
//	len(agent) u8 | agent | class u8 | count u32, little endian

// ShedPart is one line of it. Agent aliases the item.
type ShedPart struct {
	Agent []byte
	Class wire.Prio
	Count uint64
}

// CutShedPart takes the first part off an ItemShed's payload; false at its end.
func CutShedPart(p []byte) (part ShedPart, rest []byte, ok bool) {
	if len(p) < 1 || len(p) < 1+int(p[0])+5 {
		return part, nil, false
	}
	n := 1 + int(p[0])
	return ShedPart{p[1:n], wire.Prio(p[n]), uint64(binary.LittleEndian.Uint32(p[n+1:]))}, p[n+5:], true
}

// AppendShedPart appends what CutShedPart takes off. An agent's id is at most
// 255 bytes long.
func AppendShedPart(dst []byte, part ShedPart) []byte {
	dst = append(append(dst, byte(len(part.Agent))), part.Agent...)
	return binary.LittleEndian.AppendUint32(append(dst, byte(part.Class)), uint32(part.Count))
}

// shedPartsMax bounds the parts of one item: what has more becomes several.
const shedPartsMax = 32

// sheds gathers the numbers shed in a row. Loop thread only.
type sheds struct {
	from, to uint64
	n        int    // parts
	class    uint8  // the highest
	b        []byte // parts as in the item
	last     int    // where the part of the number before begins
}

// add takes the next number in; false means that the item is to be written first.
func (s *sheds) add(seq uint64, class uint8, agent []byte) bool {
	at, ok := s.find(class, agent)
	if !ok {
		if s.n == shedPartsMax {
			return false
		}
		s.n++
		at = len(s.b)
		s.b = AppendShedPart(s.b, ShedPart{agent, wire.Prio(class), 0})
	}
	if s.from == 0 {
		s.from = seq
	}
	s.to, s.class, s.last = seq, max(s.class, class), at
	count := s.b[at+2+int(s.b[at]):]
	binary.LittleEndian.PutUint32(count, binary.LittleEndian.Uint32(count)+1)
	return true
}

// find looks for a part, first where the number before was counted.
func (s *sheds) find(class uint8, agent []byte) (at int, ok bool) {
	is := func(at int) bool {
		n := 1 + int(s.b[at])
		return s.b[at+n] == class && string(s.b[at+1:at+n]) == string(agent)
	}
	if s.n > 0 && is(s.last) {
		return s.last, true
	}
	for at := 0; at < len(s.b); at += 1 + int(s.b[at]) + 5 {
		if is(at) {
			return at, true
		}
	}
	return 0, false
}

// put writes what was gathered, if anything was, and begins anew. False means
// that there is no room.
func (s *sheds) put(f *ringFrame) bool {
	if s.from == 0 {
		return true
	}
	rec := f.put(ItemShed, s.from, nil, len(s.b))
	if rec != nil {
		putEventHead(rec, s.class, 0, 0, int64(s.to))
		copy(rec[itemHead:], s.b)
	}
	s.reset()
	return rec != nil
}

func (s *sheds) reset() { *s = sheds{b: s.b[:0]} }
