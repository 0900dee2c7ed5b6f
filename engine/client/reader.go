package client

import (
	"errors"
	"fmt"
	"io"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// messageBytesMax bounds what a server may make us hold.
const messageBytesMax = 4 << 20

// readAll takes the server's messages until the socket ends.
func (l *link) readAll() error {
	l.conn.SetReadDeadline(time.Time{})
	for {
		p, err := l.next()
		if err != nil {
			return err
		}
		var m wire.ServerMessage
		if err := wire.ParseServer(l.c.opt.Codec, p, &m); err != nil {
			return fmt.Errorf("client: message of the server: %w", err)
		}
		if err := l.take(&m); err != nil {
			return err
		}
	}
}

// next returns the next data message, whole; control frames are dealt with on the way.
func (l *link) next() ([]byte, error) {
	l.partial = l.partial[:0]
	for started := false; ; {
		h, err := ws.ReadHeader(l.br)
		if err != nil {
			return nil, err
		}
		if h.Masked || h.Rsv != 0 || h.OpCode.IsReserved() {
			return nil, errors.New("client: the server broke the framing rules")
		}
		if h.Length < 0 || h.Length > messageBytesMax-int64(len(l.partial)) {
			return nil, errors.New("client: a message of the server is too large")
		}
		if h.OpCode.IsControl() {
			if h.Length > ws.MaxControlFramePayloadSize || !h.Fin {
				return nil, errors.New("client: the server broke the framing rules")
			}
			if err := l.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if (h.OpCode == ws.OpContinuation) != started {
			return nil, errors.New("client: the server broke the framing rules")
		}
		started = true
		n := len(l.partial)
		l.partial = append(l.partial, make([]byte, h.Length)...)
		if _, err := io.ReadFull(l.br, l.partial[n:]); err != nil {
			return nil, err
		}
		l.hear()
		if h.Fin {
			return l.partial, nil
		}
	}
}

func (l *link) hear() {
	l.c.mu.Lock()
	l.heard = l.c.opt.Now()
	l.c.heard = l.heard
	l.c.mu.Unlock()
}

// control answers pings and turns a close into its error.
func (l *link) control(h ws.Header) error {
	p := make([]byte, h.Length)
	if _, err := io.ReadFull(l.br, p); err != nil {
		return err
	}
	l.hear()
	switch h.OpCode {
	case ws.OpPing:
		l.c.mu.Lock()
		l.pong = p
		l.c.mu.Unlock()
		l.c.wake()
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(p)
		l.conn.SetWriteDeadline(time.Now().Add(time.Second))
		l.frame(ws.OpClose, p[:min(len(p), 2)]) // answered as RFC 6455, section 5.5.1 asks; the socket ends in any case
		switch code {
		case 4000:
			return ErrFenced
		case 4001:
			return ErrEpochLow
		}
		r := &RefusedError{Status: int(code), Msg: reason}
		if code == ws.StatusPolicyViolation || code == 1013 { // 1013: try again later
			r.After = comeBack(reason)
		}
		return r
	}
	return nil
}

// take acts on one message.
func (l *link) take(m *wire.ServerMessage) error {
	c := l.c
	switch m.Op {
	case wire.OpAck:
		c.mu.Lock()
		if m.Seq >= c.q.next {
			c.mu.Unlock()
			return fmt.Errorf("client: ack of %d, which was never sent", m.Seq)
		}
		if n := c.q.settle(m.Seq); n > 0 {
			c.stats.Settled += n
			c.opt.Backoff.Reset() // guarded by c.mu: only a link that gets work done counts as recovered
			c.notify()
			c.wake()
		}
		c.mu.Unlock()
	case wire.OpNack:
		if m.Code == "gap" { // the two sides disagree about the next number: a new welcome settles it
			return fmt.Errorf("client: the server misses numbers before %d", m.From)
		}
		c.mu.Lock()
		if m.From > 0 && m.To >= m.From {
			c.stats.Nacked += m.To - m.From + 1
		}
		c.mu.Unlock()
		c.opt.Log("refused by the server", "from", m.From, "to", m.To, "code", m.Code, "field", m.Field, "error", m.Msg)
		if c.opt.OnNack != nil {
			c.opt.OnNack(Nack{m.From, m.To, m.Code, m.Field, m.Msg})
		}
	case wire.OpShed:
		c.mu.Lock()
		if m.From > 0 && m.To >= m.From {
			c.stats.Shed += m.To - m.From + 1
		}
		c.mu.Unlock()
		if c.opt.OnShed != nil {
			c.opt.OnShed(Shed{m.From, m.To, m.Class})
		}
	case wire.OpSlow:
		c.mu.Lock()
		c.rate = max(m.Rate, 0)
		c.mu.Unlock()
		c.wake()
		c.opt.Log("the server asks to slow down", "events_per_s", m.Rate)
	case wire.OpCommand:
		if c.opt.OnCommand != nil {
			cmd := m.Command
			cmd.Args = append([]byte{}, cmd.Args...)
			c.opt.OnCommand(cmd)
		}
	case wire.OpGoaway:
		c.mu.Lock()
		l.bye = &goawayError{m.URL, m.After}
		l.byeAt = c.opt.Now().Add(goawayGrace)
		c.mu.Unlock()
		c.wake()
	}
	return nil
}
