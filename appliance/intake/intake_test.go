package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLinks stands for the engine: one ring that the test fills, and the
// replies it got.
type fakeLinks struct {
	ring *ring.Ring

	mu      sync.Mutex
	replies []engine.Reply
	changed chan struct{}
}

func (f *fakeLinks) Rings() []*ring.Ring { return []*ring.Ring{f.ring} }
func (f *fakeLinks) Freed(int)           {}
func (f *fakeLinks) Reply(rs []engine.Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rs {
		if r.Welcome != nil {
			w := *r.Welcome
			w.Pos = bytes.Clone(w.Pos)
			r.Welcome = &w
		}
		f.replies = append(f.replies, r)
	}
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// rig is an intake over a log in memory.
type rig struct {
	t     *testing.T
	fs    vfs.FS
	log   *wal.Log
	in    *Intake
	links *fakeLinks
	done  chan error
	free  uint64 // what the disk says it has
	later time.Duration
	mu    sync.Mutex
}

func newRig(t *testing.T, fs vfs.FS) *rig {
	t.Helper()
	r := &rig{t: t, fs: fs, links: &fakeLinks{ring: ring.New(1<<22, 1<<18), changed: make(chan struct{}, 1)}, done: make(chan error, 1), free: 1 << 40}
	r.in = New(nil, nil, Options{Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return time.Now().Add(r.later) }})
	log, err := wal.Open(wal.Options{
		FS: fs, Dir: "log", MemtableBytes: 1 << 20, Committed: r.in.Committed, Ready: r.in.Ready,
		DiskFree: func(string) (uint64, error) { r.mu.Lock(); defer r.mu.Unlock(); return r.free, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	r.log = log
	r.in.Attach(log, r.links)
	go func() { r.done <- r.in.Run(context.Background()) }()
	return r
}

func (r *rig) close() {
	r.t.Helper()
	r.in.Stop()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
	if err := r.log.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) put(its ...engine.Item) {
	r.t.Helper()
	for i := range its {
		rec := engine.AppendItem(nil, &its[i])
		b, ok := r.links.ring.Reserve(len(rec), false)
		if !ok {
			r.t.Fatal("the test's ring is full")
		}
		copy(b, rec)
	}
	r.links.ring.Publish()
	r.in.Notify()
}

// wait returns the replies once there are n.
func (r *rig) wait(n int) []engine.Reply {
	r.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		r.links.mu.Lock()
		if len(r.links.replies) >= n {
			out := r.links.replies
			r.links.replies = nil
			r.links.mu.Unlock()
			return out
		}
		r.links.mu.Unlock()
		select {
		case <-r.links.changed:
		case <-deadline:
			r.t.Fatalf("got %d replies, want %d", len(r.links.replies), n)
		}
	}
}

func payload(s string) []byte {
	e := wire.Event{Type: wire.TypeMessage, Msg: s}
	return e.AppendMsgpack(nil)
}

func hello(link netpoll.Handle, epoch uint64, first uint64) engine.Item {
	h := engine.HelloItem{Space: "main", Owner: "agent", Producer: [16]byte{7}, First: first, Agent: "a"}
	h.Epoch = epoch
	return engine.Item{Kind: engine.ItemHello, Link: link, Payload: engine.AppendHello(nil, &h)}
}

func event(link netpoll.Handle, seq uint64, msg string) engine.Item {
	return engine.Item{Kind: engine.ItemEvent, Class: uint8(wire.TypeMessage), Link: link, Seq: seq, Agent: []byte("a"), Payload: payload(msg)}
}

func pos(link netpoll.Handle, seq uint64, p string) engine.Item {
	return engine.Item{Kind: engine.ItemPos, Link: link, Seq: seq, Payload: []byte(p)}
}

func end(link netpoll.Handle, seq uint64) engine.Item {
	return engine.Item{Kind: engine.ItemFrameEnd, Link: link, Seq: seq}
}

// stored returns the messages in the log.
func (r *rig) stored() (out []string) {
	r.t.Helper()
	recs, _, err := r.log.Find(context.Background(), wal.Query{Kinds: wal.KindEvent.Mask(), Limit: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range recs {
		var e wire.Event
		if err := wire.DecodeEvent(rec.Payload, &e); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, e.Msg)
	}
	return out
}

func (r *rig) wantStored(want ...string) {
	r.t.Helper()
	if got := r.stored(); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("stored %q, want %q", got, want)
	}
}

func TestWelcomeThenAck(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	r.put(hello(1, 1, 1))
	w := r.wait(1)[0]
	if w.Kind != engine.ReplyWelcome || w.Welcome.Next != 1 || w.Welcome.Pos != nil {
		t.Fatalf("got %+v", w)
	}
	r.put(event(1, 1, "x"), event(1, 2, "y"), pos(1, 2, "p2"), end(1, 2))
	a := r.wait(1)[0]
	if a.Kind != engine.ReplyAck || a.To != 2 {
		t.Fatalf("got %+v", a)
	}
	r.wantStored("x", "y")
}

// A resend is acknowledged and not stored again, also after a restart; other
// content under the same number is a conflict; a number too far ahead a gap.
func TestExactlyOnce(t *testing.T) {
	fs := vfs.NewMem()
	r := newRig(t, fs)
	r.put(hello(1, 1, 1), event(1, 1, "x"), event(1, 2, "y"), pos(1, 2, "p2"), end(1, 2))
	r.wait(2)
	r.close()

	r = newRig(t, fs)
	defer r.close()
	r.put(hello(2, 1, 1))
	if w := r.wait(1)[0]; w.Welcome.Next != 3 || string(w.Welcome.Pos) != "p2" {
		t.Fatalf("after a restart: %+v", w.Welcome)
	}
	r.put(event(2, 2, "y"), event(2, 3, "z"), end(2, 3))
	if a := r.wait(1); len(a) != 1 || a[0].Kind != engine.ReplyAck || a[0].To != 3 {
		t.Fatalf("resend: %+v", a)
	}
	r.put(event(2, 3, "other"), end(2, 3))
	a := r.wait(2)
	if a[0].Kind != engine.ReplyNack || a[0].Code != "conflict" || a[0].From != 3 || a[1].Kind != engine.ReplyAck {
		t.Fatalf("other content: %+v", a)
	}
	r.put(event(2, 9, "far"), pos(2, 9, "p9"), end(2, 9))
	a = r.wait(2)
	if a[0].Code != "gap" || a[0].From != 9 || a[1].To != 3 {
		t.Fatalf("gap: %+v", a)
	}
	r.wantStored("x", "y", "z")
	r.put(hello(3, 1, 1))
	if w := lastWelcome(r.wait(2)); string(w.Pos) != "p2" {
		t.Fatalf("the position of a frame with a gap was kept: %q", w.Pos)
	}
}

func lastWelcome(rs []engine.Reply) *wire.Welcome {
	var w *wire.Welcome
	for _, r := range rs {
		if r.Welcome != nil {
			w = r.Welcome
		}
	}
	return w
}

// A second link of the same producer fences the first: what the first still
// sends is dropped. A lower epoch is refused.
func TestFence(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	r.put(hello(1, 5, 1), event(1, 1, "x"), end(1, 1))
	r.wait(2)
	r.put(hello(2, 6, 1), event(1, 2, "from the old one"), end(1, 2), event(2, 2, "y"), end(2, 2))
	var closed, acked bool
	for _, rep := range r.wait(3) {
		switch {
		case rep.Kind == engine.ReplyClose && rep.Link == 1 && rep.Close == CloseFenced:
			closed = true
		case rep.Kind == engine.ReplyAck && rep.Link == 2 && rep.To == 2:
			acked = true
		case rep.Link == 1:
			t.Errorf("the fenced link was told %+v", rep)
		}
	}
	if !closed || !acked {
		t.Errorf("closed %v, acked %v", closed, acked)
	}
	r.put(hello(3, 5, 1))
	if c := r.wait(1)[0]; c.Kind != engine.ReplyClose || c.Close != CloseEpochLow {
		t.Errorf("lower epoch: %+v", c)
	}
	r.wantStored("x", "y")
}

func TestRefusedAndLost(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	bad := engine.Item{Kind: engine.ItemRefused, Link: 1, Seq: 2, Payload: engine.AppendRefusal(nil, "type", "usage.input_tokens", "want a number")}
	r.put(hello(1, 1, 1), event(1, 1, "x"), bad, event(1, 3, "z"), end(1, 3),
		engine.Item{Kind: engine.ItemLost, Link: 1, Seq: 4, To: 6, Payload: []byte("buffer full")},
		event(1, 7, "w"), end(1, 7))
	rs := r.wait(3)
	var nack, ack *engine.Reply
	for i := range rs {
		switch rs[i].Kind {
		case engine.ReplyNack:
			nack = &rs[i]
			if ack != nil {
				t.Error("the ack came before the nack it covers")
			}
		case engine.ReplyAck:
			ack = &rs[i]
		}
	}
	if nack == nil || nack.Field != "usage.input_tokens" || nack.From != 2 || ack == nil || ack.To != 7 {
		t.Errorf("got nack %+v, ack %+v", nack, ack)
	}
	r.wantStored("x", "z", "w")
}

// At the disk's wall nothing is acknowledged; the sender is told to come back.
func TestWall(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	r.put(hello(1, 1, 1), event(1, 1, "x"), end(1, 1))
	r.wait(2)
	r.mu.Lock()
	r.free = 0
	r.mu.Unlock()
	deadline := time.Now().Add(10 * time.Second)
	for r.log.Wall() == nil && time.Now().Before(deadline) {
		err := r.in.Submit(context.Background(), &Submission{Space: "main", Owner: "k", Events: []Event{{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload("s")}}})
		if errors.Is(err, wal.ErrDiskFull) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.put(event(1, 2, "y"), end(1, 2))
	if c := r.wait(1)[0]; c.Kind != engine.ReplyClose || c.Close != closeTryAgain {
		t.Fatalf("got %+v, want a close that asks to come back", c)
	}
	for _, m := range r.stored() {
		if m == "y" {
			t.Error("stored below the watermark")
		}
	}
}

func TestSubmitOnce(t *testing.T) {
	fs := vfs.NewMem()
	r := newRig(t, fs)
	sub := func(body byte, msgs ...string) *Submission {
		s := &Submission{Space: "main", Owner: "k1", Once: "key", Body: [32]byte{body}, Answer: []byte{body}}
		for _, m := range msgs {
			s.Events = append(s.Events, Event{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload(m)})
		}
		return s
	}
	first := sub(1, "x", "y")
	if err := r.in.Submit(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	r.close()
	r = newRig(t, fs)
	defer r.close()
	again := sub(1, "x", "y")
	if err := r.in.Submit(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	if !again.Replayed || again.First != first.First || again.Last != first.Last || !bytes.Equal(again.Answer, first.Answer) {
		t.Errorf("got %+v, want the first one's answer %+v", again, first)
	}
	if err := r.in.Submit(context.Background(), sub(2, "z")); !errors.Is(err, ErrMismatch) {
		t.Errorf("other body: %v", err)
	}
	r.wantStored("x", "y")
	r.mu.Lock()
	r.later = onceLife
	r.mu.Unlock()
	next := sub(2, "z")
	if err := r.in.Submit(context.Background(), next); err != nil || next.Replayed {
		t.Errorf("a day later the name is free again: replayed %v, %v", next.Replayed, err)
	}
	plain := &Submission{Space: "main", Owner: "k1", Events: []Event{{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload("p")}}}
	for range 2 {
		plain.First, plain.Last = 0, 0
		if err := r.in.Submit(context.Background(), plain); err != nil {
			t.Fatal(err)
		}
	}
	r.wantStored("x", "y", "z", "p", "p")
}

// TestShed: numbers that admission dropped are settled by a record of their
// agent and class, told before the ack that covers them, and what an earlier
// link settled is told nothing about.
func TestShed(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	shed := func(link netpoll.Handle, from, to uint64, p wire.Prio) engine.Item {
		return engine.Item{Kind: engine.ItemShed, Link: link, Seq: from, To: to, Class: uint8(p), Payload: engine.AppendShedPart(nil, engine.ShedPart{Agent: []byte("a"), Class: p, Count: to - from + 1})}
	}
	r.put(hello(1, 1, 1))
	r.wait(1)
	r.put(event(1, 1, "one"), shed(1, 2, 2, wire.PrioLow), shed(1, 3, 5, wire.PrioLow), shed(1, 6, 6, wire.PrioHigh), event(1, 7, "two"), end(1, 7))
	got := r.wait(3)
	for i, want := range []engine.Reply{
		{Link: 1, Kind: engine.ReplyShed, From: 2, To: 5, Class: wire.PrioLow},
		{Link: 1, Kind: engine.ReplyShed, From: 6, To: 6, Class: wire.PrioHigh},
		{Link: 1, Kind: engine.ReplyAck, To: 7},
	} {
		if got[i] != want {
			t.Errorf("reply %d is %+v, want %+v", i, got[i], want)
		}
	}
	// The ack was lost: on the next link the same frame is shed from another
	// number on, and more of it.
	r.put(hello(2, 2, 1))
	r.wait(2) // the fenced link's close, the welcome
	r.put(event(2, 1, "one"), shed(2, 2, 9, wire.PrioLow), end(2, 9))
	got = r.wait(2)
	if want := (engine.Reply{Link: 2, Kind: engine.ReplyShed, From: 8, To: 9, Class: wire.PrioLow}); got[0] != want {
		t.Errorf("told %+v, want %+v", got[0], want)
	}
	r.put(shed(2, 3, 4, wire.PrioLow), end(2, 4), shed(2, 11, 12, wire.PrioLow), end(2, 12))
	got = r.wait(2)
	for _, x := range got {
		if x.Kind == engine.ReplyShed {
			t.Errorf("told %+v of numbers settled before, or beyond the next", x)
		}
	}
	if low, high := r.in.m.shed[wire.PrioLow].Get(), r.in.m.shed[wire.PrioHigh].Get(); low != 6 || high != 1 {
		t.Errorf("%d low and %d high counted, want 6 and 1", low, high)
	}
	var recs []string
	for f := r.log.Follow(1); f.Offset() < r.log.Next(); {
		b, err := f.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if rec := b.Record(i); rec.Kind == wal.KindShed {
				agent, class, n, _, _ := wire.CutShedEntry(rec.Body())
				recs = append(recs, fmt.Sprintf("%d..%d class %d: %d of class %d of agent %d", rec.Seq, rec.To(), rec.Class, n, class, agent))
			}
		}
	}
	if want := "[2..2 class 1: 1 of class 1 of agent 1 3..5 class 1: 3 of class 1 of agent 1 6..6 class 3: 1 of class 3 of agent 1 8..9 class 1: 2 of class 1 of agent 1]"; fmt.Sprint(recs) != want {
		t.Errorf("the log has %v, want %s", recs, want)
	}
	r.close()
}
