package viewer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// Probe is one agent on a link of its own that sends events on schedule, each with
// its number and the microsecond at which it was due: what a viewer sees of it
// tells how long an event takes from the agent to the viewer.
type Probe struct {
	conn  net.Conn
	stop  chan struct{}
	ended chan error
	sent  atomic.Uint64
	acked atomic.Uint64
}

// ProbeAgent is the agent that a probe speaks for.
const ProbeAgent = "probe/0"

// probeText makes the probe's event as long as the mean one of the mix.
const probeText = "a marker of the time at which it was due, beside the load"

// StartProbe connects to the ingest listener and begins to send rate events a
// second. Stop it.
func StartProbe(ctx context.Context, addr, key string, rate float64) (*Probe, error) {
	d := ws.Dialer{Protocols: []string{wire.MsgPack.Subprotocol()}, Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + key}})}
	conn, br, _, err := d.Dial(ctx, "ws://"+addr+"/v1/agent")
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	if br != nil {
		ws.PutReader(br) // the server speaks after hello only
	}
	p := &Probe{conn: conn, stop: make(chan struct{}), ended: make(chan error, 2)}
	now := time.Now()
	hello := wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{
		Producer: [16]byte{'p', 'r', 'o', 'b', 'e'}, Epoch: uint64(now.UnixMilli()), First: 1, Agent: &wire.Event{Agent: ProbeAgent, Role: "bench"},
	})
	framer := workload.NewFramer(wire.MsgPack, uint64(now.UnixNano()))
	if _, err := conn.Write(framer.Frame(nil, hello)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("probe: %w", err)
	}
	next, err := p.welcome()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("probe: %w", err)
	}
	p.sent.Store(next - 1)
	p.acked.Store(next - 1)
	go func() { p.ended <- p.listen() }()
	go func() { p.ended <- p.send(framer, next, time.Duration(float64(time.Second)/rate)) }()
	return p, nil
}

// welcome reads the answer to hello: the number to go on from.
func (p *Probe) welcome() (uint64, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, _, err := wsutil.ReadServerData(p.conn)
	if err != nil {
		return 0, err
	}
	var m wire.ServerMessage
	if err := wire.ParseServer(wire.MsgPack, b, &m); err != nil {
		return 0, err
	}
	if m.Op != wire.OpWelcome {
		return 0, fmt.Errorf("the server answered hello with op %d", m.Op)
	}
	return m.Welcome.Next, p.conn.SetReadDeadline(time.Time{})
}

func (p *Probe) send(f *workload.Framer, next uint64, every time.Duration) error {
	began, first := time.Now(), next
	var ev, frame []byte
	for {
		due := began.Add(time.Duration(next-first) * every)
		select {
		case <-p.stop:
			return nil
		case <-time.After(time.Until(due)):
		}
		ev = appendMark(ev[:0], due, next)
		frame = f.Frame(frame[:0], wire.AppendEvents(nil, wire.MsgPack, next, nil, ev))
		if _, err := p.conn.Write(frame); err != nil {
			return err
		}
		p.sent.Store(next)
		next++
	}
}

// appendMark appends the payload of the probe's event n.
func appendMark(b []byte, due time.Time, n uint64) []byte {
	b = wire.AppendMapHeader(b, 6)
	b = wire.AppendStr(wire.AppendStr(b, "type"), "log")
	b = wire.AppendStr(wire.AppendStr(b, "agent"), ProbeAgent)
	b = wire.AppendUint(wire.AppendStr(b, "ts"), uint64(due.UnixMilli()))
	b = wire.AppendStr(wire.AppendStr(b, "msg"), probeText)
	b = wire.AppendUint(wire.AppendStr(b, "x_us"), uint64(due.UnixMicro()))
	return wire.AppendUint(wire.AppendStr(b, "x_n"), n)
}

// listen takes acknowledgements until the link ends.
func (p *Probe) listen() error {
	for {
		b, _, err := wsutil.ReadServerData(p.conn)
		if err != nil {
			return err
		}
		var m wire.ServerMessage
		if err := wire.ParseServer(wire.MsgPack, b, &m); err != nil {
			return err
		}
		switch m.Op {
		case wire.OpAck:
			p.acked.Store(m.Seq)
		case wire.OpNack:
			return fmt.Errorf("event %d is refused: %s: %s", m.From, m.Code, m.Msg)
		}
	}
}

// Sent returns the number of the event sent last.
func (p *Probe) Sent() uint64 { return p.sent.Load() }

// Stop ends sending, waits until everything is acknowledged and closes the link.
// It returns the number of the last event.
func (p *Probe) Stop(ctx context.Context) (uint64, error) {
	defer p.conn.Close()
	close(p.stop)
	if err := <-p.ended; err != nil { // the listener ends by an error only
		return p.sent.Load(), fmt.Errorf("probe: %w", err)
	}
	last := p.sent.Load()
	for p.acked.Load() < last {
		select {
		case err := <-p.ended:
			return last, fmt.Errorf("probe: %w", err)
		case <-ctx.Done():
			return last, fmt.Errorf("probe: %d of %d events are acknowledged: %w", p.acked.Load(), last, context.Cause(ctx))
		case <-time.After(2 * time.Millisecond):
		}
	}
	p.conn.Close()
	if err := <-p.ended; err != nil && !errors.Is(err, net.ErrClosed) {
		return last, fmt.Errorf("probe: %w", err)
	}
	return last, nil
}
