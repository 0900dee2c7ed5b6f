package intake

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/engine"
	"eyrie/engine/wire"
	"eyrie/netpoll"
)

// script is event n of producer p: the same whenever it is sent.
func script(p byte, n uint64) wire.Event {
	rng := rand.New(rand.NewPCG(uint64(p), n))
	agent := fmt.Sprintf("p%d.a%d", p, n/16%4)
	run, span := fmt.Sprintf("r%d.%d", p, n/16), fmt.Sprintf("s%d.%d", p, n)
	e := wire.Event{Agent: agent, Run: run, TS: 1_700_000_000e9 + int64(n)*1e6, Attrs: map[string]any{"pad": strings.Repeat("x", rng.IntN(300))}}
	dur := float64(n % 50)
	switch n % 8 {
	case 0:
		e.Type, e.Name, e.Role, e.HeartbeatMs = wire.TypeAgent, "worker", "tester", 60_000
	case 1:
		e.Type, e.Phase, e.Name = wire.TypeRun, wire.PhaseStart, "goal"
	case 2:
		e.Type, e.Phase, e.Span, e.Name = wire.TypeTool, wire.PhaseStart, span, "Bash"
	case 3:
		e.Type, e.Phase, e.Name = wire.TypeTool, wire.PhaseEnd, "Bash"
		e.Span, e.DurMs, e.Status = fmt.Sprintf("s%d.%d", p, n-1), &dur, []wire.Status{wire.StatusOK, wire.StatusError}[rng.IntN(2)]
	case 4:
		e.Type, e.Span, e.Name, e.DurMs = wire.TypeLLM, span, "model", &dur
		e.Usage = &wire.Usage{Model: []byte("model"), Input: int64(rng.IntN(900)), Output: int64(rng.IntN(90))}
	case 5:
		e.Type = wire.TypeMetrics
		e.Metrics = map[string]float64{"cpu": rng.Float64(), "mem": float64(rng.IntN(1000))}
		e.Counters = map[string]float64{"done": float64(n)}
	case 6:
		e.Type = wire.TypeState
		e.State = &wire.State{State: []string{"running", "waiting", "idle"}[rng.IntN(3)], By: "agent"}
	default:
		e.Type, e.Msg = wire.TypeMessage, fmt.Sprintf("%d of %d", n, p)
		if n%16 == 15 {
			e.Type, e.Phase, e.Msg, e.Status = wire.TypeRun, wire.PhaseEnd, "", wire.StatusOK
		}
	}
	return e
}

// frameEnd is the last number of the frame that starts at n.
func frameEnd(p byte, n uint64) uint64 {
	return n + rand.New(rand.NewPCG(uint64(p)+100, n)).Uint64N(20)
}

// posAt is the position that travels with the frame ending at n.
func posAt(p byte, n uint64) string { return fmt.Sprintf("%d:%d", p, n) }

// client is a producer that numbers its script and never forgets an ack.
type client struct {
	p     byte
	link  netpoll.Handle
	next  uint64 // to be sent
	ends  map[uint64]bool
	sent  uint64        // highest number that ever was in the ring
	acked atomic.Uint64 // highest number acknowledged
	floor uint64        // stored when the log was last opened: readable, so it must stay
	hello chan wire.Welcome
}

// poster sends submissions with an Idempotency-Key.
type poster struct {
	mu    sync.Mutex
	acked []posting // by number-1
	sent  int
}

type posting struct{ first, last uint64 }

func (q *poster) known() []posting {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]posting(nil), q.acked...)
}

// submission i has events that say so.
func submission(i int) *Submission {
	s := &Submission{Space: "main", Owner: "poster", Once: fmt.Sprint("post ", i), Body: sha256.Sum256([]byte{byte(i), byte(i >> 8)}), Answer: []byte("[]")}
	for j := range 1 + i%3 {
		e := wire.Event{Type: wire.TypeMessage, Agent: "poster", Msg: fmt.Sprintf("post %d.%d", i, j)}
		s.Events = append(s.Events, Event{Agent: "poster", Class: uint8(wire.TypeMessage), Payload: e.AppendMsgpack(nil)})
	}
	return s
}

// put hands items to the intake; false when the ring is full.
func (s *site) put(its ...engine.Item) bool {
	for i := range its {
		rec := engine.AppendItem(nil, &its[i])
		b, ok := s.links.ring.Reserve(len(rec), false)
		if !ok {
			s.links.ring.Abort()
			return false
		}
		copy(b, rec)
	}
	s.links.ring.Publish()
	s.in.Notify()
	return true
}

// greet opens the client's link and holds the welcome against what it knows.
func (c *client) greet(w *world, s *site) error {
	c.link = netpoll.Handle(w.life*8 + uint64(c.p))
	h := engine.HelloItem{Space: "main", Owner: "k", Producer: [16]byte{c.p}, Epoch: w.life, First: 1, Agent: fmt.Sprintf("p%d.a0", c.p)}
	s.put(engine.Item{Kind: engine.ItemHello, Link: c.link, Payload: engine.AppendHello(nil, &h)})
	var wel wire.Welcome
	select {
	case wel = <-c.hello:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("producer %d was never welcomed", c.p)
	}
	if last := wel.Next - 1; last != c.floor || last > 0 && string(wel.Pos) != posAt(c.p, last) {
		return fmt.Errorf("producer %d: welcomed to %d with position %q; %d are stored", c.p, wel.Next, wel.Pos, c.floor)
	}
	c.next = wel.Next
	if acked := c.acked.Load(); w.rng.IntN(2) == 0 && c.ends[acked] {
		c.next = acked + 1 // as one who does not trust the welcome: what was stored comes twice
	}
	return nil
}

// frame sends the client's next frame with its position.
func (c *client) frame(s *site) {
	var its []engine.Item
	last := frameEnd(c.p, c.next)
	for n := c.next; n <= last; n++ {
		e := script(c.p, n)
		payload := e.AppendMsgpack(nil)
		h, fe := wire.CheckPayload(payload)
		if fe != nil {
			panic(fe)
		}
		its = append(its, engine.Item{Kind: engine.ItemEvent, Link: c.link, Seq: n, Class: uint8(h.Type), Flags: h.Flags(), Key: h.Key, TS: h.TS, Agent: []byte(e.Agent), Payload: payload})
	}
	its = append(its, engine.Item{Kind: engine.ItemPos, Link: c.link, Seq: last, Payload: []byte(posAt(c.p, last))},
		engine.Item{Kind: engine.ItemFrameEnd, Link: c.link, Seq: last})
	c.sent, c.ends[last] = max(c.sent, last), true
	if s.put(its...) {
		c.next = last + 1
	}
}

// settled waits until all that was sent is acknowledged.
func (c *client) settled() error {
	for deadline := time.Now().Add(10 * time.Second); c.acked.Load() < c.next-1; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("producer %d: %d of %d are acknowledged", c.p, c.acked.Load(), c.next-1)
		}
	}
	return nil
}
