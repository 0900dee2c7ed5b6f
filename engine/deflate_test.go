//go:build linux

package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

const (
	deflateWhole = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	deflate8     = deflateWhole + "; server_max_window_bits=8"
)

// TestOffers: RFC 7692, 5.1, 7.1; RFC 6455, 9.1.
func TestOffers(t *testing.T) {
	const bad = "400"
	for _, c := range []struct {
		want   string
		fields []string
	}{
		{"", nil},
		{"", []string{"x-webkit-deflate-frame"}},
		{deflateWhole, []string{"permessage-deflate"}},
		{deflateWhole, []string{" permessage-deflate ; client_max_window_bits"}},
		{deflateWhole, []string{"permessage-deflate;client_max_window_bits=9;server_no_context_takeover;client_no_context_takeover"}},
		{deflate8, []string{"permessage-deflate; server_max_window_bits=8"}},
		{deflate8, []string{`permessage-deflate; server_max_window_bits="8"`}},
		{deflate8, []string{`permessage-deflate; server_max_window_bits="\8"`}},
		{deflateWhole + "; server_max_window_bits=15", []string{"permessage-deflate; server_max_window_bits=15"}},
		{deflate8, []string{"foo; bar=1, , permessage-deflate; unknown, permessage-deflate; server_max_window_bits=8, permessage-deflate"}},
		{deflate8, []string{"foo", "permessage-deflate; server_max_window_bits=8"}},
		{"", []string{"permessage-deflate; server_max_window_bits"}},
		{"", []string{"permessage-deflate; server_max_window_bits=7"}},
		{"", []string{"permessage-deflate; server_max_window_bits=16"}},
		{"", []string{"permessage-deflate; server_max_window_bits=08"}},
		{"", []string{"permessage-deflate; client_max_window_bits=1x"}},
		{"", []string{"permessage-deflate; server_no_context_takeover=1"}},
		{"", []string{"permessage-deflate; client_no_context_takeover=true"}},
		{"", []string{"permessage-deflate; client_no_context_takeover; client_no_context_takeover"}},
		{"", []string{"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"}},
		{"", []string{"Permessage-Deflate"}},
		{"", []string{"permessage-deflate; bits"}},
		{bad, []string{"permessage-deflate;"}},
		{bad, []string{"permessage-deflate; =8"}},
		{bad, []string{"permessage-deflate; server_max_window_bits="}},
		{bad, []string{`permessage-deflate; server_max_window_bits="8`}},
		{bad, []string{`permessage-deflate; server_max_window_bits="8 9"`}},
		{bad, []string{"permessage-deflate foo"}},
		{bad, []string{"permessage-deflate", "/"}},
	} {
		r, rec := deflateRig(t, nil)
		conn := r.dial()
		lines := []string{"Authorization: Bearer good"}
		for _, f := range c.fields {
			lines = append(lines, "Sec-WebSocket-Extensions: "+f)
		}
		r.feed(conn, upgradeRequest("/deflate", lines...))
		head, _, _ := strings.Cut(string(conn.out), "\r\n\r\n")
		_, got, _ := strings.Cut(head, "Sec-WebSocket-Extensions: ")
		if strings.HasPrefix(head, "HTTP/1.1 400 ") {
			got = bad
		}
		if got != c.want || (rec.opened == 1) != (c.want != bad) {
			t.Errorf("%q: %q, want %q", c.fields, got, c.want)
		}
	}
	// Where nothing was asked of the engine, nothing is agreed to.
	r := newRig(t, nil)
	c := r.dial()
	r.feed(c, upgradeRequest(AgentPath, "Authorization: Bearer good", "Sec-WebSocket-Extensions: permessage-deflate"))
	if strings.Contains(string(c.out), "Extensions") || !strings.HasPrefix(string(c.out), "HTTP/1.1 101 ") {
		t.Errorf("%q", c.out)
	}
	r.feed(c, clientFrame(0xc2, nil))
	if code, _ := closed(t, c.out[bytes.Index(c.out, headEnd)+len(headEnd):]); code != 1002 {
		t.Errorf("a compressed frame nobody agreed on: %d", code)
	}
}

// deflating is a handler that compresses from 100 bytes.
type deflating struct{ *recorder }

func (deflating) DeflateFrom() int { return 100 }

