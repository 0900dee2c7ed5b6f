package obs

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// NewLogger returns a logger that writes to w, as text for people or as JSON
// for programs. Both quote what agents wrote, so that no string of theirs can
// forge a line or move a terminal's cursor.
func NewLogger(w io.Writer, json bool, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// Throttle lets one message of a kind through per period and counts the rest,
// so that a fault that repeats a thousand times a second does not bury the
// log. It may be used concurrently.
type Throttle struct {
	period time.Duration
	now    func() time.Time

	mu   sync.Mutex
	seen map[string]*throttled
}

type throttled struct {
	last    time.Time
	dropped int
}

// NewThrottle returns a Throttle with the given period.
func NewThrottle(period time.Duration, now func() time.Time) *Throttle {
	return &Throttle{period: period, now: now, seen: make(map[string]*throttled)}
}

// Allow reports whether a message of this kind may be written now, and how
// many of its kind were held back since the last one that was.
func (t *Throttle) Allow(kind string) (ok bool, dropped int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	s := t.seen[kind]
	if s == nil {
		if len(t.seen) >= 1024 {
			clear(t.seen)
		}
		t.seen[kind] = &throttled{last: now}
		return true, 0
	}
	if now.Sub(s.last) < t.period {
		s.dropped++
		return false, 0
	}
	dropped = s.dropped
	s.last, s.dropped = now, 0
	return true, dropped
}
