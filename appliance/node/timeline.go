package node

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// timeline is when each phase of the start was over. It may be used concurrently.
type timeline struct {
	now   func() time.Time
	begun time.Time

	mu     sync.Mutex
	last   time.Time
	phases []phase
}

// phase is one of them.
type phase struct {
	name string
	took time.Duration // since the one before
	at   time.Duration // since the beginning
}

func newTimeline(now func() time.Time) *timeline {
	begun := now()
	return &timeline{now: now, begun: begun, last: begun}
}

// reached notes that a phase is over.
func (t *timeline) reached(name string) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases = append(t.phases, phase{name, now.Sub(t.last), now.Sub(t.begun)})
	t.last = now
}

// args are those of a log line that tells of the phases up to now.
func (t *timeline) args() []any {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []any
	for _, p := range t.phases {
		out = append(out, p.name, p.took.Round(100*time.Microsecond))
	}
	return append(out, "all", t.last.Sub(t.begun).Round(100*time.Microsecond))
}

// meter writes the phases to /metrics: how long each took, and when it was over.
func (t *timeline) meter(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.phases {
		fmt.Fprintf(w, "eyrie_start_phase_seconds{phase=%q} %g\neyrie_start_seconds{phase=%q} %g\n", p.name, p.took.Seconds(), p.name, p.at.Seconds())
	}
}