func deflateRig(t testing.TB, change func(*Config)) (*rig, *recorder) {
	rec := &recorder{}
	h := deflating{rec}
	return newRig(t, func(cfg *Config) {
		cfg.Sockets = Sockets{"/deflate": h}
		if change != nil {
			change(cfg)
		}
	}), rec
}

// openDeflate opens a socket that compresses.
func (r *rig) openDeflate(offer string) *rigConn {
	r.t.Helper()
	c := r.dial()
	r.feed(c, upgradeRequest("/deflate", "Authorization: Bearer good", "Sec-WebSocket-Extensions: "+offer))
	if !strings.Contains(string(c.out), deflateWhole) {
		r.t.Fatalf("upgrade: %q", c.out)
	}
	c.out = nil
	return c
}

// deflated is a message as a client compresses it.
func deflated(t testing.TB, p []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(p)
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), inflateTail[:])
}

// zeros is mib MiB of them, deflated: the second, made once, stands for all behind it.
func zeros(t testing.TB, mib int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1<<20)
	w.Write(one)
	w.Flush() // ends at a byte
	n := b.Len()
	w.Write(one)
	w.Flush()
	all := slices.Concat(b.Bytes()[:n], bytes.Repeat(b.Bytes()[n:], mib-1))
	return bytes.TrimSuffix(all, inflateTail[:])
}

func TestDeflatedMessages(t *testing.T) {
	for i, want := range samples() {
		if len(want) > 1<<16 {
			want = want[:1<<16]
		}
		z := deflated(t, want, 6)
		whole := clientFrame(0xc2, z)
		var parts []byte
		step := len(z)/7 + 1
		for at := 0; at <= len(z); at += step {
			first := byte(0)
			if at == 0 {
				first = 0x42
			}
			if at+step > len(z) {
				first |= 0x80
			}
			parts = append(parts, clientFrame(first, z[at:min(at+step, len(z))])...)
			if first < 0x80 {
				parts = append(parts, clientFrame(0x89, []byte("between"))...)
			}
		}
		r, rec := deflateRig(t, nil)
		c := r.openDeflate("permessage-deflate")
		r.feed(c, whole, clientFrame(0x82, []byte("plain")), parts)
		r.wake()
		if len(rec.got) != 3 || rec.got[0] != fmt.Sprintf("2:%s", want) || rec.got[1] != "2:plain" || rec.got[2] != rec.got[0] {
			t.Fatalf("sample %d: %d messages", i, len(rec.got))
		}
		for _, chop := range []int{1, 7, 1000} {
			if len(parts) > 20_000*chop {
				continue
			}
			for p := range slices.Chunk(parts, chop) {
				r.feed(c, p)
			}
		}
		r.wake()
		if n := len(rec.got); n < 4 || rec.got[n-1] != rec.got[0] {
			t.Fatalf("sample %d, chopped: %d messages", i, n)
		}
	}
}

func TestDeflateRules(t *testing.T) {
	zeros := make([]byte, 1<<16+1)
	for _, c := range []struct {
		name string
		in   []byte
		code ws.StatusCode // 0: still open
	}{
		{"a compressed ping", clientFrame(0xc9, nil), 1002},
		{"a compressed close", clientFrame(0xc8, nil), 1002},
		{"RSV1 on a continuation", cat(clientFrame(0x42, []byte{0}), clientFrame(0xc0, nil)), 1002},
		{"RSV2", clientFrame(0xa2, nil), 1002},
		{"RSV1 and RSV3", clientFrame(0xd2, nil), 1002},
		{"a compressed reserved opcode", clientFrame(0xc3, nil), 1002},
		{"no DEFLATE", clientFrame(0xc2, []byte("\xff\xff\xff")), 1007},
		{"DEFLATE cut off", clientFrame(0xc2, deflated(t, samples()[3], 6)[:40]), 1007},
		{"text that is not UTF-8", clientFrame(0xc1, deflated(t, []byte("abc\xed\xa0\x80"), 6)), 1007},
		{"text that ends within a rune", clientFrame(0xc1, deflated(t, []byte("abc\xe2\x82"), 6)), 1007},
		{"text", clientFrame(0xc1, deflated(t, []byte("abc\u20ac"), 6)), 0},
		{"the largest message", clientFrame(0xc2, deflated(t, zeros[1:], 9)), 0},
		{"a byte more", clientFrame(0xc2, deflated(t, zeros, 9)), 1009},
		{"incompressible, of the largest size", clientFrame(0xc2, deflated(t, samples()[4][:1<<16], 6)), 0},
		{"nothing", clientFrame(0xc1, nil), 0},
		{"nothing, as RFC 7692 has it", clientFrame(0xc1, []byte{0}), 0},
		{"a declared length beyond what could be", length64(0xc2, 1<<20), 1009},
	} {
		r, rec := deflateRig(t, nil)
		conn := r.openDeflate("permessage-deflate")
		r.feed(conn, c.in)
		r.wake()
		if code, why := closed(t, conn.out); code != c.code || (c.code == 0) != (len(rec.got) == 1) {
			t.Errorf("%s: %d %q, want %d; %d messages", c.name, code, why, c.code, len(rec.got))
		}
		if r.l.joins.held != 0 && c.code != 0 {
			t.Errorf("%s: %d bytes held", c.name, r.l.joins.held)
		}
	}
}

