package wal

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

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
		ahead(slices.Values(list), func(i int) int {
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
			most = want + 2*runtime.GOMAXPROCS(0)
		}
		if n := int(loaded.Load()); len(got) != want || running.Load() != 0 || n < want || n > most {
			t.Fatalf("stop %d: %d used, %d loaded, %d still running", stop, len(got), n, running.Load())
		}
	}
}
