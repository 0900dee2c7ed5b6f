package spans

import "encoding/binary"

// A record is a row that stands by itself: start, offset, row. What is here
// writes the row that coder reads, straight from the fields.

// recordMax bounds the bytes of the span's record.
func (s *span) recordMax() int {
	const fixed = 2*binary.MaxVarintLen64 + 5 + 4*binary.MaxVarintLen64 + 8 + 12*binary.MaxVarintLen32 + 6*binary.MaxVarintLen64 + 1 + 2*binary.MaxVarintLen32 + 2 + binary.MaxVarintLen64
	n := fixed + len(s.id) + len(s.name) + len(s.runID) + len(s.parent)
	if !s.rich {
		return n
	}
	return n + len(s.session) + len(s.task) + len(s.to) + len(s.kind) + len(s.msg) +
		len(s.errCode) + len(s.errMsg) + len(s.usage.model)
}

// appendRecord appends the span's record.
func (s *span) appendRecord(b []byte) []byte {
	op := s.options()
	b = binary.AppendVarint(b, s.start)
	b = binary.AppendUvarint(b, s.off)
	b = append(b, format, op, s.typ, s.status)
	b = binary.AppendUvarint(b, uint64(s.agent))
	if op&opMoved != 0 {
		b = binary.LittleEndian.AppendUint64(b, s.hash)
	}
	b = binary.AppendVarint(b, s.began-s.start)
	b = binary.AppendVarint(b, s.end-s.began)
	b = binary.AppendUvarint(b, s.endOff-s.off)
	b = appendText(b, s.id)
	b = appendText(b, s.name)
	b = appendText(b, s.runID)
	b = appendText(b, s.parent)
	if s.rich {
		b = appendText(b, s.session)
		b = appendText(b, s.task)
		b = appendText(b, s.to)
		b = appendText(b, s.kind)
		b = appendText(b, s.msg)
	} else {
		b = append(b, 0, 0, 0, 0, 0)
	}
	if op&opError != 0 {
		b = appendText(b, s.errCode)
		b = appendText(b, s.errMsg)
	}
	if op&opUsage != 0 {
		b = appendText(b, s.usage.model)
		for i := range s.usage.tok {
			b = binary.AppendVarint(b, s.usage.tok[i])
		}
		b = append(binary.AppendVarint(b, s.usage.cost), s.usage.quality)
	}
	if op&opRare != 0 {
		b = binary.AppendVarint(b, int64(s.attempt))
		b = append(b, s.severity, s.tsFrom)
		b = binary.AppendUvarint(b, uint64(s.ends))
		b = binary.AppendUvarint(b, s.startOff)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	n := len(s)
	if n < 0x80 {
		b = append(b, byte(n))
	} else {
		b = binary.AppendUvarint(b, uint64(n))
	}
	if n == 0 {
		return b
	}
	return append(b, s...)
}
