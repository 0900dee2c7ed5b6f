package chunk

import (
	"fmt"
	"math"
	"math/bits"
)

// The XOR encoding stores each value as its difference in bits from the one
// before, highest bit first: 0 for the same value; 10 for bits that fit the
// window of the last one; 11, five bits of leading zeros, six of length less
// one, then the bits. The first value stands in 64 bits.

type bitWriter struct {
	b    []byte
	acc  uint64
	free uint // unused low bits of acc
}

func (w *bitWriter) write(u uint64, n uint) {
	if n < 64 {
		u &= 1<<n - 1
	}
	if n < w.free {
		w.free -= n
		w.acc |= u << w.free
		return
	}
	n -= w.free
	w.acc |= u >> n
	w.flush(8)
	w.free = 64 - n
	if n > 0 {
		w.acc = u << w.free
	}
}

func (w *bitWriter) flush(bytes uint) {
	for i := uint(0); i < bytes; i++ {
		w.b = append(w.b, byte(w.acc>>(56-8*i)))
	}
	w.acc, w.free = 0, 64
}

func appendXOR(dst []byte, vs []float64) []byte {
	if len(vs) == 0 {
		return dst
	}
	w := bitWriter{b: dst, free: 64}
	prev := math.Float64bits(vs[0])
	w.write(prev, 64)
	lead, trail := uint(64), uint(0) // no window yet
	for _, v := range vs[1:] {
		u := math.Float64bits(v)
		x := u ^ prev
		prev = u
		if x == 0 {
			w.write(0, 1)
			continue
		}
		l, t := min(uint(bits.LeadingZeros64(x)), 31), uint(bits.TrailingZeros64(x))
		// A new window costs eleven bits: stay in the old one unless that
		// wastes more.
		if lead < 64 && l >= lead && t >= trail && (l-lead)+(t-trail) <= 11 {
			w.write(0b10, 2)
			w.write(x>>trail, 64-lead-trail)
			continue
		}
		lead, trail = l, t
		w.write(0b11, 2)
		w.write(uint64(l), 5)
		w.write(uint64(64-l-t-1), 6)
		w.write(x>>t, 64-l-t)
	}
	w.flush((64 - w.free + 7) / 8)
	return w.b
}

type bitReader struct {
	b   []byte
	bit uint
	bad bool
}

func (r *bitReader) read(n uint) uint64 {
	if r.bit+n > uint(len(r.b))*8 {
		r.bad = true
		return 0
	}
	var u uint64
	for n > 0 {
		have := 8 - r.bit&7
		take := min(have, n)
		u = u<<take | uint64(r.b[r.bit>>3]>>(have-take))&(1<<take-1)
		r.bit += take
		n -= take
	}
	return u
}

func decodeXOR(b []byte, vs []float64, n int) ([]float64, error) {
	if n == 0 {
		return vs, nil
	}
	r := bitReader{b: b}
	start := len(vs)
	prev := r.read(64)
	vs = append(vs, math.Float64frombits(prev))
	lead, length := uint(0), uint(0)
	for len(vs)-start < n && !r.bad {
		if r.read(1) != 0 {
			if r.read(1) != 0 {
				lead, length = uint(r.read(5)), uint(r.read(6))+1
			}
			if lead+length > 64 {
				r.bad = true
				break
			}
			prev ^= r.read(length) << (64 - lead - length)
		}
		vs = append(vs, math.Float64frombits(prev))
	}
	if r.bad || uint(len(b)) != (r.bit+7)/8 {
		return vs[:start], fmt.Errorf("%w: XOR column of %d bytes for %d values", ErrCorrupt, len(b), n)
	}
	return vs, nil
}
