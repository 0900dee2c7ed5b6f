//go:build linux

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"eyrie/engine/ring"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// fillRing sends frames from c until it is paused and returns the next number.
func (r *rig) fillRing(c *rigConn, seq uint64) uint64 {
	r.t.Helper()
	big := event("output", strings.Repeat("x", 100<<10))
	for !c.paused {
		r.feed(c, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, seq, nil, big, big)))
		seq += 2
		if seq > 1000 {
			r.t.Fatal("the ring never fills")
		}
	}
	return seq
}

// numbers lists the event numbers among the items, by link.
func numbers(its []Item) map[string]string {
	m := map[string]string{}
	for _, it := range its {
		if it.Kind == ItemEvent {
			k := fmt.Sprint(it.Link.Slot())
			m[k] += fmt.Sprintf("%d ", it.Seq)
		}
	}
	return m
}

func TestRingFull(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RingBytes = 4 << 20 })
	a, b, d := r.agent(wire.MsgPack, "a"), r.agent(wire.JSON, "b"), r.agent(wire.MsgPack, "d")
	next := r.fillRing(a, 1)
	if len(a.tail) == 0 || !r.l.waiting.Load() {
		t.Fatalf("%d bytes kept, waiting %v", len(a.tail), r.l.waiting.Load())
	}
	// Another link queues behind, though its frame is small; CRITICAL goes before.
	r.feed(b, frameOf(wire.JSON, wire.AppendEvents(nil, wire.JSON, 1, nil, event())))
	if !b.paused {
		t.Error("a link overtook one that waits")
	}
	used := r.l.ring.Used()
	r.feed(d, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event("prio", "critical"))))
	if d.paused || r.l.ring.Used() == used {
		t.Error("CRITICAL waits although there is headroom")
	}
	// Nothing is lost or doubled, order is kept, nobody stays paused.
	its := r.items()
	if !func() bool { r.woken = false; r.srv.Freed(0); return r.woken }() {
		t.Fatal("Freed does not wake a loop that waits")
	}
	r.wake()
	r.srv.Freed(0)
	r.wake()
	its = append(its, r.items()...)
	want := ""
	for i := uint64(1); i < next; i++ {
		want += fmt.Sprintf("%d ", i)
	}
	got := numbers(its)
	if got["0"] != want || got["1"] != "1 " || got["2"] != "1 " {
		t.Errorf("got %v, want the first to be %s", got, want)
	}
	if a.paused || b.paused || len(a.tail)+len(b.tail) > 0 || r.l.waiting.Load() || len(r.l.full) > 0 {
		t.Errorf("paused %v %v, waiting %v", a.paused, b.paused, r.l.waiting.Load())
	}
	r.woken = false
	if r.srv.Freed(0); r.woken {
		t.Error("Freed wakes a loop that does not wait")
	}
}

// TestRingFullWithoutFreed: the wheel is the second way out.
func TestRingFullWithoutFreed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RingBytes = 4 << 20 })
	a, b := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b")
	r.fillRing(a, 1)
	r.feed(b, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event())))
	r.items()
	r.pass(time.Second)
	if a.paused || b.paused {
		t.Errorf("paused %v %v", a.paused, b.paused)
	}
	if got := numbers(r.items()); got["1"] != "1 " {
		t.Errorf("%v", got)
	}
}

// TestRingFullForMessageInParts: what waits lies with the engine, not with netpoll.
func TestRingFullForMessageInParts(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RingBytes = 4 << 20 })
	a := r.agent(wire.MsgPack, "a")
	big := event("output", strings.Repeat("x", 200<<10))
	var m []byte
	seq := uint64(2)
	for !a.paused {
		m = wire.AppendEvents(nil, wire.MsgPack, seq, nil, big, big)
		r.feed(a, clientFrame(0x02, m[:1000]), clientFrame(0x80, m[1000:]))
		seq += 2
	}
	its := r.items()
	r.srv.Freed(0)
	r.wake()
	its = append(its, r.items()...)
	want := ""
	for i := uint64(2); i < seq; i++ {
		want += fmt.Sprintf("%d ", i)
	}
	if got := numbers(its)["0"]; got != want || a.paused || r.l.joins.held != 0 {
		t.Errorf("got %s, want %s, paused %v, %d joined", got, want, a.paused, r.l.joins.held)
	}
}

// TestClosedWhileFull: the last item of a link comes late rather than never.
func TestClosedWhileFull(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RingBytes = 4 << 20 })
	a, b := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b")
	r.fillRing(a, 1)
	for { // to the last byte
		if _, ok := r.l.ring.Reserve(8, true); !ok {
			break
		}
		r.l.ring.Publish()
	}
	r.l.Close(b.h, nil)
	b.gone = true
	r.l.Close(a.h, nil)
	a.gone = true
	for { // the fillers are no items
		rec, ok := r.l.ring.Next()
		if !ok {
			break
		}
		_ = rec
	}
	r.l.ring.Release()
	r.srv.Freed(0)
	r.wake()
	r.want("closed 1006 the connection ended", "closed 1006 the connection ended")
	if r.l.waiting.Load() || len(r.l.goodbye) > 0 {
		t.Error("still waiting")
	}
}

