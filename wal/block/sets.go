package block

import "encoding/binary"

// sorter sorts up to RecordsMax numbers and remembers where each came from.
type sorter struct {
	a, b [RecordsMax]uint64 // value<<16 | index
	n    int
}

// sort orders a[:n] by value: a radix sort, one pass for each byte in which the
// values differ.
func (s *sorter) sort() []uint64 {
	src, dst := s.a[:s.n], s.b[:s.n]
	or, and := uint64(0), ^uint64(0)
	for _, v := range src {
		or |= v
		and &= v
	}
	for shift := 16; shift < 48; shift += 8 {
		if (or^and)>>shift&0xff == 0 {
			continue
		}
		var at [256]int
		for _, v := range src {
			at[v>>shift&0xff]++
		}
		sum := 0
		for i, c := range at {
			at[i] = sum
			sum += c
		}
		for _, v := range src {
			d := v >> shift & 0xff
			dst[at[d]] = v
			at[d]++
		}
		src, dst = dst, src
	}
	return src
}

// A set is coded as count, first, then each distance to the one before less one.

func appendSetItem(dst []byte, first bool, prev, v uint32) []byte {
	if first {
		return binary.AppendUvarint(dst, uint64(v))
	}
	return binary.AppendUvarint(dst, uint64(v-prev-1))
}

// setHas tells whether v is in the coded set.
func setHas(set []byte, v uint32) bool {
	n, k := binary.Uvarint(set)
	if k <= 0 {
		return false
	}
	set = set[k:]
	cur := ^uint64(0) // the first item is coded as the distance to none
	for range n {
		if len(set) > 0 && set[0] < 0x80 { // most distances
			cur += uint64(set[0]) + 1
			set = set[1:]
		} else {
			d, k := binary.Uvarint(set)
			if k <= 0 {
				return false
			}
			cur += d + 1
			set = set[k:]
		}
		if cur >= uint64(v) {
			return cur == uint64(v)
		}
	}
	return false
}

// appendSet decodes a coded set of at most RecordsMax numbers below limit.
func appendSet(dst []uint32, set []byte, limit uint64) ([]uint32, bool) {
	n, k := binary.Uvarint(set)
	if k <= 0 || n > RecordsMax {
		return dst, false
	}
	set = set[k:]
	cur := uint64(0)
	for i := uint64(0); i < n; i++ {
		d, k := binary.Uvarint(set)
		if k <= 0 || d >= limit {
			return dst, false
		}
		set = set[k:]
		if i > 0 {
			d++
		}
		cur += d
		if cur >= limit {
			return dst, false
		}
		dst = append(dst, uint32(cur))
	}
	return dst, len(set) == 0
}
