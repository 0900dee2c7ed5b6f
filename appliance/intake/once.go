package intake

import "encoding/binary"

// appendOnce appends what is kept of a named submission.
func appendOnce(dst []byte, s *Submission) []byte {
	dst = append(dst, posVersion)
	dst = append(dst, s.Body[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, s.First)
	dst = binary.LittleEndian.AppendUint64(dst, s.Last)
	return append(dst, s.Answer...)
}

// decodeOnce reads what appendOnce wrote; answer aliases b.
func decodeOnce(b []byte) (body [32]byte, first, last uint64, answer []byte, ok bool) {
	if len(b) < 1+32+16 || b[0] != posVersion {
		return body, 0, 0, nil, false
	}
	copy(body[:], b[1:])
	return body, binary.LittleEndian.Uint64(b[33:]), binary.LittleEndian.Uint64(b[41:]), b[49:], true
}
