//go:build linux

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"eyrie/engine/admit"
	"eyrie/engine/wire"
)

// limit puts rates in force as a reading would.
func (r *rig) limit(total, agent, critical float64) {
	r.srv.rates.Store(&admit.Rates{Total: total, Agent: agent, Critical: critical})
}

func frameOfEvents(seq uint64, n int, kv ...any) []byte {
	var ps [][]byte
	for range n {
		ps = append(ps, event(kv...))
	}
	return frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, seq, nil, ps...))
}

// TestSlowIsToldBeforeThePause: who nears his rate is told it, who exceeds it is
// not read until he owes nothing, and nothing of his is lost.
func TestSlowIsToldBeforeThePause(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b")
	r.limit(10_000, 1000, 100)
	r.feed(a, frameOfEvents(1, 100))
	if got := r.told(a, wire.MsgPack); len(got) != 0 || a.paused {
		t.Fatalf("a tenth of a second's worth: told %v, paused %v", got, a.paused)
	}
	r.feed(a, frameOfEvents(101, 100))
	if got := r.told(a, wire.MsgPack); len(got) != 1 || got[0] != "slow 1000" || a.paused {
		t.Fatalf("a fifth of a second's worth: told %v, paused %v", got, a.paused)
	}
	r.feed(a, frameOfEvents(201, 100), frameOfEvents(301, 100))
	if !a.paused || len(a.tail) == 0 {
		t.Fatal("above the rate and the burst it is still read")
	}
	r.feed(b, frameOfEvents(1, 10))
	if b.paused {
		t.Error("a neighbour waits too")
	}
	r.pass(60 * time.Millisecond)
	if !a.paused || len(a.tail) > 0 {
		t.Error("the next frame is not read, or not owed for")
	}
	r.pass(200 * time.Millisecond)
	if a.paused {
		t.Error("it owes nothing any more and is not read")
	}
	if got := r.told(a, wire.MsgPack); len(got) != 0 {
		t.Errorf("told again: %v", got)
	}
	if got := numbers(r.items()); strings.Count(got["0"], " ") != 400 || strings.Count(got["1"], " ") != 10 {
		t.Errorf("%v", got)
	}
	// The limits end: it is told.
	r.pass(2 * time.Second)
	r.srv.rates.Store(nil)
	r.l.sweepFlows()
	r.flushBatch()
	if got := r.told(a, wire.MsgPack); len(got) != 1 || got[0] != "slow 0" || len(r.l.flows) != 0 {
		t.Errorf("afterwards told %v, %d flows", got, len(r.l.flows))
	}
}

// TestTheEndOfLimitsIsToldToAll: also to who owes something, and to who is not
// read, when the limits end.
func TestTheEndOfLimitsIsToldToAll(t *testing.T) {
	r := newRig(t, nil)
	owes, waits := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b")
	r.limit(1e6, 1000, 100)
	r.feed(owes, frameOfEvents(1, 200))
	r.feed(waits, frameOfEvents(1, 400))
	if owes.paused || !waits.paused {
		t.Fatalf("paused: %v, %v", owes.paused, waits.paused)
	}
	r.srv.rates.Store(nil)
	r.l.sweepFlows()
	r.flushBatch()
	if got := r.told(owes, wire.MsgPack); len(got) != 2 || got[0] != "slow 1000" || got[1] != "slow 0" {
		t.Errorf("who owes is told %v", got)
	}
	r.pass(time.Second)
	if got := r.told(waits, wire.MsgPack); len(got) != 2 || got[0] != "slow 1000" || got[1] != "slow 0" || waits.paused {
		t.Errorf("who waited is told %v, paused %v", got, waits.paused)
	}
	if len(r.l.flows) != 0 {
		t.Errorf("%d flows are kept", len(r.l.flows))
	}
	r.feed(waits, frameOfEvents(401, 400))
	if got := r.told(waits, wire.MsgPack); len(got) != 0 || waits.paused {
		t.Errorf("without limits it is told %v, paused %v", got, waits.paused)
	}
}

// TestManyAgentsAreNotPunished: a link's rate is that of an agent times those it
// speaks for.
func TestManyAgentsAreNotPunished(t *testing.T) {
	r := newRig(t, nil)
	a := r.agent(wire.MsgPack, "a")
	r.limit(1e6, 100, 100)
	var ps [][]byte
	for i := range 200 {
		ps = append(ps, event("agent", fmt.Sprint("worker-", i)))
	}
	for i := range uint64(10) {
		r.feed(a, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1+200*i, nil, ps...)))
	}
	if a.paused {
		t.Error("2,000 events of 200 agents that may send 100 a second each")
	}
	r.feed(a, frameOfEvents(2001, 4000))
	if !a.paused {
		t.Error("40 times the rate of an agent goes through")
	}
}

