//go:build linux

package engine

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"eyrie/engine/admit"
	"eyrie/engine/ring"
	"eyrie/netpoll"

	"github.com/gobwas/ws"
)

// Server is the engine: netpoll's loops with WebSocket on them. Build it with
// New, then Listen and Start. All methods may be called from any goroutine.
type Server struct {
	cfg       Config
	poll      *netpoll.Poll
	loops     []*loop
	born      int64     // of Config.Poll.Now
	started   time.Time // wall clock at born
	putOff    int       // most bytes that netpoll puts off to the end of a call
	deflaters deflaters
	detached  atomic.Int64 // connections within Config.HTTP
	waiting   waiting      // those of them that ask for nothing
	behind    atomic.Int64 // bytes that generic sockets have not taken yet, all together
	stopped   chan struct{}
	running   atomic.Bool
	ending    atomic.Bool

	rates    atomic.Pointer[admit.Rates] // nil = no limits
	total    admit.SharedBucket
	blocks   admit.Blocks
	pressure pressureMeters
	control  admit.Control // of Pressure, like those below
	read     int64         // when it was told last
	swept    int64
	limited  bool
}

// New builds a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	if cfg.Gate == nil {
		return nil, errors.New("engine: Config.Gate is required")
	}
	s := newServer(cfg)
	poll, err := netpoll.New(s.cfg.Poll, func(nl *netpoll.Loop) netpoll.Handler { return s.addLoop(nl) })
	if err != nil {
		return nil, err
	}
	s.poll = poll
	return s, nil
}

// newServer is a server without loops.
func newServer(cfg Config) *Server {
	cfg.fill()
	s := &Server{
		cfg:     cfg,
		born:    cfg.Poll.Now(),
		started: cfg.Now(),
		putOff:  max(cfg.Poll.ReadBuffer, outHigh),
		stopped: make(chan struct{}),
	}
	s.pressure.show(cfg.Metrics)
	return s
}

// addLoop puts the engine on one loop; loops come in the order of their numbers.
func (s *Server) addLoop(io Transport) *loop {
	l := newLoop(s, io)
	s.loops = append(s.loops, l)
	return l
}

// Listen opens a listener on every loop; tag comes back as Request.Listener and
// as the argument of Config.HTTP (0 to 255). It returns the bound address.
func (s *Server) Listen(addr string, tag int) (netip.AddrPort, error) {
	if tag < 0 || tag > 255 {
		return netip.AddrPort{}, errors.New("engine: a listener's tag is 0 to 255")
	}
	return s.poll.Listen(addr, tag)
}

// Start runs the loops.
func (s *Server) Start() {
	s.running.Store(true)
	s.poll.Start()
}

// Conns is the number of connections on all loops.
func (s *Server) Conns() int { return s.poll.Conns() }

// Rings are the loops' rings, by loop number. Each has one consumer, which
// calls Freed after Release.
func (s *Server) Rings() []*ring.Ring {
	rs := make([]*ring.Ring, len(s.loops))
	for i, l := range s.loops {
		rs[i] = l.ring
	}
	return rs
}

// Freed tells a loop that its ring has room again. It is cheap when no link waits.
func (s *Server) Freed(loop int) {
	if l := s.loops[loop]; l.waiting.Load() {
		l.io.Wake()
	}
}

// Reply tells agents. The order of replies to one link is kept, except that
// acknowledgements of one call are merged into the last. rs and what it refers
// to are copied before Reply returns; replies to links that are gone are dropped.
func (s *Server) Reply(rs []Reply) {
	for i, l := range s.loops {
		posted := false
		for j := range rs {
			if rs[j].Link.Loop() != i {
				continue
			}
			if !posted {
				posted = true
				l.box.mu.Lock()
			}
			l.box.replies = append(l.box.replies, rs[j])
			l.box.replies[len(l.box.replies)-1].own()
		}
		if posted {
			l.box.mu.Unlock()
			l.io.Wake()
		}
	}
}

// Cut closes a link, or a generic socket, with a close code and reason.
func (s *Server) Cut(h netpoll.Handle, code ws.StatusCode, reason string) {
	i := h.Loop()
	if i >= len(s.loops) {
		return
	}
	l := s.loops[i]
	l.post(func() {
		if lk := l.links.at(h); lk != nil && lk.state >= linkHello && lk.state < linkGone {
			l.settle(lk)
			l.fail(lk, code, reason)
		}
	})
}

// post has fn run on the loop's thread.
func (l *loop) post(fn func()) {
	l.box.call(fn)
	l.io.Wake()
}

// ask runs fn on every loop and waits until all have, or the server stopped, or
// ctx is done. Without Start there is nobody to ask.
func (s *Server) ask(ctx context.Context, fn func(l *loop)) {
	if !s.running.Load() {
		return
	}
	done := make(chan struct{}, len(s.loops))
	for _, l := range s.loops {
		l.post(func() { fn(l); done <- struct{}{} })
	}
	for range s.loops {
		select {
		case <-done:
		case <-s.stopped:
			return
		case <-ctx.Done():
			return
		}
	}
}

// linksWait bounds how long Links waits for a busy loop.
const linksWait = 2 * time.Second

// Links describes every agent's link, as each loop sees its own. A loop that
// does not answer within two seconds, or is not running, is left out.
func (s *Server) Links() []LinkStat {
	ctx, cancel := context.WithTimeout(context.Background(), linksWait)
	defer cancel()
	parts := make(chan []LinkStat, len(s.loops))
	s.ask(ctx, func(l *loop) {
		var all []LinkStat
		l.links.each(func(lk *link) {
			if lk.state == linkAgent {
				all = append(all, l.stat(lk))
			}
		})
		parts <- all
	})
	var all []LinkStat
	for {
		select {
		case p := <-parts:
			all = append(all, p...)
		default:
			return all
		}
	}
}

// Quiesce stops accepting and stops reading every link, so that what is in the
// rings can be settled and acknowledged before Shutdown. It returns when no loop
// will publish another item, ItemClosed aside.
func (s *Server) Quiesce(ctx context.Context) {
	s.poll.StopAccepting()
	s.ask(ctx, (*loop).quiet)
}

// Shutdown says 1001 to every link behind what was replied before, waits until
// they are gone or ctx is done, and stops the loops; then ctx's error is
// returned. Connections handed to Config.HTTP are not its business any more.
// Rings may be read afterwards. A second call waits for the first.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.ending.Swap(true) {
		<-s.stopped
		return nil
	}
	s.Quiesce(ctx)
	for ctx.Err() == nil {
		var left atomic.Int64
		s.ask(ctx, func(l *loop) { left.Add(int64(l.ended())) })
		if left.Load() == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(drainPoll):
		}
	}
	err := s.poll.Shutdown(ctx)
	close(s.stopped)
	return err
}
