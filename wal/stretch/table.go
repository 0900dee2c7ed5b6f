package stretch

// table numbers up to RecordsMax different values in the order of their first
// use. Its slots need no clearing: those of another turn count as empty.
type table struct {
	slots  [2 * RecordsMax]slot
	turn   uint32
	values []uint64
	last   uint64 // the value numbered last, and its number
	lastAt int
}

type slot struct {
	turn  uint32
	value uint64
	at    uint32
}

func (t *table) reset() {
	t.values = t.values[:0]
	if t.turn++; t.turn == 0 {
		clear(t.slots[:])
		t.turn = 1
	}
}

// add returns the number of v, and whether it is new.
func (t *table) add(v uint64) (at int, isNew bool) {
	if len(t.values) > 0 && v == t.last {
		return t.lastAt, false
	}
	t.last = v
	for h := (v * 0x9e3779b97f4a7c15) >> 51; ; h = (h + 1) % uint64(len(t.slots)) {
		s := &t.slots[h]
		if s.turn != t.turn {
			*s = slot{turn: t.turn, value: v, at: uint32(len(t.values))}
			t.lastAt = len(t.values)
			t.values = append(t.values, v)
			return t.lastAt, true
		}
		if s.value == v {
			t.lastAt = int(s.at)
			return t.lastAt, false
		}
	}
}
