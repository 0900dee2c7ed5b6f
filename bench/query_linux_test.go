package bench

import (
	"strings"
	"testing"
	"time"
)

// Every question is answered rightly, idle and under load; how soon is not for a
// test that shares its machine, and neither is whether the load is held up.
func TestQuery(t *testing.T) {
	m := Query{Common: common(t), Seed: 5, Events: 2 * QueryEventsMin, Links: 3, Teams: 2, Rate: 500, Frame: 10, Asks: 60, For: 900 * time.Millisecond, Each: 10 * time.Millisecond}
	ctx := patient(t)
	r, err := m.Run(ctx)
	if r == nil || err != nil && len(r.Faults) == 0 {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		if !strings.HasPrefix(f, "the load was held up") {
			t.Error(f)
		}
	}
	used := 0.0
	for _, q := range questions {
		cost, ok := r.Figure(q.name + ": server cpu")
		if used += cost; !ok {
			t.Errorf("%s: no server cpu", q.name)
		}
		for _, name := range []string{": idle p50", ": loaded p50", ": alone", ": bytes"} {
			if v, ok := r.Figure(q.name + name); !ok || v <= 0 {
				t.Errorf("%s%s: %v", q.name, name, v)
			}
		}
	}
	if used == 0 {
		t.Error("no request took any CPU")
	}
}
