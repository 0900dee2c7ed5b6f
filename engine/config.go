//go:build linux

package engine

import (
	"net"
	"time"

	"eyrie/engine/wire"
	"eyrie/netpoll"

	"github.com/VictoriaMetrics/metrics"
)

// Config says what a Server serves. Zero values mean the defaults named here.
type Config struct {
	Poll netpoll.Config // loops, buffers, clock

	RingBytes    int // per loop, a power of two; default 8 MiB, at least 4 MiB
	RingHeadroom int // of it for frames with CRITICAL events; default a sixteenth

	Gate    Gate                           // required
	HTTP    func(c net.Conn, listener int) // whatever is no upgrade, in a goroutine of its own; nil answers 404
	HTTPMax int                            // connections within HTTP at a time; default 4096, then the one idle longest is closed, else it is 503
	Sockets Sockets                        // may be nil
	Notify  func()                         // a ring has data; called on loops, must not block; may be nil

	HandshakeTimeout time.Duration // for the request head, and again for hello; default 10 s
	Ping             time.Duration // silence after which a ping goes out; default 30 s
	Idle             time.Duration // silence after which a link is dropped; default 90 s

	MaxFrame      int  // bytes of an agent's message; default and most wire.MaxFrame
	AgentDeflate  bool // agents may compress what they send (permessage-deflate)
	SocketMessage int  // bytes of a message from a generic socket; default 64 KiB
	SocketBacklog int  // bytes a generic socket may be behind; default 1 MiB
	BacklogAll    int  // bytes they may be behind together; the nearer, the less each may be; default 64 MiB
	JoinBytes     int  // per loop, for messages in parts; default 64 MiB

	Metrics *metrics.Set     // default a set nobody sees
	Now     func() time.Time // wall clock for LinkStat; default time.Now
}

const (
	ringBytesMin = 4 << 20
	// replySlack is outbound room beyond the sockets' backlog, for control
	// frames and for agents' replies.
	replySlack = 64 << 10
	// refusalsMax is outbound room for the nacks of one commit.
	refusalsMax = 16 << 20
)

func (c *Config) fill() {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	span := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&c.RingBytes, 8<<20)
	size := ringBytesMin
	for size < c.RingBytes {
		size <<= 1
	}
	c.RingBytes = size
	def(&c.RingHeadroom, c.RingBytes/16)
	c.RingHeadroom = min(c.RingHeadroom, c.RingBytes/4)
	def(&c.HTTPMax, 4096)
	span(&c.HandshakeTimeout, 10*time.Second)
	span(&c.Ping, 30*time.Second)
	span(&c.Idle, 90*time.Second)
	def(&c.MaxFrame, wire.MaxFrame)
	c.MaxFrame = min(c.MaxFrame, wire.MaxFrame)
	def(&c.SocketMessage, 64<<10)
	def(&c.SocketBacklog, 1<<20)
	def(&c.BacklogAll, 64<<20)
	def(&c.JoinBytes, 64<<20)
	def(&c.Poll.ReadBuffer, 256<<10)
	// A socket's answer may be as large as a message, behind a turn's others; and one commit may
	// refuse every event of some frames, each with a reason of its own. An agent with more than a
	// little waiting for it is not read, so that is the most there is.
	c.Poll.WriteMax = max(c.Poll.WriteMax, max(c.SocketBacklog, c.SocketMessage+c.Poll.ReadBuffer)+replySlack, refusalsMax)
	if c.Poll.Now == nil {
		start := time.Now()
		c.Poll.Now = func() int64 { return int64(time.Since(start)) }
	}
	if c.Metrics == nil {
		c.Metrics = metrics.NewSet()
	}
	if c.Poll.Metrics == nil {
		c.Poll.Metrics = c.Metrics
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}
