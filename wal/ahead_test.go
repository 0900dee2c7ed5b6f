package wal

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

const turnsOfTest = 3

// TestTurns: however many look ahead at once, no more load than there are turns.
func TestTurns(t *testing.T) {
	turns := newTurns(turnsOfTest)
	var running, most atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			list := make([]int, 50)
			ahead(turns, slices.Values(list), func(int) int {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				return 0
			}, func(int) bool { return true })
		})
	}
	all.Wait()
	if n := most.Load(); n > turnsOfTest || n < 2 {
		t.Errorf("%d loaded at once, with %d turns", n, turnsOfTest)
	}
}

// TestAhead compares with a plain loop: same order, nothing loaded twice, none
// running when it returns, and not far ahead of what is used.
func TestAhead(t *testing.T) {
	for stop := range 40 {
		var running, loaded atomic.Int64
		var got []int
		list := make([]int, 30)
		for i := range list {
			list[i] = i
		}
		ahead(newTurns(turnsOfTest), slices.Values(list), func(i int) int {
			running.Add(1)
			defer running.Add(-1)
			runtime.Gosched()
			loaded.Add(1)
			return i * i
		}, func(r int) bool {
			got = append(got, r)
			return len(got) < stop
		})
		want := min(max(stop, 1), len(list))
		for i, r := range got {
			if r != i*i {
				t.Fatalf("result %d is %d", i, r)
			}
		}
		most := want
		if want > 1 {
			most = want + 2*turnsOfTest
		}
		if n := int(loaded.Load()); len(got) != want || running.Load() != 0 || n < want || n > most {
			t.Fatalf("stop %d: %d used, %d loaded, %d still running", stop, len(got), n, running.Load())
		}
	}
}
