package spans

import "slices"

// filter tells hashes that are surely not among the rows that left the open
// ones from those that may be: layers of a Bloom filter in blocks of one cache
// line, each twice the former. A wrong "may be" costs a read, never a wrong
// answer. A layer also says in which saves its rows are.
type filter struct {
	layers []layer
	most   int // lines of the largest layer; 0: filterMost
}

type layer struct {
	lines []line
	room  int    // hashes it still takes
	first uint64 // first page of the save under way when it began
}

type line [lineBytes / 8]uint64

const lineBytes = 64

const (
	filterFirst = 1 << 14 // lines of the first layer: 1 MiB
	filterMost  = 1 << 20 // lines of the largest where nothing else is said: 64 MiB, all together 127
	perLine     = 24      // hashes a line takes for less than 0.1 % wrong answers
)

// largest returns the lines of the largest layer.
func (f *filter) largest() int {
	if f.most == 0 {
		return filterMost
	}
	return f.most
}

// grow adds a layer; first is the first page of the save under way.
func (f *filter) grow(first uint64) {
	n := filterFirst
	if k := len(f.layers); k > 0 {
		n = 2 * len(f.layers[k-1].lines)
	}
	f.put(min(n, f.largest()), first)
}

// put adds a layer of that many lines.
func (f *filter) put(lines int, first uint64) {
	f.layers = append(f.layers, layer{make([]line, lines), lines * perLine, first})
}

// forget lets go of layers all of whose rows were in pages before first. Where rows go, the
// largest layer, too, is followed by another once it is full and has half of those that are left, and
// goes in its turn: there are three of them at most. page is the first page of the save under way.
func (f *filter) forget(first, page, rows uint64) {
	n := 0
	for n+1 < len(f.layers) && f.layers[n+1].first < first {
		n++
	}
	f.layers = slices.Delete(f.layers, 0, n)
	if n := len(f.layers); n > 0 {
		if l := &f.layers[n-1]; l.room <= 0 && uint64(len(l.lines)*perLine-l.room) >= rows/2 {
			f.grow(page)
		}
	}
}

// add notes a row that goes into the save whose first page that is.
func (f *filter) add(h, page uint64) {
	n := len(f.layers)
	if n == 0 || f.layers[n-1].room <= 0 && len(f.layers[n-1].lines) < f.largest() {
		f.grow(page)
		n++
	}
	// The largest goes on when it is full, with more wrong answers: 4 of 100 at
	// twice the rows it has room for, 40 at four times.
	f.layers[n-1].mark(h)
}

// restore notes a row of the save whose first page that is, once layers are set.
func (f *filter) restore(h, page uint64) {
	i := len(f.layers) - 1
	for i > 0 && f.layers[i].first > page {
		i--
	}
	f.layers[i].mark(h)
}

func (l *layer) mark(h uint64) {
	l.room--
	p := &l.lines[place(h, len(l.lines))]
	for i := range 6 {
		b := bit(h, i)
		p[b>>6] |= 1 << (b & 63)
	}
}

func (l *layer) has(h uint64) bool {
	p := &l.lines[place(h, len(l.lines))]
	for i := range 6 {
		b := bit(h, i)
		if p[b>>6]&(1<<(b&63)) == 0 {
			return false
		}
	}
	return true
}

func (f *filter) has(h uint64) bool {
	for k := len(f.layers) - 1; k >= 0; k-- {
		if f.layers[k].has(h) {
			return true
		}
	}
	return false
}

// each calls fn with the first pages of the first and the last save that may
// hold h, the newest layer first, until it returns false.
func (f *filter) each(h uint64, fn func(from, to uint64) bool) {
	to := uint64(1<<64 - 1)
	for k := len(f.layers) - 1; k >= 0; k-- {
		if f.layers[k].has(h) && !fn(f.layers[k].first, to) {
			return
		}
		to = f.layers[k].first
	}
}

func place(h uint64, n int) uint64 { return (h * 0xff51afd7ed558ccd) >> 32 & uint64(n-1) }

func bit(h uint64, i int) uint64 { return h >> (9 * i) & 511 }
