//go:build linux

package netpoll

import (
	"testing"
	"time"
)

func TestShare(t *testing.T) {
	const buffer = 256 << 10
	var s share
	turn := func(readers int, bytes uint64, took time.Duration) int {
		s.begin(readers, buffer, 1000)
		if now := 1000 + bytes; s.worth(now) {
			s.end(int64(took), now)
		}
		return s.most
	}
	if got := turn(500, 0, 0); got != buffer {
		t.Errorf("before anything is known %d bytes are read", got)
	}
	turn(1, 1000, time.Second) // too little to tell
	if s.perByte != 0 {
		t.Errorf("1,000 bytes were taken as a measure: %v", s.perByte)
	}
	for range 100 {
		turn(1, 1<<20, 1<<22) // 4 ns a byte: 1.25 MB a turn
	}
	for _, c := range []struct{ readers, want int }{{1, buffer}, {2, buffer}, {5, 250_000}, {100, 12_500}, {1000, shareLeast}} {
		if s.begin(c.readers, buffer, 0); s.most < c.want*99/100 || s.most > c.want*101/100 {
			t.Errorf("%d readers read %d bytes each, want %d", c.readers, s.most, c.want)
		}
	}
}
