//go:build linux

package engine

import (
	"bytes"
	"net/http"
)

// headMax bounds a request's head, its closing empty line included.
const headMax = 8 << 10

// head is the part of an HTTP/1.x request head that decides an upgrade. Every
// slice aliases the bytes it was parsed from.
type head struct {
	method, path, query []byte
	minor               byte // of HTTP/1.minor: '0' or '1'

	host, origin, auth, cookie []byte
	wsKey, wsVersion           []byte
	protocols                  [4][]byte // values of Sec-WebSocket-Protocol, which may be repeated
	nProtocols                 int
	extensions                 [4][]byte // values of Sec-WebSocket-Extensions, likewise
	nExtensions                int

	upgrade    bool // Connection names upgrade
	websocket  bool // Upgrade names websocket
	hasLength  bool
	length     []byte
	hasCoding  bool
	seen       uint16 // bit per field that may stand once
	headFields int
}

// Fields that may stand only once in a request.
const (
	onceHost uint16 = 1 << iota
	onceLength
	onceCoding
	onceAuth
	onceOrigin
	onceKey
	onceVersion
)

// fieldsMax bounds the number of header fields.
const fieldsMax = 100

var headEnd = []byte("\r\n\r\n")

// parseHead reads a request head at the start of b. It is strict where HTTP
// leaves room for two readings (RFC 9112, 11.2): no folded lines, no space
// before a colon, no bare CR or LF, no second Host or Content-Length, never
// Content-Length with Transfer-Encoding. n is the length of the head; status
// and why are set when the head is refused.
func parseHead(b []byte, h *head) (n int, st parsed, status int, why string) {
	*h = head{}
	if len(b) > 0 && !tokenByte[b[0]] {
		return 0, parsedRefused, http.StatusBadRequest, "the request does not start with a method"
	}
	window := b[:min(len(b), headMax)]
	end := bytes.Index(window, headEnd)
	if end < 0 {
		if len(b) >= headMax {
			return 0, parsedRefused, http.StatusRequestHeaderFieldsTooLarge, "the request head is longer than 8 KiB"
		}
		return 0, parsedMore, 0, ""
	}
	n = end + len(headEnd)
	lines := b[:end]
	line, lines := cutLine(lines)
	if status, why = h.requestLine(line); status != 0 {
		return n, parsedRefused, status, why
	}
	for len(lines) > 0 {
		line, lines = cutLine(lines)
		if status, why = h.field(line); status != 0 {
			return n, parsedRefused, status, why
		}
	}
	if status, why = h.whole(); status != 0 {
		return n, parsedRefused, status, why
	}
	return n, parsedWhole, 0, ""
}

// cutLine splits b after its first CRLF.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.Index(b, headEnd[:2])
	if i < 0 {
		return b, nil
	}
	return b[:i], b[i+2:]
}

func (h *head) requestLine(line []byte) (int, string) {
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !isToken(line[:sp]) {
		return http.StatusBadRequest, "the request line has no method"
	}
	h.method = line[:sp]
	line = line[sp+1:]
	sp = bytes.IndexByte(line, ' ')
	if sp <= 0 {
		return http.StatusBadRequest, "the request line has no target"
	}
	target, proto := line[:sp], line[sp+1:]
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return http.StatusBadRequest, "the request target has a forbidden byte"
		}
	}
	if target[0] != '/' && !(len(target) == 1 && target[0] == '*') {
		return http.StatusBadRequest, "the request target is not a path"
	}
	h.path = target
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		h.path, h.query = target[:q], target[q+1:]
	}
	if len(proto) != 8 || string(proto[:5]) != "HTTP/" {
		return http.StatusBadRequest, "the request line has no HTTP version"
	}
	if string(proto) != "HTTP/1.1" && string(proto) != "HTTP/1.0" {
		return http.StatusHTTPVersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are spoken here"
	}
	h.minor = proto[7]
	return 0, ""
}

