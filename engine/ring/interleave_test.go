package ring

import (
	"bytes"
	"fmt"
	"testing"
)

// TestEveryInterleaving explores every reachable state of a small ring under
// every order of calls by the two sides, on the real code.
//
// A step makes at most one access to what both sides touch (Reserve loads
// released, Release stores it; the two stores of Publish and the two loads of
// Next are steps of their own) and otherwise touches only its own fields and
// bytes it owns. So any concurrent run has the outcome of some order of steps,
// provided nobody touches bytes he does not own, and that is checked here: every
// byte has an owner, filling is a step of its own, and each record is compared
// when it is taken and again, poisoned meanwhile by nobody, when it is given
// back.
func TestEveryInterleaving(t *testing.T) {
	cases := []struct{ headroom, warm int }{{0, 24}, {24, 0}, {24, 64}}
	if testing.Short() {
		cases = cases[1:]
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("headroom=%d warm=%d", c.headroom, c.warm), func(t *testing.T) {
			m := newModel(64, c.headroom)
			m.r.warm = uint64(c.warm)
			seen := map[string]bool{m.key(): true}
			todo := []*model{m}
			wraps, full := 0, 0
			for len(todo) > 0 {
				m := todo[len(todo)-1]
				todo = todo[:len(todo)-1]
				for _, a := range actions {
					n := m.clone()
					if err := a.do(n); err != nil {
						t.Fatalf("%s after %s: %v", a.name, m.trail(), err)
					}
					if k := n.key(); !seen[k] {
						seen[k] = true
						n.from, n.by = m, a.name
						todo = append(todo, n)
						if n.r.turn != m.r.turn {
							wraps++
						}
						full += n.refused
					}
				}
			}
			if wraps == 0 || full == 0 {
				t.Fatalf("%d states, %d turns, %d refusals: the model misses what it is for", len(seen), wraps, full)
			}
			t.Logf("%d states, %d begin a turn, %d with a refusal", len(seen), wraps, full)
		})
	}
}

// model is a ring with the queue it should be. Records are told apart by what
// they are filled with: a tag that never repeats among the live ones.
type model struct {
	r                     *Ring
	pending, queue, taken []mrec
	tag                   byte
	refused               int
	showing, seeing       bool // in the middle of Publish, of Next

	from *model
	by   string
}

type mrec struct {
	at, n  int // payload
	tag    byte
	filled bool
}

func newModel(size, headroom int) *model { return &model{r: New(size, headroom)} }

func (m *model) clone() *model {
	cp := func(s []mrec) []mrec { return append([]mrec(nil), s...) }
	return &model{r: clone(m.r), pending: cp(m.pending), queue: cp(m.queue), taken: cp(m.taken), tag: m.tag, showing: m.showing, seeing: m.seeing}
}

func clone(r *Ring) *Ring {
	c := New(len(r.buf), r.headroom)
	copy(c.buf, r.buf)
	c.published.Store(r.published.Load())
	c.turned.Store(r.turned.Load())
	c.released.Store(r.released.Load())
	c.warm, c.reserved, c.turn, c.before, c.freeSeen, c.left = r.warm, r.reserved, r.turn, r.before, r.freeSeen, r.left
	c.cursor, c.start, c.pubSeen, c.turnSeen = r.cursor, r.start, r.pubSeen, r.turnSeen
	return c
}

// appendKey names the state of a ring up to what cannot matter: how many bytes
// went through it, and turns that both sides have left.
func appendKey(k []byte, r *Ring) []byte {
	base := r.released.Load()
	for _, p := range []uint64{r.cursor, r.pubSeen, r.published.Load(), r.reserved, r.freeSeen, r.turn, r.start} {
		k = append(k, byte(int8(p-base)/align)) // all multiples of align, within ±128 of base
	}
	k = append(k, byte(r.left/align))
	for _, p := range []struct {
		at      uint64
		matters bool
	}{{r.before, r.freeSeen < r.turn}, {r.turnSeen, r.turnSeen >= r.cursor}, {r.turned.Load(), r.turned.Load() >= r.cursor || r.turned.Load() == r.turn}} {
		if p.matters {
			k = append(k, byte(int8(p.at-base)/align))
		} else {
			k = append(k, 127)
		}
	}
	return k
}

