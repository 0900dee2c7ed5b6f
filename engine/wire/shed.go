package wire

import "encoding/binary"

// The body of the log's record of shed numbers is a list of how many were of
// which agent and class: the agent's number in the log, the class and the
// count, each a uvarint.

// AppendShedEntry appends one entry.
func AppendShedEntry(dst []byte, agent uint32, class Prio, count uint64) []byte {
	dst = binary.AppendUvarint(dst, uint64(agent))
	dst = binary.AppendUvarint(dst, uint64(class))
	return binary.AppendUvarint(dst, count)
}

// CutShedEntry takes the first entry off; false at the end, or where there is none.
func CutShedEntry(b []byte) (agent uint32, class Prio, count uint64, rest []byte, ok bool) {
	var v [3]uint64
	for i := range v {
		x, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, 0, nil, false
		}
		v[i], b = x, b[n:]
	}
	if v[0] > 1<<32-1 || v[1] == 0 || v[1] >= uint64(PrioCritical) {
		return 0, 0, 0, nil, false
	}
	return uint32(v[0]), Prio(v[1]), v[2], b, true
}
