package intake

import (
	"context"
	"testing"
	"time"

	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stepped is an intake that the test turns by hand, at a time that it sets.
type stepped struct {
	*rig
	now time.Time
}

func newStepped(t *testing.T, o Options) *stepped {
	t.Helper()
	s := &stepped{now: time.Unix(1_700_000_000, 0)}
	clock := func() time.Time { return s.now }
	o.Now, o.Tick = clock, time.Second
	in, log, links, gate, _ := gated(t, o, wal.Options{Now: clock})
	close(gate)
	in.w = log.Writer()
	s.rig = &rig{t: t, log: log, in: in, links: links}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// pass lets time go by with a tick every 30 s, and commits at its end.
func (s *stepped) pass(d time.Duration) {
	s.t.Helper()
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(min(30*time.Second, end.Sub(s.now)))
		s.in.turn(true)
	}
	s.commit()
}

func (s *stepped) commit() {
	s.t.Helper()
	s.in.turn(true)
	for deadline := time.Now().Add(10 * time.Second); s.in.w.Pending() || !s.in.cur.empty() || s.in.flying.Load() > 0; {
		s.in.commit()
		if time.Sleep(50 * time.Microsecond); time.Now().After(deadline) {
			s.t.Fatal("the log takes no group")
		}
	}
}

func (s *stepped) expired() (n int) {
	s.t.Helper()
	recs, _, err := s.log.Find(context.Background(), wal.Query{Kinds: wal.KindExpired.Mask()})
	if err != nil {
		s.t.Fatal(err)
	}
	return len(recs)
}

// A silent producer expires while the server runs; not while it has a link, and
// not because the clock jumped.
func TestProducersExpireWhileRunning(t *testing.T) {
	s := newStepped(t, Options{ProducerTTL: 2 * time.Hour})
	s.put(hello(1, 1, 1), event(1, 1, "x"), event(1, 2, "y"), end(1, 2))
	s.pass(5 * time.Hour)
	if n := s.expired(); n != 0 {
		t.Fatalf("%d expired with its link open", n)
	}
	s.put(event(1, 3, "z"), end(1, 3))
	s.commit()
	s.put(engine.Item{Kind: engine.ItemClosed, Link: 1, Seq: 1006})
	s.commit()
	s.now = s.now.Add(1000 * time.Hour)
	s.pass(50 * time.Minute)
	if n := s.expired(); n != 0 {
		t.Fatalf("%d expired within the hour after the clock jumped", n)
	}
	s.pass(20 * time.Minute)
	if n := s.expired(); n != 1 {
		t.Fatalf("%d expired, want 1", n)
	}
	s.wait(3)
	s.put(hello(2, 2, 4))
	s.commit()
	if w := lastWelcome(s.wait(1)); w.Next != 4 {
		t.Errorf("welcomed to %d, want its first, 4", w.Next)
	}
	recs, _, err := s.log.Find(context.Background(), wal.Query{Kinds: wal.KindLost.Mask()})
	if err != nil || len(recs) != 1 || recs[0].Seq != 1 || recs[0].To() != 3 || string(recs[0].Body()) != "gap" {
		t.Errorf("the gap is %+v, %v", recs, err)
	}
}

// What is kept of a named submission goes when its answer does.
func TestNamedSubmissionsExpire(t *testing.T) {
	s := newStepped(t, Options{})
	sub := &Submission{Space: "main", Owner: "k", Once: "key", Events: []Event{{Agent: "a", Class: uint8(wire.TypeMessage), Payload: payload("p")}}}
	sub.done = make(chan struct{})
	s.in.turn(true)
	s.in.submit(sub)
	s.commit()
	<-sub.done
	s.pass(onceLife - time.Minute)
	if n := s.expired(); n != 0 {
		t.Fatal("expired before its time")
	}
	s.pass(2 * time.Minute)
	if n := s.expired(); n != 1 {
		t.Errorf("%d expired, want 1", n)
	}
}

// A hello that was in flight on a dead link and is read behind the one of its
// life's next link does not send that away. The clock in the hellos tells.
func TestALateHelloFencesNobody(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	at := func(link netpoll.Handle, epoch uint64, now int64) engine.Item {
		it := hello(link, epoch, 1)
		var h engine.HelloItem
		if err := engine.DecodeHello(it.Payload, &h); err != nil {
			t.Fatal(err)
		}
		h.Now = now
		it.Payload = engine.AppendHello(nil, &h)
		return it
	}
	r.put(at(2, 5, 200), at(1, 5, 100), event(1, 1, "late"), end(1, 1), event(2, 1, "x"), end(2, 1))
	var closed, acked bool
	for _, rep := range r.wait(3) {
		switch {
		case rep.Kind == engine.ReplyClose && rep.Link == 1 && rep.Close == closeTryAgain:
			closed = true
		case rep.Kind == engine.ReplyAck && rep.Link == 2 && rep.To == 1:
			acked = true
		case rep.Kind == engine.ReplyClose:
			t.Errorf("told %+v", rep)
		}
	}
	if !closed || !acked {
		t.Errorf("closed %v, acked %v", closed, acked)
	}
	r.wantStored("x")
	r.put(at(3, 6, 50)) // another life goes by its epoch
	for _, rep := range r.wait(2) {
		if rep.Kind == engine.ReplyClose && (rep.Link != 2 || rep.Close != CloseFenced) {
			t.Errorf("told %+v", rep)
		}
	}
}

// An event under a number that was settled without one is not acknowledged in silence.
func TestSpentNumbersAreTold(t *testing.T) {
	r := newRig(t, vfs.NewMem())
	defer r.close()
	r.put(hello(1, 1, 1), engine.Item{Kind: engine.ItemLost, Link: 1, Seq: 1, To: 2, Payload: []byte("full")}, event(1, 2, "x"), end(1, 2))
	rs := r.wait(3)
	if n := rs[1]; n.Kind != engine.ReplyNack || n.From != 2 || n.Code != "conflict" || rs[2].Kind != engine.ReplyAck {
		t.Errorf("got %+v", rs)
	}
	r.wantStored()
}
