package tsdb

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// index maps labels to series numbers (refs, dense from 1) and back. It holds
// no pointers per series: labels are pairs of symbols in pages, the way from
// labels to ref is a map of hashes. Guarded by DB.mu.
type index struct {
	syms     symbols
	table    []cell   // by hash of the pairs: open addressing, at most half full
	pages    [][]pair // label pairs, a series' pairs adjoining in one page
	at       []uint32 // ref-1 → page<<16 | first pair
	count    []uint8  // ref-1 → pairs
	postings map[pair]*posting
	values   map[uint32][]uint32
	ps       []pair // scratch of those that hold the lock alone
	lists    []*posting
}

// pair is a label: the symbols of its name and value.
type pair struct{ name, value uint32 }

// posting lists the refs that have a pair, ascending.
type posting struct{ refs []uint32 }

// posting returns the list of p, made on first sight.
func (x *index) posting(p pair) *posting {
	list := x.postings[p]
	if list == nil {
		list = &posting{}
		x.postings[p] = list
	}
	return list
}

// having returns them.
func (x *index) having(p pair) []uint32 {
	if l := x.postings[p]; l != nil {
		return l.refs
	}
	return nil
}

const (
	pagePairs = 1 << 12
	labelsMax = 64
)

func newIndex() index {
	return index{syms: newSymbols(), postings: map[pair]*posting{}, values: map[uint32][]uint32{}}
}

func (x *index) len() int { return len(x.at) }

func hashPairs(ps []pair) uint64 {
	const few = 8 // labels that most series have at most; more costs clearing
	var small [8 * few]byte
	b := small[:0]
	for _, p := range ps {
		b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, p.name), p.value)
	}
	return xxhash.Sum64(b)
}

// pairs returns the labels of ref as symbols, aliasing the index.
func (x *index) pairs(ref uint32) []pair {
	at := x.at[ref-1]
	p := x.pages[at>>16][at&0xffff:]
	return p[:x.count[ref-1]]
}

// labels appends the labels of ref to dst.
func (x *index) labels(ref uint32, dst Labels) Labels {
	if int(ref) > x.len() {
		return dst // found before a Reset
	}
	for _, p := range x.pairs(ref) {
		dst = append(dst, Label{x.syms.names[p.name], x.syms.names[p.value]})
	}
	return dst
}

// find looks ls up; ok is false when a symbol or the series is unknown.
func (x *index) find(ls Labels) (ref uint32, ok bool) {
	var buf [labelsMax]pair
	ps := buf[:0]
	for _, l := range ls {
		n, ok1 := x.syms.ids[l.Name]
		v, ok2 := x.syms.ids[l.Value]
		if !ok1 || !ok2 {
			return 0, false
		}
		ps = append(ps, pair{n, v})
	}
	ref, _ = x.probe(ps)
	return ref, ref != 0
}

// cell is a place in the table; ref 0 is free.
type cell struct {
	hash uint64
	ref  uint32
}

// probe finds the ref of ps, or 0, and the hash.
func (x *index) probe(ps []pair) (uint32, uint64) {
	h := hashPairs(ps)
	if len(x.table) == 0 {
		return 0, h
	}
	mask := uint64(len(x.table) - 1)
	for i := h & mask; x.table[i].ref != 0; i = (i + 1) & mask {
		if c := &x.table[i]; c.hash == h && slices.Equal(x.pairs(c.ref), ps) {
			return c.ref, h
		}
	}
	return 0, h
}

// place puts a ref that is not there into the table.
func (x *index) place(h uint64, ref uint32) {
	if 2*int(ref) > len(x.table) {
		old := x.table
		x.table = make([]cell, max(2*len(old), 1024))
		for _, c := range old {
			if c.ref != 0 {
				*x.free(c.hash) = c
			}
		}
	}
	*x.free(h) = cell{h, ref}
}

func (x *index) free(h uint64) *cell {
	mask := uint64(len(x.table) - 1)
	i := h & mask
	for x.table[i].ref != 0 {
		i = (i + 1) & mask
	}
	return &x.table[i]
}

// add returns the ref of ls, giving it the next one on first sight. ls has at
// most labelsMax labels.
func (x *index) add(ls Labels) (ref uint32, fresh bool) {
	var buf [labelsMax]pair
	ps := buf[:0]
	for _, l := range ls {
		ps = append(ps, pair{x.syms.add(l.Name), x.syms.add(l.Value)})
	}
	return x.addPairs(ps, nil)
}

