package wire

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// judge is checkEvent, fast where it can be.
func judge(b []byte, at int, h *Head) (int, *fault) {
	if end := fastEvent(b, at, h); end >= 0 {
		return end, nil
	}
	return checkEvent(b, at, h)
}

// fastEvent is checkEvent for events as they mostly are: it takes none that checkEvent refuses, and gives the same Head
// and end. It returns -1, with h untouched, where it leaves the judgement to checkEvent: at every fault, and at rare
// forms. It reads in words of eight bytes and decides by tables, because what comes next can hardly be foretold.
func fastEvent(b []byte, at int, h *Head) int {
	k, n, i := token(b, at)
	if k != kMap {
		return -1
	}
	var seen uint64
	var got fastFields
	for ; n > 0; n-- {
		if uint(i) >= uint(len(b)) {
			return -1
		}
		s, kn := &unknownField, uint(b[i])-0xa0
		if kn-1 < 8 && i+9 <= len(b) {
			w := load8(b, i+1) << ((64 - 8*kn) & 63)
			if to := fieldWords.slot(w, 0); to.word == w && uint(to.n) == kn {
				s = to
			}
		}
		if s != &unknownField {
			i += 1 + int(kn)
		} else if s, i = fieldAt(b, i); s == nil {
			return -1
		}
		if uint(i) >= uint(len(b)) {
			return -1
		}
		c := b[i]
		if bit := uint64(1) << (s.v & 63); seen&bit != 0 {
			return -1
		} else if c != 0xc0 { // nil is absent
			seen |= bit &^ (1 << FUnknown)
		} else if s.v != uint8(FUnknown) {
			i++
			continue
		}
		sn := uint(c) - 0xa0
		switch {
		case rule(s.aux) <= rID && sn < 32 && i+33 <= len(b):
			m := &textMasks[sn]
			if (load8(b, i+1)&m[0]|load8(b, i+9)&m[1]|load8(b, i+17)&m[2]|load8(b, i+25)&m[3]) != 0 && !validText(b, i+1, int(sn)) {
				return -1
			}
			got.kept[s.keep&3] = uint64(i+1)<<32 | uint64(sn)
			i += 1 + int(sn)
		case rule(s.aux) > rID && rule(s.aux) <= rOn && sn-1 < 8 && i+9 <= len(b):
			w := load8(b, i+1) << ((64 - 8*sn) & 63)
			e := enumWords.slot(w, s.v)
			if e.word != w || uint(e.n) != sn || e.set != s.v {
				return -1
			}
			got.said[s.v&63] = e.v
			i += 1 + int(sn)
		default:
			if i = got.other(b, i, s); i < 0 {
				return -1
			}
		}
	}
	head := Head{Type: Type(got.said[FType]), Phase: Phase(got.said[FPhase]), Severity: Severity(got.said[FSeverity]), Prio: Prio(got.said[FPrio]), TS: got.tsNs, Blob: got.blob}
	if p := got.kept[keepAgent]; p != 0 {
		head.Agent = b[p>>32:][:uint32(p)]
	}
	var run []byte
	if p := got.kept[keepRun]; p != 0 {
		run = b[p>>32:][:uint32(p)]
	}
	if i > len(b) || got.numbers > MaxMetrics || head.settle(at, seen, got.tsMs, run).bad() {
		return -1
	}
	*h = head
	return i
}

// fastFields is what fastEvent has met.
type fastFields struct {
	said       [64]uint8 // by field: its word's number
	kept       [4]uint64 // where the texts lie that the Head needs: index<<32 | length
	tsNs, tsMs int64
	numbers    int
	blob       bool
}

// What wordSlot.keep says of a field: which of fastFields.kept is to hold it.
const (
	keepNot = iota
	keepAgent
	keepRun
)

var unknownField = wordSlot{v: uint8(FUnknown), aux: uint8(rAny)}

// fieldAt is the careful reading of the name at b[i]: long ones, and those at the end of b. nil gives up.
func fieldAt(b []byte, i int) (s *wordSlot, next int) {
	from, n := strAt(b, i)
	if n < 0 {
		return nil, i
	}
	if s = fieldWords.find(0, b, from, n); s == nil && validText(b, from, n) {
		s = &unknownField
	}
	return s, from + n
}

