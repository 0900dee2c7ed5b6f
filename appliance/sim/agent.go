//go:build linux

package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"eyrie/engine"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// producer is an id with the lives that have it, and what became of its numbers.
type producer struct {
	w     *world
	id    int
	lives []*agent
	fates map[uint64]fate // as the log had them when last looked at
}

func (p *producer) newest() *agent { return p.lives[len(p.lives)-1] }

// agent is one life of a producer: a client that keeps docs/protocol.md.
type agent struct {
	p    *producer
	life int
	of   *agent // whose state it began with
	mp   bool   // MessagePack, else JSON
	shed []wire.Prio

	dead     bool
	over     string // why it does not come back by itself
	next     uint64 // number of the next event, 0 while not known
	held     []item // ascending
	met      bool
	log      [16]byte
	logEpoch uint64
	doubt    uint64
	made     int
	quota    int

	conn     *conn
	in       []byte
	upgraded bool
	welcomed bool
	sent     uint64 // numbers below it went out on this link
	said     int64
	tries    int
	told     map[uint64]string // numbers told to be refused, shed or settled otherwise
	settled  []settled         // in the order in which it let go of them
}

// item is a number that is held: an event, or that it is given up.
type item struct {
	n    uint64
	msg  string // what the event says; who made it
	body []byte
	bad  bool
	gave bool
}

// settled is what an agent believes: this number is in the log, or it was told why not.
type settled struct {
	item
	told string
}

// begin starts the next life, with the state of one before or none.
func (p *producer) begin(of *agent) {
	w := p.w
	a := &agent{p: p, of: of, life: len(p.lives) + 1, mp: w.one(2), told: map[uint64]string{}, quota: 20 + w.rng.IntN(60)}
	if w.one(3) {
		a.shed = []wire.Prio{wire.PrioLow, wire.PrioNormal}
	}
	if of != nil {
		a.next, a.held, a.met, a.log, a.logEpoch, a.doubt = of.next, append([]item(nil), of.held...), of.met, of.log, of.logEpoch, of.doubt
		for n, s := range of.told {
			a.told[n] = s
		}
	} else if w.cfg.Plant == RenumberAtOnce && a.life > 1 {
		a.next, a.met, a.log, a.logEpoch = 1, true, p.newest().log, p.newest().logEpoch
	}
	p.lives = append(p.lives, a)
	w.note("producer %d begins life %d", p.id, a.life)
	a.dial()
	w.after(w.between(0, 200*time.Millisecond), a.work)
}

// restart ends the newest life, with or without its state going over; or begins
// another beside it that knows nothing of it.
func (p *producer) restart() {
	w, a := p.w, p.newest()
	if len(p.lives) >= 6 {
		return
	}
	w.res.Restarts++
	switch w.rng.IntN(3) {
	case 0: // beside it, which is busy
		p.begin(nil)
		for range 12 {
			w.after(w.between(0, 120*time.Millisecond), func() {
				if !a.dead && a.over == "" && a.welcomed {
					a.make()
					a.send()
				}
			})
		}
	case 1:
		a.die()
		p.begin(nil)
	default:
		if a.over != "" || !a.met {
			return
		}
		a.die()
		p.begin(a)
	}
}

func (a *agent) die() {
	a.dead = true
	if c := a.conn; c != nil {
		a.conn = nil
		c.cut(false)
	}
}

// idle tells that all it made is settled.
func (a *agent) idle() bool { return a.made >= a.quota && len(a.held) == 0 && a.welcomed }

func (a *agent) first() uint64 {
	if len(a.held) > 0 {
		return a.held[0].n
	}
	return max(a.next, 1)
}

