package host

import (
	"testing"
	"time"
)

// TestBusiest: who disturbed is named with its share, none of those who measure is, and
// a process number that another has now counts from its begin.
func TestBusiest(t *testing.T) {
	from := map[int]one{10: {"eyrie", 1, 5 * time.Second}, 11: {"eyrie", 10, 0}, 20: {"sh", 1, 30 * time.Second}, 21: {"old", 1, time.Hour}}
	to := map[int]one{
		1:  {"init", 0, time.Millisecond},
		10: {"eyrie", 1, 9 * time.Second}, 11: {"eyrie", 10, 9 * time.Second}, 12: {"client", 11, 9 * time.Second}, // ours
		20: {"sh", 1, 39 * time.Second}, 21: {"a\x1bb", 1, 2 * time.Second}, 22: {"idle", 1, 100 * time.Millisecond},
	}
	if got, want := busiest(from, to, 10, 20*time.Second), "sh (pid 20) 45 %, a?b (pid 21) 10 %"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseStat(t *testing.T) {
	pid, p, ok := parseStat("4711 (a) b (c) S 7 1 1 0 -1 4194560 1 2 3 4 150 50 5 6 20 0 1")
	if !ok || pid != 4711 || p != (one{"a) b (c", 7, 2 * time.Second}) {
		t.Errorf("%d %+v %t", pid, p, ok)
	}
	for _, bad := range []string{"", "x", "1 (a", "1 (a) S 7", "x (a) S 7 1 1 0 -1 4194560 1 2 3 4 150 50 5 6"} {
		if _, _, ok := parseStat(bad); ok {
			t.Errorf("%q was read", bad)
		}
	}
}
