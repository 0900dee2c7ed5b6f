package live

import mathbits "math/bits"

// bits is a set of dense numbers. The zero value is empty.
type bits struct {
	w []uint64
	n int // members
}

func (b *bits) set(i uint32) {
	for int(i>>6) >= len(b.w) {
		b.w = append(b.w, 0)
	}
	if m := uint64(1) << (i & 63); b.w[i>>6]&m == 0 {
		b.w[i>>6] |= m
		b.n++
	}
}

func (b *bits) unset(i uint32) {
	if int(i>>6) >= len(b.w) {
		return
	}
	if m := uint64(1) << (i & 63); b.w[i>>6]&m != 0 {
		b.w[i>>6] &^= m
		b.n--
	}
}

func (b *bits) has(i uint32) bool {
	return int(i>>6) < len(b.w) && b.w[i>>6]>>(i&63)&1 == 1
}

func (b *bits) clear() {
	clear(b.w)
	b.n = 0
}

// or adds all of o.
func (b *bits) or(o bits) {
	for len(b.w) < len(o.w) {
		b.w = append(b.w, 0)
	}
	for i, x := range o.w {
		b.n += mathbits.OnesCount64(x &^ b.w[i])
		b.w[i] |= x
	}
}

// fill sets 0..n-1.
func (b *bits) fill(n uint32) {
	for i := range n {
		b.set(i)
	}
}

// next returns the first member at or after i.
func (b *bits) next(i uint32) (uint32, bool) {
	for k := int(i >> 6); k < len(b.w); k++ {
		x := b.w[k]
		if k == int(i>>6) {
			x &^= 1<<(i&63) - 1
		}
		if x != 0 {
			return uint32(k<<6 + mathbits.TrailingZeros64(x)), true
		}
	}
	return 0, false
}
