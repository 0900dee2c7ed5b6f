package chunk

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// An integer column:
//
//	mode u8 | head | base s | [gcd u] | width u8 | patches u | packed | patch…
//
// mode's low bits name the transform, which turns n numbers into m residuals:
//
//	plain  m = n    x[i]
//	delta  m = n-1  x[i]-x[i-1]                       head: x[0] s
//	delta2 m = n-2  differences of the deltas         head: x[0] s, delta[0] s
//	line   m = n    x[i]-x[0]-i*step                  head: x[0] s, step s
//
// A residual is stored as (residual-base)/gcd in width bits, lowest bit first;
// what does not fit leaves its low bits there and its high bits in a patch
// (distance to the patch before u, high bits u). All arithmetic is modulo
// 2^64, so no input overflows. n itself is the chunk's.
const (
	modePlain  = 0
	modeDelta  = 1
	modeDelta2 = 2
	modeLine   = 3
	modeMask   = 3
	modeGCD    = 4
	modeKnown  = modeMask | modeGCD
)

// columns is the working memory of append.
type columns struct {
	res, best, probe []int64
	low              []int64
	sampled          bool
}

// Of a long column every probeStep-th residual decides which transform is
// taken; base and width are then chosen from all of them.
const (
	probeAbove = 96
	probeStep  = 5
)

// plan is one way to store residuals and what it costs.
type plan struct {
	mode  byte
	head  [2]int64
	base  int64
	gcd   uint64
	width int
	bytes int
}

// append appends the smallest form of xs to dst.
func (c *columns) append(dst []byte, xs []int64) []byte {
	var p plan
	p.bytes = -1
	c.sampled = len(xs) > probeAbove
	c.consider(&p, plan{mode: modePlain}, append(c.res[:0], xs...))
	if n := len(xs); n >= 2 {
		r := c.res[:0]
		for i := 1; i < n; i++ {
			r = append(r, xs[i]-xs[i-1])
		}
		c.consider(&p, plan{mode: modeDelta, head: [2]int64{xs[0]}}, r)
		if n >= 4 {
			r = c.res[:0]
			for i := 2; i < n; i++ {
				r = append(r, xs[i]-2*xs[i-1]+xs[i-2])
			}
			c.consider(&p, plan{mode: modeDelta2, head: [2]int64{xs[0], xs[1] - xs[0]}}, r)
			step := (xs[n-1] - xs[0]) / int64(n-1)
			r = c.res[:0]
			for i := range xs {
				r = append(r, xs[i]-xs[0]-int64(i)*step)
			}
			c.consider(&p, plan{mode: modeLine, head: [2]int64{xs[0], step}}, r)
		}
	}
	if c.sampled {
		p.measure(c.best, &c.low)
	}
	return p.append(dst, c.best)
}

// consider measures the residuals res under cand and keeps them if smaller.
func (c *columns) consider(p *plan, cand plan, res []int64) {
	c.res = res
	probe := res
	if c.sampled {
		c.probe = c.probe[:0]
		for i := 0; i < len(res); i += probeStep {
			c.probe = append(c.probe, res[i])
		}
		probe = c.probe
	}
	cand.measure(probe, &c.low)
	if p.bytes < 0 || cand.bytes < p.bytes {
		*p = cand
		c.best = append(c.best[:0], res...)
	}
}

