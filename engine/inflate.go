//go:build linux

package engine

import (
	"encoding/binary"
	"math/bits"
)

// inflater inflates one message (RFC 1951, framed by RFC 7692, 7.2.2). It can
// stop after any amount of work and go on later, which a decompressor that
// pulls from a reader cannot: one read of such may run through megabytes of
// blocks that yield nothing. Contexts are never taken over, so what a message
// refers back to is its own output and there is no window.
type inflater struct {
	in    []byte // the message, and the four bytes that its sender took off
	size  int    // of the message without them
	at    int    // next byte of in
	acc   uint64 // bits taken from in and not used, lowest first
	nacc  uint   // how many
	state inflateState
	final bool // the current block is the last of its stream
	rest  int  // bytes of a stored block, or of a match, still to copy
	dist  int  // of that match
	lit   *huffman
	back  *huffman

	ownLit, ownBack, lengths huffman
}

type inflateState uint8

const (
	inflateHeader inflateState = iota // a block starts, or the message ends
	inflateStored
	inflateCodes
	inflateMatch // within inflateCodes: rest bytes of a match are due
)

// inflated says why a step ended.
type inflated uint8

const (
	inflatedWhole inflated = iota // the message is complete
	inflatedSpent                 // the budget is used up
	inflatedFull                  // dst has no room
	inflatedBad                   // no DEFLATE
)

// What a step costs beside the bytes it yields, in bytes that could have been
// copied in that time.
const (
	inflateBlockCost = 64
	inflateTableCost = 4 << 10
)

// inflateTail is what the sender takes off each message (RFC 7692, 7.2.1).
var inflateTail = [4]byte{0, 0, 0xff, 0xff}

// start takes up a message. in is the payload and has to stay as it is until
// the last step; it ends in inflateTail, which the caller has appended.
func (f *inflater) start(in []byte) {
	f.in, f.size, f.at, f.acc, f.nacc = in, len(in)-len(inflateTail), 0, 0, 0
	f.state, f.final, f.rest = inflateHeader, false, 0
	if f.size == 0 {
		f.at = len(in) // nothing at all stands for nothing
	}
}

// step appends to dst, within its capacity, what budget allows, and takes what
// that cost out of it.
func (f *inflater) step(dst []byte, budget *int) ([]byte, inflated) {
	out, n := dst[:cap(dst)], len(dst)
	for {
		var why inflated
		from := n
		switch f.state {
		case inflateHeader:
			if *budget <= 0 {
				return out[:n], inflatedSpent
			}
			done, cost, ok := f.header()
			if !ok {
				return out[:n], inflatedBad
			}
			if done {
				return out[:n], inflatedWhole
			}
			*budget -= cost
			continue
		case inflateStored:
			n, why = f.stored(out, n, *budget)
		default:
			n, why = f.codes(out, n, *budget)
		}
		*budget -= n - from
		if why != inflatedWhole { // of the block
			return out[:n], why
		}
		f.state = inflateHeader
	}
}

// need makes n ≤ 32 bits available; false at the end of the input.
func (f *inflater) need(n uint) bool {
	for f.nacc < n {
		if f.at == len(f.in) {
			return false
		}
		f.acc |= uint64(f.in[f.at]) << f.nacc
		f.at++
		f.nacc += 8
	}
	return true
}

// take uses n bits that are there.
func (f *inflater) take(n uint) int {
	v := int(f.acc & (1<<n - 1))
	f.acc >>= n
	f.nacc -= n
	return v
}

// header reads the start of a block. done: there is none any more.
func (f *inflater) header() (done bool, cost int, ok bool) {
	if f.final { // what follows the last block begins anew at a byte (7.2.3.4, 7.2.3.5)
		f.unread()
		f.final = false
		if f.at >= f.size {
			return true, 0, true
		}
	}
	if f.at == len(f.in) && f.nacc < 3 {
		return true, 0, f.nacc == 0
	}
	if !f.need(3) {
		return false, 0, false
	}
	f.final = f.take(1) == 1
	switch f.take(2) {
	case 0:
		f.unread()
		if !f.need(32) {
			return false, 0, false
		}
		n := f.take(16)
		if f.take(16) != n^0xffff {
			return false, 0, false
		}
		f.state, f.rest = inflateStored, n
		return false, inflateBlockCost, true
	case 1:
		f.state, f.lit, f.back = inflateCodes, &fixedLit, &fixedBack
		return false, inflateBlockCost, true
	case 2:
		f.state, f.lit, f.back = inflateCodes, &f.ownLit, &f.ownBack
		return false, inflateTableCost, f.tables()
	}
	return false, 0, false
}

