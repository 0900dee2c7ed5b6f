//go:build linux

package netpoll

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestCellsAgainstNaive takes, fills and gives cells and compares with plain
// slices; when all are given and spares trimmed, no memory is left.
func TestCellsAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s cells
		live := map[ref][]byte{}
		fill := byte(0)
		give := func(r ref) {
			n := len(live[r])
			if !bytes.Equal(s.at(r)[:n], live[r]) {
				t.Fatalf("cell %x changed under its owner", r)
			}
			s.give(r)
			delete(live, r)
		}
		pick := func(t *rapid.T) ref {
			low := ref(0)
			for r := range live {
				if low == 0 || r < low {
					low = r
				}
			}
			if at := ref(rapid.Uint32().Draw(t, "pick")); live[at] != nil {
				return at
			}
			return low
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 63, 64, 65, 500, 4096, 30_000, 65_536, 65_537, 2 << 20}).Draw(t, "n")
				r := s.take(n)
				if r == 0 || live[r] != nil {
					t.Fatalf("cell %x is in use", r)
				}
				b := s.at(r)
				if len(b) < n || len(b) > max(64, 2*n) {
					t.Fatalf("cell of %d bytes for %d", len(b), n)
				}
				fill++
				live[r] = bytes.Repeat([]byte{fill}, n)
				copy(b, live[r])
			},
			"give": func(t *rapid.T) {
				if len(live) > 0 {
					give(pick(t))
				}
			},
			"trim": func(*rapid.T) { s.trim() },
		})
		for r := range live {
			give(r)
		}
		s.trim()
		if s.bytes != 0 || len(s.vacant) != max(0, len(s.arenas)-1) {
			t.Fatalf("%d bytes left, %d of %d arenas vacant", s.bytes, len(s.vacant), len(s.arenas))
		}
	})
}

func TestCellsShareArenas(t *testing.T) {
	var s cells
	var refs []ref
	for range 5000 {
		refs = append(refs, s.take(64))
	}
	if want := 5 * arenaBytes; s.bytes != want {
		t.Fatalf("%d bytes for 5,000 cells of 64, want %d", s.bytes, want)
	}
	for _, r := range refs {
		s.give(r)
	}
	if s.bytes > arenaBytes {
		t.Fatalf("%d bytes kept for no cell, want one spare at most", s.bytes)
	}
}
