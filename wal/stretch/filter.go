package stretch

import "math/bits"

// A gram is four ASCII letters in a row, in either case: five bits each. Those of
// letters up to f alone are none: they are in every chunk with hexadecimal ids.
const (
	gramLetters = 4
	gramMask    = 1<<(5*gramLetters) - 1
)

// A filter is a Bloom filter of the grams of a chunk's payloads, taken from the
// pieces that a reader is shown before it decodes the records: filterBits for each
// gram, of which it sets filterHashes. It never says of a gram that is there that it is
// not; of one in forty that are not, it says that they may be.
const (
	filterBits   = 8
	filterHashes = 4

	// A filter is left out where it would take more than one byte for so many of the chunk.
	filterShare = 8

	versionFilter = 2 // of a chunk, the first with a filter
)

// letters maps a byte to its place in the alphabet from 1 on, 0 for others.
var letters = func() (t [256]uint8) {
	for c := byte(1); c <= 26; c++ {
		t['a'+c-1], t['A'+c-1] = c, c
	}
	return t
}()

// gramsOf calls yield for each gram of p, as often as it occurs, until it returns
// false. It looks at the last letter of where one may be first: what is no text has
// none there, mostly, and is passed over four bytes at a time (Boyer and Moore, 1977).
func gramsOf(p []byte, yield func(gram uint32) bool) bool {
	for i := 0; i+gramLetters <= len(p); {
		at := i + gramLetters - 1
		for at >= i && letters[p[at]] != 0 {
			at--
		}
		if at >= i {
			i = at + 1
			continue
		}
		gram, beyond := uint32(0), 0 // beyond: how many letters since one behind f
		for n := 1; i < len(p) && letters[p[i]] != 0; n, i = n+1, i+1 {
			x := letters[p[i]]
			if beyond++; x > 6 {
				beyond = 0
			}
			gram = (gram<<5 | uint32(x)) & gramMask
			if n >= gramLetters && beyond < gramLetters && !yield(gram) {
				return false
			}
		}
	}
	return true
}

// grams collects different grams.
type grams struct {
	seen [(gramMask + 1) / 64]uint64
	list []uint32
}

func (g *grams) reset() {
	for _, x := range g.list {
		g.seen[x/64] = 0
	}
	g.list = g.list[:0]
}

func (g *grams) add(p []byte) {
	gramsOf(p, func(x uint32) bool {
		if bit := uint64(1) << (x % 64); g.seen[x/64]&bit == 0 {
			g.seen[x/64] |= bit
			g.list = append(g.list, x)
		}
		return true
	})
}

// filter appends the filter of what was added, unless it takes more than most bytes.
func (g *grams) filter(dst []byte, most int) []byte {
	n := max(1, (len(g.list)*filterBits+7)/8)
	if n > most {
		return dst
	}
	from := len(dst)
	dst = append(dst, make([]byte, n)...)
	for _, x := range g.list {
		for b := range bitsOf(x, n) {
			dst[from+int(b/8)] |= 1 << (b % 8)
		}
	}
	return dst
}

// bitsOf yields the bits of a gram in a filter of n bytes.
func bitsOf(gram uint32, n int) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		h := uint64(gram) + 1
		for range filterHashes {
			h *= 0x9e3779b97f4a7c15
			h ^= h >> 32
			if b, _ := bits.Mul32(uint32(h), uint32(8*n)); !yield(b) {
				return
			}
		}
	}
}

// filter is one as stored. The empty one knows nothing.
type filter []byte

// may tells whether the text, in any case of its ASCII letters, can lie in one of
// the pieces that the filter was made of.
func (f filter) may(text []byte) bool {
	return len(f) == 0 || gramsOf(text, func(gram uint32) bool {
		for b := range bitsOf(gram, len(f)) {
			if f[b/8]>>(b%8)&1 == 0 {
				return false
			}
		}
		return true
	})
}