// measure chooses base, gcd and width for res.
func (p *plan) measure(res []int64, low *[]int64) {
	head := 1
	switch p.mode {
	case modeDelta:
		head += varintLen(p.head[0])
	case modeDelta2, modeLine:
		head += varintLen(p.head[0]) + varintLen(p.head[1])
	}
	if len(res) == 0 {
		p.bytes = head + 3
		return
	}
	// The smallest few, so that a handful of low outliers (a counter that
	// starts anew) need not drag the base down with them.
	k := min(len(res)/32, 8) + 1
	ls := (*low)[:0]
	for _, x := range res {
		if len(ls) < k || x < ls[len(ls)-1] {
			i, _ := slices.BinarySearch(ls, x)
			if len(ls) < k {
				ls = append(ls, 0)
			}
			copy(ls[i+1:], ls[i:])
			ls[i] = x
		}
	}
	*low = ls

	p.base, p.gcd = ls[0], 0
	for _, x := range res {
		p.gcd = gcd(p.gcd, uint64(x-p.base))
		if p.gcd == 1 {
			break
		}
	}
	if p.gcd == 0 {
		p.gcd = 1
	}
	p.width, p.bytes = width(res, p.base, p.gcd)
	p.bytes += head + varintLen(p.base) + 2
	if p.gcd > 1 {
		p.bytes += uvarintLen(p.gcd)
	}
	if high := ls[len(ls)-1]; high != p.base {
		w, n := width(res, high, 1)
		if n += head + varintLen(high) + 2; n < p.bytes {
			p.base, p.gcd, p.width, p.bytes = high, 1, w, n
		}
	}
}

// width finds the number of low bits that makes packed bits and patches
// smallest; bytes is an estimate that is exact for patches close together.
func width(res []int64, base int64, g uint64) (w, bytes int) {
	var hist [65]int
	if g == 1 {
		for _, x := range res {
			hist[bits.Len64(uint64(x-base))]++
		}
	} else {
		for _, x := range res {
			hist[bits.Len64(uint64(x-base)/g)]++
		}
	}
	top := 64
	for top > 0 && hist[top] == 0 {
		top--
	}
	w, bytes = top, (top*len(res)+7)/8
	var above [65]int // lengths in use above c, longest first
	used, patched := 0, 0
	for c := top - 1; c >= 0; c-- {
		if hist[c+1] != 0 {
			above[used] = c + 1
			used++
			patched += hist[c+1]
			if patched*2 > len(res) {
				break
			}
		}
		n := (c*len(res) + 7) / 8
		for _, l := range above[:used] {
			n += hist[l] * ((l-c+6)/7 + 1)
		}
		if n < bytes {
			w, bytes = c, n
		}
	}
	return w, bytes
}

func (p *plan) append(dst []byte, res []int64) []byte {
	mode := p.mode
	if p.gcd > 1 {
		mode |= modeGCD
	}
	dst = append(dst, mode)
	if p.mode != modePlain {
		dst = binary.AppendVarint(dst, p.head[0])
	}
	if p.mode == modeDelta2 || p.mode == modeLine {
		dst = binary.AppendVarint(dst, p.head[1])
	}
	dst = binary.AppendVarint(dst, p.base)
	if p.gcd > 1 {
		dst = binary.AppendUvarint(dst, p.gcd)
	}
	g := max(p.gcd, 1)
	dst = append(dst, byte(p.width))
	patches := 0
	if p.width < 64 {
		for _, x := range res {
			if uint64(x-p.base)/g>>p.width != 0 {
				patches++
			}
		}
	}
	dst = binary.AppendUvarint(dst, uint64(patches))
	dst = pack(dst, res, p.base, g, uint(p.width))
	if patches == 0 {
		return dst
	}
	at := 0
	for i, x := range res {
		if h := uint64(x-p.base) / g >> p.width; h != 0 {
			dst = binary.AppendUvarint(dst, uint64(i-at))
			dst = binary.AppendUvarint(dst, h)
			at = i
		}
	}
	return dst
}