// addPairs does the same for labels that are pairs of symbols already, in order
// of their names; lists are the pairs' postings, nil to be looked up.
func (x *index) addPairs(ps []pair, lists []*posting) (ref uint32, fresh bool) {
	ref, h := x.probe(ps)
	if ref != 0 {
		return ref, false
	}
	n := len(x.pages)
	if n == 0 || len(x.pages[n-1])+len(ps) > pagePairs {
		x.pages = append(x.pages, make([]pair, 0, pagePairs))
		n++
	}
	page := &x.pages[n-1]
	x.at = append(x.at, uint32(n-1)<<16|uint32(len(*page)))
	x.count = append(x.count, uint8(len(ps)))
	*page = append(*page, ps...)
	ref = uint32(len(x.at))
	x.place(h, ref)
	for i, p := range ps {
		var list *posting
		if lists != nil {
			list = lists[i]
		} else {
			list = x.posting(p)
		}
		if len(list.refs) == 0 {
			x.values[p.name] = append(x.values[p.name], p.value)
		}
		if cap(list.refs) == 0 {
			list.refs = make([]uint32, 0, 4)
		}
		list.refs = append(list.refs, ref)
	}
	return ref, true
}

// match returns the refs that suit all matchers, ascending, in fresh memory.
func (x *index) match(ms []Matcher) []uint32 {
	var lists [][]uint32
	var filters []*Matcher
	for i := range ms {
		m := &ms[i]
		if m.Matches("") || m.Type == NotEqual || m.Type == NotRegexp {
			// Suits series without the label, or most of those with it.
			filters = append(filters, m)
			continue
		}
		name, ok := x.syms.ids[m.Name]
		if !ok {
			return nil
		}
		if m.Type == Equal {
			value, ok := x.syms.ids[m.Value]
			if !ok {
				return nil
			}
			lists = append(lists, x.having(pair{name, value}))
			continue
		}
		var union []uint32
		for _, v := range x.values[name] {
			if m.Matches(x.syms.names[v]) {
				union = append(union, x.having(pair{name, v})...)
			}
		}
		slices.Sort(union) // a series has one value of a label: no duplicates
		lists = append(lists, union)
	}
	var refs []uint32
	if len(lists) == 0 {
		refs = make([]uint32, x.len())
		for i := range refs {
			refs[i] = uint32(i + 1)
		}
	} else {
		slices.SortFunc(lists, func(a, b []uint32) int { return cmp.Compare(len(a), len(b)) })
		refs = slices.Clone(lists[0])
		for _, l := range lists[1:] {
			refs = intersect(refs, l)
		}
	}
	for _, m := range filters {
		refs = x.filter(refs, m)
	}
	return refs
}

// intersect keeps what is also in l, in place; both ascend, refs is shorter.
func intersect(refs, l []uint32) []uint32 {
	out := refs[:0]
	for _, r := range refs {
		i, ok := gallop(l, r)
		if ok {
			out = append(out, r)
		}
		l = l[i:]
	}
	return out
}

// gallop finds r in l by doubling steps: near hits are cheap.
func gallop(l []uint32, r uint32) (int, bool) {
	hi := 1
	for hi < len(l) && l[hi-1] < r {
		hi *= 2
	}
	lo := hi / 2
	i, ok := slices.BinarySearch(l[min(lo, len(l)):min(hi, len(l))], r)
	return min(lo, len(l)) + i, ok
}

// filter keeps the refs whose label suits m, in place.
func (x *index) filter(refs []uint32, m *Matcher) []uint32 {
	name, known := x.syms.ids[m.Name]
	absent := m.Matches("")
	verdicts := map[uint32]bool{}
	out := refs[:0]
	for _, r := range refs {
		ok := absent
		if known {
			for _, p := range x.pairs(r) {
				if p.name != name {
					continue
				}
				var seen bool
				if ok, seen = verdicts[p.value]; !seen {
					ok = m.Matches(x.syms.names[p.value])
					verdicts[p.value] = ok
				}
				break
			}
		}
		if ok {
			out = append(out, r)
		}
	}
	return out
}

func sorted(ss []string) []string {
	slices.Sort(ss)
	return ss
}
