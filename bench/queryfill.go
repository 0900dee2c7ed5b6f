package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// books are what a filler has sent, as answers are held against it.
type books struct {
	events  uint64
	agents  map[string]*agentBook // by id
	runs    map[string]uint64     // events that name the run, by its id
	starts  uint64                // runs that began
	failed  uint64                // tool calls that ended in error
	rare    uint64                // events whose text has rareText
	planted []string              // agents that were made to say plantedText, in the order of their links
	asks    []string              // agents that ask a person
}

// agentBook is one agent's share.
type agentBook struct {
	events  uint64
	reports uint64 // metrics events
	spans   uint64 // that it began
	last    string // type of its last event
	lastOf  string // and the span it names, "" for none
}

// Texts that are sought. The first lies in some events of the mix, the second in
// those alone that are planted, at the beginning of what is searched.
const (
	rareText    = "not_found"
	plantedText = "quokka"
)

func newBooks() *books {
	return &books{agents: map[string]*agentBook{}, runs: map[string]uint64{}}
}

// note enters one event's payload.
func (b *books) note(v *wire.View, p []byte) error {
	h, err := wire.CheckPayload(p)
	if err != nil {
		return err
	}
	if err := v.Reset(p); err != nil {
		return err
	}
	b.events++
	a := b.agents[string(h.Agent)]
	if a == nil {
		a = &agentBook{}
		b.agents[string(h.Agent)] = a
	}
	a.events++
	a.last, a.lastOf = h.Type.String(), string(v.Str(wire.FSpan))
	if run := v.Str(wire.FRun); len(run) > 0 {
		b.runs[string(run)]++
	}
	switch {
	case h.Type == wire.TypeMetrics:
		a.reports++
	case h.Type == wire.TypeRun && h.Phase == wire.PhaseStart:
		b.starts++
	}
	if h.Type.SpanLike() && h.Phase == wire.PhaseStart {
		a.spans++
	}
	if code, _, ok := v.Error(); ok {
		if h.Type == wire.TypeTool && h.Phase == wire.PhaseEnd {
			b.failed++
		}
		if string(code) == rareText {
			b.rare++
		}
	}
	return nil
}

// merge adds the books of another link; no agent has two.
func (b *books) merge(o *books) {
	b.events += o.events
	b.starts += o.starts
	b.failed += o.failed
	b.rare += o.rare
	for id, a := range o.agents {
		b.agents[id] = a
	}
	for id, n := range o.runs {
		b.runs[id] += n
	}
	b.planted = append(b.planted, o.planted...)
	b.asks = append(b.asks, o.asks...)
}

const (
	fillFrame  = 250 // events a frame
	fillFlight = 4   // frames of a link that are not acknowledged
)

// fill sends n events of the first connections of a shape, closed-loop, and
// returns what they were. sent counts meanwhile.
func fill(ctx context.Context, addr, key string, sh workload.Shape, connections, n int, sent *atomic.Uint64) (*books, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := newBooks()
	var (
		mu   sync.Mutex
		wg   sync.WaitGroup
		errs []error
	)
	parts := make([]*books, connections)
	for i := range connections {
		wg.Go(func() {
			share := n*(i+1)/connections - n*i/connections
			b, err := fillLink(ctx, addr, key, sh, i, share, sent)
			mu.Lock()
			defer mu.Unlock()
			if parts[i] = b; err != nil {
				errs = append(errs, fmt.Errorf("link %d: %w", i, err))
				cancel()
			}
		})
	}
	wg.Wait()
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, b := range parts {
		all.merge(b)
	}
	return all, nil
}

