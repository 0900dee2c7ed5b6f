package workload

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// ServerFrame reads one unmasked frame off b; p is borrowed, and n is 0 when b does not hold it all.
func ServerFrame(b []byte) (op ws.OpCode, p []byte, n int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	size, at := int(b[1]&0x7f), 2
	switch size {
	case 126:
		if len(b) < 4 {
			return 0, nil, 0
		}
		size, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if len(b) < 10 {
			return 0, nil, 0
		}
		size, at = int(binary.BigEndian.Uint64(b[2:])), 10
	}
	if size < 0 || len(b)-at < size {
		return 0, nil, 0
	}
	return ws.OpCode(b[0] & 15), b[at : at+size], at + size
}
