package intake

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// gated is an intake over a log whose announcements wait for the gate.
func gated(t *testing.T, o Options, wo wal.Options) (in *Intake, log *wal.Log, links *fakeLinks, gate chan struct{}, run chan error) {
	t.Helper()
	links = &fakeLinks{ring: ring.New(1<<22, 1<<18), changed: make(chan struct{}, 1)}
	gate, run = make(chan struct{}), make(chan error, 1)
	in = New(nil, nil, o)
	wo.FS, wo.Dir, wo.MemtableBytes, wo.Ready = vfs.NewMem(), "log", 1<<20, in.Ready
	wo.Committed = func(token any, first, last uint64, err error) {
		<-gate
		in.Committed(token, first, last, err)
	}
	log, err := wal.Open(wo)
	if err != nil {
		t.Fatal(err)
	}
	in.Attach(log, links)
	return in, log, links, gate, run
}

// Stop returns only when the last acknowledgements are out: what follows it
// closes the links.
func TestStopWaitsForAnswers(t *testing.T) {
	in, log, links, gate, run := gated(t, Options{}, wal.Options{})
	r := &rig{t: t, log: log, in: in, links: links}
	r.put(hello(1, 1, 1), event(1, 1, "x"), end(1, 1))
	go func() { run <- in.Run(context.Background()) }()
	stopped := make(chan struct{})
	go func() { in.Stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("stopped before the commit was announced")
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	<-stopped
	if err := <-run; err != nil {
		t.Error(err)
	}
	links.mu.Lock()
	if rs := links.replies; len(rs) != 2 || rs[1].Kind != engine.ReplyAck || rs[1].To != 1 {
		t.Errorf("at the stop the link had %+v, want a welcome and an ack of 1", rs)
	}
	links.mu.Unlock()
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// Clients that go on posting do not keep a stop away.
func TestStopUnderSubmissions(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	var posted atomic.Int64
	ended := make(chan error, 16)
	for range cap(ended) {
		go func() {
			for {
				err := r.in.Submit(context.Background(), &Submission{Space: "main", Owner: "k", Events: []Event{{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload("s")}}})
				if err != nil {
					ended <- err
					return
				}
				posted.Add(1)
			}
		}()
	}
	for posted.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	r.close()
	for range cap(ended) {
		if err := <-ended; !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want ErrStopped", err)
		}
	}
}

// Numbers that store nothing fill no block, and yet do not make the answers
// grow while a commit takes its time.
func TestAnswersAreBounded(t *testing.T) {
	in, log, links, gate, run := gated(t, Options{}, wal.Options{})
	r := &rig{t: t, log: log, in: in, links: links}
	in.w = log.Writer()
	links.ring = ring.New(1<<24, 1<<18)
	r.put(hello(1, 1, 1))
	for i := range repliesMax + 10*turnItems { // each frame owes a nack
		seq := uint64(100 + 2*i)
		r.put(event(1, seq, "far"), end(1, seq))
	}
	for in.turn(true) > 0 {
	}
	if n := len(in.cur.replies); n < repliesMax || n > repliesMax+2*turnItems {
		t.Errorf("%d answers are kept, the bound is %d", n, repliesMax)
	}
	if links.ring.Used() == 0 {
		t.Error("the ring was emptied nevertheless")
	}
	close(gate)
	go func() { run <- in.Run(context.Background()) }()
	in.Stop()
	if err := <-run; err != nil {
		t.Error(err)
	}
	if links.ring.Used() != 0 {
		t.Error("the rest was not taken in")
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// A link that ends while the disk is full is recorded as soon as there is room:
// views would show it as open for ever.
func TestLinkEndsAtWall(t *testing.T) {
	var clock, free atomic.Int64
	free.Store(1 << 40)
	now := func() time.Time { return time.Unix(1_700_000_000, clock.Load()) }
	in, log, links, gate, run := gated(t, Options{Now: now, Tick: 5 * time.Millisecond}, wal.Options{
		Now: now, DiskFree: func(string) (uint64, error) { return uint64(free.Load()), nil },
	})
	close(gate)
	r := &rig{t: t, log: log, in: in, links: links}
	go func() { run <- in.Run(context.Background()) }()
	r.put(hello(1, 1, 1))
	r.wait(1)
	free.Store(0)
	clock.Add(int64(2 * time.Second))
	for log.Wall() == nil {
		time.Sleep(time.Millisecond)
	}
	r.put(engine.Item{Kind: engine.ItemClosed, Link: 1, Seq: 1006, Payload: []byte("cut")})
	for links.ring.Used() > 0 {
		time.Sleep(time.Millisecond)
	}
	free.Store(1 << 40)
	clock.Add(int64(2 * time.Second))
	deadline := time.Now().Add(10 * time.Second)
	for found := false; !found; {
		recs, _, err := log.Find(context.Background(), wal.Query{Kinds: wal.KindLink.Mask(), Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			found = found || rec.Class == linkClosed && strings.Contains(string(rec.Payload), "cut")
		}
		if time.Now().After(deadline) {
			t.Fatalf("of the link there are %d records, none that it was closed", len(recs))
		}
	}
	in.Stop()
	if err := <-run; err != nil {
		t.Error(err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}

// A frame sent again does not move the position back.
func TestPositionNeverGoesBack(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	first := []engine.Item{event(1, 1, "x"), pos(1, 1, "p1"), end(1, 1)}
	r.put(hello(1, 1, 1))
	r.put(first...)
	r.put(event(1, 2, "y"), pos(1, 2, "p2"), end(1, 2))
	r.put(first...)
	r.put(hello(2, 1, 1))
	for {
		if w := lastWelcome(r.wait(1)); w != nil && w.Pos != nil {
			if string(w.Pos) != "p2" {
				t.Errorf("got position %q, want p2", w.Pos)
			}
			break
		}
	}
	r.put(pos(2, 2, "p3"), end(2, 2)) // without events
	r.put(hello(3, 1, 1))
	for {
		if w := lastWelcome(r.wait(1)); w != nil {
			if string(w.Pos) != "p3" {
				t.Errorf("got position %q, want p3", w.Pos)
			}
			break
		}
	}
	r.put(pos(3, 1, "p4"), end(3, 1))   // without events, of a number that was settled before
	r.put(pos(3, 99, "p5"), end(3, 99)) // and of one that nothing came up to
	r.put(hello(4, 1, 1))
	for {
		if w := lastWelcome(r.wait(1)); w != nil {
			if string(w.Pos) != "p3" {
				t.Errorf("got position %q, want p3", w.Pos)
			}
			break
		}
	}
}

// The numbers of posted events are the server's: no client can choose a
// producer that shares them.
func TestPostedNumbersAreNobodysElse(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	post := func() {
		t.Helper()
		if err := r.in.Submit(context.Background(), &Submission{Space: "main", Owner: "agent", Events: []Event{{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload("posted")}}}); err != nil {
			t.Fatal(err)
		}
	}
	post()
	h := engine.HelloItem{Space: "main", Owner: "agent", Epoch: 1, First: 1, Agent: "a"} // the id of all zeros
	r.put(engine.Item{Kind: engine.ItemHello, Link: 1, Payload: engine.AppendHello(nil, &h)})
	if w := r.wait(1)[0]; w.Welcome == nil || w.Welcome.Next != 1 {
		t.Fatalf("got %+v, want a fresh producer", w)
	}
	post()
	r.put(event(1, 1, "sent"), end(1, 1))
	if a := r.wait(1); len(a) != 1 || a[0].Kind != engine.ReplyAck || a[0].To != 1 {
		t.Errorf("got %+v, want an ack of 1", a)
	}
	r.wantStored("posted", "posted", "sent")
}
