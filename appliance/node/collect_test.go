package node

import "testing"

func TestGCPercent(t *testing.T) {
	const mib, gib = int64(1) << 20, int64(1) << 30
	for _, c := range []struct {
		live, limit int64
		want        int
	}{
		{20 * mib, 20 * gib, 100},
		{600 * mib, 20 * gib, 200},
		{2 * gib, 10 * gib, 150},
		{2 * gib, 6 * gib, 100},
		{9 * gib, 10 * gib, 100},
		{gib, 0, 100},
	} {
		if got := gcPercent(c.live, c.limit); got != c.want {
			t.Errorf("%d MiB live of %d: %d %%, want %d", c.live/mib, c.limit/mib, got, c.want)
		}
	}
}
