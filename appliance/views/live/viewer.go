package live

import (
	"encoding/json"
	"fmt"
	"sync"
)

// Conn is a viewer's side of the hub. Send must not block and copies what it
// keeps; it may be called from several goroutines, one after the other.
type Conn struct {
	Send func(payload []byte) error
	// Full tells whether Send would return ErrBusy for a message of n bytes. One that the viewer
	// could not take is not made again before, so that who does not read costs nothing.
	// It must not block. nil: not known.
	Full func(n int) bool
	// Space is the one that the viewer may see; "" is all.
	Space string
}

// Viewer is one connection. Close it when the connection ends.
type Viewer struct {
	h    *Hub
	conn Conn

	mu     sync.Mutex
	subs   map[int64]*sub
	closed bool

	sending sync.Mutex
	over    bool

	unreadable int // messages in a row; Message's
}

// Open greets a viewer, and tells it where the fleet is still being loaded.
func (h *Hub) Open(c Conn) (*Viewer, error) {
	v := &Viewer{h: h, conn: c, subs: map[int64]*sub{}}
	if err := v.send(h.helloMessage()); err != nil {
		return nil, err
	}
	progress := h.loading.Load()
	waits := progress != nil && h.shown.Load() == nil
	if waits {
		if err := v.send(loadingMessage(*progress)); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	h.viewers[v] = struct{}{}
	h.mu.Unlock()
	if waits && h.shown.Load() != nil { // it was not among those that were told
		_ = v.send(loadedMessage)
	}
	return v, nil
}

// unreadableMax is how many messages in a row may be no request at all: each
// costs an answer, so who speaks something else is not answered for ever.
const unreadableMax = 16

// Message takes one message of the viewer; p is borrowed. An error means that
// the viewer is gone, or to be closed where it is ErrUnreadable; what is wrong
// with a message is told to it. For one goroutine at a time.
func (v *Viewer) Message(p []byte) error {
	var r request
	err := json.Unmarshal(p, &r)
	if err == nil && r.Op != "" {
		v.unreadable = 0
	} else if v.unreadable++; v.unreadable >= unreadableMax {
		return ErrUnreadable
	}
	if err != nil {
		return v.send(errorMessage(r.ID, "syntax", err.Error()))
	}
	switch r.Op {
	case "ping":
		return v.send(v.h.pongMessage(r.T))
	case "subscribe":
		return v.subscribe(&r)
	case "request":
		v.mu.Lock()
		s := v.subs[r.ID]
		v.mu.Unlock()
		if s == nil {
			return v.send(errorMessage(r.ID, "unknown_id", "no subscription has this id"))
		}
		s.grant(r.N)
		return nil
	case "focus":
		v.mu.Lock()
		s := v.subs[r.ID]
		v.mu.Unlock()
		switch {
		case s == nil || s.what != whatAgents:
			return v.send(errorMessage(r.ID, "unknown_id", "no subscription of agents has this id"))
		case len(r.Agents) > focusMax:
			return v.send(errorMessage(r.ID, "limit", fmt.Sprintf("%d agents at most may be in focus", focusMax)))
		}
		s.focusOn(v.h.numbersOf(r.Agents))
		return nil
	case "unsubscribe":
		v.mu.Lock()
		s := v.subs[r.ID]
		delete(v.subs, r.ID)
		v.mu.Unlock()
		if s == nil {
			return v.send(errorMessage(r.ID, "unknown_id", "no subscription has this id"))
		}
		v.h.drop(s)
		return nil
	}
	return v.send(errorMessage(r.ID, "unknown_op", "want subscribe, request, focus, unsubscribe or ping"))
}

// Ready tells the hub that Send may succeed again after ErrBusy. The hub also
// tries by itself.
func (v *Viewer) Ready() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.subs {
		v.h.run.push(s)
	}
}

// Close ends the viewer's subscriptions; Send is not called once it returned.
func (v *Viewer) Close() {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return
	}
	v.closed = true
	subs := v.subs
	v.subs = nil
	v.mu.Unlock()
	v.sending.Lock()
	v.over = true
	v.sending.Unlock()
	for _, s := range subs {
		v.h.drop(s)
	}
	v.h.mu.Lock()
	delete(v.h.viewers, v)
	v.h.mu.Unlock()
}

// end ends a subscription that cannot go on, and says why.
func (v *Viewer) end(s *sub, code, detail string) {
	_ = v.send(errorMessage(s.id, code, detail))
	v.mu.Lock()
	if v.subs[s.id] == s {
		delete(v.subs, s.id)
	}
	v.mu.Unlock()
	v.h.drop(s)
}

// Reached returns the offset from which a subscription to events goes on: all that it wants of what
// lies below has been sent. 0 is not known.
func (v *Viewer) Reached(id int64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.subs[id]; s != nil && !s.latest {
		return s.reached.Load()
	}
	return 0
}

func (h *Hub) drop(s *sub) {
	h.mu.Lock()
	delete(h.subs, s)
	h.mu.Unlock()
	s.stop()
}

func (v *Viewer) subscribe(r *request) error {
	refuse := func(code, detail string) error { return v.send(errorMessage(r.ID, code, detail)) }
	s := &sub{h: v.h, v: v, id: r.ID, credits: CreditsDefault}
	switch r.What {
	case "agents":
		s.what = whatAgents
	case "events":
		s.what = whatEvents
	case "fleet":
		s.what = whatFleet
	default:
		return refuse("what", "want agents, events or fleet")
	}
	switch r.Mode {
	case "", "all", "latest":
		s.latest = r.Mode == "latest" || s.what != whatEvents
	default:
		return refuse("mode", "want all or latest")
	}
	if r.Credits != nil {
		s.credits = min(max(*r.Credits, 0), creditsMax)
	}
	var err error
	if s.filter, err = r.Filter.parse(); err != nil {
		return refuse("filter", err.Error())
	}
	if v.conn.Space != "" {
		if s.filter.space != "" && s.filter.space != v.conn.Space {
			return refuse("forbidden", "this key sees another space only")
		}
		s.filter.space = v.conn.Space
	}
	if s.from, err = parseFrom(r.From); err != nil {
		return refuse("from", err.Error())
	}
	v.mu.Lock()
	switch {
	case v.closed:
		v.mu.Unlock()
		return nil
	case v.subs[r.ID] != nil:
		v.mu.Unlock()
		return refuse("duplicate_id", "this id has a subscription")
	case len(v.subs) >= subsMax:
		v.mu.Unlock()
		return refuse("limit", "too many subscriptions on this connection")
	}
	v.subs[r.ID] = s
	v.h.mu.Lock()
	v.h.subs[s] = struct{}{}
	v.h.mu.Unlock()
	v.mu.Unlock()
	v.h.run.push(s)
	return nil
}
