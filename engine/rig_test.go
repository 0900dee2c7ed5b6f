//go:build linux

package engine

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"eyrie/engine/admit"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// rig is one engine loop on a transport of its own: no sockets, no goroutines,
// time by hand. It keeps netpoll's promises as the engine relies on them.
type rig struct {
	t   testing.TB
	srv *Server
	l   *loop
	now int64 // ns
	// conns by slot
	conns []*rigConn
	woken bool
	last  *rigConn // who was written to last in this call
}

type rigConn struct {
	h       netpoll.Handle
	out     []byte // taken from the server
	batch   []byte // put off to the end of the call
	tail    []byte // shown and not consumed
	fresh   []byte // arrived, not shown
	paused  bool
	again   bool // Resume asked for a Read
	blocked bool // Write keeps bytes in queued
	writes  int
	queued  []byte
	timer   int64 // 0 = off
	ended   bool  // CloseAfterFlush or Abort
	aborted bool
	gone    bool // Close was called
	taken   bool // detached
}

const rigWriteMax = 1 << 20

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, now: 1}
	cfg := Config{
		Gate: GateFunc(func(q *Request) (Grant, *Refusal) {
			switch q.Key {
			case "good":
				return Grant{Space: "main", Owner: "k1"}, nil
			case "narrow":
				return Grant{Space: "main", Owner: "k2", Agents: []string{"team-?", "bot:*"}}, nil
			case "":
				return Grant{}, &Refusal{401, "key_missing", "a key is needed"}
			case "read":
				return Grant{}, &Refusal{403, "role", "this key may not write"}
			}
			return Grant{}, &Refusal{401, "key_unknown", "no such key"}
		}),
		Now: func() time.Time { return time.Unix(1700000000, 0) },
	}
	cfg.Poll.Now = func() int64 { return r.now }
	if change != nil {
		change(&cfg)
	}
	r.srv = newServer(cfg)
	r.l = r.srv.addLoop((*rigIO)(r))
	if cfg.RingBytes == 0 {
		r.l.ring = ring.New(2<<20, 128<<10) // enough, and quick to make
		r.l.gauge = admit.NewGauge(2<<20 - 2*128<<10)
	}
	return r
}

// reset ends every connection and empties the ring, for the next run of a fuzzer.
func (r *rig) reset(t testing.TB) {
	r.t = t
	for _, c := range r.conns {
		if !c.gone {
			r.l.Close(c.h, nil)
		}
	}
	r.conns, r.last = nil, nil
	r.items()
}

// rigIO is the rig as the loop sees it.
type rigIO rig

func (r *rigIO) conn(h netpoll.Handle) *rigConn {
	c := r.conns[h.Slot()]
	if c.h != h || c.gone || c.taken {
		return nil
	}
	return c
}
func (r *rigIO) Index() int { return 0 }
func (r *rigIO) Wake()      { r.woken = true }
func (r *rigIO) Write(h netpoll.Handle, p []byte) error {
	c := r.conn(h)
	if c == nil || c.ended {
		return netpoll.ErrClosed
	}
	if len(c.queued)+len(c.batch)+len(p) > rigWriteMax {
		return netpoll.ErrWriteFull
	}
	if r.last != nil && r.last != c {
		(*rig)(r).flushBatch()
	}
	r.last = c
	c.batch = append(c.batch, p...)
	c.writes++
	return nil
}
func (r *rigIO) Now() int64 { return r.now }

// flushBatch sends what was put off, as netpoll does when a call returns.
func (r *rig) flushBatch() {
	c := r.last
	if r.last = nil; c == nil {
		return
	}
	if c.blocked {
		c.queued = append(c.queued, c.batch...)
	} else {
		c.out = append(c.out, c.batch...)
	}
	c.batch = nil
}

func (r *rigIO) Queued(h netpoll.Handle) int {
	if c := r.conn(h); c != nil {
		return len(c.queued) + len(c.batch)
	}
	return 0
}
func (r *rigIO) Pause(h netpoll.Handle) {
	if c := r.conn(h); c != nil {
		c.paused = true
	}
}
func (r *rigIO) Resume(h netpoll.Handle) {
	if c := r.conn(h); c != nil {
		c.paused, c.again = false, true
	}
}
func (r *rigIO) SetTimer(h netpoll.Handle, after time.Duration) {
	if c := r.conn(h); c != nil {
		if c.timer = 0; after > 0 {
			c.timer = r.now + int64(after)
		}
	}
}
func (r *rigIO) CloseAfterFlush(h netpoll.Handle) {
	if c := r.conn(h); c != nil {
		c.ended = true
	}
}
func (r *rigIO) Abort(h netpoll.Handle) {
	if c := r.conn(h); c != nil {
		c.ended, c.aborted = true, true
	}
}
func (r *rigIO) Detach(h netpoll.Handle, take func(int, error)) error {
	return fmt.Errorf("the rig has no descriptors")
}

// dial opens a connection.
func (r *rig) dial() *rigConn {
	slot := len(r.conns)
	c := &rigConn{h: netpoll.Handle(uint64(1)<<32 | uint64(slot))}
	r.conns = append(r.conns, c)
	r.l.Open(c.h, 3, netip.MustParseAddrPort("192.0.2.7:4242"))
	return c
}

