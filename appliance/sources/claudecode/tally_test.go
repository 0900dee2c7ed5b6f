package claudecode

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"eyrie/engine/wire"
)

// tally is what a server's views would show of events.
type tally struct {
	agents map[string]string // id → role
	states map[string]string // id → last state
	count  map[string]int
	usage  map[string]wire.Usage // by span, the last one replaces
}

func tallyOf(evs []wire.Event) tally {
	t := tally{map[string]string{}, map[string]string{}, map[string]int{}, map[string]wire.Usage{}}
	for i := range evs {
		e := &evs[i]
		if e.Type == wire.TypeAgent {
			t.agents[e.Agent] = e.Role
		}
		if _, ok := t.agents[e.Agent]; !ok {
			t.count["before its declaration"]++
		}
		if e.Type == wire.TypeState {
			t.states[e.Agent] = strings.TrimSpace(e.State.State + " " + e.State.On)
		}
		if e.Usage != nil {
			t.usage[e.Span] = *e.Usage
		}
		if !e.Type.SpanLike() {
			t.count[e.Type.String()]++
			continue
		}
		t.count[e.Type.String()+" "+e.Phase.String()]++
		if e.Phase == wire.PhaseEnd || e.Phase == wire.PhaseWhole {
			code := ""
			if e.Error != nil {
				code = " " + e.Error.Code
			}
			t.count[e.Type.String()+" "+e.Status.String()+code]++
		}
	}
	return t
}

func (t tally) tokens() (in, out, read, write int64) {
	for _, u := range t.usage {
		in, out, read, write = in+u.Input, out+u.Output, read+u.CacheRead, write+u.CacheWrite
	}
	return
}

// want compares counts; those that are not named do not matter.
func (t tally) want(tb testing.TB, want map[string]int) {
	tb.Helper()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if t.count[k] != want[k] {
			tb.Errorf("%s: got %d, want %d", k, t.count[k], want[k])
		}
	}
}

func roles(agents map[string]string) string {
	n := map[string]int{}
	for _, r := range agents {
		n[r]++
	}
	return fmt.Sprint(n)
}

// lines prints events in a form that can be compared as a set.
func lines(evs []wire.Event) []string {
	out := make([]string, len(evs))
	for i := range evs {
		out[i] = string(evs[i].AppendJSON(nil))
	}
	slices.Sort(out)
	return out
}
