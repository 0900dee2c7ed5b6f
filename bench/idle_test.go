//go:build linux

package bench

import (
	"testing"
	"time"
)

// TestIdle holds the engine's bound on an idle link where nothing else is in the
// process: 128 bytes, as the slope from one number of links to the next.
func TestIdle(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	rep, err := Idle{Common: common(t), Steps: []int{500, 3000}}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := rep.Figure("engine"); !ok || b > 128 || b < 28 {
		t.Errorf("%.0f B of the engine's heap per idle link, want at most 128", b)
	}
	if n, ok := rep.Figure("descriptors at 3,000"); !ok || n < 3000 {
		t.Errorf("%.0f descriptors counted, want more than 3,000", n)
	}
}

// TestHold: nothing is lost and every figure is there; the time is too short to
// say anything about drift.
func TestHold(t *testing.T) {
	t.Parallel()
	ctx := patient(t)
	rep, err := Hold{Common: common(t), Count: 200, Rate: 500, For: 2 * time.Second}.Run(ctx)
	if rep == nil {
		t.Fatal(err)
	}
	if n, ok := rep.Figure("rate"); !ok || n < 100 {
		t.Errorf("%.0f events/s of 500", n)
	}
	if n, ok := rep.Figure("collections"); !ok || n < heldSamples {
		t.Errorf("%.0f collections, want %d at least", n, heldSamples)
	}
	if n, ok := rep.Figure("engine"); !ok || n <= 0 {
		t.Errorf("the engine holds %.1f MiB", n)
	}
}
