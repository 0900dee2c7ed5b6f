package load

import (
	"eyrie/bench/latency"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Job is what a child is told first: whom to connect to and as whom.
type Job struct {
	Addr    string         `json:"addr"` // of the ingest listener
	Key     string         `json:"key"`
	Codec   wire.Codec     `json:"codec"`
	Shape   workload.Shape `json:"shape"`
	From    int            `json:"from"` // the child's connections: [From, To) of the shape
	To      int            `json:"to"`
	Sources int            `json:"sources"` // loopback addresses to connect from
	Source  byte           `json:"source"`  // last byte of the first of them; 0 is 2
	// Touch has each link send one event on its own once it is welcome.
	Touch bool `json:"touch"`
	// Reconnect keeps what is not acknowledged, comes back after a loss of the
	// link and sends it again. Ledger is a file that gets every acknowledgement.
	Reconnect bool   `json:"reconnect"`
	Ledger    string `json:"ledger"`
	// Handshakes is how many a child has under way at once; 0 is 64.
	Handshakes int `json:"handshakes"`
	// Encoded makes that many frames for each link in advance and sends them
	// again and again; an open loop offers them whatever the server takes, and
	// what it does not take waits (see Manner). MessagePack only. Critical makes
	// them one CRITICAL event each.
	Encoded  int  `json:"encoded"`
	Critical bool `json:"critical"`
	// Core pins the child to core Core-1; 0 does not.
	Core int `json:"core"`
}

// Orders of a parent.
const (
	doOpen = "open" // hold To links
	doRun  = "run"  // send: Rate events a second, or Window frames at once per link
	doPace = "pace" // go on at another Rate, as it was begun: on schedule
	doLook = "look" // answer what was seen since the last look, or since run
	doStop = "stop" // send nothing new; answer once everything is acknowledged
	doWait = "wait" // answer once every link was lost, is welcome again and has caught up
	doCut  = "cut"  // the same, and reset every link now
)

type order struct {
	Do     string  `json:"do"`
	To     int     `json:"to,omitempty"`
	Rate   float64 `json:"rate,omitempty"`
	Window int     `json:"window,omitempty"`
}

// Answers of a child.
const (
	saysOpen     = "open"
	saysProgress = "progress"
	saysLooked   = "looked"
	saysStopped  = "stopped"
	saysBack     = "back"
	saysFailed   = "failed"
)

type answer struct {
	Says   string  `json:"says"`
	Error  string  `json:"error,omitempty"`
	Result *Result `json:"result,omitempty"`
}

// Result is what was seen between run and stop.
type Result struct {
	Events     uint64            `json:"events"` // acknowledged
	Frames     uint64            `json:"frames"`
	Bytes      uint64            `json:"bytes"` // written, with WebSocket headers
	FirstSend  int64             `json:"first_send_ns"`
	LastAck    int64             `json:"last_ack_ns"` // Unix ns
	Latency    latency.Histogram `json:"latency"`     // of frames: from when each was due to its ack
	Nacked     uint64            `json:"nacked"`
	Shed       uint64            `json:"shed"`
	Reconnects uint64            `json:"reconnects"`
	Closed     uint64            `json:"closed"` // links lost that do not come back
	Deferred   uint64            `json:"deferred"`
	Welcome    int64             `json:"welcome_ns"` // Unix ns: the last link that was lost was welcome again
	Caught     int64             `json:"caught_ns"`  // and had everything acknowledged that it held by then
	Slow       uint64            `json:"slow"`       // times that a link was asked to slow down
	Offered    uint64            `json:"offered"`    // events that an open loop of encoded frames had to send
	Books      []Book            `json:"books,omitempty"`
	Errors     []string          `json:"errors,omitempty"`
}

// errorsMax bounds the messages kept of one child.
const errorsMax = 10

// Merge adds what another child saw.
func (r *Result) Merge(o *Result) {
	r.Events += o.Events
	r.Frames += o.Frames
	r.Bytes += o.Bytes
	if r.FirstSend == 0 || o.FirstSend != 0 && o.FirstSend < r.FirstSend {
		r.FirstSend = o.FirstSend
	}
	r.LastAck = max(r.LastAck, o.LastAck)
	r.Latency.Merge(&o.Latency)
	r.Nacked += o.Nacked
	r.Shed += o.Shed
	r.Reconnects += o.Reconnects
	r.Closed += o.Closed
	r.Deferred += o.Deferred
	r.Welcome, r.Caught = max(r.Welcome, o.Welcome), max(r.Caught, o.Caught)
	r.Slow += o.Slow
	r.Offered += o.Offered
	r.Books = append(r.Books, o.Books...)
	r.Errors = append(r.Errors, o.Errors...)
}

// since returns what was seen after r was as earlier.
func (r *Result) since(earlier *Result) *Result {
	return &Result{
		Events: r.Events - earlier.Events, Frames: r.Frames - earlier.Frames, Bytes: r.Bytes - earlier.Bytes,
		FirstSend: r.FirstSend, LastAck: r.LastAck, Latency: r.Latency.Since(&earlier.Latency),
		Nacked: r.Nacked - earlier.Nacked, Shed: r.Shed - earlier.Shed, Reconnects: r.Reconnects - earlier.Reconnects,
		Closed: r.Closed - earlier.Closed, Deferred: r.Deferred - earlier.Deferred, Slow: r.Slow - earlier.Slow,
		Offered: r.Offered - earlier.Offered, Errors: r.Errors[len(earlier.Errors):],
	}
}

func (r *Result) fault(s string) {
	if len(r.Errors) < errorsMax {
		r.Errors = append(r.Errors, s)
	}
}
