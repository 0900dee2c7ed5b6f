package viewer

import (
	"eyrie/bench/child"
	"eyrie/bench/latency"
)

// Job is what a child is told first: whom to watch, and what its viewers want.
type Job struct {
	Addr    string    `json:"addr"` // of the web listener
	Key     string    `json:"key"`  // one that reads
	Kinds   [][]Watch `json:"kinds"`
	From    int       `json:"from"` // the child's viewers: [From, To); number i is of kind i modulo their count
	To      int       `json:"to"`
	Sources int       `json:"sources"` // loopback addresses to connect from
	Core    int       `json:"core"`    // pins the child to core Core-1; 0 does not
	// Centrifuge has the viewers speak the protocol of that server, as JSON: each
	// watches the one channel that its first watch names as the agent. It knows no credits.
	Centrifuge bool `json:"centrifuge"`
}

// Watch is one subscription of a viewer.
type Watch struct {
	What    string `json:"what"`           // events, agents or fleet
	Mode    string `json:"mode,omitempty"` // of events: all or latest
	Filter  Filter `json:"filter"`
	Credits int64  `json:"credits"` // items on their way at most; given back as they arrive
	Marks   bool   `json:"marks"`   // the probe's events are among what it sees
	// Focus are the agents of space main whose rows come first. It is said again with
	// each request for more, as a page does while its rows move.
	Focus []string `json:"focus,omitempty"`
}

// Filter is the filter of a subscription.
type Filter struct {
	Space string   `json:"space,omitempty"`
	Agent string   `json:"agent,omitempty"`
	Type  []string `json:"type,omitempty"`
	Run   string   `json:"run,omitempty"`
	Q     string   `json:"q,omitempty"`
}

// CreditsDefault is enough for half a second of a busy fleet, the longest that the
// server keeps events together.
const CreditsDefault = 16_384

// all tells whether nothing may be left out of what a watch sees.
func (w *Watch) all() bool { return w.What == "events" && w.Mode != "latest" }

// message is the request for the subscription.
func (w *Watch) message(id int) []byte {
	m := struct {
		Op      string `json:"op"`
		ID      int    `json:"id"`
		What    string `json:"what"`
		Mode    string `json:"mode,omitempty"`
		Filter  Filter `json:"filter"`
		Credits int64  `json:"credits"`
	}{"subscribe", id, w.What, w.Mode, w.Filter, w.Credits}
	return child.Line(m)
}

// focus is the request that names the rows in sight; nil without any.
func (w *Watch) focus(id int) []byte {
	if len(w.Focus) == 0 {
		return nil
	}
	type name struct {
		Space string `json:"space"`
		ID    string `json:"id"`
	}
	m := struct {
		Op     string `json:"op"`
		ID     int    `json:"id"`
		Agents []name `json:"agents"`
	}{Op: "focus", ID: id}
	for _, a := range w.Focus {
		m.Agents = append(m.Agents, name{"main", a})
	}
	return child.Line(m)
}

// Orders of a parent. Each is answered once.
const (
	doOpen   = "open"   // hold To viewers; the answer comes when all are subscribed
	doBegin  = "begin"  // count from here on; the probe's events count by when they were due
	doEnd    = "end"    // count no more, but for the latency of what was due before
	doLook   = "look"   // tell which of the probe's events every viewer has seen
	doResult = "result" // tell what was counted
)

type order struct {
	Do string `json:"do"`
	To int    `json:"to,omitempty"`
}

type answer struct {
	Error  string  `json:"error,omitempty"`
	Seen   uint64  `json:"seen"`
	Result *Result `json:"result,omitempty"`
}

// Result is what was seen between begin and end, of all viewers together.
type Result struct {
	Items    uint64            `json:"items"` // events or rows delivered
	Messages uint64            `json:"messages"`
	Bytes    uint64            `json:"bytes"`   // with WebSocket headers
	Latency  latency.Histogram `json:"latency"` // of the probe's events that were due meanwhile: from then to the viewer
	Left     uint64            `json:"left"`    // of the probe's events, replaced by newer ones, which mode latest is for
	CPU      int64             `json:"cpu_ns"`  // of the children
	Closed   uint64            `json:"closed"`  // viewers lost since the beginning
	Errors   []string          `json:"errors,omitempty"`
}

// Merge adds what another child saw.
func (r *Result) Merge(o *Result) {
	r.Items += o.Items
	r.Messages += o.Messages
	r.Bytes += o.Bytes
	r.Latency.Merge(&o.Latency)
	r.Left += o.Left
	r.CPU += o.CPU
	r.Closed += o.Closed
	r.Errors = append(r.Errors, o.Errors...)
}

// errorsMax bounds the messages kept of one child.
const errorsMax = 10

func (r *Result) fault(s string) {
	if len(r.Errors) < errorsMax {
		r.Errors = append(r.Errors, s)
	}
}
