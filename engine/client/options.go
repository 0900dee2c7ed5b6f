package client

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	mathrand "math/rand/v2"
	"net"
	"time"

	"eyrie/engine/wire"

	"github.com/cenkalti/backoff/v5"
)

// Options say where and how. Only URL is required; zero values mean the defaults named.
type Options struct {
	// URL of the server: ws, wss, http or https, or host:port. Without a path it is /v1/agent.
	URL string
	// Key goes into the Authorization header.
	Key string
	// Producer numbers the events. Zero: a random one, right for a process that starts anew each time.
	Producer [16]byte
	// Epoch of this holder of the producer; a higher one fences the lower. Zero: the clock's Unix ms.
	Epoch uint64
	// First is the number to start with where the server does not know the producer. Zero: 1.
	First uint64
	// Agent declares the link's default agent; nil declares none.
	Agent *wire.Event
	// Codec of the link: MsgPack by default.
	Codec wire.Codec
	// Sheddable are the classes that the server may drop under load.
	Sheddable []wire.Prio
	Features  []string

	// MaxEvents and MaxBytes bound what is not acknowledged: 65,536 and 64 MiB. At the bound Send blocks.
	MaxEvents, MaxBytes int
	// FailFull makes Send return ErrFull at the bound instead.
	FailFull bool
	// FrameEvents and FrameBytes close a frame: 512 and 256 KiB.
	FrameEvents, FrameBytes int
	// Linger is how long an open frame waits for more while others are in flight: 2 ms. An idle link sends at once.
	Linger time.Duration
	// Ping is how often a quiet link is probed, 20 s; three without an answer cut it.
	Ping time.Duration
	// Timeout of dial, upgrade and welcome, and of each write: 15 s.
	Timeout time.Duration
	// FailFast makes Dial return the first error instead of trying until its context ends.
	FailFast bool

	// OnNack, OnShed and OnCommand are told what the server says, on the link's reader: they must not block and
	// must not call Flush. Numbers are those that Send returned.
	OnNack    func(Nack)
	OnShed    func(Shed)
	OnCommand func(wire.Command)
	// OnWelcome is told of every new link.
	OnWelcome func(wire.Welcome)
	// Log is told what a person may want to know: links up and down, refusals. Pairs follow the text, as in slog.
	Log func(text string, pairs ...any)

	// Backoff between links: exponential from 100 ms to 15 s with jitter. Where the server says how long to stay
	// away (Retry-After, the reason of a close, a goaway), that is waited at least, ten minutes at most.
	Backoff backoff.BackOff
	// Random returns 0 to 1 and spreads the waits that a server asked for: rand.Float64.
	Random func() float64
	// NetDial and TLS replace the defaults.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	TLS     *tls.Config
	// Now is the clock: time.Now.
	Now func() time.Time
}

// Nack tells that the server refused events; it is settled, nothing is sent again.
type Nack struct {
	From, To         uint64
	Code, Field, Msg string
}

// Shed tells that the server dropped events under load, as Options.Sheddable allowed.
type Shed struct {
	From, To uint64
	Class    wire.Prio
}

// Stats count since Dial.
type Stats struct {
	Connected                         bool
	Links                             uint64 // welcomes received
	Sent                              uint64 // events numbered
	Settled                           uint64 // acknowledged: stored, refused, shed or lost
	Nacked, Shed, Lost                uint64 // of these
	Resent                            uint64 // events written once more after a cut
	Frames                            uint64 // frames of events written
	UnackedEvents, UnackedBytes       int
	UnackedEventsMax, UnackedBytesMax int // the bounds
}

func (o *Options) fill() {
	set(&o.MaxEvents, 65536)
	set(&o.MaxBytes, 64<<20)
	set(&o.FrameEvents, 512)
	set(&o.FrameBytes, 256<<10)
	set(&o.Linger, 2*time.Millisecond)
	set(&o.Ping, 20*time.Second)
	set(&o.Timeout, 15*time.Second)
	set(&o.First, 1)
	o.FrameEvents = min(o.FrameEvents, wire.MaxFrameEvents)
	o.FrameBytes = min(o.FrameBytes, frameBytesMax)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Epoch == 0 {
		o.Epoch = uint64(max(o.Now().UnixMilli(), 1))
	}
	if o.Producer == ([16]byte{}) {
		rand.Read(o.Producer[:]) // never fails
		o.Producer[6] = o.Producer[6]&0x0f | 0x40
		o.Producer[8] = o.Producer[8]&0x3f | 0x80
	}
	if o.Backoff == nil {
		o.Backoff = &backoff.ExponentialBackOff{InitialInterval: 100 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 1.7, MaxInterval: 15 * time.Second}
	}
	if o.Random == nil {
		o.Random = mathrand.Float64
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	o.Backoff.Reset()
}

func set[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