// turn shows c what it has to read, as one turn of a loop would.
func (r *rig) turn(c *rigConn) {
	r.t.Helper()
	for !c.paused && !c.ended && !c.gone && (len(c.fresh) > 0 || c.again) {
		c.again = false
		b := append(c.tail[:len(c.tail):len(c.tail)], c.fresh...)
		if c.fresh = nil; len(b) == 0 {
			break // resumed, and nothing is kept: netpoll has nothing to show
		}
		n := r.l.Read(c.h, b)
		r.flushBatch()
		if n < 0 || n > len(b) {
			r.t.Fatalf("Read consumed %d of %d", n, len(b))
		}
		c.tail = b[n:]
		if !c.paused && !c.again && !c.ended && len(c.tail) > joinFrom+headMax {
			r.t.Fatalf("%d bytes left with netpoll", len(c.tail))
		}
	}
	if c.ended && !c.gone {
		r.l.Close(c.h, nil)
		r.flushBatch()
		c.gone = true
	}
}

// feed sends bytes to the server.
func (r *rig) feed(c *rigConn, p ...[]byte) {
	r.t.Helper()
	for _, b := range p {
		c.fresh = append(c.fresh, b...)
	}
	r.turn(c)
}

// wake runs what was posted, and what that resumed.
func (r *rig) wake() {
	r.t.Helper()
	for r.woken = true; r.woken; {
		r.woken = false
		r.l.Wake()
		r.flushBatch()
		r.settle()
	}
}

func (r *rig) settle() {
	r.t.Helper()
	for _, c := range r.conns {
		if !c.taken {
			r.turn(c)
		}
	}
}

// pass lets time go by, firing timers.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now + int64(d)
	for {
		var due *rigConn
		for _, c := range r.conns {
			if !c.gone && c.timer != 0 && c.timer <= end && (due == nil || c.timer < due.timer) {
				due = c
			}
		}
		if due == nil {
			break
		}
		r.now = max(r.now, due.timer)
		due.timer = 0
		r.l.Timeout(due.h)
		r.flushBatch()
		r.settle()
	}
	r.now = end
}

// unblock lets the peer read everything.
func (r *rig) unblock(c *rigConn) {
	r.t.Helper()
	c.blocked = false
	c.out = append(c.out, c.queued...)
	c.queued = nil
	r.l.Drained(c.h)
	r.flushBatch()
	r.settle()
}

// items takes everything out of the ring.
func (r *rig) items() (all []Item) {
	r.t.Helper()
	for {
		rec, ok := r.l.ring.Next()
		if !ok {
			break
		}
		var it Item
		if err := DecodeItem(rec, &it); err != nil {
			r.t.Fatal(err)
		}
		it.Agent = append([]byte(nil), it.Agent...)
		it.Payload = append([]byte(nil), it.Payload...)
		all = append(all, it)
	}
	r.l.ring.Release()
	return all
}

// upgradeRequest is a request that is in order; extra are whole header lines.
func upgradeRequest(path string, extra ...string) []byte {
	s := "GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, e := range extra {
		s += e + "\r\n"
	}
	return []byte(s + "\r\n")
}

// open upgrades a connection and takes the answer.
func (r *rig) open(key, protocol string) *rigConn {
	r.t.Helper()
	c := r.dial()
	lines := []string{"Authorization: Bearer " + key}
	if protocol != "" {
		lines = append(lines, "Sec-WebSocket-Protocol: "+protocol)
	}
	r.feed(c, upgradeRequest(AgentPath, lines...))
	if !strings.HasPrefix(string(c.out), "HTTP/1.1 101 ") {
		r.t.Fatalf("upgrade: %q", c.out)
	}
	c.out = nil
	return c
}

// agent opens a link that has said hello and takes its item.
func (r *rig) agent(codec wire.Codec, id string) *rigConn {
	r.t.Helper()
	c := r.open("good", codec.Subprotocol())
	r.feed(c, frameOf(codec, helloMessage(codec, id)))
	its := r.items()
	if len(its) != 1 || its[0].Kind != ItemHello || len(c.out) > 0 {
		r.t.Fatalf("hello: %v, answered %q", its, c.out)
	}
	return c
}

func helloMessage(codec wire.Codec, id string) []byte {
	h := wire.HelloOut{Producer: [16]byte{1, 2, 3}, Epoch: 1, First: 1}
	if id != "" {
		h.Agent = &wire.Event{Agent: id, Role: "tester"}
	}
	return wire.AppendHello(nil, codec, &h)
}

// clientFrame is a masked frame.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// frameOf is a whole message in the codec's kind of frame.
func frameOf(codec wire.Codec, payload []byte) []byte {
	if codec == wire.JSON {
		return clientFrame(0x81, payload)
	}
	return clientFrame(0x82, payload)
}

// serverFrame is a frame as a client reads it.
type serverFrame struct {
	op      ws.OpCode
	payload []byte
}

// readServer splits what the server sent; it must be whole, unmasked frames.
func readServer(t testing.TB, b []byte) (fs []serverFrame) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 2 || b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 {
			t.Fatalf("not a server's frame: % x", b[:min(len(b), 16)])
		}
		n, at := int(b[1]), 2
		switch n {
		case 126:
			n, at = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, at = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		fs = append(fs, serverFrame{ws.OpCode(b[0] & 15), b[at : at+n]})
		b = b[at+n:]
	}
	return fs
}

// closed returns the code of the close frame that ends b, 0 if there is none.
func closed(t testing.TB, b []byte) (ws.StatusCode, string) {
	t.Helper()
	fs := readServer(t, b)
	if len(fs) == 0 || fs[len(fs)-1].op != ws.OpClose {
		return 0, ""
	}
	p := fs[len(fs)-1].payload
	if len(p) == 0 {
		return ws.StatusNoStatusRcvd, ""
	}
	return ws.StatusCode(binary.BigEndian.Uint16(p)), string(p[2:])
}

// event is a small event's payload.
func event(kv ...any) []byte {
	m := map[string]any{"type": "log", "msg": "hello"}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return wire.AppendValue(nil, m)
}

func wireCodec(json bool) wire.Codec {
	if json {
		return wire.JSON
	}
	return wire.MsgPack
}
