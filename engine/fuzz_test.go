//go:build linux

package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// naive reads a client's bytes the slow and plain way, as RFC 6455 puts it: one
// frame after the other from the front, with the 64 KiB limit of a generic
// socket.
type naive struct {
	got   []string
	pongs []string
	code  int  // 0 = open; 1005 for a close without code
	early bool // code was found in a frame that has not ended: the engine may still wait
}

func naiveRead(in []byte) (n naive) {
	var message []byte
	kind := byte(0) // opcode of the message in fragments
	for {
		if len(in) == 0 {
			return n
		}
		fin, rsv, op := in[0]>>7 == 1, in[0]>>4&7, in[0]&15
		known := op <= 2 || op >= 8 && op <= 10
		if rsv != 0 || !known || op >= 8 && !fin {
			n.code = 1002
			return n
		}
		if len(in) < 2 {
			return n
		}
		length, at := uint64(in[1]&127), 2
		if in[1]>>7 == 0 || op >= 8 && length > 125 {
			n.code = 1002
			return n
		}
		switch length {
		case 126:
			if len(in) < 4 {
				return n
			}
			length, at = uint64(binary.BigEndian.Uint16(in[2:])), 4
			if length < 126 {
				n.code = 1002
				return n
			}
		case 127:
			if len(in) < 10 {
				return n
			}
			length, at = binary.BigEndian.Uint64(in[2:]), 10
			if length > 1<<31-1 {
				n.code = 1009
				return n
			}
			if length <= 65535 {
				n.code = 1002
				return n
			}
		}
		if len(in) < at+4 {
			return n
		}
		mask := in[at : at+4]
		in = in[at+4:]
		if op < 8 {
			if (op == 0) != (kind != 0) {
				n.code = 1002
				return n
			}
			if uint64(len(message))+length > 64<<10 {
				n.code = 1009
				return n
			}
		}
		part := in[:min(uint64(len(in)), length)]
		plain := make([]byte, len(part))
		for i := range part {
			plain[i] = part[i] ^ mask[i%4]
		}
		whole := uint64(len(part)) == length
		if op < 8 {
			if op != 0 {
				kind = op
			}
			message = append(message, plain...)
			if kind == 1 && !naiveText(message, fin && whole) {
				n.code, n.early = 1007, !whole
				return n
			}
		}
		if !whole {
			return n
		}
		in = in[length:]
		switch {
		case op == 8:
			n.code = naiveClose(plain)
			return n
		case op == 9:
			n.pongs = append(n.pongs, string(plain))
		case op < 8 && fin:
			n.got = append(n.got, string('0'+rune(kind))+":"+string(message))
			message, kind = nil, 0
		}
	}
}

// naiveText: could b be the start (or, if ended, the whole) of UTF-8 text?
func naiveText(b []byte, ended bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !ended && !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}

func naiveClose(p []byte) int {
	if len(p) == 0 {
		return 1005
	}
	if len(p) == 1 {
		return 1002
	}
	c := int(p[0])<<8 | int(p[1])
	switch c {
	case 1004, 1005, 1006, 1015:
		return 1002
	}
	if c < 1000 || c > 1014 && c < 3000 || c > 4999 {
		return 1002
	}
	if !utf8.Valid(p[2:]) {
		return 1007
	}
	return c
}

