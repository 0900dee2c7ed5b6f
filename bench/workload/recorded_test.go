package workload

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"eyrie/engine/wire"
)

// Copies of recorded runs: agents, runs and spans of their own, the recorded
// order within each, instants of now, and nothing left of the marks.
func TestRecorded(t *testing.T) {
	sh := Shape{Seed: 4, Agents: 120, Connections: 8, Frame: 10, Events: Recorded}
	m, err := NewMaker(sh)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Agents(); n < 120 || n > 125 {
		t.Errorf("%d agents for 120", n)
	}
	// What each agent says in its recording, without ids and instants.
	said := map[string][]string{}
	for _, tp := range m.tapes {
		for i := range tp.takes {
			var e wire.Event
			if err := wire.DecodeEvent(tp.takes[i].payload, &e); err != nil {
				t.Fatal(err)
			}
			agent, _, _ := strings.Cut(e.Agent, "~")
			said[agent] = append(said[agent], what(&e))
		}
	}
	agents, runs := map[string]int{}, map[string]string{}
	spans := map[string]string{} // to the agent's copy
	heard := map[string][]string{}
	for conn := range sh.Connections {
		s := m.Source(conn)
		for _, a := range s.Agents() {
			if _, twice := agents[a]; twice {
				t.Errorf("%s is on two connections", a)
			}
			agents[a] = 0
		}
		for n := range 6000 {
			now := int64(1_700_000_000_000 + n)
			p := s.Append(nil, now)
			if _, bad := wire.CheckPayload(p); bad != nil {
				t.Fatalf("the server would refuse it: %v", bad)
			}
			if bytes.ContainsAny(p, "\x02\x03") && (bytes.Contains(p, []byte(agentMark)) || bytes.Contains(p, []byte(idMark))) {
				t.Fatalf("a mark is left: %q", p)
			}
			var e wire.Event
			if err := wire.DecodeEvent(p, &e); err != nil {
				t.Fatal(err)
			}
			if _, known := agents[e.Agent]; !known {
				t.Fatalf("%q speaks, and is not of the connection's agents", e.Agent)
			}
			agents[e.Agent]++
			if e.TS != now*1e6 || e.Start > e.TS {
				t.Fatalf("at %d: ts %d, start %d", now, e.TS, e.Start)
			}
			_, copied, _ := strings.Cut(e.Agent, "~")
			if e.Run != "" {
				if of := runs[e.Run]; of != "" && of != copied {
					t.Fatalf("run %s is of %s and of %s", e.Run, of, copied)
				}
				runs[e.Run] = copied
			}
			if e.Span != "" {
				if of := spans[e.Span]; of != "" && of != copied {
					t.Fatalf("span %s is of %s and of %s", e.Span, of, copied)
				}
				spans[e.Span] = copied
			}
			heard[e.Agent] = append(heard[e.Agent], what(&e))
		}
		if s.Seq() != 6001 {
			t.Errorf("%d numbers", s.Seq())
		}
	}
	silent := 0
	for a, n := range agents {
		if n == 0 {
			silent++
			continue
		}
		name, _, _ := strings.Cut(a, "~")
		follows(t, a, heard[a], said[name])
	}
	if silent > 0 {
		t.Errorf("%d of %d agents said nothing", silent, len(agents))
	}
	if len(runs) < 2*len(m.cast) {
		t.Errorf("%d runs of %d copies that were played several times", len(runs), len(m.cast))
	}
	if p := m.Pace(); p < 60 || p > 120 {
		t.Errorf("120 agents send %v events/s: the recordings have nearly one a second each", p)
	}
}

// what is an event without ids and instants.
func what(e *wire.Event) string {
	return e.Type.String() + " " + e.Phase.String() + " " + e.Name + " " + e.Msg
}

// follows holds what an agent said to its recording: after the first time, which
// begins in the middle, it says all of it again and again.
func follows(t *testing.T, agent string, heard, said []string) {
	t.Helper()
	begin := slices.Index(heard[min(1, len(heard)-1):], said[0]) + min(1, len(heard)-1)
	for i, first := begin, begin; first > 0 && i < len(heard); i++ {
		if want := said[(i-first)%len(said)]; heard[i] != want {
			t.Errorf("%s: its event %d is %q, want %q", agent, i, heard[i], want)
			return
		}
	}
	// The first time: in the recorded order, with gaps alone at the beginning.
	at := 0
	for i, h := range heard[:max(begin, 0)] {
		j := slices.Index(said[at:], h)
		if j < 0 {
			t.Errorf("%s: its event %d, %q, is out of order", agent, i, h)
			return
		}
		at += j + 1
	}
}

func TestRecordedSame(t *testing.T) {
	sh := Shape{Seed: 4, Agents: 50, Connections: 3, Frame: 10, Events: Recorded}
	take := func(sh Shape) (out []byte) {
		m, err := NewMaker(sh)
		if err != nil {
			t.Fatal(err)
		}
		s := m.Source(1)
		for range 500 {
			out = s.Append(out, 1_700_000_000_000)
		}
		return out
	}
	a := take(sh)
	if !bytes.Equal(a, take(sh)) {
		t.Error("the same shape gave other events")
	}
	sh.Seed++
	if bytes.Equal(a, take(sh)) {
		t.Error("another seed gave the same events")
	}
}
