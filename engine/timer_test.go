//go:build linux

package engine

import (
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"
)

func TestHandshakeTimeouts(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	for range 9 {
		r.feed(c, []byte("G")[:1])
		r.pass(time.Second)
		c.tail = nil
	}
	r.pass(time.Second)
	if !strings.HasPrefix(string(c.out), "HTTP/1.1 408 ") || !c.gone {
		t.Errorf("slow head: %q", c.out)
	}
	c = r.open("good", "")
	r.feed(c, clientFrame(0x89, nil))
	r.pass(10 * time.Second)
	if code, why := closed(t, c.out); code != 1008 || why != "no hello in time" {
		t.Errorf("close %d %q", code, why)
	}
}

func TestPingThenIdle(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	r.pass(29 * time.Second)
	if len(c.out) != 0 {
		t.Fatalf("% x after 29 s", c.out)
	}
	r.pass(time.Second)
	if got := r.told(c, wire.MsgPack); len(got) != 1 || got[0] != "control 9" {
		t.Fatalf("after 30 s: %v", got)
	}
	r.feed(c, clientFrame(0x8a, nil)) // the pong
	r.pass(59 * time.Second)
	if c.gone {
		t.Fatal("dropped though it answered")
	}
	if got := r.told(c, wire.MsgPack); len(got) != 1 || got[0] != "control 9" {
		t.Fatalf("59 s later: %v", got)
	}
	r.pass(31 * time.Second)
	if code, why := closed(t, c.out); code != 1008 || why != "silent for too long" || !c.gone {
		t.Errorf("close %d %q", code, why)
	}
	r.want("closed 1008 silent for too long")
}

// TestBusyLinksAreNotPinged: bytes coming in are sign of life enough.
func TestBusyLinksAreNotPinged(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	for i := range 300 {
		r.feed(c, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, uint64(i+1), nil, event())))
		r.pass(time.Second)
	}
	if len(c.out) != 0 || c.gone {
		t.Errorf("% x", c.out)
	}
}

// TestStalledReaderIsDropped: pausing is not for ever.
func TestStalledReaderIsDropped(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	c.blocked = true
	for range 1000 {
		r.feed(c, clientFrame(0x89, make([]byte, 125)))
	}
	r.pass(2 * time.Minute)
	if !c.aborted || !c.gone {
		t.Error("still held")
	}
}
