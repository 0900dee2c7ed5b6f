//go:build linux

package engine

import (
	"bytes"
	"slices"
	"time"

	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// ReplyKind says what a Reply tells the agent. Zero is invalid.
type ReplyKind uint8

// The kinds.
const (
	ReplyWelcome ReplyKind = 1 + iota // Welcome
	ReplyAck                          // To: every number up to it is settled
	ReplyNack                         // From..To, Code, Field, Msg
	ReplyShed                         // From..To, Class
	ReplySlow                         // Rate
	ReplyCommand                      // Command
	ReplyGoaway                       // URL in Msg, After
	ReplyClose                        // Close, Msg: the link is closed behind what went before
)

// Reply is one thing to tell an agent. Only the fields that its kind names count.
type Reply struct {
	Link     netpoll.Handle
	Kind     ReplyKind
	From, To uint64
	Code     string
	Field    string
	Msg      string
	Class    wire.Prio // ReplyShed
	Rate     float64   // ReplySlow: events per second
	Command  *wire.Command
	After    time.Duration // ReplyGoaway
	Welcome  *wire.Welcome
	Close    ws.StatusCode
}

// own copies what a Reply only refers to.
func (r *Reply) own() {
	if r.Welcome != nil {
		w := *r.Welcome
		w.Pos = bytes.Clone(w.Pos)
		w.Features = slices.Clone(w.Features)
		r.Welcome = &w
	}
	if r.Command != nil {
		c := *r.Command
		c.Args = bytes.Clone(c.Args)
		r.Command = &c
	}
}
