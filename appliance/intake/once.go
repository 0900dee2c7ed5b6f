package intake

import (
	"encoding/binary"
	"time"
)

// onceLife is how long the answer of a named submission is kept: behind it the
// same name is a new request.
const onceLife = 24 * time.Hour

// onceOwner begins the owner of a named submission's producer.
const onceOwner = "once:"

// appendOnce appends what is kept of a named submission.
func appendOnce(dst []byte, s *Submission, at int64) []byte {
	dst = append(dst, posVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(at))
	dst = append(dst, s.Body[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, s.First)
	dst = binary.LittleEndian.AppendUint64(dst, s.Last)
	return append(dst, s.Answer...)
}

// once is what is kept of a named submission.
type once struct {
	at          int64 // Unix ns at which it was made
	body        [32]byte
	first, last uint64
	answer      []byte // aliases what was decoded
}

// decodeOnce reads what appendOnce wrote.
func decodeOnce(b []byte) (o once, ok bool) {
	if len(b) < 1+8+32+16 || b[0] != posVersion {
		return o, false
	}
	o.at = int64(binary.LittleEndian.Uint64(b[1:]))
	copy(o.body[:], b[9:])
	o.first, o.last = binary.LittleEndian.Uint64(b[41:]), binary.LittleEndian.Uint64(b[49:])
	o.answer = b[57:]
	return o, true
}
