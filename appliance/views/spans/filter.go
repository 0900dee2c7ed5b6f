package spans

// filter tells hashes that are surely not in the store from those that may be:
// layers of a Bloom filter in blocks of one cache line, each twice the former.
// A wrong "may be" costs a read, never a wrong answer.
type filter struct {
	layers [][]line
	room   int // hashes the newest layer still takes
}

type line [8]uint64

const (
	filterFirst = 1 << 11 // lines of the first layer: 128 KiB
	filterMost  = 1 << 20 // lines of the largest: 64 MiB
	perLine     = 40      // hashes a line takes for about 1 % wrong answers
)

func (f *filter) add(h uint64) {
	if f.room == 0 {
		n := filterFirst
		if k := len(f.layers); k > 0 {
			n = min(2*len(f.layers[k-1]), filterMost)
			if len(f.layers[k-1]) == filterMost {
				f.mark(h) // full: it goes on, with more wrong answers
				return
			}
		}
		f.layers = append(f.layers, make([]line, n))
		f.room = n * perLine
	}
	f.room--
	f.mark(h)
}

func (f *filter) mark(h uint64) {
	top := f.layers[len(f.layers)-1]
	l := &top[place(h, len(top))]
	for i := range 6 {
		b := bit(h, i)
		l[b>>6] |= 1 << (b & 63)
	}
}

func (f *filter) has(h uint64) bool {
next:
	for k := len(f.layers) - 1; k >= 0; k-- {
		top := f.layers[k]
		l := &top[place(h, len(top))]
		for i := range 6 {
			b := bit(h, i)
			if l[b>>6]&(1<<(b&63)) == 0 {
				continue next
			}
		}
		return true
	}
	return false
}

func place(h uint64, n int) uint64 { return (h * 0xff51afd7ed558ccd) >> 32 & uint64(n-1) }

func bit(h uint64, i int) uint64 { return h >> (9 * i) & 511 }
