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
// An exception (distance to the one before u, 8 bytes LE) is a value that is
// no such decimal: NaN, infinities, -0, long fractions. Its m repeats the one
// before, which costs next to nothing. Division is correctly rounded, so
// m/10^e is the very float64 that the decimal's text denotes.
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

// exponent finds the e that suits the most of (a sample of) vs.
func exponent(vs []float64) (e, misses int) {
	step := max(len(vs)/48, 1)
	misses = len(vs) + 1
	for c := 0; c <= maxExp; c++ {
		miss := 0
		for i := 0; i < len(vs); i += step {
			if _, ok := mantissa(vs[i], c); !ok {
				if miss++; miss >= misses {
					break
				}
			}
		}
		if miss < misses {
			e, misses = c, miss
		}
		if miss == 0 {
			break
		}
	}
	return e, misses
}

// appendDecimal appends vs to dst, or reports false when so few are decimals
// that another encoding must be smaller; dst's spare capacity is then used up.
func (s *scratch) appendDecimal(dst []byte, vs []float64) ([]byte, bool) {
	e, _ := exponent(vs)
	s.ints = s.ints[:0]
	s.bytes = s.bytes[:0]
	last, at, exceptions := int64(0), 0, 0
	for i, v := range vs {
		m, ok := mantissa(v, e)
		if !ok {
			if exceptions++; exceptions*2 > len(vs) {
				return dst, false
			}
			s.bytes = binary.AppendUvarint(s.bytes, uint64(i-at))
			s.bytes = binary.LittleEndian.AppendUint64(s.bytes, math.Float64bits(v))
			m, at = last, i
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
		r.uint64()
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
		at += skip.uvarint()
		bits := skip.uint64()
		if at >= uint64(n) {
			return vs[:start], fmt.Errorf("%w: exception %d of %d values", ErrCorrupt, at, n)
		}
		out[at] = math.Float64frombits(bits)
	}
	return vs, nil
}
