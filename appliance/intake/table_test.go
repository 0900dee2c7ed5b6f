package intake

import (
	"testing"

	"eyrie/netpoll"

	"pgregory.net/rapid"
)

// TestTable compares the table with a plain map: slots are used again, also
// before the end of their last link is told.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tab table
		want := map[netpoll.Handle]uint32{}
		draw := func(t *rapid.T) netpoll.Handle {
			loop, gen, slot := rapid.IntRange(0, 2).Draw(t, "loop"), rapid.IntRange(1, 3).Draw(t, "generation"), rapid.IntRange(0, 200).Draw(t, "slot")/20*20
			return netpoll.Handle(uint64(loop)<<56 | uint64(gen)<<32 | uint64(slot))
		}
		p := uint32(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if tab.n != len(want) {
					t.Fatalf("%d links, want %d", tab.n, len(want))
				}
				for h, p := range want {
					if l := tab.at(h); l == nil || l.handle != h || l.producer != p {
						t.Fatalf("%x is %+v, want producer %d", h, l, p)
					}
				}
			},
			"put": func(t *rapid.T) {
				h := draw(t)
				p++
				if l := tab.put(link{handle: h, producer: p}); l != tab.at(h) {
					t.Fatalf("%x is kept at another place", h)
				}
				want[h] = p
			},
			"drop": func(t *rapid.T) {
				h := draw(t)
				tab.drop(h)
				delete(want, h)
				if l := tab.at(h); l != nil {
					t.Fatalf("%x is %+v after its end", h, l)
				}
			},
		})
	})
}
