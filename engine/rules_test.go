//go:build linux

package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// recorder is a generic socket's handler that keeps what it is told.
type recorder struct {
	opened, ended int
	socket        Socket
	grant         Grant
	request       *Request
	got           []string // op and payload
	then          func(s Socket, op ws.OpCode, p []byte)
	drained       int
}

func (h *recorder) Open(s Socket, g Grant, r *Request) {
	h.opened++
	h.socket, h.grant, h.request = s, g, r
}
func (h *recorder) Message(s Socket, op ws.OpCode, p []byte) {
	h.got = append(h.got, fmt.Sprintf("%d:%s", op, p))
	if h.then != nil {
		h.then(s, op, p)
	}
}
func (h *recorder) Close(Socket)   { h.ended++ }
func (h *recorder) Drained(Socket) { h.drained++ }

// cat joins byte slices.
func cat(bs ...[]byte) []byte { return bytes.Join(bs, nil) }

// length64 is a frame header that declares n bytes and carries none.
func length64(first byte, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, n), 1, 2, 3, 4)
}

// closeBody is the payload of a close frame.
func closeBody(code uint16, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, code), reason...)
}

// rules are byte sequences a client may send after the upgrade of a generic
// socket, and what must come of them.
var rules = []struct {
	name string
	in   []byte
	code ws.StatusCode // of the server's close frame; 0: the link stays open
	got  []string      // messages delivered
}{
	{"text", clientFrame(0x81, []byte("hi")), 0, []string{"1:hi"}},
	{"binary", clientFrame(0x82, []byte("\x00\xff")), 0, []string{"2:\x00\xff"}},
	{"empty text", clientFrame(0x81, nil), 0, []string{"1:"}},
	{"mask of zero", []byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}, 0, []string{"1:hi"}},
	{"126 bytes", clientFrame(0x81, bytes.Repeat([]byte("x"), 126)), 0, []string{"1:" + strings.Repeat("x", 126)}},
	{"64 KiB", clientFrame(0x82, bytes.Repeat([]byte("x"), 64<<10)), 0, []string{"2:" + strings.Repeat("x", 64<<10)}},
	{"64 KiB + 1", clientFrame(0x82, bytes.Repeat([]byte("x"), 64<<10+1)), 1009, nil},
	{"fragments", cat(clientFrame(0x01, []byte("a")), clientFrame(0x00, []byte("b")), clientFrame(0x80, []byte("c"))), 0, []string{"1:abc"}},
	{"empty fragments", cat(clientFrame(0x01, nil), clientFrame(0x00, nil), clientFrame(0x80, nil)), 0, []string{"1:"}},
	{"control between fragments", cat(clientFrame(0x01, []byte("a")), clientFrame(0x89, []byte("p")), clientFrame(0x8a, nil), clientFrame(0x80, []byte("b"))), 0, []string{"1:ab"}},
	{"fragments too large", cat(clientFrame(0x02, make([]byte, 40<<10)), clientFrame(0x80, make([]byte, 30<<10))), 1009, nil},
	{"text in fragments split in a rune", cat(clientFrame(0x01, []byte("\xe2\x82")), clientFrame(0x80, []byte("\xac"))), 0, []string{"1:€"}},

	{"unmasked", []byte{0x81, 0x02, 'h', 'i'}, 1002, nil},
	{"unmasked ping", []byte{0x89, 0x00}, 1002, nil},
	{"rsv1", clientFrame(0xc1, []byte("x")), 1002, nil},
	{"rsv2", clientFrame(0xa1, []byte("x")), 1002, nil},
	{"rsv3", clientFrame(0x91, []byte("x")), 1002, nil},
	{"rsv on a ping", clientFrame(0xc9, nil), 1002, nil},
	{"opcode 3", clientFrame(0x83, nil), 1002, nil},
	{"opcode 7", clientFrame(0x87, nil), 1002, nil},
	{"opcode 11", clientFrame(0x8b, nil), 1002, nil},
	{"opcode 15", clientFrame(0x8f, nil), 1002, nil},
	{"fragmented ping", clientFrame(0x09, nil), 1002, nil},
	{"fragmented close", clientFrame(0x08, nil), 1002, nil},
	{"ping of 125 bytes", clientFrame(0x89, make([]byte, 125)), 0, nil},
	{"ping of 126 bytes", clientFrame(0x89, make([]byte, 126)), 1002, nil},
	{"length not minimal, 16 bit", []byte{0x82, 0xfe, 0, 125, 1, 2, 3, 4}, 1002, nil},
	{"length not minimal, 64 bit", length64(0x82, 65535), 1002, nil},
	{"length 2^31", length64(0x82, 1<<31), 1009, nil},
	{"length 2^31-1", length64(0x82, 1<<31-1), 1009, nil},
	{"length 2^63", length64(0x82, 1<<63), 1009, nil},
	{"length 2^64-1", length64(0x82, 1<<64-1), 1009, nil},
	{"length 2^63 in a ping", length64(0x89, 1<<63), 1002, nil},
	{"continuation of nothing", clientFrame(0x80, []byte("x")), 1002, nil},
	{"continuation after a whole message", cat(clientFrame(0x81, []byte("x")), clientFrame(0x80, nil)), 1002, []string{"1:x"}},
	{"message within a message", cat(clientFrame(0x01, []byte("x")), clientFrame(0x81, []byte("y"))), 1002, nil},

	{"not UTF-8", clientFrame(0x81, []byte("\xff")), 1007, nil},
	{"surrogate", clientFrame(0x81, []byte("\xed\xa0\x80")), 1007, nil},
	{"beyond 10FFFF", clientFrame(0x81, []byte("\xf4\x90\x80\x80")), 1007, nil},
	{"overlong", clientFrame(0x81, []byte("\xc0\xaf")), 1007, nil},
	{"rune cut off", clientFrame(0x81, []byte("x\xe2\x82")), 1007, nil},
	{"not UTF-8 in a first fragment", clientFrame(0x01, []byte("\xf4\x90")), 1007, nil},
	{"rune cut off in fragments", cat(clientFrame(0x01, []byte("\xe2")), clientFrame(0x80, []byte("\x82"))), 1007, nil},
	{"binary need not be UTF-8", clientFrame(0x82, []byte("\xff")), 0, []string{"2:\xff"}},

	{"close without a code", clientFrame(0x88, nil), ws.StatusNoStatusRcvd, nil},
	{"close of one byte", clientFrame(0x88, []byte{3}), 1002, nil},
	{"close 1000", clientFrame(0x88, closeBody(1000, "bye")), 1000, nil},
	{"close 1001", clientFrame(0x88, closeBody(1001, "")), 1001, nil},
	{"close 1014", clientFrame(0x88, closeBody(1014, "")), 1014, nil},
	{"close 3000", clientFrame(0x88, closeBody(3000, "")), 3000, nil},
	{"close 4999", clientFrame(0x88, closeBody(4999, "")), 4999, nil},
	{"close 0", clientFrame(0x88, closeBody(0, "")), 1002, nil},
	{"close 999", clientFrame(0x88, closeBody(999, "")), 1002, nil},
	{"close 1004", clientFrame(0x88, closeBody(1004, "")), 1002, nil},
	{"close 1005", clientFrame(0x88, closeBody(1005, "")), 1002, nil},
	{"close 1006", clientFrame(0x88, closeBody(1006, "")), 1002, nil},
	{"close 1015", clientFrame(0x88, closeBody(1015, "")), 1002, nil},
	{"close 1016", clientFrame(0x88, closeBody(1016, "")), 1002, nil},
	{"close 2999", clientFrame(0x88, closeBody(2999, "")), 1002, nil},
	{"close 5000", clientFrame(0x88, closeBody(5000, "")), 1002, nil},
	{"close reason not UTF-8", clientFrame(0x88, closeBody(1000, "\xff")), 1007, nil},
	{"nothing after a close", cat(clientFrame(0x88, closeBody(1000, "")), clientFrame(0x81, []byte("x"))), 1000, nil},
	{"close within a message", cat(clientFrame(0x01, []byte("x")), clientFrame(0x88, closeBody(1000, ""))), 1000, nil},
}