func (h *head) field(line []byte) (int, string) {
	if h.headFields++; h.headFields > fieldsMax {
		return http.StatusRequestHeaderFieldsTooLarge, "more than 100 header fields"
	}
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return http.StatusBadRequest, "a folded header line" // RFC 9112, 5.2
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) { // a space before the colon is no token: RFC 9112, 5.1
		return http.StatusBadRequest, "a header line has no valid name"
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f { // bare CR and LF, NUL: RFC 9110, 5.5
			return http.StatusBadRequest, "a header value has a forbidden byte"
		}
	}
	return h.known(name, value)
}

// known files the fields that matter here. The length of the name is the cheap
// first test: most fields end there.
func (h *head) known(name, value []byte) (int, string) {
	switch len(name) {
	case 4:
		if foldEqual(name, "host") {
			h.host = value
			return h.once(onceHost)
		}
	case 6:
		if foldEqual(name, "origin") {
			h.origin = value
			return h.once(onceOrigin)
		}
		if foldEqual(name, "cookie") {
			h.cookie = value
		}
	case 7:
		if foldEqual(name, "upgrade") {
			h.websocket = h.websocket || listHas(value, "websocket")
		}
	case 10:
		if foldEqual(name, "connection") {
			h.upgrade = h.upgrade || listHas(value, "upgrade")
		}
	case 13:
		if foldEqual(name, "authorization") {
			h.auth = value
			return h.once(onceAuth)
		}
	case 14:
		if foldEqual(name, "content-length") {
			h.hasLength, h.length = true, value
			return h.once(onceLength)
		}
	case 17:
		if foldEqual(name, "transfer-encoding") {
			h.hasCoding = true
			if !foldEqual(value, "chunked") {
				return http.StatusBadRequest, "a Transfer-Encoding other than chunked"
			}
			return h.once(onceCoding)
		}
		if foldEqual(name, "sec-websocket-key") {
			h.wsKey = value
			return h.once(onceKey)
		}
	case 21:
		if foldEqual(name, "sec-websocket-version") {
			h.wsVersion = value
			return h.once(onceVersion)
		}
	case 22:
		if foldEqual(name, "sec-websocket-protocol") {
			if h.nProtocols == len(h.protocols) {
				return http.StatusBadRequest, "too many Sec-WebSocket-Protocol fields"
			}
			h.protocols[h.nProtocols] = value
			h.nProtocols++
		}
	case 24:
		if foldEqual(name, "sec-websocket-extensions") {
			if h.nExtensions == len(h.extensions) {
				return http.StatusBadRequest, "too many Sec-WebSocket-Extensions fields"
			}
			h.extensions[h.nExtensions] = value
			h.nExtensions++
		}
	}
	return 0, ""
}

func (h *head) once(bit uint16) (int, string) {
	if h.seen&bit != 0 {
		return http.StatusBadRequest, "a header field that may stand once stands twice"
	}
	h.seen |= bit
	return 0, ""
}

// whole judges what only the whole head shows.
func (h *head) whole() (int, string) {
	if h.hasLength && h.hasCoding { // RFC 9112, 6.1: the smuggler's pair
		return http.StatusBadRequest, "both Content-Length and Transfer-Encoding"
	}
	if h.hasLength {
		if len(h.length) == 0 || len(h.length) > 18 {
			return http.StatusBadRequest, "Content-Length is not a number"
		}
		for _, c := range h.length {
			if c < '0' || c > '9' {
				return http.StatusBadRequest, "Content-Length is not a number"
			}
		}
	}
	if h.hasCoding && h.minor == '0' {
		return http.StatusBadRequest, "Transfer-Encoding in HTTP/1.0"
	}
	if h.minor == '1' && h.seen&onceHost == 0 { // RFC 9112, 3.2
		return http.StatusBadRequest, "no Host"
	}
	return 0, ""
}

// tokenByte marks the bytes of an RFC 9110 token.
var tokenByte = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenByte[c] {
			return false
		}
	}
	return len(b) > 0
}

// foldEqual compares ASCII without regard to case; lower is in lower case.
func foldEqual(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// listHas looks for a token in a comma-separated list.
func listHas(list []byte, lower string) bool {
	for len(list) > 0 {
		var item []byte
		item, list, _ = bytes.Cut(list, []byte{','})
		if foldEqual(bytes.Trim(item, " \t"), lower) {
			return true
		}
	}
	return false
}