// pack appends the low w bits of each (x-base)/g, lowest bit first.
func pack(dst []byte, res []int64, base int64, g uint64, w uint) []byte {
	if w == 0 {
		return dst
	}
	mask := ^uint64(0) >> (64 - w)
	var acc uint64
	var have uint
	for _, x := range res {
		u := uint64(x - base)
		if g != 1 {
			u /= g
		}
		u &= mask
		acc |= u << have
		if have+w >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			// A shift by 64 is zero in Go: nothing is left over then.
			acc = u >> (64 - have)
			have = have + w - 64
		} else {
			have += w
		}
	}
	for ; have > 0; have -= min(have, 8) {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// decodeInts appends the n numbers of the column b to dst.
func decodeInts(b []byte, dst []int64, n int) ([]int64, error) {
	r := reader{b: b}
	mode := r.byte()
	m := n
	var head [2]int64
	switch mode & modeMask {
	case modeDelta:
		head[0], m = r.varint(), n-1
	case modeDelta2:
		head[0], head[1], m = r.varint(), r.varint(), n-2
	case modeLine:
		head[0], head[1] = r.varint(), r.varint()
	}
	base, g := r.varint(), uint64(1)
	if mode&modeGCD != 0 {
		g = r.uvarint()
	}
	w, patches := uint(r.byte()), r.uvarint()
	packed := (int(w)*max(m, 0) + 7) / 8
	if r.bad || mode > modeKnown || m < 0 || w > 64 || patches > uint64(m) || packed > len(r.b) {
		return dst, fmt.Errorf("%w: integer column mode %d width %d patches %d of %d in %d bytes", ErrCorrupt, mode, w, patches, n, len(b))
	}
	start := len(dst)
	switch mode & modeMask {
	case modeDelta:
		dst = append(dst, head[0])
	case modeDelta2:
		dst = append(dst, head[0], head[0]+head[1])
	}
	at := len(dst)
	dst = unpack(dst, r.b[:packed], m, w)
	res := dst[at:]
	r.b = r.b[packed:]
	pos := uint64(0)
	for ; patches > 0; patches-- {
		d, h := r.uvarint(), r.uvarint()
		if pos += d; r.bad || pos >= uint64(m) || d > uint64(m) || w >= 64 {
			return dst[:start], fmt.Errorf("%w: patch %d of %d numbers", ErrCorrupt, pos, n)
		}
		res[pos] |= int64(h << w)
	}
	if len(r.b) != 0 {
		return dst[:start], fmt.Errorf("%w: %d bytes after an integer column", ErrCorrupt, len(r.b))
	}
	if g == 1 {
		for i := range res {
			res[i] += base
		}
	} else {
		for i := range res {
			res[i] = int64(uint64(res[i])*g) + base
		}
	}
	xs := dst[start:]
	switch mode & modeMask {
	case modeDelta:
		for i := 1; i < len(xs); i++ {
			xs[i] += xs[i-1]
		}
	case modeDelta2:
		d := head[1]
		for i := 2; i < len(xs); i++ {
			d += xs[i]
			xs[i] = xs[i-1] + d
		}
	case modeLine:
		x := head[0]
		for i := range xs {
			xs[i] += x
			x += head[1]
		}
	}
	return dst, nil
}

// unpack appends m numbers of w bits; b holds exactly their bytes.
func unpack(dst []int64, b []byte, m int, w uint) []int64 {
	dst = slices.Grow(dst, m)
	if w == 0 {
		for range m {
			dst = append(dst, 0)
		}
		return dst
	}
	mask := ^uint64(0) >> (64 - w)
	i, bit := 0, uint(0)
	if w <= 56 {
		for ; i < m; i, bit = i+1, bit+w {
			at := bit >> 3
			if int(at)+8 > len(b) {
				break
			}
			dst = append(dst, int64(binary.LittleEndian.Uint64(b[at:])>>(bit&7)&mask))
		}
	}
	for ; i < m; i, bit = i+1, bit+w {
		var u uint64
		at, off := int(bit>>3), bit&7
		for k := 0; k < 9 && at+k < len(b); k++ {
			if sh := uint(8 * k); sh >= off {
				u |= uint64(b[at+k]) << (sh - off)
			} else {
				u |= uint64(b[at+k]) >> (off - sh)
			}
		}
		dst = append(dst, int64(u&mask))
	}
	return dst
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func uvarintLen(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }

func varintLen(x int64) int { return uvarintLen(uint64(x)<<1 ^ uint64(x>>63)) }
