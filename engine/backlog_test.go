//go:build linux

package engine

import "testing"

// The further all sockets together are behind, the less each may be, down to
// what lets every one go on.
func TestBacklog(t *testing.T) {
	s := newServer(Config{SocketBacklog: 1 << 20, BacklogAll: 16 << 20})
	for _, c := range []struct{ behind, want int64 }{
		{0, 1 << 20},
		{12 << 20, 1 << 20},
		{14 << 20, 512 << 10},
		{16<<20 - 512<<10, 128 << 10},
		{16 << 20, backlogLeast},
		{64 << 20, backlogLeast},
	} {
		s.behind.Store(c.behind)
		if got := s.backlog(); got != c.want {
			t.Errorf("%d bytes behind: each may be %d, want %d", c.behind, got, c.want)
		}
	}
}