func TestRules(t *testing.T) {
	rec := &recorder{}
	r := newRig(t, func(cfg *Config) { cfg.Sockets = Sockets{"/v1/live": rec} })
	for _, c := range rules {
		for _, by := range []int{len(c.in), 1, 3, 4096} {
			if by == 1 && len(c.in) > 4096 || by == 3 && len(c.in) > 4096 {
				continue
			}
			t.Run(fmt.Sprintf("%s/by=%d", c.name, by), func(t *testing.T) {
				r.reset(t)
				*rec = recorder{}
				k := r.dial()
				r.feed(k, upgradeRequest("/v1/live", "Authorization: Bearer good"))
				if rec.opened != 1 {
					t.Fatalf("not opened: %q", k.out)
				}
				k.out = nil
				for in := c.in; len(in) > 0; {
					n := min(by, len(in))
					r.feed(k, in[:n])
					in = in[n:]
				}
				code, why := closed(t, k.out)
				if code != c.code {
					t.Errorf("close %d %q, want %d", code, why, c.code)
				}
				if (code != 0) != k.gone || k.aborted {
					t.Errorf("close code %d, connection gone %v, aborted %v", code, k.gone, k.aborted)
				}
				if got := strings.Join(rec.got, "|"); got != strings.Join(c.got, "|") {
					t.Errorf("got %.100q, want %.100q", got, strings.Join(c.got, "|"))
				}
				if rec.ended != map[bool]int{true: 1}[k.gone] {
					t.Errorf("Close was called %d times", rec.ended)
				}
				if k.gone && (r.l.joins.held != 0 || len(r.l.socks) != 0 || len(r.l.grants.index) != 0) {
					t.Errorf("left behind: %d joined bytes, %d sockets, %d grants", r.l.joins.held, len(r.l.socks), len(r.l.grants.index))
				}
			})
		}
	}
}

