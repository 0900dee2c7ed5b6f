package wal

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAgentTable compares the table with a plain map, lost and recovered
// dictionary records included.
func TestAgentTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, want := newAgentTable(), map[agentName]uint32{}
		names := []agentName{{}}
		draw := func(t *rapid.T) agentName {
			return agentName{fmt.Sprint("s", rapid.IntRange(0, 2).Draw(t, "space")), fmt.Sprint("agent-", rapid.IntRange(0, 300).Draw(t, "id"))}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if tab.len() != len(names)-1 {
					t.Fatalf("%d agents, want %d", tab.len(), len(names)-1)
				}
				for n := 1; n < len(names); n++ {
					if got, ok := tab.name(uint32(n)); !ok || got != names[n] {
						t.Fatalf("agent %d is %v, want %v", n, got, names[n])
					}
				}
			},
			"look up or add": func(t *rapid.T) {
				for range 20 {
					a := draw(t)
					got := tab.find([]byte(a.space), []byte(a.id))
					if again, ok := tab.num(a.space, a.id); got != want[a] || again != want[a] || ok != (want[a] != 0) {
						t.Fatalf("%v is %d or %d, want %d", a, got, again, want[a])
					}
					if all := tab.nums(a.id); slices.Contains(all, want[a]) != (want[a] != 0) {
						t.Fatalf("%v is %d and in every space %v", a, want[a], all)
					}
					if got == 0 {
						names = append(names, a)
						want[a] = tab.add(a.space, a.id)
						if want[a] != uint32(len(names)-1) {
							t.Fatalf("%v got %d, want %d", a, want[a], len(names)-1)
						}
					}
				}
			},
			"lose and recover": func(t *rapid.T) {
				n := uint32(len(names))
				tab.pad(n)
				lost := lostAgent(n)
				if tab.find(nil, []byte(lost.id)) != n {
					t.Fatalf("%v was not padded", lost)
				}
				names, want[lost] = append(names, lost), n
				if !rapid.Bool().Draw(t, "recovered") {
					return
				}
				a := agentName{"late", fmt.Sprint("agent-", n)}
				if err := tab.fold(n, appendString(appendString(nil, a.space), a.id)); err != nil {
					t.Fatal(err)
				}
				names[n], want[a] = a, n
				delete(want, lost)
				if got := tab.find(nil, []byte(lost.id)); got != 0 {
					t.Fatalf("%v is still %d", lost, got)
				}
				if got := tab.find([]byte(a.space), []byte(a.id)); got != n {
					t.Fatalf("%v is %d, want %d", a, got, n)
				}
			},
		})
	})
}

func TestFindAgentAllocatesNothing(t *testing.T) {
	tab := newAgentTable()
	for i := range 1000 {
		tab.add("main", fmt.Sprint("agent-", i))
	}
	space, id := []byte("main"), []byte("agent-777")
	if n := testing.AllocsPerRun(100, func() {
		if tab.find(space, id) != 778 {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
