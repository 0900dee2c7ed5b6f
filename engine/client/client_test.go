package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/cenkalti/backoff/v5"
	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(i int) wire.Event {
	return wire.Event{Type: wire.TypeMessage, Msg: fmt.Sprint("m", i), Agent: "a1"}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, s *server, change func(*Options)) *Client {
	t.Helper()
	opt := Options{URL: s.url(), Key: "sesame", Backoff: backoff.NewConstantBackOff(time.Millisecond), Epoch: 5}
	if change != nil {
		change(&opt)
	}
	c, err := Dial(within(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(gone)
	})
	return c
}

func TestSendInOrderInEachCodec(t *testing.T) {
	for _, codec := range []wire.Codec{wire.MsgPack, wire.JSON, wire.Proto} {
		t.Run(codec.String(), func(t *testing.T) {
			s := newServer(t)
			c := dial(t, s, func(o *Options) {
				o.Codec = codec
				o.FrameEvents = 64
				o.Agent = &wire.Event{Agent: "a1", Role: "tester"}
			})
			for i := range 1000 {
				if seq, err := c.Send(within(t), event(i)); err != nil || seq != uint64(i+1) {
					t.Fatalf("event %d got number %d, %v", i, seq, err)
				}
			}
			if err := c.Flush(within(t)); err != nil {
				t.Fatal(err)
			}
			wantMsgs(t, s.msgs(), 1000)
			st := c.Stats()
			if st.Sent != 1000 || st.Settled != 1000 || st.UnackedEvents != 0 || st.UnackedBytes != 0 || st.Resent != 0 || !st.Connected || st.Frames < 16 {
				t.Fatalf("%+v", st)
			}
			if h := s.hellos[0]; string(h.AgentID) != "a1" || h.First != 1 || h.Epoch != 5 || h.Now == 0 {
				t.Fatalf("hello %+v", h)
			}
			if err := c.Close(within(t)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Send(within(t), event(0)); err != ErrClosed {
				t.Fatalf("after Close: %v", err)
			}
		})
	}
}

// Cuts at random frames, before storing and after it: each event is stored once, in order.
func TestCutsLoseAndDoubleNothing(t *testing.T) {
	s := newServer(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	cuts := 0
	s.onFrame = func(int, *wire.Message) fault {
		if rnd.IntN(4) == 0 {
			cuts++
			return []fault{cutBefore, cutAfter}[rnd.IntN(2)]
		}
		return fine
	}
	c := dial(t, s, func(o *Options) { o.FrameEvents = 7; o.MaxEvents = 100 })
	for i := range 2000 {
		if _, err := c.Send(within(t), event(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, s.msgs(), 2000)
	st := c.Stats()
	if s.until("links", func() bool { return cuts > 20 }); st.Links < 20 || st.Resent == 0 || st.Settled != 2000 {
		t.Fatalf("%d cuts, %+v", cuts, st)
	}
}

func TestPosIsCommittedWithItsFrame(t *testing.T) {
	s := newServer(t)
	id := [16]byte{1}
	s.onFrame = func(n int, m *wire.Message) fault {
		if m.HasPos && m.Count != 3 {
			s.fault("a position with %d events", m.Count)
		}
		return []fault{fine, cutBefore, fine, cutAfter}[n%4]
	}
	c := dial(t, s, func(o *Options) { o.Producer = id })
	if w := c.Welcome(); w.Pos != nil || w.Next != 1 {
		t.Fatalf("welcome %+v", w)
	}
	n := 0
	for i := range 50 {
		var three []wire.Event
		for range 3 {
			three = append(three, event(n))
			n++
		}
		if _, err := c.SendWithPos(within(t), three, fmt.Append(nil, "line ", i)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Send(within(t), event(n)); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if err := c.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, s.msgs(), n)
	again := dial(t, s, func(o *Options) { o.Producer = id; o.Epoch = 6 })
	if w := again.Welcome(); string(w.Pos) != "line 49" || w.Next != uint64(n+1) {
		t.Fatalf("welcome %q, next %d", w.Pos, w.Next)
	}
	if seq, err := again.Send(within(t), event(n)); err != nil || seq != uint64(n+1) {
		t.Fatalf("number %d, %v", seq, err)
	}
	if _, err := again.SendWithPos(within(t), nil, []byte("x")); err != ErrNoEvents {
		t.Fatalf("got %v", err)
	}
	if _, err := again.SendWithPos(within(t), make([]wire.Event, 1), make([]byte, wire.MaxPos+1)); err == nil {
		t.Fatal("an event without type was taken")
	}
}

func TestNacksAreToldAndSettled(t *testing.T) {
	s := newServer(t)
	s.refuse = func(p []byte) *wire.FieldError {
		var v wire.View
		if v.Reset(p); string(v.Str(wire.FMsg)) == "m1" {
			return &wire.FieldError{Code: "range", Field: "events[1].ts", Msg: "no"}
		}
		return nil
	}
	nacks := make(chan Nack, 1)
	c := dial(t, s, func(o *Options) { o.OnNack = func(n Nack) { nacks <- n } })
	if _, err := c.Send(within(t), event(0), event(1), event(2)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if n := <-nacks; n != (Nack{2, 2, "range", "events[1].ts", "no"}) {
		t.Fatalf("%+v", n)
	}
	if st := c.Stats(); st.Nacked != 1 || st.Settled != 3 {
		t.Fatalf("%+v", st)
	}
}

func TestBadEventsAreRefusedBeforeTheyAreNumbered(t *testing.T) {
	c := dial(t, newServer(t), nil)
	_, err := c.Send(within(t), event(0), wire.Event{Type: wire.TypeLog, TS: -5e6})
	var e *wire.FieldError
	if !errors.As(err, &e) || e.Field != "ts" || c.Stats().Sent != 0 {
		t.Fatalf("%v, %+v", err, c.Stats())
	}
}

func TestFencedClientsStayAway(t *testing.T) {
	s := newServer(t)
	id := [16]byte{9}
	c := dial(t, s, func(o *Options) { o.Producer = id })
	other := dial(t, s, func(o *Options) { o.Producer = id; o.Epoch = 6 })
	select {
	case <-c.Done():
	case <-within(t).Done():
		t.Fatal("the fenced client lives on")
	}
	if c.Err() != ErrFenced {
		t.Fatalf("got %v", c.Err())
	}
	if _, err := c.Send(within(t), event(0)); err != ErrFenced {
		t.Fatalf("Send: %v", err)
	}
	if _, err := Dial(within(t), Options{URL: s.url(), Key: "sesame", Producer: id, Epoch: 5}); err != ErrEpochLow {
		t.Fatalf("Dial: %v", err)
	}
	if other.Err() != nil || len(s.hellos) != 3 {
		t.Fatalf("%v, %d hellos", other.Err(), len(s.hellos))
	}
}

func TestTheBoundBlocksOrFails(t *testing.T) {
	s := newServer(t)
	s.onFrame = func(int, *wire.Message) fault { return hold }
	c := dial(t, s, func(o *Options) { o.MaxEvents = 10; o.FrameEvents = 2 })
	for i := range 10 {
		if _, err := c.Send(within(t), event(i)); err != nil {
			t.Fatal(err)
		}
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Send(short, event(10)); err != context.DeadlineExceeded {
		t.Fatalf("got %v", err)
	}
	sent := make(chan error, 1)
	go func() { _, err := c.Send(within(t), event(10)); sent <- err }()
	s.until("frames", func() bool { return s.next == 11 })
	s.ackAll(wire.MsgPack)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s.until("the eleventh", func() bool { return s.next == 12 })
	s.ackAll(wire.MsgPack)
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, s.msgs(), 11)

	full := dial(t, s, func(o *Options) { o.MaxBytes = 3 * (eventOverhead + 40); o.FailFull = true; o.Epoch = 6 })
	var err error
	for i := 0; err == nil && i < 10; i++ {
		_, err = full.Send(within(t), event(11+i))
	}
	if err != ErrFull {
		t.Fatalf("got %v", err)
	}
	if _, err := full.Send(within(t), wire.Event{Type: wire.TypeLog, Msg: string(make([]byte, 4096))}); err != ErrTooLarge {
		t.Fatalf("got %v", err)
	}
}

func TestGoawayIsFollowed(t *testing.T) {
	s, elsewhere := newServer(t), newServer(t)
	s.say = func() []func(wire.Codec) []byte {
		return []func(wire.Codec) []byte{func(c wire.Codec) []byte { return wire.AppendGoaway(nil, c, elsewhere.url(), 0) }}
	}
	c := dial(t, s, nil)
	elsewhere.until("the client", func() bool { return len(elsewhere.hellos) == 1 })
	c.Send(within(t), event(0))
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, elsewhere.msgs(), 1)
}

func TestLostIsTold(t *testing.T) {
	s := newServer(t)
	s.onFrame = func(n int, m *wire.Message) fault {
		if m.Seq == 1 {
			return fine
		}
		return hold
	}
	c := dial(t, s, func(o *Options) { o.FrameEvents = 1; o.Backoff = backoff.NewConstantBackOff(50 * time.Millisecond) })
	c.Send(within(t), event(0))
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock() // the server stands still, so that the link goes down before anything else arrives
	for conn := range s.conns {
		conn.Close()
	}
	for end := time.Now().Add(30 * time.Second); c.Stats().Connected && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	c.Send(within(t), event(1), event(2), event(3))
	from, to := c.Lost("too old")
	if from != 2 || to != 4 {
		t.Fatalf("gave up %d to %d", from, to)
	}
	if from, to := c.Lost("again"); from != 0 || to != 0 {
		t.Fatalf("gave up %d to %d twice", from, to)
	}
	s.onFrame = nil
	s.mu.Unlock()
	if _, err := c.Send(within(t), event(4)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := s.msgs(); fmt.Sprint(got) != "[m0    m4]" || fmt.Sprint(s.lost) != "[[2 4]]" {
		t.Fatalf("stored %q, lost %v", got, s.lost)
	}
	if st := c.Stats(); st.Lost != 3 || st.Settled != 5 {
		t.Fatalf("%+v", st)
	}
}

func TestServerSetBackIsToldWhatIsGone(t *testing.T) {
	s := newServer(t)
	c := dial(t, s, nil)
	for i := range 10 {
		c.Send(within(t), event(i))
	}
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.next, s.stored = 5, s.stored[:4]
	s.mu.Unlock()
	s.cut()
	s.until("the lost numbers", func() bool { return len(s.lost) == 1 })
	c.Send(within(t), event(10))
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := s.msgs(); fmt.Sprint(got, s.lost) != "[m0 m1 m2 m3       m10] [[5 10]]" {
		t.Fatalf("stored %q, lost %v", got, s.lost)
	}
}

// In another epoch of the log, another life may have spoken: what next covers is
// sent again all the same, also after a link on which that did not come to pass.
func TestNextIsNotTrustedInAnotherEpochOfTheLog(t *testing.T) {
	s := newServer(t)
	held := true
	s.onFrame = func(n int, _ *wire.Message) fault {
		if held {
			return cutBefore
		}
		return fine
	}
	var mu sync.Mutex
	told := ""
	c := dial(t, s, func(o *Options) {
		o.OnNack = func(n Nack) { mu.Lock(); told += fmt.Sprint(n.From, n.To, n.Code, " "); mu.Unlock() }
	})
	for i := range 3 {
		c.Send(within(t), event(i))
	}
	s.until("a frame", func() bool { return s.frames > 0 })
	s.mu.Lock()
	ours, other := event(0), event(77)
	s.stored, s.next, s.past = [][]byte{ours.AppendMsgpack(nil), other.AppendMsgpack(nil)}, 3, 1
	seen := s.frames
	s.mu.Unlock()
	s.cut()
	s.until("frames in the new epoch", func() bool { return s.frames > seen+3 })
	s.mu.Lock()
	held = false
	s.mu.Unlock()
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.msgs()); got != "[m0 m77 m2]" {
		t.Errorf("stored %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if told != "2 2conflict " {
		t.Errorf("told %q, want a conflict of 2", told)
	}
}

func TestAWrongKeyIsFinal(t *testing.T) {
	s := newServer(t)
	_, err := Dial(within(t), Options{URL: s.url(), Key: "open"})
	var r *RefusedError
	if !errors.As(err, &r) || r.Status != 401 {
		t.Fatalf("got %v", err)
	}
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // accepts nothing: the handshake hangs
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := Dial(short, Options{URL: ln.Addr().String()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	ln.Close()
	if _, err := Dial(within(t), Options{URL: ln.Addr().String(), FailFast: true}); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	for _, bad := range []string{"", "ftp://x", "http://", "://"} {
		if _, err := Dial(within(t), Options{URL: bad}); err == nil {
			t.Errorf("%q was dialled", bad)
		}
	}
}

func TestCommandsShedsAndPings(t *testing.T) {
	s := newServer(t)
	commands, sheds := make(chan wire.Command, 1), make(chan Shed, 1)
	s.say = func() []func(wire.Codec) []byte {
		args := wire.AppendValue(nil, map[string]any{"n": 3})
		return []func(wire.Codec) []byte{
			func(c wire.Codec) []byte {
				return wire.AppendCommand(nil, c, &wire.Command{ID: "c1", Name: "pause", Args: args})
			},
			func(c wire.Codec) []byte { return wire.AppendShed(nil, c, 1, 2, wire.PrioLow) },
			func(c wire.Codec) []byte { return wire.AppendSlow(nil, c, 1e6) },
		}
	}
	c := dial(t, s, func(o *Options) {
		o.OnCommand = func(cmd wire.Command) { commands <- cmd }
		o.OnShed = func(sh Shed) { sheds <- sh }
		o.Ping = 400 * time.Millisecond // a link on which three times as long nothing comes is left
	})
	cmd := <-commands
	if args, err := wire.ReadValue(cmd.Args); err != nil || cmd.ID != "c1" || cmd.Name != "pause" || fmt.Sprint(args) != "map[n:3]" {
		t.Fatalf("%+v %v", cmd, err)
	}
	if sh := <-sheds; sh != (Shed{1, 2, wire.PrioLow}) {
		t.Fatalf("%+v", sh)
	}
	if err := c.Result("c1", true, "done"); err != nil {
		t.Fatal(err)
	}
	s.until("the result", func() bool { return string(s.result) == "\xa4done" })
	s.until("a ping", func() bool { return s.pings > 2 })
	s.mu.Lock()
	for conn := range s.conns {
		ws.WriteFrame(conn, ws.NewPingFrame([]byte("hi")))
	}
	s.mu.Unlock()
	s.until("a pong", func() bool { return s.pongs == 1 })
	if c.Stats().Links != 1 {
		t.Fatalf("%+v", c.Stats())
	}
}

// TestSlowIsTakenBack: what was owed to a rate that no longer counts is not waited for.
func TestSlowIsTakenBack(t *testing.T) {
	s := newServer(t)
	s.say = func() []func(wire.Codec) []byte {
		return []func(wire.Codec) []byte{func(c wire.Codec) []byte { return wire.AppendSlow(nil, c, 1e-3) }}
	}
	c := dial(t, s, nil)
	for i := range 1200 {
		c.Send(within(t), event(i))
	}
	s.until("the first frame", func() bool { return len(s.stored) > 0 })
	s.mu.Lock()
	for conn := range s.conns {
		ws.WriteFrame(conn, ws.NewBinaryFrame(wire.AppendSlow(nil, wire.MsgPack, 0)))
	}
	s.mu.Unlock()
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, s.msgs(), 1200)
}

func TestASilentServerIsLeft(t *testing.T) {
	s := newServer(t)
	s.mute = true
	c := dial(t, s, func(o *Options) { o.Ping = 10 * time.Millisecond })
	c.Send(within(t), event(0))
	s.until("another hello", func() bool { return len(s.hellos) > 1 })
	s.mu.Lock()
	s.mute = false
	s.mu.Unlock()
	if err := c.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	wantMsgs(t, s.msgs(), 1)
}