// TestRandomPressure: many links, a consumer that comes and goes, nothing lost
// or out of order.
func TestRandomPressure(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RingBytes = 4 << 20 })
	const links = 20
	var cs []*rigConn
	seq := make([]uint64, links)
	for i := range links {
		cs = append(cs, r.agent(wire.MsgPack, fmt.Sprint("a", i)))
		seq[i] = 1
	}
	seen := make([]uint64, links)
	take := func(n int) {
		for range n {
			rec, ok := r.l.ring.Next()
			if !ok {
				break
			}
			var it Item
			if err := DecodeItem(rec, &it); err != nil {
				t.Fatal(err)
			}
			if it.Kind != ItemEvent {
				continue
			}
			i := int(it.Link.Slot())
			if seen[i]++; it.Seq != seen[i] {
				t.Fatalf("link %d: number %d, want %d", i, it.Seq, seen[i])
			}
		}
		r.l.ring.Release()
		r.srv.Freed(0)
		if r.woken {
			r.wake()
		}
	}
	rnd := newRand(t)
	full, rounds := 0, 1500
	if testing.Short() { // beside the detector of races
		rounds = 300
	}
	for range rounds {
		i := rnd.IntN(links)
		var ps [][]byte
		for range 1 + rnd.IntN(4) {
			ps = append(ps, event("output", strings.Repeat("x", rnd.IntN(60<<10))))
		}
		if cs[i].paused {
			full++
		}
		if len(cs[i].fresh) < 1<<20 {
			m := wire.AppendEvents(nil, wire.MsgPack, seq[i], nil, ps...)
			seq[i] += uint64(len(ps))
			if rnd.IntN(3) == 0 {
				r.feed(cs[i], clientFrame(0x02, m[:len(m)/2]), clientFrame(0x80, m[len(m)/2:]))
			} else {
				r.feed(cs[i], frameOf(wire.MsgPack, m))
			}
		}
		if rnd.IntN(4) == 0 {
			take(rnd.IntN(16))
		}
	}
	for r.l.ring.Used() > 0 || r.l.waiting.Load() {
		take(1000)
	}
	for i := range links {
		if seen[i] != seq[i]-1 || cs[i].paused {
			t.Errorf("link %d: %d of %d, paused %v", i, seen[i], seq[i]-1, cs[i].paused)
		}
	}
	if full == 0 {
		t.Error("no pressure")
	}
}

// TestTwoReasonsToPause: a message in parts that met a full ring while its
// sender does not read is delivered when both are over, with nothing more sent.
func TestTwoReasonsToPause(t *testing.T) {
	for _, ringFirst := range []bool{true, false} {
		r := newRig(t, nil)
		a := r.agent(wire.MsgPack, "a")
		big := event("output", strings.Repeat("x", 200<<10))
		seq := uint64(1)
		for ; !a.paused; seq++ {
			m := wire.AppendEvents(nil, wire.MsgPack, seq, nil, big)
			r.feed(a, clientFrame(0x02, m[:1000]), clientFrame(0x80, m[1000:]))
		}
		if len(a.tail) > 0 {
			t.Fatal("not in parts")
		}
		r.l.slow(r.l.links.at(a.h))
		its := r.items()
		free := func() { r.srv.Freed(0); r.wake() }
		if ringFirst {
			free()
			r.unblock(a)
		} else {
			r.unblock(a)
			free()
		}
		its = append(its, r.items()...)
		if n := len(strings.Fields(numbers(its)["0"])); n != int(seq-1) || a.paused {
			t.Errorf("ring first %v: %d events of %d, paused %v", ringFirst, n, seq-1, a.paused)
		}
	}
}

// toRing is a recorder that wants no messages.
type toRing struct{ *recorder }

func (toRing) ToRing() {}

// TestPublish: messages for the ring are there after the turn, and the socket waits when there is no room.
func TestPublish(t *testing.T) {
	rec := toRing{&recorder{}}
	r := newRig(t, func(c *Config) { c.RingBytes, c.Sockets = 4<<20, Sockets{"/sink": rec} })
	r.l.ring = ring.New(64<<10, 4<<10)
	a, b := r.dial(), r.dial()
	r.feed(a, upgradeRequest("/sink", "Authorization: Bearer good"))
	r.feed(b, upgradeRequest("/sink", "Authorization: Bearer good"))
	sent := 0
	for !a.paused {
		var in []byte
		for range 10 {
			in = append(in, clientFrame(0x82, fmt.Appendf(nil, "%0100d", sent))...)
			sent++
		}
		if r.feed(a, in); sent > 10_000 {
			t.Fatal("the ring never fills")
		}
	}
	r.feed(b, clientFrame(0x81, []byte("b's")))
	if !b.paused {
		t.Error("a socket overtook one that waits")
	}
	its := r.items()
	for i := 0; (a.paused || b.paused) && i < 3; i++ {
		r.srv.Freed(0)
		r.wake()
		its = append(its, r.items()...)
	}
	next := 0
	for _, it := range its {
		switch {
		case it.Kind != ItemMessage:
			t.Fatalf("%v", it.Kind)
		case it.Link == b.h:
			if string(it.Payload) != "b's" || it.Seq != 1 || next != sent {
				t.Errorf("%q, opcode %d, after %d of %d", it.Payload, it.Seq, next, sent)
			}
		default:
			if string(it.Payload) != fmt.Sprintf("%0100d", next) || it.Seq != 2 {
				t.Fatalf("message %d: %q, opcode %d", next, it.Payload, it.Seq)
			}
			next++
		}
	}
	if next != sent || len(its) != sent+1 || a.paused || b.paused {
		t.Errorf("%d of %d messages, %d items", next, sent, len(its))
	}
	a.out = nil
	r.feed(a, clientFrame(0x82, make([]byte, 61<<10)))
	if code, _ := closed(t, a.out); code != ws.StatusMessageTooBig {
		t.Errorf("a message beyond the ring: close %d", code)
	}
}