// TestBombsTakeTurns: what inflates to much is inflated a turn at a time, never
// beyond the limit, and holds nothing when it is over.
func TestBombsTakeTurns(t *testing.T) {
	const bombs, limit = 20, 8 << 20
	r, rec := deflateRig(t, func(cfg *Config) { cfg.SocketMessage = limit; cfg.JoinBytes = bombs * limit * 2 })
	bomb := clientFrame(0xc2, zeros(t, 64))
	fits := clientFrame(0xc2, zeros(t, limit>>20))
	small := clientFrame(0xc2, deflated(t, []byte("small"), 6))
	conns := make([]*rigConn, bombs)
	for i := range conns {
		conns[i] = r.openDeflate("permessage-deflate")
		p := bomb
		if i%2 == 0 {
			p = fits
		}
		conns[i].fresh = append(conns[i].fresh, p...)
	}
	next := r.openDeflate("permessage-deflate")
	for _, c := range conns {
		r.turn(c)
	}
	most, turns := 0, 0
	for r.woken {
		r.woken = false
		before := r.inflated()
		r.l.Wake()
		r.flushBatch()
		r.settle()
		most, turns = max(most, r.inflated()-before), turns+1
		if turns == 10 { // in the midst of it
			r.feed(next, small)
			if !slices.Contains(rec.got, "2:small") {
				t.Fatal("a neighbour's message has to wait for bombs")
			}
		}
	}
	if most > inflateCycle+inflateTurn || turns < bombs*limit/(inflateCycle+inflateTurn) {
		t.Errorf("%d bytes in a turn, %d turns", most, turns)
	}
	for i, c := range conns {
		if code, _ := closed(t, c.out); code != 0 && i%2 == 0 || code != 1009 && i%2 == 1 {
			t.Errorf("connection %d: %d", i, code)
		}
	}
	if len(rec.got) != bombs/2+1 || r.l.joins.held != 0 {
		t.Errorf("%d messages, %d bytes held", len(rec.got), r.l.joins.held)
	}
}

// inflated is how much lies in messages that are being inflated.
func (r *rig) inflated() (n int) {
	for i := range r.l.joins.list {
		n += len(r.l.joins.list[i].plain)
	}
	return n
}

// TestBombsAreBoundedTogether: what all messages in parts hold is bounded.
func TestBombsAreBoundedTogether(t *testing.T) {
	r, _ := deflateRig(t, func(cfg *Config) { cfg.SocketMessage = 4 << 20; cfg.JoinBytes = 8 << 20 })
	bomb := clientFrame(0xc2, zeros(t, 4))
	var conns []*rigConn
	for range 10 {
		c := r.openDeflate("permessage-deflate")
		c.fresh = bomb
		conns = append(conns, c)
	}
	for _, c := range conns {
		r.turn(c)
	}
	for r.woken {
		r.woken = false
		r.l.Wake()
		r.flushBatch()
		r.settle()
		if r.l.joins.held > 8<<20 {
			t.Fatalf("%d bytes held", r.l.joins.held)
		}
	}
	refused := 0
	for _, c := range conns {
		if code, _ := closed(t, c.out); code == statusTryAgain {
			refused++
		}
	}
	if refused == 0 || refused > 9 {
		t.Errorf("%d of 10 refused", refused)
	}
}