// key names the state up to what cannot matter: that of the ring, and which tags
// the records carry.
func (m *model) key() string {
	k := appendKey(make([]byte, 0, 64), m.r)
	for _, b := range []bool{m.showing, m.seeing} {
		if b {
			k = append(k, 1)
		} else {
			k = append(k, 0)
		}
	}
	for _, s := range [][]mrec{m.taken, m.queue, m.pending} {
		k = append(k, 255)
		for _, x := range s {
			k = append(k, byte(x.at), byte(x.n))
			if x.filled {
				k = append(k, 254)
			}
		}
	}
	return string(k)
}

func (m *model) trail() string {
	if m.from == nil {
		return "New"
	}
	return m.from.trail() + " " + m.by
}

func (m *model) reserve(n int, critical bool) error {
	if m.showing {
		return nil // the producer is in the middle of Publish
	}
	before := m.r.reserved
	b, ok := m.r.Reserve(n, critical)
	live := len(m.pending) + len(m.queue) + len(m.taken)
	if !ok {
		m.refused++
		if live == 0 && n <= m.r.Largest(critical) {
			return fmt.Errorf("%d bytes refused by an empty ring", n)
		}
		if m.r.reserved != before {
			return fmt.Errorf("a refusal moved reserved")
		}
		return nil
	}
	if m.r.reserved-before != uint64(Cost(n)) {
		return fmt.Errorf("%d bytes cost %d", n, m.r.reserved-before)
	}
	if u := m.r.reserved - m.r.released.Load(); !critical && u > m.r.limit {
		return fmt.Errorf("%d bytes in use, headroom entered", u)
	}
	at := int(m.r.reserved-m.r.turn) - Cost(n) + headerBytes
	if n > 0 && &m.r.buf[at] != &b[0] {
		return fmt.Errorf("%d bytes are not at %d", n, at)
	}
	for _, s := range [][]mrec{m.pending, m.queue, m.taken} {
		for _, x := range s {
			if at < x.at+x.n && x.at < at+n {
				return fmt.Errorf("bytes %d..%d belong to a live record at %d", at, at+n, x.at)
			}
		}
	}
	m.pending = append(m.pending, mrec{at: at, n: n})
	return nil
}

func (m *model) intact(x mrec, b []byte) error {
	if !bytes.Equal(b, bytes.Repeat([]byte{x.tag}, x.n)) {
		return fmt.Errorf("record at %d holds % x, want %d × %02x", x.at, b, x.n, x.tag)
	}
	return nil
}

var actions = []struct {
	name string
	do   func(m *model) error
}{
	{"reserve5", func(m *model) error { return m.reserve(5, false) }},
	{"reserve9", func(m *model) error { return m.reserve(9, false) }},
	{"reserve9!", func(m *model) error { return m.reserve(9, true) }},
	{"reserve21!", func(m *model) error { return m.reserve(21, true) }},
	{"fill", func(m *model) error {
		for i := range m.pending {
			x := &m.pending[i]
			if !x.filled {
				m.tag++
				x.tag, x.filled = m.tag, true
				for j := range x.n {
					m.r.buf[x.at+j] = x.tag
				}
				break
			}
		}
		return nil
	}},
	{"publish", func(m *model) error {
		for _, x := range m.pending {
			if !x.filled {
				return nil // the producer writes before it publishes
			}
		}
		if len(m.pending) == 0 {
			return nil
		}
		if !m.showing {
			m.r.showTurn()
			m.showing = true
			return nil
		}
		m.r.Publish()
		m.showing = false
		m.queue, m.pending = append(m.queue, m.pending...), nil
		return nil
	}},
	{"abort", func(m *model) error {
		if m.showing {
			return nil
		}
		m.r.Abort()
		m.pending = nil
		return nil
	}},
	{"next", func(m *model) error {
		if !m.seeing && m.r.cursor == m.r.pubSeen {
			m.r.seePublished()
			m.seeing = true
			return nil
		}
		if m.seeing {
			m.r.seeTurned()
			m.seeing = false
		}
		if m.r.cursor == m.r.pubSeen {
			return nil
		}
		b, _ := m.r.Next() // it has seen enough and looks no more
		x := m.queue[0]
		m.queue, m.taken = m.queue[1:], append(m.taken, x)
		return m.intact(x, b)
	}},
	{"release", func(m *model) error {
		if m.seeing {
			return nil
		}
		for _, x := range m.taken {
			if err := m.intact(x, m.r.buf[x.at:x.at+x.n]); err != nil {
				return err
			}
		}
		m.r.Release()
		m.taken = nil
		return nil
	}},
}