// other reads the value of the field s at b[i] that is no short text, and returns the index behind it; -1 gives up.
func (g *fastFields) other(b []byte, i int, s *wordSlot) int {
	var ft *fault
	next := -1
	switch r := rule(s.aux); r {
	case rText, rID:
		from, n := strAt(b, i)
		if n < 0 || n > MaxID && r == rID || !validText(b, from, n) {
			return -1
		}
		g.kept[s.keep&3] = uint64(from)<<32 | uint64(n)
		return from + n
	case rInstantMs:
		var ns int64
		if c := b[i]; c == 0xcf && i+9 <= len(b) {
			ms := binary.BigEndian.Uint64(b[i+1:])
			if ms > maxUnixMs {
				return -1
			}
			ns, next = int64(ms)*1e6, i+9
		} else {
			ns, next, ft = checkInstantMs(b, i)
		}
		if Field(s.v) == FTS {
			g.tsMs = ns
		}
	case rInstantNs:
		g.tsNs, next, ft = checkInstantNs(b, i)
	case rNumbers:
		if next = fastNumbers(b, i); next >= 0 {
			g.numbers += int(b[i] & 15)
			return next
		}
		next, g.numbers, ft = checkNumbers(b, i, g.numbers)
	case rUsage:
		if next = fastUsage(b, i); next >= 0 {
			return next
		}
		next, ft = checkComposite(b, i, r)
	case rAny:
		next, ft = checkAny(b, i, 1, &g.blob)
	case rMap:
		next, ft = checkMapAny(b, i, &g.blob)
	case rType, rPhase, rSeverity, rPrio, rStatus, rTSFrom, rOn:
		from, n := strAt(b, i)
		if n < 0 {
			return -1
		}
		e := enumWords.find(s.v, b, from, n)
		if e == nil {
			return -1
		}
		g.said[s.v&63] = e.v
		return from + n
	default:
		next, ft = checkComposite(b, i, r)
	}
	if ft.bad() {
		return -1
	}
	return next
}

// load8 returns the eight bytes at b[i], the first one lowest. The caller has seen to it that they lie in b.
func load8(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))[:])
}

// textMasks has, for each length, the high bits of so many bytes, those that ASCII does not have; wholeMasks all bits.
var textMasks, wholeMasks = byteMasks(0x80), byteMasks(0xff)

func byteMasks(each uint64) (t [32][4]uint64) {
	for n := range t {
		for i := range n {
			t[n][i/8] |= each << (i % 8 * 8)
		}
	}
	return t
}

// fastNumbers returns the index behind the map of at most eight names and numbers at b[i]; -1 leaves it to checkNumbers.
func fastNumbers(b []byte, i int) int {
	var names [8]uint64 // of each the bytes, folded: where two agree the names are compared elsewhere
	n := int(b[i]) - 0x80
	if uint(n) > uint(len(names)) {
		return -1
	}
	i++
	for j := range n {
		if i+34 > len(b) {
			return -1
		}
		kn := uint(b[i]) - 0xa0
		if kn-1 > 30 {
			return -1
		}
		m := &textMasks[kn]
		w0, w1, w2, w3 := load8(b, i+1), load8(b, i+9), load8(b, i+17), load8(b, i+25)
		if (w0&m[0] | w1&m[1] | w2&m[2] | w3&m[3]) != 0 {
			return -1
		}
		m = &wholeMasks[kn]
		w := w0&m[0] ^ bits.RotateLeft64(w1&m[1], 11) ^ bits.RotateLeft64(w2&m[2], 23) ^ bits.RotateLeft64(w3&m[3], 37) ^ uint64(kn)<<57
		for _, o := range names[:j&7] {
			if o == w {
				return -1
			}
		}
		names[j&7] = w
		i += 1 + int(kn)
		size := numberSizes[b[i]]
		if size == 0 {
			return -1
		}
		i += int(size)
	}
	if i > len(b) {
		return -1
	}
	return i
}

// numberSizes has the size of a number with its first byte, 0 for what is no number.
var numberSizes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x80, c >= 0xe0:
			t[c] = 1
		case c >= 0xca && c <= 0xd3:
			t[c] = 1 + tokenSizes[c-0xc0]
		}
	}
	return t
}()

// fastUsage returns the index behind the usage at b[i]; -1 leaves it to checkMap.
func fastUsage(b []byte, i int) int {
	n := int(b[i]) - 0x80
	if uint(n) > 15 {
		return -1
	}
	seen := 0
	for i++; n > 0; n-- {
		if i+34 > len(b) {
			return -1
		}
		kn := int(b[i]) - 0xa0
		if uint(kn) > 31 {
			return -1
		}
		w := load8(b, i+1)
		if kn < 8 {
			w <<= (64 - 8*kn) & 63
		}
		s := usageWords.slot(w, 0)
		if s.word != w || int(s.n) != kn || kn > 8 && s.name != string(b[i+1:i+1+kn]) || seen>>s.v&1 != 0 {
			return -1
		}
		seen |= 1 << s.v
		i += 1 + kn
		c := b[i]
		size := int(countSizes[c])
		if s.v >= usageModel {
			if s.v != usageModel || c-0xa0 > 31 || int(c-0xa0) >= len(b)-i || !validText(b, i+1, int(c-0xa0)) {
				return -1
			}
			size = 1 + int(c-0xa0)
		} else if size == 0 {
			return -1
		}
		i += size
	}
	if i > len(b) {
		return -1
	}
	return i
}

// countSizes has the size of a whole number below 2^32 with its first byte, 0 for others.
var countSizes = func() (t [256]uint8) {
	for c := range t {
		if c < 0x80 {
			t[c] = 1
		}
	}
	t[0xcc], t[0xcd], t[0xce] = 2, 3, 5
	return t
}()
