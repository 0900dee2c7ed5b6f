package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"eyrie/bench/ledger"
	"eyrie/bench/links"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// conn is one link.
type conn struct {
	links.Link
	up      bool // welcome
	ready   bool // counted as open
	touched bool
	stream  workload.Source
	flight  []sent // from head on: not acknowledged
	head    int
	acked   uint64
	away    bool     // lost, or about to be, and waited for
	until   uint64   // what must be acknowledged before it counts as back; 0 = not welcome yet
	enc     *encoded // with Job.Encoded
	book    Book     // likewise
}

// sent is a frame on its way.
type sent struct {
	first, last uint64
	due         time.Duration
	frame       []byte   // kept for sending again, with Job.Reconnect
	sums        []uint64 // of the payloads, with Job.Ledger
}

// of is the conn that a link is part of.
func (l *loop) of(c *links.Link) *conn { return l.conns[c.Index-l.job.From] }

// Upgraded says hello.
func (l *loop) Upgraded(c *links.Link) { l.hello(l.of(c)) }

// Message takes what the server says.
func (l *loop) Message(c *links.Link, p []byte) { l.message(l.of(c), p) }

// Read has nothing to count.
func (l *loop) Read(int) {}

// Written goes on with what waited for the kernel.
func (l *loop) Written(link *links.Link) {
	if c := l.of(link); c.enc != nil {
		l.push(c)
		l.fill(c)
	}
}

// Lost has a link come back, with Reconnect or where it was never ready.
func (l *loop) Lost(link *links.Link, why string) {
	c := l.of(link)
	c.up = false
	c.Tries++
	if l.job.Reconnect || !c.ready && c.Tries <= triesMax {
		after := retryAfter
		if l.cutting {
			after = 0 // all at once: that is the storm
		}
		l.Open(link, after)
		return
	}
	l.res.Closed++
	l.res.fault(fmt.Sprintf("connection %d: %s", c.Index, why))
	l.flying -= len(c.flight) - c.head
	c.flight, c.head = nil, 0
}

func (l *loop) put(c *conn, b []byte) { l.Put(&c.Link, b) }

func (l *loop) hello(c *conn) {
	if c.stream == nil {
		c.stream = l.maker.Source(c.Index)
		if l.job.Encoded > 0 {
			l.encode(c)
		}
	}
	first := l.seq(c)
	if c.head < len(c.flight) {
		first = c.flight[c.head].first
	}
	h := wire.HelloOut{
		Producer: l.job.Shape.Producer(c.Index), Epoch: 1, First: first,
		Agent: &wire.Event{Agent: c.stream.Agents()[0], Role: "bench"},
	}
	if c.enc != nil && !l.job.Critical {
		h.Sheddable = MannerOf(c.Index).Sheddable()
	}
	l.put(c, l.Framer.Frame(nil, wire.AppendHello(nil, l.codec, &h)))
}

// seq is the number of the link's next event.
func (l *loop) seq(c *conn) uint64 {
	if c.enc != nil {
		return c.enc.seq
	}
	return c.stream.Seq()
}

func (l *loop) message(c *conn, p []byte) {
	if l.codec == wire.MsgPack {
		if seq, ok := packedAck(p); ok {
			l.acknowledged(c, seq)
			return
		}
	}
	var m wire.ServerMessage
	if err := wire.ParseServer(l.codec, p, &m); err != nil {
		l.res.fault(fmt.Sprintf("connection %d: the server said what cannot be read: %v", c.Index, err))
		return
	}
	switch m.Op {
	case wire.OpWelcome:
		l.welcome(c, m.Welcome.Next)
	case wire.OpAck:
		l.acknowledged(c, m.Seq)
	case wire.OpNack:
		l.res.Nacked += m.To - m.From + 1
		if c.book.Refused += m.To - m.From + 1; c.enc != nil && m.Code == string(wire.CodeEnum) {
			return // asked for
		}
		l.res.fault(fmt.Sprintf("connection %d: nack %d..%d %s %s: %s", c.Index, m.From, m.To, m.Code, m.Field, m.Msg))
	case wire.OpShed:
		l.res.Shed += m.To - m.From + 1
		c.book.Shed += m.To - m.From + 1
	case wire.OpSlow:
		l.res.Slow++
	}
}

// packedAck reads the message that comes most often, in its one form.
func packedAck(p []byte) (seq uint64, ok bool) {
	const head = "\x82\xa2op\xa3ack\xa3seq"
	if len(p) <= len(head) || string(p[:len(head)]) != head {
		return 0, false
	}
	v := p[len(head):]
	switch {
	case v[0] < 0x80 && len(v) == 1:
		return uint64(v[0]), true
	case v[0] == 0xcc && len(v) == 2:
		return uint64(v[1]), true
	case v[0] == 0xcd && len(v) == 3:
		return uint64(binary.BigEndian.Uint16(v[1:])), true
	case v[0] == 0xce && len(v) == 5:
		return uint64(binary.BigEndian.Uint32(v[1:])), true
	case v[0] == 0xcf && len(v) == 9:
		return binary.BigEndian.Uint64(v[1:]), true
	}
	return 0, false
}

