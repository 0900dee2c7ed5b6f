package views

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"eyrie/wal/block"
)

// twisted is a log whose followers hand out what twist makes of its blocks.
type twisted struct {
	*memLog
	twist func(b *block.Block) []*block.Block
}

func (l *twisted) Follow(from uint64) Follower {
	c := l.memLog.upTo(l.Next())
	c.blocks = nil
	for _, b := range l.memLog.blocks {
		c.blocks = append(c.blocks, l.twist(b)...)
	}
	return c.Follow(from)
}

// without is a block's records but for the one at index i.
func without(b *block.Block, i int) []*block.Block {
	return []*block.Block{slice(b, 0, i), slice(b, i+1, b.Len())}
}

// instead is a block with record from once more where record i was.
func instead(b *block.Block, i, from int) []*block.Block {
	n := block.NewBuilder(b.Base(), b.Len(), 0)
	for j := range b.Len() {
		rec := b.Record(j)
		if j == i {
			rec = b.Record(from)
		}
		n.Append(&rec, -1)
	}
	return []*block.Block{n.Block()}
}

// TestDigestsTell folds logs of which something is skipped or doubled on the way,
// and one of which nothing is.
func TestDigestsTell(t *testing.T) {
	same := func(b *block.Block) []*block.Block { return []*block.Block{b} }
	second := func(twist func(b *block.Block) []*block.Block) func(b *block.Block) []*block.Block {
		return func(b *block.Block) []*block.Block {
			if b.Base() == 31 {
				return twist(b)
			}
			return same(b)
		}
	}
	moved := func(by int) func(t *testing.T, p *pebble.DB) {
		return func(t *testing.T, p *pebble.DB) {
			c, _, err := readCursor(p, "alpha")
			if err != nil {
				t.Fatal(err)
			}
			c.next += uint64(by)
			if err := errors.Join(p.Set(cursorKey("alpha"), c.append(nil), pebble.NoSync), p.Flush()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		twist func(b *block.Block) []*block.Block
		store func(t *testing.T, p *pebble.DB) // between two runs
		who   string
	}{
		"nothing":                  {twist: same},
		"a record is skipped":      {twist: second(func(b *block.Block) []*block.Block { return without(b, 7) }), who: "alpha beta"},
		"a record comes twice":     {twist: second(func(b *block.Block) []*block.Block { return instead(b, 7, 6) }), who: "alpha beta"},
		"two change places":        {twist: second(func(b *block.Block) []*block.Block { return instead(instead(b, 7, 8)[0], 8, 6) }), who: "alpha beta"},
		"a cursor is ahead":        {twist: same, store: moved(1), who: "alpha"},
		"a cursor is behind":       {twist: same, store: moved(-1), who: "alpha"},
		"its digests are restored": {twist: same, store: moved(0)},
	} {
		rng := rand.New(rand.NewPCG(1, 8))
		l := &twisted{memLog: newLog(), twist: c.twist}
		l.add(events(rng, 30)...)
		fs := vfs.NewMem()
		var told []string
		run := func() {
			p := openTestStore(t, fs)
			r := open(t, Options{Folds: []Mount{{newTally('a', "alpha"), "a"}, {newTally('b', "beta"), "b"}}, Store: p, Log: l,
				CompareEvery: time.Nanosecond, Events: Events{Differs: func(d *Differs) {
					told = append(told, d.Fold)
					if d.Producers != 1 || d.Next <= d.After || !strings.Contains(d.String(), "was not given what the log holds") {
						t.Errorf("%s: %v", name, d)
					}
				}}})
			l.AskDigests()
			r.Start()
			waitFor(t, r, l.Next()-1)
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && slices.ContainsFunc(r.Stats(), func(s FoldStats) bool { return s.Differs == nil && s.Agreed != l.Next() }); {
				time.Sleep(time.Millisecond) // a fold is done before what it was given is compared
			}
			for _, s := range r.Stats() {
				if strings.Contains(c.who, s.Name) != (s.Differs != nil) && c.store == nil || s.Differs == nil && s.Agreed != l.Next() {
					t.Errorf("%s: %+v", name, s)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if c.store != nil {
				c.store(t, p)
				c.store = nil
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if c.store != nil {
			run()
		}
		l.add(events(rng, 30)...)
		l.add(events(rng, 30)...)
		run()
		seen := strings.Join(told, " ")
		if seen == "beta alpha" {
			seen = "alpha beta"
		}
		if seen != c.who {
			t.Errorf("%s: told of %q, not of %q", name, seen, c.who)
		}
	}
}

// TestDigestsBeginAnew: what the log knows to be gone is no difference, and from
// the next offset on that the log shows it is compared again.
func TestDigestsBeginAnew(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	l := newLog()
	for range 3 {
		l.add(events(rng, 10)...)
	}
	l.AskDigests()
	l.blocks, l.first = l.blocks[1:], 11
	p := openTestStore(t, vfs.NewMem())
	r := open(t, Options{Folds: []Mount{{newTally('a', "alpha"), "a"}}, Store: p, Log: l})
	r.Start()
	waitFor(t, r, 30)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && r.Stats()[0].Agreed != 31; {
		time.Sleep(time.Millisecond)
	}
	if s := r.Stats()[0]; s.Differs != nil || s.Agreed != 31 {
		t.Errorf("%+v", s)
	}
	mustClose(t, r, p)
}