// dial connects and asks for the upgrade.
func (a *agent) dial() {
	w := a.p.w
	if a.dead || a.over != "" || a.conn != nil {
		return
	}
	if w.site == nil || w.one(20) && !w.calm {
		a.again()
		return
	}
	a.conn = w.site.loops[w.rng.IntN(len(w.site.loops))].open(a)
	a.in, a.upgraded, a.welcomed = nil, false, false
	w.note("producer %d, life %d dials link %d", a.p.id, a.life, a.conn.id)
	proto := wire.SubprotocolMsgPack
	if !a.mp {
		proto = wire.SubprotocolJSON
	}
	a.conn.send([]byte("GET " + engine.AgentPath + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer k\r\nSec-WebSocket-Protocol: " + proto + "\r\n\r\n"))
	c := a.conn
	w.after(8*time.Second, func() {
		if a.conn == c && !a.welcomed {
			a.leave("no welcome")
		}
	})
}

// again dials after a pause.
func (a *agent) again() {
	a.tries++
	a.p.w.after(a.p.w.between(time.Millisecond, 400*time.Millisecond), a.dial)
}

// leave ends the link; the server may still read what was written.
func (a *agent) leave(why string) {
	c := a.conn
	if c == nil {
		return
	}
	a.p.w.note("producer %d, life %d leaves link %d: %s", a.p.id, a.life, c.id, why)
	a.conn, a.welcomed = nil, false
	c.cutDown = true
	a.p.w.after(a.p.w.between(0, 300*time.Millisecond), func() {
		if !c.gone && c.site == a.p.w.site {
			c.io.call(func() { c.drop(nil) })
		}
	})
	a.again()
}

// read takes bytes of the server.
func (a *agent) read(b []byte) {
	a.in = append(a.in, b...)
	if !a.upgraded {
		i := bytes.Index(a.in, []byte("\r\n\r\n"))
		if i < 0 {
			return
		}
		if !bytes.HasPrefix(a.in, []byte("HTTP/1.1 101 ")) {
			a.leave("refused")
			return
		}
		a.in, a.upgraded = a.in[i+4:], true
		a.hello()
	}
	for c := a.conn; a.conn == c && c != nil; {
		if len(a.in) < 2 {
			return
		}
		n, at := int(a.in[1]&0x7f), 2
		switch {
		case n == 126 && len(a.in) >= 4:
			n, at = int(binary.BigEndian.Uint16(a.in[2:])), 4
		case n >= 126:
			if n == 127 {
				a.p.w.fail("the server sent a frame of more than 64 KiB")
			}
			return
		}
		if len(a.in) < at+n {
			return
		}
		op, p := ws.OpCode(a.in[0]&15), a.in[at:at+n]
		a.in = a.in[at+n:]
		a.frame(op, p)
	}
}

func (a *agent) frame(op ws.OpCode, p []byte) {
	switch op {
	case ws.OpPing:
		a.write(ws.OpPong, p)
	case ws.OpClose:
		code := uint16(0)
		if len(p) >= 2 {
			code = binary.BigEndian.Uint16(p)
		}
		if code == 4000 || code == 4001 {
			a.over = fmt.Sprint(code)
			if a == a.p.newest() {
				a.p.w.fail("the newest life of producer %d was sent away: %s", a.p.id, p)
			}
		}
		a.leave(fmt.Sprintf("close %d %s", code, p[min(len(p), 2):]))
	case ws.OpBinary, ws.OpText:
		var m wire.ServerMessage
		if err := wire.ParseServer(a.codec(), p, &m); err != nil {
			a.p.w.fail("the server's message cannot be read: %w", err)
			return
		}
		a.message(&m)
	}
}

func (a *agent) codec() wire.Codec {
	if a.mp {
		return wire.MsgPack
	}
	return wire.JSON
}

// write sends one masked frame.
func (a *agent) write(op ws.OpCode, p []byte) {
	b := []byte{0x80 | byte(op)}
	switch n := len(p); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{byte(a.p.w.rng.Uint32()), 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range p {
		b = append(b, c^mask[i%4])
	}
	a.conn.send(b)
}

func (a *agent) say(p []byte) {
	if a.mp {
		a.write(ws.OpBinary, p)
	} else {
		a.write(ws.OpText, p)
	}
}

func (a *agent) hello() {
	a.said = max(a.p.w.wall().UnixNano(), a.said+int64(time.Millisecond))
	h := wire.HelloOut{Producer: [16]byte{byte(a.p.id)}, Epoch: uint64(a.life), First: a.first(), Now: a.said, Sheddable: a.shed,
		Agent: &wire.Event{Agent: fmt.Sprintf("p%d", a.p.id), Name: "worker"}}
	a.say(wire.AppendHello(nil, a.codec(), &h))
}

// message takes in what the server says.
func (a *agent) message(m *wire.ServerMessage) {
	switch m.Op {
	case wire.OpWelcome:
		a.welcome(&m.Welcome)
	case wire.OpAck:
		a.settle(m.Seq)
	case wire.OpNack:
		if m.Code == "gap" {
			a.leave("gap")
			return
		}
		for n := m.From; n <= m.To && n > 0; n++ {
			a.told[n] = m.Code
		}
	case wire.OpShed:
		for n := m.From; n <= m.To; n++ {
			a.told[n] = "shed"
		}
	}
}

func (a *agent) welcome(m *wire.Welcome) {
	a.p.w.note("producer %d, life %d is welcomed to %d", a.p.id, a.life, m.Next)
	if a.met && (a.log != m.Log || a.logEpoch != m.Epoch) || !a.met && a.next > 0 {
		a.doubt = a.next - 1
	}
	if !a.met && a.next == 0 {
		a.next = m.Next
	}
	a.met, a.log, a.logEpoch, a.welcomed = true, m.Log, m.Epoch, true
	if a.first() > a.doubt {
		a.settle(m.Next - 1)
	}
	a.next = max(a.next, m.Next)
	a.sent = a.first()
}

// settle lets go of what is settled.
func (a *agent) settle(n uint64) {
	for len(a.held) > 0 && a.held[0].n <= n {
		it := a.held[0]
		a.held = a.held[1:]
		a.settled = append(a.settled, settled{it, a.told[it.n]})
	}
}

// work makes events, sends, and puts itself on the agenda again.
func (a *agent) work() {
	w := a.p.w
	if a.dead || a.over != "" {
		return
	}
	pause := w.between(time.Millisecond, 300*time.Millisecond)
	if w.calm {
		pause = 20 * time.Millisecond
	}
	w.after(pause, a.work)
	if a.next > 0 && (a.made < a.quota || !w.calm) && len(a.held) < 60 {
		for range 1 + w.rng.IntN(6) {
			a.make()
		}
	}
	if !a.welcomed || a.conn == nil {
		if a.conn == nil && len(a.held) > 0 && !w.calm && w.one(40) {
			a.giveUp()
		}
		return
	}
	for range 1 + w.rng.IntN(3) {
		a.send()
	}
}

// make numbers one more event.
func (a *agent) make() {
	w := a.p.w
	it := item{n: a.next, msg: fmt.Sprintf("%d/%d/%d", a.p.id, a.life, a.next)}
	switch pad := ""; {
	case w.one(12):
		it.bad = true
		it.body = wire.AppendValue(nil, map[string]any{"type": "message", "msg": it.msg, "severity": "loud"})
	default:
		if w.one(6) {
			pad = strings.Repeat("x", w.rng.IntN(30_000))
			if w.cfg.Seal { // what takes room, so that there is something to seal
				b := []byte(pad)
				for i := range b {
					b[i] = 'a' + byte(w.rng.Uint32()%26)
				}
				pad = string(b)
			}
		}
		e := wire.Event{Type: wire.TypeMessage, Msg: it.msg, TS: epoch0 + int64(a.next)*1e6}
		if pad != "" {
			e.Attrs = map[string]any{"pad": pad}
		}
		if w.one(4) {
			e.Type, e.Metrics = wire.TypeMetrics, map[string]float64{"n": float64(a.next)}
		}
		it.body = e.AppendMsgpack(nil)
	}
	a.next++
	a.made++
	a.held = append(a.held, it)
}

// giveUp gives up what this link has not carried.
func (a *agent) giveUp() {
	a.p.w.note("producer %d, life %d gives up what it holds", a.p.id, a.life)
	for i := range a.held {
		a.held[i].gave = true
	}
}

// send writes the next frame: events with consecutive numbers, or numbers given up.
func (a *agent) send() {
	w := a.p.w
	if a.conn == nil || !a.welcomed {
		return
	}
	i := 0
	for i < len(a.held) && a.held[i].n < a.sent {
		i++
	}
	if i == len(a.held) {
		return
	}
	from := a.held[i]
	if from.gave {
		a.sent = from.n + 1
		a.say(wire.AppendLost(nil, a.codec(), from.n, from.n, "given up"))
		return
	}
	var bodies [][]byte
	n := from.n
	for most := 1 + w.rng.IntN(8); i < len(a.held) && a.held[i].n == n && !a.held[i].gave && len(bodies) < most; i++ {
		bodies = append(bodies, a.held[i].body)
		n++
	}
	a.sent = n
	a.say(wire.AppendEvents(nil, a.codec(), from.n, nil, bodies...))
	if w.cfg.Plant == ForgetOnSend {
		a.settle(n - 1)
	}
}
