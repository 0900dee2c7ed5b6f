package live

import (
	"sync"

	"eyrie/wal"
)

// gist is what is remembered of a block that was read: enough to tell most
// subscriptions of one agent or run that nothing in it is theirs. Else each of them
// would have each block decoded, and once they are behind, each at a place of its own,
// they would never come back.
type gist struct {
	next         uint64 // offset behind it
	numbers      uint32 // above every agent in it
	classes      uint64
	agents, keys sieve
}

// sieve is a set of numbers of which it may say that it has one that it has not: with
// the thousand that a block has at most, of one in sixteen.
type sieve [1 << 8]uint64

func sieveBit(n uint32) (word uint32, bit uint64) {
	h := n * 0x9e3779b1 // by its golden ratio, Knuth, The Art of Computer Programming 3, 6.4
	return h >> 24, 1 << (h >> 18 & 63)
}

func (s *sieve) add(n uint32) {
	w, b := sieveBit(n)
	s[w] |= b
}

func (s *sieve) has(n uint32) bool {
	w, b := sieveBit(n)
	return s[w]&b != 0
}

// gists are those of the blocks read last, 4 KiB each, by the offset that a block
// begins at. They are safe for concurrent use.
type gists struct {
	mu    sync.RWMutex
	of    map[uint64]*gist
	order [gistsKept]uint64
	n     uint64
}

const gistsKept = 1 << 10

func (g *gists) at(base uint64) *gist {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.of[base]
}

// note remembers a block.
func (g *gists) note(b *wal.Block) {
	if g.at(b.Base()) != nil {
		return
	}
	x := &gist{next: b.Next(), classes: b.Classes()}
	for i := range b.Len() {
		n := b.Agent(i)
		x.numbers = max(x.numbers, n+1)
		x.agents.add(n)
		x.keys.add(b.Key(i))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.of == nil {
		g.of = map[uint64]*gist{}
	}
	if g.of[b.Base()] == nil {
		at := &g.order[g.n%gistsKept]
		if g.n >= gistsKept {
			delete(g.of, *at)
		}
		*at, g.n = b.Base(), g.n+1
	}
	g.of[b.Base()] = x
}

// passOver goes on behind the blocks in which nothing is wanted, as far as is
// remembered.
func (s *sub) passOver() {
	for {
		g := s.h.gists.at(s.next)
		if g == nil || s.mayWant(g) {
			return
		}
		s.next = g.next
	}
}

// mayWant tells whether something in a block may be wanted.
func (s *sub) mayWant(g *gist) bool {
	f := &s.filter
	if !f.system && g.classes&f.classes == 0 || f.runKey != 0 && !g.keys.has(f.runKey) {
		return false
	}
	if f.agent == "" {
		return true
	}
	if g.numbers > s.mineTo { // another space may have got an agent of that id
		s.mineTo, s.mine = g.numbers, s.h.o.Log.AgentNums(f.agent)
	}
	for _, n := range s.mine {
		if g.agents.has(n) {
			return true
		}
	}
	return false
}
