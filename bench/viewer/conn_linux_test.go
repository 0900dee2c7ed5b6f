package viewer

import (
	"strings"
	"testing"
	"time"
)

// An event of the probe that is missing or comes again is a fault where nothing may
// be left out, and counted where the newest is enough; latency is that of the
// events that were due within the measurement.
func TestMarked(t *testing.T) {
	for _, c := range []struct {
		mode   string
		ns     []uint64
		faults string
		left   uint64
		count  uint64
	}{
		{"all", []uint64{1, 2, 3}, "", 0, 3},
		{"all", []uint64{1, 4}, "LOST: viewer 0: events 2 to 3", 0, 2},
		{"all", []uint64{1, 2, 2}, "event 2 of the probe after 2", 0, 3},
		{"latest", []uint64{1, 4, 5}, "", 2, 3},
		{"latest", []uint64{4, 3}, "event 3 of the probe after 4", 0, 2},
	} {
		l := &loop{from: 1_000_000, to: 2_000_000}
		w := Watch{What: "events", Mode: c.mode, Marks: true}
		s := &sub{watch: &w}
		for i, n := range c.ns {
			l.marked(&conn{}, s, 1_000_000+int64(i)*1000, n, 1_000_000+int64(i)*1000+700)
		}
		if got := strings.Join(l.res.Errors, "; "); !strings.Contains(got, c.faults) || (c.faults == "") != (got == "") {
			t.Errorf("%v: faults %q, want %q", c.ns, got, c.faults)
		}
		if l.res.Left != c.left || l.res.Latency.Count() != c.count || l.res.Latency.Quantile(1) != 700*time.Microsecond {
			t.Errorf("%v: %d left out, %d measured, %v", c.ns, l.res.Left, l.res.Latency.Count(), l.res.Latency.Quantile(1))
		}
	}
	l := &loop{from: 1_000_000, to: 2_000_000}
	w := Watch{What: "events", Marks: true}
	s := &sub{watch: &w}
	l.marked(&conn{}, s, 999_999, 1, 1_000_100)
	l.marked(&conn{}, s, 2_000_000, 2, 2_000_100)
	if l.res.Latency.Count() != 0 || s.mark != 2 {
		t.Errorf("%d of what was due before or after counts", l.res.Latency.Count())
	}
}
