package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The decimal encoding stores values that are m/10^e for one small e as their
// integers m:
//
//	e u8 | exceptions u | exception… | integer column of the n values of m
//
// Division is correctly rounded, so m/10^e is the very float64 that the
// decimal's text denotes. An exception is a value that is not: the distance to
// the exception before u, then w u. w > 0: the value is so many units in the
// last place from m/10^e, zigzag(units) = w-1; sums of decimals often are. w = 0:
// 8 bytes LE hold it (NaN, infinities, -0, long fractions), and its m repeats
// the one before, which costs next to nothing.
const maxExp = 15

// maxMantissa bounds m: up to here float64(m) is exact.
const maxMantissa = 1 << 53

var pow10 = [maxExp + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// mantissa finds m with m/10^e == v to the bit.
func mantissa(v float64, e int) (int64, bool) {
	p := pow10[e&15]
	f := v * p
	if !(f >= -maxMantissa && f <= maxMantissa) {
		return 0, false
	}
	m := int64(math.RoundToEven(f))
	return m, math.Float64bits(float64(m)/p) == math.Float64bits(v)
}

// nearUnits bounds the distance, in units in the last place, that is stored as
// such.
const nearUnits = 1 << 20

// nearMantissa finds the m for which m/10^e is next to v, and how many units
// in the last place v lies beyond it; ok is false where that is too far.
func nearMantissa(v float64, e int) (m, units int64, ok bool) {
	p := pow10[e&15]
	f := v * p
	if !(f >= -maxMantissa && f <= maxMantissa) {
		return 0, 0, false
	}
	m = int64(math.RoundToEven(f))
	units = int64(math.Float64bits(v) - math.Float64bits(float64(m)/p))
	return m, units, units > -nearUnits && units < nearUnits
}

// exponent finds the e that makes (a sample of) vs smallest: each digit costs
// some bits a value, each exception some bytes.
func exponent(vs []float64) (e int) {
	const digit, near, far = 4, 20, 76 // bits, rounded up
	step := max(len(vs)/48, 1)
	best := math.MaxInt
	for c := 0; c <= maxExp; c++ {
		cost := 0
		for i := 0; i < len(vs) && cost < best; i += step {
			cost += digit * c
			if _, units, ok := nearMantissa(vs[i], c); !ok {
				cost += far
			} else if units != 0 {
				cost += near
			}
		}
		if cost < best {
			e, best = c, cost
		}
	}
	return e
}

// appendDecimal appends vs to dst, or reports false when so few are decimals
// that another encoding must be smaller; dst's spare capacity is then used up.
func (s *scratch) appendDecimal(dst []byte, vs []float64) ([]byte, bool) {
	e := exponent(vs)
	s.ints = s.ints[:0]
	s.bytes = s.bytes[:0]
	last, at, exceptions, far := int64(0), 0, 0, 0
	for i, v := range vs {
		m, units, ok := nearMantissa(v, e)
		if !ok || units != 0 {
			exceptions++
			s.bytes = binary.AppendUvarint(s.bytes, uint64(i-at))
			at = i
		}
		if !ok {
			if far++; far*2 > len(vs) {
				return dst, false
			}
			s.bytes = append(s.bytes, 0)
			s.bytes = binary.LittleEndian.AppendUint64(s.bytes, math.Float64bits(v))
			m = last
		} else if units != 0 {
			s.bytes = binary.AppendUvarint(s.bytes, uint64(units)<<1^uint64(units>>63)+1)
		}
		s.ints = append(s.ints, m)
		last = m
	}
	dst = append(dst, byte(e))
	dst = binary.AppendUvarint(dst, uint64(exceptions))
	dst = append(dst, s.bytes...)
	return s.cols.append(dst, s.ints), true
}

func (s *scratch) decodeDecimal(b []byte, vs []float64, n int) ([]float64, error) {
	r := reader{b: b}
	e, exceptions := r.byte(), r.uvarint()
	if r.bad || e > maxExp || exceptions > uint64(n) {
		return vs, fmt.Errorf("%w: decimal exponent %d, %d exceptions of %d", ErrCorrupt, e, exceptions, n)
	}
	skip := r
	for range exceptions {
		r.uvarint()
		if r.uvarint() == 0 {
			r.uint64()
		}
	}
	if r.bad {
		return vs, fmt.Errorf("%w: %d exceptions in %d bytes", ErrCorrupt, exceptions, len(b))
	}
	var err error
	if s.ints, err = decodeInts(r.b, s.ints[:0], n); err != nil {
		return vs, err
	}
	start, p := len(vs), pow10[e]
	if e == 0 {
		for _, m := range s.ints {
			vs = append(vs, float64(m))
		}
	} else {
		for _, m := range s.ints {
			vs = append(vs, float64(m)/p)
		}
	}
	out, at := vs[start:], uint64(0)
	for range exceptions {
		d, w := skip.uvarint(), skip.uvarint()
		if at += d; d >= uint64(n) || at >= uint64(n) {
			return vs[:start], fmt.Errorf("%w: exception %d of %d values", ErrCorrupt, at, n)
		}
		if w == 0 {
			out[at] = math.Float64frombits(skip.uint64())
		} else {
			w--
			out[at] = math.Float64frombits(math.Float64bits(out[at]) + uint64(int64(w>>1)^-int64(w&1)))
		}
	}
	return vs, nil
}
