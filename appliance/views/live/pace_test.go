package live

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	at := time.Unix(100, 0)
	ms := time.Millisecond
	for _, c := range []struct {
		name        string
		cost, after time.Duration
		want        time.Duration
	}{
		{"a round that cost nothing", 0, 0, 0},
		{"a cheap one that is over", 50 * time.Microsecond, ms, 100*time.Microsecond - ms},
		{"a dear one", 30 * ms, 10 * ms, 50 * ms},
		{"one beyond all bounds", time.Minute, 100 * ms, paceMax - 100*ms},
	} {
		var p pace
		if w := p.wait(0, at); w != 0 {
			t.Fatalf("the first round waits %v", w)
		}
		p.begin(7, at)
		if got := p.wait(7+int64(c.cost), at.Add(c.after)); got != c.want {
			t.Errorf("%s: the next waits %v, want %v", c.name, got, c.want)
		}
	}
}