// FuzzFrames feeds bytes split at points that the fuzzer chooses and compares
// with the naive reader: what is delivered must not depend on how it arrives.
func FuzzFrames(f *testing.F) {
	for _, r := range rules {
		if len(r.in) < 4096 {
			f.Add(r.in, []byte{1, 2, 3})
		}
	}
	f.Add(cat(clientFrame(0x01, make([]byte, 40_000)), clientFrame(0x80, make([]byte, 20_000))), []byte{255, 255})
	rec := &recorder{}
	r := newRig(f, func(cfg *Config) { cfg.Sockets = Sockets{"/v1/live": rec} })
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		want := naiveRead(bytes.Clone(in))
		r.reset(t)
		*rec = recorder{}
		c := r.dial()
		r.feed(c, upgradeRequest("/v1/live", "Authorization: Bearer good"))
		c.out = nil
		for i := 0; len(in) > 0 && !c.gone; i++ {
			n := len(in)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)])*int(cuts[i%len(cuts)]))
			}
			r.feed(c, in[:n])
			in = in[n:]
		}
		code, _ := closed(t, c.out)
		if int(code) != want.code && !(want.early && code == 0) {
			t.Fatalf("close %d, want %d", code, want.code)
		}
		if got := strings.Join(rec.got, "|"); got != strings.Join(want.got, "|") {
			t.Fatalf("got %q, want %q", rec.got, want.got)
		}
		var pongs []string
		for _, fr := range readServer(t, c.out) {
			if fr.op == 10 {
				pongs = append(pongs, string(fr.payload))
			}
		}
		if strings.Join(pongs, "|") != strings.Join(want.pongs, "|") {
			t.Fatalf("pongs %q, want %q", pongs, want.pongs)
		}
	})
}

// FuzzHandshake feeds a request head whole and in pieces: the answer is the
// same, and what we upgrade net/http also reads as that request.
func FuzzHandshake(f *testing.F) {
	f.Add(upgradeRequest(AgentPath, "Authorization: Bearer good"), []byte{3})
	f.Add(upgradeRequest(AgentPath, "Sec-WebSocket-Protocol: eyrie.v1.json, eyrie.key.good"), []byte{1})
	f.Add(upgradeRequest("/v1/other", "Content-Length: 3"), []byte{9, 1})
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n"), []byte{2})
	r := newRig(f, nil)
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		answer := func(cuts []byte) string {
			r.reset(t)
			c := r.dial()
			in := in
			for i := 0; len(in) > 0 && !c.gone; i++ {
				n := len(in)
				if len(cuts) > 0 {
					n = min(n, 1+int(cuts[i%len(cuts)]))
				}
				r.feed(c, in[:n])
				in = in[n:]
			}
			line, _, _ := strings.Cut(string(c.out), "\r\n")
			return line
		}
		whole, parts := answer(nil), answer(cuts)
		if whole != parts {
			t.Fatalf("whole: %q, in pieces: %q", whole, parts)
		}
		if !strings.HasPrefix(whole, "HTTP/1.1 101") {
			return
		}
		q, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			t.Fatalf("upgraded what net/http does not read: %v", err)
		}
		if q.Method != "GET" || q.URL.Path != AgentPath || q.Header.Get("Sec-Websocket-Version") != "13" ||
			!strings.EqualFold(q.Header.Get("Upgrade"), "websocket") && !strings.Contains(strings.ToLower(strings.Join(q.Header["Upgrade"], ",")), "websocket") {
			t.Fatalf("upgraded %+v", q)
		}
	})
}

// FuzzMessages drives an agent's link with rubbish that is well framed: it never
// panics, and every number of a readable frame comes out once, in order.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0xc1}, false)
	f.Add([]byte(`{"op":"events","seq":1,"events":[{"type":"log"},{}]}`), true)
	f.Add([]byte("\x83\xa2op\xa6events\xa3seq\x04\xa6events\xdd\xff\xff\xff\xff"), false)
	r := newRig(f, nil)
	f.Fuzz(func(t *testing.T, in []byte, json bool) {
		if len(in) > 64<<10 {
			return
		}
		r.reset(t)
		codec := wireCodec(json)
		c := r.agent(codec, "a")
		r.feed(c, frameOf(codec, in))
		its := r.items()
		seq := uint64(0)
		for _, it := range its {
			switch it.Kind {
			case ItemEvent, ItemRefused:
				if seq != 0 && it.Seq != seq+1 {
					t.Fatalf("number %d after %d", it.Seq, seq)
				}
				seq = it.Seq
			case ItemFrameEnd:
				if seq != 0 && it.Seq != seq {
					t.Fatalf("frame ends with %d after %d", it.Seq, seq)
				}
			}
		}
		if len(its) == 0 && len(c.out) == 0 {
			t.Fatal("nothing in the ring and nothing said")
		}
	})
}