// fillLink is one link of fill.
func fillLink(ctx context.Context, addr, key string, sh workload.Shape, conn, n int, sent *atomic.Uint64) (*books, error) {
	d := ws.Dialer{Protocols: []string{wire.MsgPack.Subprotocol()}, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + key}})}
	c, br, _, err := d.Dial(ctx, "ws://"+addr+"/v1/agent")
	if err != nil {
		return nil, err
	}
	if br != nil {
		ws.PutReader(br) // the server speaks after hello only
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	f := workload.NewFramer(wire.MsgPack, sh.Seed+uint64(conn))
	if _, err := c.Write(f.Frame(nil, wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{Producer: sh.Producer(conn), Epoch: 1, First: 1}))); err != nil {
		return nil, err
	}
	if err := serverSays(c, wire.OpWelcome); err != nil {
		return nil, err
	}
	// Planted first, so that they are the oldest of all that is searched.
	s := workload.NewStream(sh, conn)
	b, agents := newBooks(), s.Agents()
	ps := [][]byte{planted(agents[0], time.Now()), asks(agents[0], conn, time.Now())}
	b.planted, b.asks = agents[:1], agents[:1]
	var v wire.View
	next, acked := uint64(1), uint64(0)
	for left := n; left > 0; {
		for len(ps) < min(fillFrame, left) {
			ps = append(ps, s.Append(nil, time.Now().UnixMilli()))
		}
		ps = ps[:min(len(ps), left)]
		for _, p := range ps {
			if err := b.note(&v, p); err != nil {
				return nil, err
			}
		}
		if _, err := c.Write(f.Frame(nil, wire.AppendEvents(nil, wire.MsgPack, next, nil, ps...))); err != nil {
			return nil, err
		}
		next += uint64(len(ps))
		left -= len(ps)
		sent.Add(uint64(len(ps)))
		ps = ps[:0]
		for next-1-acked > fillFrame*fillFlight || left == 0 && acked < next-1 {
			if acked, err = ackOf(c); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// planted is an event with the text that is sought.
func planted(agent string, at time.Time) []byte {
	b := wire.AppendMapHeader(nil, 4)
	b = wire.AppendStr(wire.AppendStr(b, "type"), "message")
	b = wire.AppendStr(wire.AppendStr(b, "agent"), agent)
	b = wire.AppendUint(wire.AppendStr(b, "ts"), uint64(at.UnixMilli()))
	return wire.AppendStr(wire.AppendStr(b, "msg"), "seen once: a "+plantedText+" in the yard")
}

// asks is a question to a person that stays open.
func asks(agent string, conn int, at time.Time) []byte {
	b := wire.AppendMapHeader(nil, 6)
	b = wire.AppendStr(wire.AppendStr(b, "type"), "ask")
	b = wire.AppendStr(wire.AppendStr(b, "phase"), "start")
	b = wire.AppendStr(wire.AppendStr(b, "agent"), agent)
	b = wire.AppendUint(wire.AppendStr(b, "ts"), uint64(at.UnixMilli()))
	b = wire.AppendStr(wire.AppendStr(b, "span"), fmt.Sprintf("ask-%d", conn))
	return wire.AppendStr(wire.AppendStr(b, "msg"), "may I go on?")
}

// ackOf reads on to the next acknowledgement; anything but one is an error.
func ackOf(c net.Conn) (seq uint64, err error) {
	var m wire.ServerMessage
	if err := nextMessage(c, &m); err != nil {
		return 0, err
	}
	switch m.Op {
	case wire.OpAck:
		return m.Seq, nil
	case wire.OpSlow:
		return ackOf(c)
	case wire.OpNack:
		return 0, fmt.Errorf("event %d is refused: %s: %s", m.From, m.Code, m.Msg)
	}
	return 0, fmt.Errorf("the server says op %d instead of an acknowledgement", m.Op)
}

func serverSays(c net.Conn, op wire.Op) error {
	var m wire.ServerMessage
	if err := nextMessage(c, &m); err != nil {
		return err
	}
	if m.Op != op {
		return fmt.Errorf("the server says op %d instead of %d", m.Op, op)
	}
	return nil
}

func nextMessage(c net.Conn, m *wire.ServerMessage) error {
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b, _, err := wsutil.ReadServerData(c)
	if err != nil {
		return err
	}
	return wire.ParseServer(wire.MsgPack, b, m)
}

// sampled are some agents of the books, the same for the same books, and some of
// the runs that events name.
func (b *books) sampled(n int) (agents, runs []string) {
	for id, a := range b.agents {
		if a.reports > 0 && a.spans > 0 {
			agents = append(agents, id)
		}
	}
	for id := range b.runs {
		runs = append(runs, id)
	}
	slices.Sort(agents)
	slices.Sort(runs)
	return every(agents, n), every(runs, n)
}

// every takes n of a list, evenly.
func every(list []string, n int) (out []string) {
	n = min(n, len(list))
	for i := range n {
		out = append(out, list[i*len(list)/n])
	}
	return out
}