func TestPongEchoesPing(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	r.feed(c, clientFrame(0x89, []byte("one")), clientFrame(0x89, nil))
	fs := readServer(t, c.out)
	if len(fs) != 2 || fs[0].op != ws.OpPong || string(fs[0].payload) != "one" || fs[1].op != ws.OpPong || len(fs[1].payload) != 0 {
		t.Fatalf("%v", fs)
	}
}

// TestAgentRefusals holds what an agent's link adds to the rules.
func TestAgentRefusals(t *testing.T) {
	hello := func(c wire.Codec) []byte { return frameOf(c, helloMessage(c, "a")) }
	for _, c := range []struct {
		name  string
		codec wire.Codec
		in    []byte
		code  ws.StatusCode
	}{
		{"text where binary was agreed", wire.MsgPack, clientFrame(0x81, []byte("{}")), 1003},
		{"text later", wire.MsgPack, cat(hello(wire.MsgPack), clientFrame(0x81, []byte("{}"))), 1003},
		{"text in fragments", wire.MsgPack, cat(hello(wire.MsgPack), clientFrame(0x01, []byte("{"))), 1003},
		{"binary where text was agreed", wire.JSON, clientFrame(0x82, []byte("{}")), 1003},
		{"not UTF-8", wire.JSON, cat(hello(wire.JSON), clientFrame(0x81, []byte("{\"op\":\"\xff\"}"))), 1007},
		{"events before hello", wire.MsgPack, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event())), 1008},
		{"unknown op before hello", wire.JSON, frameOf(wire.JSON, []byte(`{"op":"dance"}`)), 1008},
		{"rubbish before hello", wire.MsgPack, frameOf(wire.MsgPack, []byte{0xc1}), 1008},
		{"four billion elements before hello", wire.MsgPack, frameOf(wire.MsgPack, []byte{0xdf, 0xff, 0xff, 0xff, 0xff}), 1008},
		{"hello twice", wire.MsgPack, cat(hello(wire.MsgPack), hello(wire.MsgPack)), 1008},
		{"hello without a producer", wire.JSON, frameOf(wire.JSON, []byte(`{"op":"hello","epoch":1,"first":1}`)), 1008},
		{"1 MiB + 1", wire.MsgPack, cat(hello(wire.MsgPack), length64(0x82, 1<<20+1)), 1009},
		{"unmasked", wire.MsgPack, []byte{0x82, 0x01, 0xc0}, 1002},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			k := r.open("good", c.codec.Subprotocol())
			r.feed(k, c.in)
			if code, why := closed(t, k.out); code != c.code || !k.gone {
				t.Fatalf("close %d %q, want %d", code, why, c.code)
			}
		})
	}
}

// TestHugeLengthsCostNothing holds that a declared length is not believed.
func TestHugeLengthsCostNothing(t *testing.T) {
	r := newRig(t, nil)
	for range 100 {
		k := r.agent(wire.MsgPack, "a")
		r.feed(k, length64(0x82, 1<<20)) // allowed, and nothing of it comes
	}
	if r.l.joins.held > 100<<joinSmallest {
		t.Errorf("%d bytes held for frames of which nothing came", r.l.joins.held)
	}
}
