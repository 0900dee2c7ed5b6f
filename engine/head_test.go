//go:build linux

package engine

import (
	"bytes"
	"strings"
	"testing"

	"eyrie/engine/wire"
)

func TestParseHead(t *testing.T) {
	const ok = "GET /p?q=1 HTTP/1.1\r\nHost: h\r\n\r\n"
	f := func(in string, status int) {
		t.Helper()
		var h head
		n, st, got, why := parseHead([]byte(in), &h)
		switch {
		case status == 0 && (st != parsedWhole || n > len(in)):
			t.Errorf("%q: %v %d %s, want it whole", in, st, got, why)
		case status > 0 && (st != parsedRefused || got != status || why == ""):
			t.Errorf("%.80q: %v %d %q, want %d", in, st, got, why, status)
		case status < 0 && st != parsedMore:
			t.Errorf("%q: %v %d %s, want more", in, st, got, why)
		}
	}
	f(ok, 0)
	f(ok+"body", 0)
	f("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 0)
	f("GET / HTTP/1.0\r\n\r\n", 0)
	f("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n", 0)
	f("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 0)
	f("GET / HTTP/1.1\r\nHost: h\r\nX: \tspaced\t \r\nY:\r\n\r\n", 0)
	f("", -1)
	f("GET / HTTP/1.1\r\nHost: h\r\n", -1)

	f("\x16\x03\x01\x02\x00", 400) // a TLS hello, at once
	f("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 400)
	f("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400)              // obs-fold
	f("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400)                   // space before the colon
	f("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400)                     // no name
	f("GET / HTTP/1.1\r\nHost: h\r\nA b\r\n\r\n", 400)                     // no colon
	f("GET / HTTP/1.1\r\nHost: h\r\nA\x00: b\r\n\r\n", 400)                // NUL in a name
	f("GET / HTTP/1.1\r\nHost: h\r\nA: b\x00c\r\n\r\n", 400)               // NUL in a value
	f("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400)                 // bare CR
	f("GET / HTTP/1.1\r\nHost: h\r\nA: b\nContent-Length: 1\r\n\r\n", 400) // bare LF
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400)
	f("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400)
	f("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400)
	f("GET / HTTP/1.1\r\n\r\n", 400) // no Host
	f("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)
	f("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400)
	f("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400)
	f("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400)
	f("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400)
	f("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400)
	f("GET http://h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400)
	f("GET\r\nHost: a\r\n\r\n", 400)
	f("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
	f("GET / http/1.1\r\nHost: a\r\n\r\n", 400)
	f("GET / HTTP/1.1\r\nHost: a\r\n"+strings.Repeat("A: b\r\n", 101)+"\r\n", 431)
	f("GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("y", headMax)+"\r\n\r\n", 431)
}

func TestHandshakes(t *testing.T) {
	key := "Authorization: Bearer good"
	without := func(req []byte, line string) []byte {
		at := bytes.Index(req, []byte(line))
		if at < 0 {
			t.Fatalf("no %q", line)
		}
		end := at + bytes.Index(req[at:], []byte("\r\n")) + 2
		return cat(req[:at], req[end:])
	}
	plain := upgradeRequest(AgentPath, key)
	for _, c := range []struct {
		name   string
		req    []byte
		status string
		has    []string // lines of the answer
		lacks  string
	}{
		{"the RFC's example key", plain, "101 ", []string{"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "Sec-WebSocket-Protocol"},
		{"msgpack", upgradeRequest(AgentPath, key, "Sec-WebSocket-Protocol: x, eyrie.v1.msgpack"), "101 ", []string{"Sec-WebSocket-Protocol: eyrie.v1.msgpack"}, ""},
		{"json", upgradeRequest(AgentPath, key, "Sec-WebSocket-Protocol: eyrie.v1.json"), "101 ", []string{"Sec-WebSocket-Protocol: eyrie.v1.json"}, ""},
		{"key as a subprotocol", upgradeRequest(AgentPath, "Sec-WebSocket-Protocol: eyrie.v1.json, eyrie.key.good"), "101 ", []string{"Sec-WebSocket-Protocol: eyrie.v1.json"}, "good"},
		{"key as the only subprotocol", upgradeRequest(AgentPath, "Sec-WebSocket-Protocol: eyrie.key.good"), "101 ", nil, "good"},
		{"two fields of subprotocols", upgradeRequest(AgentPath, "Sec-WebSocket-Protocol: eyrie.key.good", "Sec-WebSocket-Protocol: eyrie.v1.json"), "101 ", []string{"Sec-WebSocket-Protocol: eyrie.v1.json"}, "good"},
		{"bearer in other case", upgradeRequest(AgentPath, "authorization: bEARER good"), "101 ", nil, ""},
		{"extensions are not taken", upgradeRequest(AgentPath, key, "Sec-WebSocket-Extensions: permessage-deflate"), "101 ", nil, "Extensions"},

		{"no key", upgradeRequest(AgentPath), "401 ", []string{"WWW-Authenticate: Bearer", `"code":"key_missing"`, "application/problem+json", `"status":401`}, ""},
		{"wrong key", upgradeRequest(AgentPath, "Authorization: Bearer bad"), "401 ", []string{`"code":"key_unknown"`}, "bad"},
		{"basic auth is no key", upgradeRequest(AgentPath, "Authorization: Basic good"), "401 ", []string{`"code":"key_missing"`}, ""},
		{"a key without the right", upgradeRequest(AgentPath, "Authorization: Bearer read"), "403 ", []string{`"code":"role"`}, ""},
		{"wrong subprotocol", upgradeRequest(AgentPath, key, "Sec-WebSocket-Protocol: graphql-ws"), "400 ", []string{`"code":"subprotocol"`, "eyrie.v1.msgpack"}, ""},
		{"subprotocols that are no tokens", upgradeRequest(AgentPath, key, "Sec-WebSocket-Protocol: a b"), "400 ", []string{`"code":"subprotocol"`}, ""},
		{"version 8", bytes.Replace(plain, []byte("Version: 13"), []byte("Version: 8"), 1), "426 ", []string{"Sec-WebSocket-Version: 13", `"code":"websocket_version"`}, ""},
		{"no version", without(plain, "Sec-WebSocket-Version"), "426 ", nil, ""},
		{"no nonce", without(plain, "Sec-WebSocket-Key"), "400 ", []string{`"code":"websocket_key"`}, ""},
		{"short nonce", bytes.Replace(plain, []byte("dGhlIHNhbXBsZSBub25jZQ=="), []byte("dGhlIHNhbXBsZQ=="), 1), "400 ", []string{`"code":"websocket_key"`}, ""},
		{"nonce not base64", bytes.Replace(plain, []byte("dGhlIHNhbXBsZSBub25jZQ=="), []byte("dGhlIHNhbXBsZSBub25j!Q=="), 1), "400 ", []string{`"code":"websocket_key"`}, ""},
		{"POST", bytes.Replace(plain, []byte("GET"), []byte("POST"), 1), "400 ", []string{`"code":"upgrade"`}, ""},
		{"a body", upgradeRequest(AgentPath, key, "Content-Length: 3"), "400 ", []string{`"code":"upgrade"`}, ""},
		{"no upgrade", without(plain, "Upgrade:"), "404 ", nil, ""},
		{"another path", upgradeRequest("/v1/other", key), "404 ", nil, ""},
		{"a smuggler", upgradeRequest(AgentPath, key, "Content-Length: 0", "Transfer-Encoding: chunked"), "400 ", []string{`"code":"request"`}, ""},
	} {
		for _, by := range []int{len(c.req), 1} {
			t.Run(c.name, func(t *testing.T) {
				r := newRig(t, nil)
				k := r.dial()
				for in := c.req; len(in) > 0 && !k.gone; in = in[min(by, len(in)):] {
					r.feed(k, in[:min(by, len(in))])
				}
				out := string(k.out)
				if !strings.HasPrefix(out, "HTTP/1.1 "+c.status) {
					t.Fatalf("%q, want %s", out, c.status)
				}
				for _, s := range c.has {
					if !strings.Contains(out, s) {
						t.Errorf("no %q in %q", s, out)
					}
				}
				if c.lacks != "" && strings.Contains(out, c.lacks) {
					t.Errorf("%q in %q", c.lacks, out)
				}
				if open := c.status == "101 "; open == k.gone {
					t.Errorf("gone: %v", k.gone)
				}
			})
		}
	}
}

// TestFramesBehindTheRequest: a client that does not wait for the 101.
func TestFramesBehindTheRequest(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	r.feed(c, upgradeRequest(AgentPath, "Authorization: Bearer good"), frameOf(wire.MsgPack, helloMessage(wire.MsgPack, "a")))
	if its := r.items(); len(its) != 1 || its[0].Kind != ItemHello {
		t.Fatalf("%v", its)
	}
}

func TestGlobMatch(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		if got := globMatch(pattern, []byte(s)); got != want {
			t.Errorf("%q on %q: %v", pattern, s, got)
		}
	}
	f("", "", true)
	f("", "a", false)
	f("*", "", true)
	f("*", "abc", true)
	f("a*c", "abbc", true)
	f("a*c", "abcb", false)
	f("a?c", "abc", true)
	f("a?c", "ac", false)
	f("*.go", "x.go.go", true)
	f("a*b*c", "aXbYbZc", true)
	f("**a", "bba", true)
	f("a", "ab", false)
}
