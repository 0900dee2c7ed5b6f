//go:build linux

package engine

import "net/netip"

// A Gate decides who may open a WebSocket. It is called on a loop's thread and
// must not block: it looks things up in memory.
type Gate interface {
	// Admit answers one upgrade request whose handshake is otherwise in order.
	// A nil Refusal lets it in with the Grant. r and its strings may be kept.
	Admit(r *Request) (Grant, *Refusal)
}

// GateFunc makes a function a Gate.
type GateFunc func(r *Request) (Grant, *Refusal)

// Admit calls f.
func (f GateFunc) Admit(r *Request) (Grant, *Refusal) { return f(r) }

// Request is an upgrade request as the Gate and socket handlers see it.
type Request struct {
	Listener  int    // the tag of the listener that accepted it
	Method    string // always GET
	Path      string // as sent, up to the question mark
	Query     string // as sent, without the question mark
	Host      string
	Origin    string   // empty unless a browser sent it
	Key       string   // from Authorization: Bearer, else from the subprotocol eyrie.key.<key>
	Cookie    string   // the Cookie header, raw
	Protocols []string // offered subprotocols, keys left out
	Remote    netip.AddrPort
}

// Grant is what an admitted connection may do. Equal grants are kept once.
type Grant struct {
	Space  string   // the tenant everything on this link belongs to
	Owner  string   // id of the key, never the key
	Agents []string // glob patterns (* and ?) of the agent ids it may speak for; nil means any
	Role   string
}

// Refusal turns an upgrade down with an RFC 9457 answer.
type Refusal struct {
	Status int    // HTTP status; 401 adds WWW-Authenticate
	Code   string // machine code, e.g. "key_unknown"
	Msg    string // one sentence for people
}
