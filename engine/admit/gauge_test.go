package admit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLevels(t *testing.T) {
	g := NewGauge(1600)
	for i, c := range []struct {
		used int
		want Level
	}{
		{0, Calm}, {799, Calm}, {800, ShedLow}, {1099, ShedLow}, {1100, ShedNormal}, {1400, ShedHigh}, {1599, ShedHigh},
		{1600, Full}, {1599, Full}, {800, Full}, {799, ShedLow}, {600, ShedLow}, {599, Calm},
		{5000, Full}, {0, Calm}, {1100, ShedNormal}, {801, ShedNormal}, {799, ShedLow},
	} {
		if got := g.Level(c.used); got != c.want {
			t.Errorf("step %d: level %v at %d, want %v", i, got, c.used, c.want)
		}
	}
}

// TestLevelProperties: the level never lies above what the fill enters nor
// below what it has not left, an empty queue is calm and a filled one is full.
func TestLevelProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 1<<20).Draw(t, "limit")
		g := NewGauge(limit)
		now, gone := int64(0), uint64(0)
		for range 200 {
			used := rapid.IntRange(0, limit).Draw(t, "used")
			now += rapid.Int64Range(1, int64(time.Second)).Draw(t, "dt")
			gone += uint64(rapid.IntRange(0, limit*4).Draw(t, "gone"))
			g.Observe(now, gone, used)
			if g.High() > limit || g.High() < limit/leastShare || g.Low() > g.High() {
				t.Fatalf("watermarks %d and %d of %d", g.Low(), g.High(), limit)
			}
			got := g.Level(used)
			most, least := Calm, Calm
			for l := ShedLow; l <= Full; l++ {
				if used >= max(g.High()/16*leaves[l], 1) {
					most = l
				}
				if used >= max(g.High()/16*enters[l], 1) {
					least = l
				}
			}
			if got < least || got > most {
				t.Fatalf("level %v at %d of %d, want %v to %v", got, used, g.High(), least, most)
			}
			if g.Level(0) != Calm || g.Level(limit) != Full {
				t.Fatal("an empty queue is not calm, or a filled one not full")
			}
		}
	})
}

func TestGaugeIsSizedInTime(t *testing.T) {
	g := NewGauge(8 << 20)
	now, gone := int64(1), uint64(0)
	pass := func(d time.Duration, bytes, used int) {
		for range 10 {
			now += int64(d) / 10
			gone += uint64(bytes / 10)
			g.Observe(now, gone, used)
		}
	}
	pass(2*time.Second, 10<<20, 0)
	if g.High() != 8<<20 {
		t.Errorf("an idle queue has its watermark at %d", g.High())
	}
	for range 20 {
		pass(time.Second, 20<<20, 1<<20) // 20 MiB/s with a backlog: 1 MiB is 50 ms
	}
	if h := g.High(); h < 1<<20-1<<17 || h > 1<<20+1<<17 {
		t.Errorf("at 20 MiB/s the watermark is %d, want about 1 MiB", h)
	}
	pass(time.Second, 1<<20, 0)
	if h := g.High(); h < 1<<20-1<<17 {
		t.Errorf("a quiet second has moved the watermark to %d", h)
	}
	for range 20 {
		pass(time.Second, 0, 1<<20) // the log stands still
	}
	if h := g.High(); h != 8<<20/leastShare {
		t.Errorf("with a standing log the watermark is %d", h)
	}
	for range 20 {
		pass(time.Second, 200<<20, 1<<20)
	}
	if h := g.High(); h != 8<<20 {
		t.Errorf("at 200 MiB/s the watermark is %d, want all of it", h)
	}
}