// unread drops the bits up to the next byte and gives whole bytes back.
func (f *inflater) unread() {
	f.at -= int(f.nacc / 8)
	f.acc, f.nacc = 0, 0
}

// lengthOrder is the order of the lengths of the code for lengths (3.2.7).
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

const (
	litMax  = 286
	backMax = 30
)

// tables reads a dynamic block's codes (3.2.7).
func (f *inflater) tables() bool {
	if !f.need(14) {
		return false
	}
	nLit, nBack, nLen := f.take(5)+257, f.take(5)+1, f.take(4)+4
	if nLit > litMax || nBack > backMax {
		return false
	}
	var lens [litMax + backMax]uint8
	for i := range nLen {
		if !f.need(3) {
			return false
		}
		lens[lengthOrder[i]] = uint8(f.take(3))
	}
	if f.lengths.build(lens[:len(lengthOrder)]) != 0 {
		return false
	}
	clear(lens[:len(lengthOrder)])
	for i := 0; i < nLit+nBack; {
		f.need(7 + 7) // less may do at the end
		sym, n := f.lengths.next(f.acc)
		if n == 0 || n > f.nacc {
			return false
		}
		f.take(n)
		if sym < 16 {
			lens[i] = uint8(sym)
			i++
			continue
		}
		extra, times, what := uint(2), 3, uint8(0)
		switch sym {
		case 16:
			if i == 0 {
				return false
			}
			what = lens[i-1]
		case 17:
			extra = 3
		case 18:
			extra, times = 7, 11
		}
		if f.nacc < extra {
			return false
		}
		times += f.take(extra)
		if i+times > nLit+nBack {
			return false
		}
		for range times {
			lens[i] = what
			i++
		}
	}
	if lens[256] == 0 { // no way to end the block
		return false
	}
	return f.ownLit.buildLoose(lens[:nLit]) && f.ownBack.buildLoose(lens[nLit:nLit+nBack])
}

// stored copies a block as it is.
func (f *inflater) stored(out []byte, n, budget int) (int, inflated) {
	take := min(f.rest, len(out)-n, max(budget, 0))
	if f.rest > len(f.in)-f.at {
		return n, inflatedBad
	}
	copy(out[n:n+take], f.in[f.at:])
	f.at += take
	f.rest -= take
	n += take
	switch {
	case f.rest == 0:
		return n, inflatedWhole
	case n == len(out):
		return n, inflatedFull
	}
	return n, inflatedSpent
}

// Bases and extra bits of lengths (symbols 257 to 285) and distances (3.2.5).
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	backBase    = [backMax]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	backExtra   = [backMax]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// codes decodes a block of literals and matches up to its end, until budget
// bytes are there, or until out is full. A symbol that finds no room is left
// for the next step: a literal in the input, a match as inflateMatch.
func (f *inflater) codes(out []byte, n, budget int) (int, inflated) {
	stop := n + max(budget, 0)
	if f.state == inflateMatch {
		if n = f.match(out, n); f.rest > 0 {
			return n, inflatedFull
		}
		f.state = inflateCodes
	}
	in, at, acc, nacc := f.in, f.at, f.acc, f.nacc
	lit, back := f.lit, f.back
	why := inflatedBad
loop:
	for {
		if at+8 <= len(in) {
			acc |= binary.LittleEndian.Uint64(in[at:]) << nacc
			at += int(63-nacc) >> 3
			nacc |= 56
		} else {
			for nacc < 56 && at < len(in) {
				acc |= uint64(in[at]) << nacc
				at++
				nacc += 8
			}
		}
		e := uint(lit.fast[acc&(huffmanFast-1)])
		sym, size := e>>4, e&15
		if e == 0 {
			if sym, size = lit.slow(acc); size == 0 {
				break
			}
		}
		if size > nacc {
			break
		}
		if sym < 256 {
			if n >= len(out) || n >= stop {
				if why = inflatedSpent; n >= len(out) {
					why = inflatedFull
				}
				break
			}
			out[n] = byte(sym)
			n++
			acc >>= size & 63
			nacc -= size
			continue
		}
		if sym > 256 && n >= stop {
			why = inflatedSpent
			break
		}
		acc >>= size & 63
		nacc -= size
		if sym == 256 {
			why = inflatedWhole
			break
		}
		if sym -= 257; sym >= uint(len(lengthBase)) {
			break
		}
		x := uint(lengthExtra[sym])
		length := int(lengthBase[sym]) + int(acc&(1<<x-1))
		acc >>= x & 63
		e = uint(back.fast[acc&(huffmanFast-1)])
		if sym, size = e>>4, e&15; e == 0 {
			sym, size = back.slow(acc)
		}
		if size == 0 || sym >= backMax {
			break
		}
		acc >>= size & 63
		y := uint(backExtra[sym])
		dist := int(backBase[sym]) + int(acc&(1<<y-1))
		acc >>= y & 63
		if used := x + size + y; used > nacc || dist > n {
			break
		} else {
			nacc -= used
		}
		if n+length > len(out) {
			f.state, f.rest, f.dist = inflateMatch, length, dist
			n = f.match(out, n)
			why = inflatedFull
			break loop
		}
		if dist >= length {
			copy(out[n:n+length], out[n-dist:])
			n += length
			continue
		}
		for end, from := n+length, n-dist; n < end; {
			n += copy(out[n:end], out[from:n])
		}
	}
	// What was read ahead is given back, so that acc is exact for need.
	at -= int(nacc / 8)
	nacc &= 7
	f.in, f.at, f.acc, f.nacc = in, at, acc&(1<<nacc-1), nacc
	return n, why
}