// TestDeflateOut: what is sent is compressed from the handler's size on, and
// once for all viewers.
func TestDeflateOut(t *testing.T) {
	words := samples()[5][:50_000]
	for _, bits := range []int{8, 9, 10, 12, 15} {
		r, rec := deflateRig(t, nil)
		c := r.openDeflate(fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits))
		s := rec.socket
		rec.then = func(s Socket, op ws.OpCode, p []byte) { s.Answer(op, words) }
		r.feed(c, clientFrame(0x81, []byte("?")))
		if err := s.Send(ws.OpText, words); err != nil {
			t.Fatal(err)
		}
		r.wake()
		s.Send(ws.OpText, words[:99])
		s.Send(ws.OpBinary, samples()[4][:5000]) // does not shrink
		r.wake()
		out := c.out
		for i, want := range [][]byte{words, words, words[:99], samples()[4][:5000]} {
			packed := i < 2
			if (out[0]&rsv1 != 0) != packed {
				t.Fatalf("%d bits, message %d: first byte %x", bits, i, out[0])
			}
			n := int(out[1])
			if out = out[2:]; n == 126 {
				n, out = int(out[0])<<8|int(out[1]), out[2:]
			}
			p := out[:n]
			out = out[n:]
			if packed {
				if len(p) > len(want)/2 {
					t.Errorf("%d bits: %d bytes of %d", bits, len(p), len(want))
				}
				var ok bool
				if p, ok = inflateAll(p, 1<<30, 1<<20, 1<<20); !ok {
					t.Fatalf("%d bits: message %d does not inflate", bits, i)
				}
			}
			if !bytes.Equal(p, want) {
				t.Fatalf("%d bits: message %d differs", bits, i)
			}
		}
		r.openDeflate(fmt.Sprintf("permessage-deflate; server_max_window_bits=%d", bits))
		if err := rec.socket.Send(ws.OpText, words); err != nil {
			t.Fatal(err)
		}
		if a, b := r.srv.deflaters.find(ws.OpText, words, uint8(bits)), r.srv.deflaters.next; a == nil || b != 1 {
			t.Errorf("%d made", b)
		}
	}
}

// TestAgentsMayDeflate: where the configuration says so.
func TestAgentsMayDeflate(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.AgentDeflate = true })
	c := r.dial()
	r.feed(c, upgradeRequest(AgentPath, "Authorization: Bearer good", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
	if !strings.Contains(string(c.out), deflateWhole) {
		t.Fatalf("%q", c.out)
	}
	c.out = nil
	r.feed(c, clientFrame(0xc2, deflated(t, helloMessage(wire.MsgPack, "a"), 6)))
	var events [][]byte
	for range 200 {
		events = append(events, event())
	}
	r.feed(c, clientFrame(0xc2, deflated(t, wire.AppendEvents(nil, wire.MsgPack, 1, nil, events...), 6)))
	if its := r.items(); len(its) != 202 || its[0].Kind != ItemHello || its[200].Seq != 200 {
		t.Errorf("%d items", len(its))
	}
	// A bomb is closed at the limit.
	r.feed(c, clientFrame(0xc2, zeros(t, 64)))
	r.wake()
	if code, _ := closed(t, c.out); code != 1009 {
		t.Errorf("bomb: %d", code)
	}
}

// TestFullRingAndDeflate: a compressed message that finds the ring full is
// delivered once there is room.
func TestFullRingAndDeflate(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.AgentDeflate = true })
	c := r.dial()
	r.feed(c, upgradeRequest(AgentPath, "Authorization: Bearer good", "Sec-WebSocket-Extensions: permessage-deflate"))
	r.feed(c, clientFrame(0xc2, deflated(t, helloMessage(wire.MsgPack, "a"), 6)))
	big := event("msg", strings.Repeat("x", 200_000))
	seq := uint64(1)
	for ; !c.paused; seq++ {
		r.feed(c, clientFrame(0xc2, deflated(t, wire.AppendEvents(nil, wire.MsgPack, seq, nil, big), 6)))
		r.wake()
	}
	n := 0
	for range 10 {
		for _, it := range r.items() {
			if it.Kind == ItemEvent {
				n++
			}
		}
		r.wake()
		r.pass(time.Second)
	}
	if n != int(seq)-1 || r.l.joins.held != 0 {
		t.Errorf("%d events of %d, %d bytes held", n, seq-1, r.l.joins.held)
	}
}