// welcome goes on where the server says: nothing acknowledged may be asked for
// again, and what is not settled is sent again, whole frames with what of them
// is settled already.
func (l *loop) welcome(c *conn, next uint64) {
	c.Tries = 0
	if next <= c.acked {
		l.res.fault(fmt.Sprintf("LOST: connection %d: the server wants number %d, and has acknowledged %d", c.Index, next, c.acked))
	}
	if next > l.seq(c) {
		l.res.fault(fmt.Sprintf("connection %d: the server wants number %d, %d was never sent", c.Index, next, next-1))
	}
	back := c.ready
	if back {
		l.Opened(&c.Link)
		l.res.Reconnects++
	}
	if next > 1 {
		l.acknowledged(c, next-1)
	}
	for i := c.head; i < len(c.flight) && c.Live(); i++ {
		l.put(c, c.flight[i].frame)
	}
	if c.Live() {
		c.up = true // from here on what is new may follow
		l.home(c)
	}
	switch {
	case back || !c.Live():
	case l.job.Touch && !c.touched:
		c.touched = true
		l.sendFrame(c, l.Now(), func(dst []byte, ts int64, sum func(uint64, []byte)) []byte {
			return l.Framer.Message(dst, c.stream, ts, sum)
		})
		return
	default:
		l.opened(c)
	}
	l.fill(c)
}

func (l *loop) opened(c *conn) {
	c.ready = true
	l.Opened(&c.Link)
	l.ready++
}

// acknowledged settles every frame that ends at seq or before.
func (l *loop) acknowledged(c *conn, seq uint64) {
	if c.head < len(c.flight) && c.flight[c.head].last <= seq {
		now := l.Now()
		for c.head < len(c.flight) && c.flight[c.head].last <= seq {
			s := &c.flight[c.head]
			l.res.Latency.Add(now - s.due)
			l.res.Events += s.last - s.first + 1
			l.res.Frames++
			l.record(c, s)
			*s = sent{}
			c.head++
			l.flying--
		}
		l.res.LastAck = time.Now().UnixNano()
	}
	if c.head == len(c.flight) {
		c.flight, c.head = c.flight[:0], 0
	}
	c.acked = max(c.acked, seq)
	l.caughtUp(c)
	if c.touched && !c.ready && c.up {
		l.opened(c)
	}
	if c.up {
		l.fill(c)
	}
}

// fill keeps the window of a closed loop full.
func (l *loop) fill(c *conn) {
	if !l.running || l.interval > 0 || !c.up {
		return
	}
	if c.enc != nil {
		l.fillEncoded(c)
		return
	}
	for c.Live() && len(c.flight)-c.head < l.window {
		l.send(c, l.Now())
	}
}

// send sends the next frame of the mix on c.
func (l *loop) send(c *conn, due time.Duration) {
	l.sendFrame(c, due, func(dst []byte, ts int64, sum func(uint64, []byte)) []byte {
		return l.Framer.Events(dst, c.stream, l.job.Shape.Frame, ts, sum)
	})
}

func (l *loop) sendFrame(c *conn, due time.Duration, frame func([]byte, int64, func(uint64, []byte)) []byte) {
	s := sent{first: c.stream.Seq(), due: due}
	var sum func(uint64, []byte)
	if l.ledger != nil {
		sum = func(_ uint64, p []byte) { s.sums = append(s.sums, ledger.Sum(p)) }
	}
	at := time.Now()
	if l.res.FirstSend == 0 {
		l.res.FirstSend = at.UnixNano()
	}
	l.scratch = frame(l.scratch[:0], at.UnixMilli(), sum)
	s.last = c.stream.Seq() - 1
	if l.job.Reconnect {
		s.frame = bytes.Clone(l.scratch)
	}
	l.tidy(c)
	c.flight = append(c.flight, s)
	l.flying++
	if c.up {
		l.put(c, l.scratch)
	}
}

// tidy takes off what is acknowledged once it is the larger part.
func (l *loop) tidy(c *conn) {
	if c.head > 64 && c.head*2 > len(c.flight) {
		c.flight = append(c.flight[:0], c.flight[c.head:]...)
		c.head = 0
	}
}

func (l *loop) record(c *conn, s *sent) {
	if l.ledger == nil {
		return
	}
	for i, sum := range s.sums {
		if err := l.ledger.Add(c.Index, s.first+uint64(i), sum); err != nil {
			l.res.fault("ledger: " + err.Error())
			return
		}
	}
}
