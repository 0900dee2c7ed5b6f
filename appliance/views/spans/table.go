package spans

import "iter"

// table finds open spans by hash: open addressing with linear probing, one
// cache line a look-up, no marks left by deletion.
type table struct {
	slots []slot
	n     int
}

type slot struct {
	h uint64
	s *span // nil = free
}

const tableMin = 1 << 10

func newTable() table { return table{slots: make([]slot, tableMin)} }

func (t *table) home(h uint64) int { return int(h * 0x9e3779b97f4a7c15 >> 20 & uint64(len(t.slots)-1)) }

func (t *table) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// get returns the span of a hash, or nil.
func (t *table) get(h uint64) *span {
	for i := t.home(h); ; i = t.next(i) {
		if x := &t.slots[i]; x.s == nil || x.h == h {
			return x.s
		}
	}
}

// set puts a span under a hash that has none.
func (t *table) set(h uint64, s *span) {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]slot, 2*len(old))
		for _, x := range old {
			if x.s != nil {
				t.place(x)
			}
		}
	}
	t.place(slot{h, s})
	t.n++
}

func (t *table) place(x slot) {
	i := t.home(x.h)
	for t.slots[i].s != nil {
		i = t.next(i)
	}
	t.slots[i] = x
}

// delete takes a hash out and moves up what was pushed on by it.
func (t *table) delete(h uint64) {
	i := t.home(h)
	for ; t.slots[i].s != nil; i = t.next(i) {
		if t.slots[i].h == h {
			break
		}
	}
	if t.slots[i].s == nil {
		return
	}
	t.n--
	for j := t.next(i); t.slots[j].s != nil; j = t.next(j) {
		// What is at j may move to i unless its home lies behind i.
		home := t.home(t.slots[j].h)
		if (j-home)&(len(t.slots)-1) >= (j-i)&(len(t.slots)-1) {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
}

// all walks the spans in no order; the table must not change meanwhile.
func (t *table) all() iter.Seq2[uint64, *span] {
	return func(yield func(uint64, *span) bool) {
		for i := range t.slots {
			if x := &t.slots[i]; x.s != nil && !yield(x.h, x.s) {
				return
			}
		}
	}
}
