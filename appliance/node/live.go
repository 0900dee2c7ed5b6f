package node

import (
	"encoding/json"
	"errors"
	"sync"

	"eyrie/appliance/access"
	"eyrie/appliance/query"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/live"
	"eyrie/engine"

	"github.com/gobwas/ws"
)

// rows lets the hub read the fleet.
type rows struct{ v *fleet.View }

func (r rows) Numbers() uint32 { return r.v.Numbers() }
func (r rows) Match(num uint32, space string, q *query.Query) bool {
	return r.v.Match(num, space, q)
}
func (r rows) Encode(dst []byte, num uint32) []byte { return r.v.Encode(dst, num) }
func (r rows) Offset() (uint64, int64)              { return r.v.Offset() }

// fleetOf is what the hub serves subscriptions of agents and the fleet from.
func fleetOf(v *fleet.View) live.Fleet {
	return live.Fleet{Agents: rows{v}, Summary: func(space string) (fleet, attention []byte) {
		fleet, _ = json.Marshal(v.Fleet(space))
		attention, _ = json.Marshal(v.Attention(space, attentionRows))
		return fleet, attention
	}}
}

// attentionRows is how many entries of the attention list live viewers get.
const attentionRows = 50

// liveSocket serves /v1/live on the loops: each socket is a viewer of the hub.
type liveSocket struct {
	hub     func() *live.Hub
	viewers *sync.Map // engine.Socket → viewer
}

// viewer is one socket's viewer, with the id of the key that opened it.
type viewer struct {
	*live.Viewer
	owner string
}

func (n *Node) newLiveSocket() liveSocket {
	return liveSocket{hub: func() *live.Hub { return n.hub }, viewers: new(sync.Map)}
}

// Protocols implements engine.SocketProtocols.
func (l liveSocket) Protocols() []string { return []string{"eyrie.live.v1"} }

// DeflateFrom implements engine.SocketDeflate: what is shorter gains little and
// costs the browser a step.
func (l liveSocket) DeflateFrom() int { return 1 << 10 }

// Open implements engine.SocketHandler.
func (l liveSocket) Open(s engine.Socket, g engine.Grant, _ *engine.Request) {
	space := g.Space
	if space == access.AnySpace {
		space = ""
	}
	v, err := l.hub().Open(live.Conn{Space: space, Full: s.Full, Send: func(p []byte) error {
		err := s.Send(ws.OpText, p)
		if errors.Is(err, engine.ErrBacklog) {
			return live.ErrBusy
		}
		return err
	}})
	if err != nil {
		s.Close(ws.StatusInternalServerError, "")
		return
	}
	l.viewers.Store(s, viewer{v, g.Owner})
}

// Message implements engine.SocketHandler.
func (l liveSocket) Message(s engine.Socket, op ws.OpCode, p []byte) {
	v, ok := l.viewers.Load(s)
	if !ok {
		return
	}
	if op != ws.OpText {
		s.Close(ws.StatusUnsupportedData, "want text")
		return
	}
	switch err := v.(viewer).Message(p); {
	case err == nil, errors.Is(err, live.ErrBusy):
	case errors.Is(err, live.ErrUnreadable):
		s.Close(ws.StatusPolicyViolation, "too many messages in a row that cannot be read")
	default:
		s.Close(ws.StatusInternalServerError, "")
	}
}

// Drained implements engine.SocketDrained.
func (l liveSocket) Drained(s engine.Socket) {
	if v, ok := l.viewers.Load(s); ok {
		v.(viewer).Ready()
	}
}

// Close implements engine.SocketHandler.
func (l liveSocket) Close(s engine.Socket) {
	if v, ok := l.viewers.LoadAndDelete(s); ok {
		v.(viewer).Close()
	}
}