// TestCriticalRate: above it the link pauses; nothing is refused or shed. Below
// it CRITICAL events do not wait for what the link owes for the rest.
func TestCriticalRate(t *testing.T) {
	r := newRig(t, nil)
	a := r.agent(wire.MsgPack, "a")
	r.limit(1e6, 1e5, 100)
	sent := uint64(0)
	for !a.paused && sent < 1000 {
		r.feed(a, frameOfEvents(sent+1, 5, "prio", "critical"))
		sent += 5
	}
	if sent != 30 {
		t.Errorf("%d CRITICAL events at 100 a second and a burst of 25", sent)
	}
	r.feed(a, frameOfEvents(sent+1, 5, "prio", "critical"))
	r.pass(time.Second)
	if got := numbers(r.items()); strings.Count(got["0"], " ") != int(sent)+5 || a.paused {
		t.Errorf("%v, paused %v", got, a.paused)
	}
	if got := r.told(a, wire.MsgPack); len(got) != 1 || got[0] != "slow 100" {
		t.Errorf("told %v", got)
	}
}

// TestTotalRate holds those who owe something of their own, not the modest.
func TestTotalRate(t *testing.T) {
	r := newRig(t, nil)
	greedy, modest := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b")
	r.limit(1000, 1000, 100)
	r.feed(greedy, frameOfEvents(1, 200), frameOfEvents(201, 200))
	r.feed(modest, frameOfEvents(1, 1))
	if !greedy.paused || modest.paused {
		t.Errorf("paused: greedy %v, modest %v", greedy.paused, modest.paused)
	}
}

// TestAbuseIsBlocked: what no client does by mistake is closed 1008 and kept out
// for a time that grows and ends; others of the same key are not.
func TestAbuseIsBlocked(t *testing.T) {
	for name, spoil := range map[string]func(r *rig, c *rigConn){
		"unreadable": func(r *rig, c *rigConn) {
			for range faultsMax {
				r.feed(c, clientFrame(0x82, []byte{0xc1}))
			}
		},
		"hello": func(r *rig, c *rigConn) { r.feed(c, frameOf(wire.MsgPack, helloMessage(wire.MsgPack, "a"))) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			for _, block := range []int{1, 2, 4} {
				c := r.agent(wire.MsgPack, "a")
				spoil(r, c)
				if code, why := closed(t, c.out); code != 1008 || !strings.HasSuffix(why, fmt.Sprintf("; come back in %d s", block)) {
					t.Fatalf("close %d %q", code, why)
				}
				r.items()
				d := r.dial()
				r.feed(d, upgradeRequest(AgentPath, "Authorization: Bearer good"))
				if out := string(d.out); !strings.HasPrefix(out, "HTTP/1.1 429 ") || !strings.Contains(out, fmt.Sprintf("\r\nRetry-After: %d\r\n", block)) {
					t.Fatalf("while blocked: %q", out)
				}
				e := r.dial()
				r.feed(e, upgradeRequest(AgentPath, "Authorization: Bearer narrow"))
				if !strings.HasPrefix(string(e.out), "HTTP/1.1 101 ") {
					t.Fatalf("another key: %q", e.out)
				}
				r.pass(time.Duration(block) * time.Second)
			}
		})
	}
}

// TestPressure: readings become rates, metrics show them, and they end.
func TestPressure(t *testing.T) {
	r := newRig(t, nil)
	stored := uint64(0)
	read := func(queue float64, n int) {
		for range n {
			r.now += int64(100 * time.Millisecond)
			stored += 1000
			r.srv.Pressure(admit.Reading{CPU: 0.5, Queue: queue, Stored: stored})
		}
	}
	read(0, 50)
	if r.srv.rates.Load() != nil {
		t.Fatal("limits without pressure")
	}
	read(1, 10)
	rates := r.srv.rates.Load()
	if rates == nil || rates.Total <= 0 || rates.Total > 20_000 {
		t.Fatalf("10,000 events a second at the limit give %+v", rates)
	}
	var b strings.Builder
	r.srv.cfg.Metrics.WritePrometheus(&b)
	for _, name := range []string{"eyrie_admit_cpu 0.5", "eyrie_admit_queue 1", "eyrie_admit_rate_events ", "eyrie_admit_base_events ", `eyrie_engine_ring_level{loop="0"}`} {
		if !strings.Contains(b.String(), "\n"+name) && !strings.HasPrefix(b.String(), name) {
			t.Errorf("no %s", name)
		}
	}
	read(0, 150)
	if r.srv.rates.Load() != nil {
		t.Error("the limits outlive the pressure")
	}
}
