package spans

import (
	"math/bits"
	"slices"
)

// filter tells hashes that are surely not among the rows that left the open
// ones from those that may be: layers of a Bloom filter in blocks of one cache
// line, each twice the former up to an eighth of all. A wrong "may be" costs a read,
// never a wrong answer. A layer also says in which saves its rows are.
//
// All layers together are bounded: where another does not fit the oldest go, and
// the filter knows nothing of their rows any more; one that keeps all goes on with
// the last, and more and more wrong answers.
type filter struct {
	layers []layer
	keeps  bool
	most   int // lines of all layers together; 0: filterMost
	least  int // lines of the first; 0: filterFirst
}

type layer struct {
	lines []line
	lease *lease // of lines; nil where they lie on the heap
	room  int    // hashes it still takes
	first uint64 // first page of the save under way when it began
}

// lease is the use of memory that is not on the heap.
type lease struct{ mapped []byte }

type line [lineBytes / 8]uint64

const lineBytes = 64

const (
	filterFirst = 1 << 14 // lines of the first layer: 1 MiB
	filterMost  = 1 << 21 // lines of all of them where nothing else is said: 128 MiB
	filterShare = 8       // the largest layer is at most one in so many of all lines
	perLine     = 24      // hashes a line takes for less than 0.1 % wrong answers
)

// bound returns the lines of all layers together.
func (f *filter) bound() int {
	if f.most == 0 {
		return filterMost
	}
	return f.most
}

// grow adds a layer, of a power of two of lines, if it may; first is the first page of the save under way.
func (f *filter) grow(first uint64) {
	n, all := f.least, 0
	if n == 0 {
		n = filterFirst
	}
	if k := len(f.layers); k > 0 {
		share := filterShare
		if f.keeps {
			share = 2 // the last one goes on, so it is to be large
		}
		n = min(2*len(f.layers[k-1].lines), max(n, powerOf2(f.bound()/share)))
	}
	for i := range f.layers {
		all += len(f.layers[i].lines)
	}
	gone := 0
	for ; gone < len(f.layers) && all+n > f.bound(); gone++ {
		if f.keeps {
			return
		}
		all -= len(f.layers[gone].lines)
	}
	f.layers = slices.Delete(f.layers, 0, gone)
	f.put(n, first)
}

// powerOf2 returns the largest power of 2 up to n.
func powerOf2(n int) int { return 1 << (bits.Len(uint(n)) - 1) }

// begin sets the layers of a snapshot, by their lines and first pages, which may be of another
// bound: those of the oldest that do not fit are left out, and one that is more than half of all
// gets less lines.
func (f *filter) begin(lines []int, first []uint64) {
	all, from := 0, len(lines)
	for from > 0 {
		n := min(lines[from-1], powerOf2(f.bound()/2))
		if all+n > f.bound() {
			break
		}
		from--
		lines[from] = n
		all += n
	}
	for i := from; i < len(lines); i++ {
		f.put(lines[i], first[i])
	}
}

// put adds a layer of that many lines.
func (f *filter) put(lines int, first uint64) {
	l := layer{room: lines * perLine, first: first}
	l.lines, l.lease = newLines(lines)
	f.layers = append(f.layers, l)
}

// since returns the first page of the oldest save whose rows the filter knows, all or some: of
// rows in pages before it says nothing.
func (f *filter) since() uint64 {
	if len(f.layers) == 0 {
		return 0
	}
	return f.layers[0].first
}

// forget lets go of layers all of whose rows were in pages before first.
func (f *filter) forget(first uint64) {
	n := 0
	for n+1 < len(f.layers) && f.layers[n+1].first < first {
		n++
	}
	f.layers = slices.Delete(f.layers, 0, n)
}

// add notes a row that goes into the save whose first page that is.
func (f *filter) add(h, page uint64) {
	if n := len(f.layers); n == 0 || f.layers[n-1].room <= 0 {
		f.grow(page)
	}
	f.layers[len(f.layers)-1].mark(h)
}

// restore notes a row of the save whose first page that is, once layers are set.
func (f *filter) restore(h, page uint64) {
	for i := len(f.layers) - 1; i >= 0; i-- {
		if f.layers[i].first <= page {
			f.layers[i].mark(h)
			return
		}
	}
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
