package wire

import (
	"encoding/binary"
	"math/bits"
)

// words is a fixed set of names, each with a number and the set of values that it belongs to. A name's first eight
// bytes, multiplied, give the one slot that it can be in; there the rest is compared.
type words struct {
	mul   uint64
	slots [1 << wordBits]wordSlot
}

type wordSlot struct {
	word uint64 // the first eight bytes, the first one lowest; fewer are moved up
	n    uint8  // length of the name; 0 = an empty slot
	set  uint8
	v    uint8
	aux  uint8 // of a field: its rule
	keep uint8 // of a field: whether fastEvent keeps it
	name string
}

const wordBits = 7

// add numbers names from first on, within a set; "" is left out.
func add(all []wordSlot, set, first uint8, names []string) []wordSlot {
	for i, name := range names {
		if name != "" {
			all = append(all, wordSlot{firstWord([]byte(name), 0, len(name)), uint8(len(name)), set, first + uint8(i), 0, 0, name})
		}
	}
	return all
}

// newWords tries multipliers until no two names meet, a few thousand for the largest set. Names of one set that are
// alike in their first eight bytes cannot be told apart: it panics.
func newWords(all []wordSlot) (t words) {
search:
	for seed := uint64(1); seed < 1<<20; seed++ {
		clear(t.slots[:])
		t.mul = bits.Reverse64(seed*0x9e3779b97f4a7c15) | 1
		for _, s := range all {
			to := t.slot(s.word, s.set)
			if to.n != 0 {
				continue search
			}
			*to = s
		}
		return t
	}
	panic("wire: names that cannot be told apart by their first eight bytes")
}

func (t *words) slot(word uint64, set uint8) *wordSlot {
	return &t.slots[(word+uint64(set))*t.mul>>(64-wordBits)]
}

// find returns the slot of the name b[i:i+n], which lies in b; nil for a name that is not in the set.
func (t *words) find(set uint8, b []byte, i, n int) *wordSlot {
	w := firstWord(b, i, n)
	s := t.slot(w, set)
	if s.word != w || int(s.n) != n || s.set != set || n > 8 && s.name != string(b[i:i+n]) {
		return nil
	}
	return s
}

// firstWord returns the first eight of the n bytes at b[i].
func firstWord(b []byte, i, n int) uint64 {
	if i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		if n < 8 {
			w <<= 64 - 8*uint(n)
		}
		return w
	}
	return lastWord(b, i, n)
}

// lastWord does it at the end of b, where eight bytes cannot be loaded at once.
func lastWord(b []byte, i, n int) (w uint64) {
	for j := range min(n, 8) {
		w = w>>8 | uint64(b[i+j])<<56
	}
	return w
}

// The names of an event's fields, and under the field's number the words that it may say.
var (
	fieldWords = newWords(func() []wordSlot {
		all := add(nil, 0, 0, fieldNames[:])
		for i := range all {
			all[i].aux = uint8(fieldRules[all[i].v])
			switch Field(all[i].v) {
			case FAgent:
				all[i].keep = keepAgent
			case FRun:
				all[i].keep = keepRun
			}
		}
		return all
	}())
	enumWords = newWords(func() (all []wordSlot) {
		all = add(all, uint8(FType), 0, typeNames[:])
		all = add(all, uint8(FPhase), 0, phaseNames[:])
		all = add(all, uint8(FSeverity), 0, severityNames[:])
		all = add(all, uint8(FPrio), 0, prioNames[:])
		all = add(all, uint8(FStatus), 0, statusNames[:])
		all = add(all, uint8(FTSFrom), 0, tsFromNames[:])
		all = add(all, uint8(FState), 0, stateNames[:])
		return add(all, uint8(FOn), 0, onNames[:])
	}())
	usageWords = newWords(add(add(nil, 0, 0, usageNames[:]), 0, usageModel, []string{"model", "quality"}))
)

// The numbers of usage's names that are no counts.
const (
	usageModel   = uint8(len(usageNames))
	usageQuality = usageModel + 1
)
