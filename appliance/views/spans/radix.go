package spans

import "math/bits"

// ranked is a position with what it is to be sorted by.
type ranked struct {
	key uint64
	at  uint32
}

const (
	digitBits = 9 // as many ends to write at as lines fit the first cache
	digits    = 1 << digitBits
)

// sortRanked sorts by key without its lowest low bits and keeps the order of
// equal ones: digit by digit from the lowest, which for hundreds of thousands of
// keys costs a fifth of sorting by comparison. It returns a or tmp, which are of
// one length.
func sortRanked(a, tmp []ranked, low int) []ranked {
	var any, all uint64 = 0, ^uint64(0)
	for i := range a {
		any |= a[i].key
		all &= a[i].key
	}
	var count [digits]uint32
	for shift := low; shift < bits.Len64(any&^all); shift += digitBits {
		if (any&^all)>>shift&(digits-1) == 0 {
			continue // the same in all
		}
		clear(count[:])
		for i := range a {
			count[a[i].key>>shift&(digits-1)]++
		}
		sum := uint32(0)
		for d := range count {
			count[d], sum = sum, sum+count[d]
		}
		for i := range a {
			d := a[i].key >> shift & (digits - 1)
			tmp[count[d]] = a[i]
			count[d]++
		}
		a, tmp = tmp, a
	}
	return a
}
