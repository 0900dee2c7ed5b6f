package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Stream is the state of an open run of samples whose bytes the caller holds.
// The newest sample lives in the state alone (so the same timestamp again just
// replaces it, and one sample needs no bytes); Push moves the one before into
// the bytes.
//
// A sample in the bytes is
//
//	u = zigzag(difference of time differences)<<1 | changed
//	if changed: w u: 0 a raw value, 8 bytes LE, follows;
//	            1 an exponent u8 and the decimal's integer s follow;
//	            else zigzag(difference of the integers)+2 at the exponent in force
//
// with the first time's difference taken from zero.
type Stream struct {
	LastT int64  // newest sample, not in the bytes
	LastV uint64 // its bits
	encT  int64  // state after the bytes
	encD  int64
	encV  uint64
	N     uint16 // samples, the newest included
	exp   int8   // exponent in force; rawExp: none
}

const rawExp = -1

// streamExpMax bounds the search for a decimal exponent on the append path.
const streamExpMax = 9

// MaxStreamSample is the most bytes that one Push appends.
const MaxStreamSample = 10 + 1 + 1 + 10

// Start makes (t, v) the only sample; the caller empties its bytes.
func (s *Stream) Start(t int64, v float64) {
	*s = Stream{LastT: t, LastV: math.Float64bits(v), N: 1, exp: rawExp}
}

// Value returns the newest value.
func (s *Stream) Value() float64 { return math.Float64frombits(s.LastV) }

// Push appends the newest sample to b and makes (t, v) the newest. t should
// follow LastT. b needs MaxStreamSample bytes of room to stay where it is.
func (s *Stream) Push(b []byte, t int64, v float64) []byte {
	b = s.settle(b)
	s.LastT, s.LastV = t, math.Float64bits(v)
	s.N++
	return b
}

// settle encodes the newest sample behind b.
func (s *Stream) settle(b []byte) []byte {
	d := s.LastT - s.encT
	dd := d - s.encD
	s.encT, s.encD = s.LastT, d
	u := (uint64(dd)<<1 ^ uint64(dd>>63))
	if s.N > 1 && s.LastV == s.encV {
		return appendTime(b, u, 0)
	}
	b = appendTime(b, u, 1)
	v, was := math.Float64frombits(s.LastV), math.Float64frombits(s.encV)
	s.encV = s.LastV
	if s.exp != rawExp && s.N > 1 {
		if m, ok := mantissa(v, int(s.exp)); ok {
			// encV was a decimal of this exponent, else exp would be rawExp.
			m0, _ := mantissa(was, int(s.exp))
			x := m - m0
			return binary.AppendUvarint(b, uint64(x)<<1^uint64(x>>63)+2)
		}
	}
	for e := 0; e <= streamExpMax; e++ {
		if m, ok := mantissa(v, e); ok {
			s.exp = int8(e)
			b = append(b, 1, byte(e))
			return binary.AppendVarint(b, m)
		}
	}
	s.exp = rawExp
	b = append(b, 0)
	return binary.LittleEndian.AppendUint64(b, s.LastV)
}

// appendTime writes u and changed as one LEB128 number of 65 bits.
func appendTime(b []byte, u uint64, changed byte) []byte {
	c := byte(u&0x3F)<<1 | changed
	if u >>= 6; u == 0 {
		return append(b, c)
	}
	return binary.AppendUvarint(append(b, c|0x80), u)
}

// AppendSamples appends the samples of s and its bytes b to ts and vs, the
// newest included. On an error ts and vs come back as they were.
func (s *Stream) AppendSamples(b []byte, ts []int64, vs []float64) ([]int64, []float64, error) {
	if s.N == 0 {
		return ts, vs, nil
	}
	var st Stream
	ts, vs, err := st.read(b, int(s.N)-1, ts, vs)
	if err != nil {
		return ts, vs, err
	}
	return append(ts, s.LastT), append(vs, s.Value()), nil
}

// Restore sets s to the state after n samples of which the first n-1 are the
// bytes b and the newest is (t, v), so that Push goes on where it was left.
// n must be at least 1. The first timestamp comes back too.
func (s *Stream) Restore(b []byte, n int, t int64, v uint64) (first int64, err error) {
	if n < 1 || n > math.MaxUint16 {
		return 0, fmt.Errorf("%w: stream of %d samples", ErrCorrupt, n)
	}
	*s = Stream{exp: rawExp}
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)
	ts, vs, err := s.read(b, n-1, sc.ints[:0], sc.vals[:0])
	if err != nil {
		return 0, err
	}
	sc.ints, sc.vals = ts, vs
	s.N, s.LastT, s.LastV = uint16(n), t, v
	if n > 1 {
		return ts[0], nil
	}
	return t, nil
}

// read decodes n samples, which must be all of b, leaving s in the state after
// them but for N and the newest sample.
func (s *Stream) read(b []byte, n int, ts []int64, vs []float64) ([]int64, []float64, error) {
	r := reader{b: b}
	nt, nv := len(ts), len(vs)
	var m int64 // the value as an integer of exponent exp
	s.exp = rawExp
	for i := 0; i < n && !r.bad; i++ {
		c := r.byte()
		u := uint64(c>>1) & 0x3F
		if c&0x80 != 0 {
			u |= r.uvarint() << 6
		}
		s.encD += int64(u>>1) ^ -int64(u&1)
		s.encT += s.encD
		if c&1 != 0 {
			switch w := r.uvarint(); w {
			case 0:
				s.exp, s.encV = rawExp, r.uint64()
			case 1:
				s.exp, m = int8(r.byte()&15), r.varint()
				s.encV = math.Float64bits(float64(m) / pow10[s.exp])
			default:
				if s.exp == rawExp {
					r.bad = true
					break
				}
				w -= 2
				m += int64(w>>1) ^ -int64(w&1)
				s.encV = math.Float64bits(float64(m) / pow10[s.exp])
			}
		} else if i == 0 {
			r.bad = true
		}
		ts = append(ts, s.encT)
		vs = append(vs, math.Float64frombits(s.encV))
	}
	if r.bad || len(r.b) != 0 {
		return ts[:nt], vs[:nv], fmt.Errorf("%w: stream of %d bytes for %d samples", ErrCorrupt, len(b), n)
	}
	return ts, vs, nil
}
