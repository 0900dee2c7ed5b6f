//go:build linux

package engine

import (
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"

	"eyrie/engine/wire"
)

// AgentPath is where agents connect.
const AgentPath = "/v1/agent"

// isUpgrade says whether the head asks for a WebSocket at all.
func (h *head) isUpgrade() bool { return h.upgrade && h.websocket }

// request copies what the Gate is shown out of the head.
func (h *head) request(listener int, remote netip.AddrPort) *Request {
	r := &Request{
		Listener: listener,
		Method:   string(h.method),
		Path:     string(h.path),
		Query:    string(h.query),
		Host:     string(h.host),
		Origin:   string(h.origin),
		Cookie:   string(h.cookie),
		Remote:   remote,
	}
	for _, v := range h.protocols[:h.nProtocols] {
		for p := range strings.SplitSeq(string(v), ",") {
			p = strings.Trim(p, " \t")
			if key, ok := strings.CutPrefix(p, wire.SubprotocolKeyPrefix); ok {
				r.Key = key // for clients that cannot set headers; never echoed
			} else {
				r.Protocols = append(r.Protocols, p)
			}
		}
	}
	if len(h.auth) > 7 && foldEqual(h.auth[:7], "bearer ") {
		r.Key = strings.TrimLeft(string(h.auth[7:]), " ")
	}
	return r
}

// checkUpgrade holds the request against RFC 6455, 4.2.1.
func checkUpgrade(h *head) *Refusal {
	switch {
	case string(h.method) != http.MethodGet || h.minor != '1':
		return &Refusal{http.StatusBadRequest, "upgrade", "a WebSocket upgrade is an HTTP/1.1 GET"}
	case h.hasCoding || h.hasLength && string(h.length) != "0":
		return &Refusal{http.StatusBadRequest, "upgrade", "a WebSocket upgrade has no body"}
	case string(h.wsVersion) != "13":
		return &Refusal{http.StatusUpgradeRequired, "websocket_version", "only WebSocket version 13 is spoken here"}
	case !validNonce(h.wsKey):
		return &Refusal{http.StatusBadRequest, "websocket_key", "Sec-WebSocket-Key is not 16 bytes in base64"}
	}
	for _, v := range h.protocols[:h.nProtocols] {
		for p := range strings.SplitSeq(string(v), ",") {
			if !isToken([]byte(strings.Trim(p, " \t"))) {
				return &Refusal{http.StatusBadRequest, "subprotocol", "Sec-WebSocket-Protocol is not a list of tokens"}
			}
		}
	}
	if _, _, ok := chooseDeflate(h.extensions[:h.nExtensions]); !ok { // 9.1
		return &Refusal{http.StatusBadRequest, "extensions", "Sec-WebSocket-Extensions is not a list of extensions"}
	}
	return nil
}

func validNonce(key []byte) bool {
	if len(key) != 24 {
		return false
	}
	var raw [18]byte
	n, err := base64.StdEncoding.Strict().Decode(raw[:], key)
	return err == nil && n == 16
}

// agentProtocol picks the codec: the first offered subprotocol that is known,
// MessagePack when none was offered. echo is what to answer, empty for nothing.
func agentProtocol(offered []string) (codec wire.Codec, echo string, r *Refusal) {
	if len(offered) == 0 {
		return wire.MsgPack, "", nil
	}
	for _, o := range offered {
		if c, ok := wire.ParseSubprotocol(o); ok {
			return c, o, nil
		}
	}
	return 0, "", &Refusal{http.StatusBadRequest, "subprotocol",
		"offer the subprotocol " + wire.SubprotocolMsgPack + ", " + wire.SubprotocolJSON + " or " + wire.SubprotocolProto}
}

// socketProtocol picks the subprotocol of a generic socket: the first offered
// one that the handler lists, or simply the first if it lists none.
func socketProtocol(h SocketHandler, offered []string) (echo string, r *Refusal) {
	if len(offered) == 0 {
		return "", nil
	}
	p, ok := h.(SocketProtocols)
	if !ok {
		return offered[0], nil
	}
	known := p.Protocols()
	for _, o := range offered {
		for _, k := range known {
			if o == k {
				return o, nil
			}
		}
	}
	return "", &Refusal{http.StatusBadRequest, "subprotocol", "offer the subprotocol " + strings.Join(known, " or ")}
}

// acceptGUID is RFC 6455's constant (1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// appendSwitch appends the 101 answer up to the line that ends it.
func appendSwitch(dst, wsKey []byte, protocol string) []byte {
	var in [24 + len(acceptGUID)]byte
	copy(in[:], wsKey)
	copy(in[24:], acceptGUID)
	sum := sha1.Sum(in[:])
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	if protocol != "" {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), protocol...)
	}
	return dst
}

// switched answers an upgrade. It returns the window that what is sent
// compressed must keep to, 0 where compression was not asked for or is not to be.
func (l *loop) switched(lk *link, protocol string, deflate bool) (bits uint8) {
	l.out = appendSwitch(l.out, l.hd.wsKey, protocol)
	if deflate {
		var limited bool
		if bits, limited, _ = chooseDeflate(l.hd.extensions[:l.hd.nExtensions]); bits > 0 {
			lk.agreed |= agreedDeflate
			l.out = appendDeflate(l.out, bits, limited)
		}
	}
	l.out = append(l.out, "\r\n\r\n"...)
	return bits
}