// match copies as much of the match at hand as out has room for.
func (f *inflater) match(out []byte, n int) int {
	for end, from := min(n+f.rest, len(out)), n-f.dist; n < end; {
		c := copy(out[n:end], out[from:n])
		n += c
		f.rest -= c
	}
	return n
}

// huffman is a canonical code (3.2.2): symbols of short codes by the next bits
// of the input, all by length and order.
type huffman struct {
	fast  [huffmanFast]uint16     // symbol<<4 | length; 0: see slow
	sym   [288]uint16             // by length, then value
	count [huffmanLong + 1]uint16 // of symbols, by length
	first [huffmanLong + 1]uint16 // code, by length
	at    [huffmanLong + 1]uint16 // place in sym of the first, by length
}

const (
	huffmanBits = 10
	huffmanFast = 1 << huffmanBits
	huffmanLong = 15
)

// build makes the code of these lengths. It returns how much of the code space
// is left over, negative if there is too little.
func (h *huffman) build(lens []uint8) (left int) {
	h.count = [huffmanLong + 1]uint16{}
	for _, l := range lens {
		h.count[l]++
	}
	h.count[0] = 0
	left = 1
	for l := 1; l <= huffmanLong; l++ {
		left = left<<1 - int(h.count[l])
		if left < 0 {
			return left
		}
		h.at[l] = h.at[l-1] + h.count[l-1]
		h.first[l] = (h.first[l-1] + h.count[l-1]) << 1
	}
	at, code := h.at, h.first
	clear(h.fast[:])
	for s, l := range lens {
		if l == 0 {
			continue
		}
		h.sym[at[l]] = uint16(s)
		at[l]++
		c := code[l]
		code[l]++
		if l <= huffmanBits {
			for i := int(bits.Reverse16(c) >> (16 - l)); i < huffmanFast; i += 1 << l {
				h.fast[i] = uint16(s)<<4 | uint16(l)
			}
		}
	}
	return left
}

// buildLoose allows what the code for lengths may not be: no symbol at all, or
// one of a single bit (3.2.7).
func (h *huffman) buildLoose(lens []uint8) bool {
	left := h.build(lens)
	if left <= 0 {
		return left == 0
	}
	for l := 2; l <= huffmanLong; l++ {
		if h.count[l] != 0 {
			return false
		}
	}
	return true
}

// next decodes the symbol at the low end of acc; size 0: there is none.
func (h *huffman) next(acc uint64) (sym, size uint) {
	if e := uint(h.fast[acc&(huffmanFast-1)]); e != 0 {
		return e >> 4, e & 15
	}
	return h.slow(acc)
}

// slow is next for the codes that fast has no room for.
func (h *huffman) slow(acc uint64) (sym, size uint) {
	code := bits.Reverse16(uint16(acc))
	for l := uint(huffmanBits + 1); l <= huffmanLong; l++ {
		if i := code>>(16-l) - h.first[l]; i < h.count[l] {
			return uint(h.sym[h.at[l]+i]), l
		}
	}
	return 0, 0
}

// The fixed codes (3.2.6).
var fixedLit, fixedBack = func() (lit, back huffman) {
	var lens [288]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	lit.build(lens[:])
	var five [32]uint8
	for i := range five {
		five[i] = 5
	}
	back.build(five[:])
	return lit, back
}()
