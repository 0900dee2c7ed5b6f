//go:build linux

package engine

import (
	"fmt"
	"strings"
	"testing"

	"eyrie/engine/admit"
	"eyrie/engine/wire"
)

// fillTo puts one record into the ring that brings it to a share of its high
// watermark, in sixteenths.
func (r *rig) fillTo(sixteenths int) {
	r.t.Helper()
	n := r.l.gauge.High()/16*sixteenths - r.l.ring.Used()
	for n > 0 {
		size := min(n, 256<<10)
		rec := AppendItem(nil, &Item{Kind: ItemPos, Payload: make([]byte, max(size-itemHead-4, 0))})
		b, ok := r.l.ring.Reserve(len(rec), true)
		if !ok {
			r.t.Fatal("the ring is too small for the test")
		}
		copy(b, rec)
		r.l.ring.Publish()
		n -= size
	}
}

// fresh takes the items but for what fillTo put there.
func (r *rig) fresh() (all []string) {
	r.t.Helper()
	for _, it := range r.items() {
		if it.Kind != ItemPos || it.Link != 0 {
			all = append(all, line(it))
		}
	}
	return all
}

// sheddable opens a link whose hello allows classes to be shed.
func (r *rig) sheddable(id string, classes ...wire.Prio) *rigConn {
	r.t.Helper()
	c := r.open("good", wire.MsgPack.Subprotocol())
	r.feed(c, frameOf(wire.MsgPack, wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{
		Producer: [16]byte{1, 2, 3}, Epoch: 1, First: 1, Agent: &wire.Event{Agent: id}, Sheddable: classes,
	})))
	if its := r.items(); len(its) != 1 || its[0].Kind != ItemHello {
		r.t.Fatalf("hello: %v", its)
	}
	return c
}

func mixed(seq uint64) []byte {
	return wire.AppendEvents(nil, wire.MsgPack, seq, nil,
		event("prio", "low"), event("prio", "low"), event("prio", "normal"), event("prio", "normal", "agent", "b"), event("prio", "high"))
}

// TestShedLowestFirst: how full the ring is decides which classes go, never
// which comes first, and only senders that allowed it lose any.
func TestShedLowestFirst(t *testing.T) {
	stored := []string{"event 1 a log", "event 2 a log", "event 3 a log", "event 4 b log", "event 5 a log"}
	for _, c := range []struct {
		fill  int
		allow []wire.Prio
		want  []string
	}{
		{0, []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}, stored},
		{7, []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}, stored},
		{8, []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}, append([]string{"shed 1..2 low: 2 low of a"}, stored[2:]...)},
		{11, []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}, []string{"shed 1..4 normal: 2 low of a 1 normal of a 1 normal of b", stored[4]}},
		{14, []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}, []string{"shed 1..5 high: 2 low of a 1 normal of a 1 normal of b 1 high of a"}},
		{14, nil, stored},
		{14, []wire.Prio{wire.PrioNormal}, []string{stored[0], stored[1], "shed 3..4 normal: 1 normal of a 1 normal of b", stored[4]}},
	} {
		t.Run(fmt.Sprint(c.fill, c.allow), func(t *testing.T) {
			r := newRig(t, nil)
			a := r.sheddable("a", c.allow...)
			r.fillTo(c.fill)
			r.feed(a, frameOf(wire.MsgPack, mixed(1)))
			if got, want := strings.Join(r.fresh(), "\n"), strings.Join(append(c.want, "frame_end 5"), "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestFullRing: beyond the high watermark a frame of which nothing is kept goes
// on and is shed, one with a CRITICAL event is taken whole but for what may be
// shed, and what is left waits until the low watermark.
func TestFullRing(t *testing.T) {
	r := newRig(t, nil)
	low := r.sheddable("a", wire.PrioLow)
	all := r.sheddable("b", wire.PrioLow, wire.PrioNormal, wire.PrioHigh)
	plain := r.agent(wire.MsgPack, "c")
	urgent := r.agent(wire.MsgPack, "d")
	r.fillTo(16)
	for _, c := range []*rigConn{low, all, plain} {
		r.feed(c, frameOf(wire.MsgPack, mixed(1)))
	}
	r.feed(urgent, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event(), event("prio", "critical"))))
	r.feed(all, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 6, nil, event("prio", "critical"), event("prio", "low"))))
	if !low.paused || all.paused || !plain.paused || urgent.paused {
		t.Fatalf("paused %v %v %v %v", low.paused, all.paused, plain.paused, urgent.paused)
	}
	// Released to between the watermarks: they go on waiting, and so does whoever comes.
	rec, _ := r.l.ring.Next()
	if len(rec) < 256<<10-8 {
		t.Fatalf("the first record has %d bytes", len(rec))
	}
	r.l.ring.Release()
	r.srv.Freed(0)
	r.wake()
	if !low.paused || !plain.paused || r.l.level != admit.Full {
		t.Fatalf("above the low watermark: paused %v %v, level %v", low.paused, plain.paused, r.l.level)
	}
	got := strings.Join(r.fresh(), "\n")
	if want := "shed 1..5 high: 2 low of b 2 normal of b 1 high of b\nframe_end 5\n" +
		"event 1 d log\nevent 2 d log\nframe_end 2\nevent 6 b log\nshed 7..7 low: 1 low of b\nframe_end 7"; got != want {
		t.Errorf("while full: got\n%s\nwant\n%s", got, want)
	}
	r.srv.Freed(0)
	r.wake()
	if low.paused || plain.paused || r.l.waiting.Load() {
		t.Errorf("below the low watermark: paused %v %v, waiting %v", low.paused, plain.paused, r.l.waiting.Load())
	}
	if got := r.fresh(); len(got) != 12 || got[0] != "event 1 a log" {
		t.Errorf("then: %q", got)
	}
}

// TestUrgentGoesFirst: of those that wait, who has something CRITICAL to tell
// is next, at whatever level.
func TestUrgentGoesFirst(t *testing.T) {
	r := newRig(t, nil)
	plain, urgent, second := r.agent(wire.MsgPack, "a"), r.agent(wire.MsgPack, "b"), r.agent(wire.MsgPack, "c")
	r.fillTo(16)
	for { // to the last byte of the headroom
		b, ok := r.l.ring.Reserve(itemHead, true)
		if !ok {
			break
		}
		putItem(b, ItemPos, 0, 0, nil)
		r.l.ring.Publish()
	}
	r.feed(plain, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event())))
	for _, c := range []*rigConn{urgent, second} {
		r.feed(c, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event("prio", "critical"))))
	}
	if !plain.paused || !urgent.paused || !second.paused {
		t.Fatal("a ring without a byte left took something")
	}
	r.l.ring.Next() // one filler: little room, far above the low watermark
	r.l.ring.Release()
	r.srv.Freed(0)
	r.wake()
	if !plain.paused || urgent.paused || second.paused {
		t.Errorf("paused: plain %v, critical %v and %v", plain.paused, urgent.paused, second.paused)
	}
	if got := strings.Join(r.fresh(), " "); got != "event 1 b log frame_end 1 event 1 c log frame_end 1" {
		t.Errorf("got %s", got)
	}
}
