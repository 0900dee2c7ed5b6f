package spans

import "encoding/binary"

// Keys in the views store. start is ns + 2^63 big-endian, off big-endian.
//
//	's' 0x01 start off               row (rowcode.go)
//	's' 0x02 hash off                start         look-up by (space, span)
//	's' 0x03 agent(4) start off      marks         by agent
//	's' 0x04 type start off          marks         runs, tasks and asks by type
//	's' 0x05 hash off                row           snapshot of the open spans in memory
//	's' 0x06 parent hash start off   marks         children whose parent is another agent's, was not open, or began later
//	's' 0x07 run hash start off      marks         spans of a run by agents other than its owner
//	's' 0x08 run hash                tally
//	's' 0x09 agent(4)                counts
//	's' 0x0a                         offset folded, rows ever
//	's' 0x0b start off               marks         open rows that left memory
//
// marks: type, status, low 32 bits of the hashes of run and parent, agent (4).
// An ended span writes three keys; one across agents one or two more.
const (
	prefix    = 's'
	kRow      = 0x01
	kID       = 0x02
	kAgent    = 0x03
	kType     = 0x04
	kOpen     = 0x05
	kParent   = 0x06
	kRun      = 0x07
	kTally    = 0x08
	kCounts   = 0x09
	kHead     = 0x0a
	kSpilled  = 0x0b
	tailLen   = 16
	marksLen  = 14
	keyMaxLen = 2 + 8 + tailLen
)

func appendStart(dst []byte, ns int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(ns)^1<<63)
}

func (k key) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(appendStart(dst, k.start), k.off)
}

// keyOf reads the tail of an index key.
func keyOf(b []byte) key {
	b = b[len(b)-tailLen:]
	return key{int64(binary.BigEndian.Uint64(b) ^ 1<<63), binary.BigEndian.Uint64(b[8:])}
}

func prefixed(dst []byte, kind byte) []byte { return append(dst, prefix, kind) }

func hashed(dst []byte, kind byte, h uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix, kind), h)
}

func numbered(dst []byte, kind byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, kind), n)
}

// after returns the first key behind all that begin with b.
func after(b []byte) []byte {
	out := append([]byte(nil), b...)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]++
		if out[i] != 0 {
			return out[:i+1]
		}
	}
	return nil
}

// marks is what an index entry says of its row, so that filters need not read it.
type marks struct {
	typ, status uint8
	run, up     uint32
	agent       uint32
}

func (s *span) marks() marks {
	return marks{s.typ, s.status, uint32(s.run), uint32(s.up), s.agent}
}

func (m marks) append(dst []byte) []byte {
	dst = append(dst, m.typ, m.status)
	dst = binary.BigEndian.AppendUint32(dst, m.run)
	dst = binary.BigEndian.AppendUint32(dst, m.up)
	return binary.BigEndian.AppendUint32(dst, m.agent)
}

func readMarks(b []byte) (m marks, ok bool) {
	if len(b) < marksLen {
		return m, false
	}
	return marks{b[0], b[1], binary.BigEndian.Uint32(b[2:]), binary.BigEndian.Uint32(b[6:]), binary.BigEndian.Uint32(b[10:])}, true
}
