package spans

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// The table does what a map does, with hashes that meet.
func TestTableProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, want := table{slots: make([]slot, 4)}, map[uint64]*span{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			h := uint64(rapid.IntRange(0, 40).Draw(t, "hash")) << rapid.SampledFrom([]int{0, 40}).Draw(t, "shift")
			switch {
			case rapid.Bool().Draw(t, "delete"):
				x.delete(h)
				delete(want, h)
			case want[h] == nil:
				want[h] = &span{hot: hot{hash: h}}
				x.set(h, want[h])
			}
			if x.get(h) != want[h] {
				t.Fatalf("%d: got %v, want %v", h, x.get(h), want[h])
			}
		}
		if got := maps.Collect(x.all()); x.n != len(want) || !maps.Equal(got, want) {
			t.Fatalf("%d of %d: %v", x.n, len(want), got)
		}
		for h, s := range want {
			if x.get(h) != s {
				t.Fatalf("%d is lost", h)
			}
		}
	})
}
