//go:build linux

package netpoll

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Poll is a set of loops that share listeners. Its methods may be called from
// any goroutine but those of the loops.
type Poll struct {
	cfg   Config
	loops []*Loop
	n     *counters

	mu      sync.Mutex
	started bool
	down    bool
	running sync.WaitGroup
}

// New makes the loops with their descriptors; nothing runs before Start.
func New(cfg Config, nh NewHandler) (*Poll, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Poll{cfg: cfg}
	p.n = newCounters(cfg.Metrics, p)
	for i := range cfg.Loops {
		l := &Loop{poll: p, index: i, ep: -1, wakeFD: -1, spare: -1}
		if cfg.Tables != nil {
			l.thread = cfg.Tables.Thread(i)
		}
		l.here(func() { err = l.make() })
		if err != nil {
			for _, l := range p.loops {
				l.here(l.shut)
			}
			return nil, err
		}
		p.loops = append(p.loops, l)
	}
	for _, l := range p.loops {
		l.h = nh(l)
		if cfg.Transform != nil {
			l.tf = cfg.Transform(l)
		}
	}
	return p, nil
}

// Loops returns the loops by index.
func (p *Poll) Loops() []*Loop { return p.loops }

// Conns is the number of connections on all loops.
func (p *Poll) Conns() int {
	n := 0
	for _, l := range p.loops {
		n += int(l.slab.live.Load())
	}
	return n
}

func (p *Poll) heldBytes() int {
	n := 0
	for _, l := range p.loops {
		n += int(l.held.Load())
	}
	return n
}

// Start runs the loops, each as a goroutine locked to a thread. A second call
// does nothing.
func (p *Poll) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.down {
		return
	}
	p.started = true
	for _, l := range p.loops {
		p.running.Add(1)
		run := func() {
			defer p.running.Done()
			l.run()
		}
		if l.thread != nil {
			l.thread.Go(run)
		} else {
			go run()
		}
	}
}

// StopAccepting closes every listener, after accepting what already waits on
// it. It returns when that is done.
func (p *Poll) StopAccepting() {
	p.onLoops(func(l *Loop) { l.closeListeners() })
}

// Shutdown stops accepting, closes every connection as CloseAfterFlush does,
// and ends the loops once all are gone. When ctx is done first, what is left is
// aborted and ctx's error returned. A second call returns ErrShutdown.
func (p *Poll) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return ErrShutdown
	}
	p.down = true
	started := p.started
	p.mu.Unlock()
	if !started {
		for _, l := range p.loops {
			l.here(l.shut)
		}
		return nil
	}
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	p.post(func(l *Loop) {
		l.closeListeners()
		l.leaving = true
		l.slab.each(func(slot uint32, c *conn) { l.CloseAfterFlush(makeHandle(l.index, c.gen, slot)) })
	})
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	p.post(func(l *Loop) {
		l.slab.each(func(slot uint32, c *conn) { l.Abort(makeHandle(l.index, c.gen, slot)) })
	})
	<-done
	return ctx.Err()
}

// post runs fn on every loop's thread, soon.
func (p *Poll) post(fn func(l *Loop)) {
	for _, l := range p.loops {
		l.post(fn)
	}
}

// onLoops runs fn on every loop's thread, or here when they do not run, and
// waits for all of them.
func (p *Poll) onLoops(fn func(l *Loop)) {
	var all sync.WaitGroup
	for _, l := range p.loops {
		all.Go(func() { p.onLoop(l, func() { fn(l) }) })
	}
	all.Wait()
}

// onLoop runs fn on one loop's thread, or here when it does not run, and waits
// for it; false when the loop has ended, and with it its listeners.
func (p *Poll) onLoop(l *Loop, fn func()) bool {
	p.mu.Lock()
	if !p.started {
		defer p.mu.Unlock()
		l.here(fn)
		return true
	}
	p.mu.Unlock()
	done := make(chan struct{})
	if !l.post(func(*Loop) { fn(); close(done) }) {
		return false
	}
	<-done
	return true
}

// here runs fn where the loop's descriptors are known, while it does not run.
func (l *Loop) here(fn func()) {
	if l.thread != nil {
		l.thread.Do(fn)
	} else {
		fn()
	}
}

// make opens what the loop needs. On its thread, where it has one.
func (l *Loop) make() (err error) {
	defer func() {
		if err != nil {
			l.shut()
		}
	}()
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return errors.Join(errors.New("netpoll: no epoll descriptor"), err)
	}
	if l.thread != nil {
		l.wakeFD = l.thread.WakeFD()
	} else if l.wakeFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return errors.Join(errors.New("netpoll: no eventfd"), err)
	}
	if err = l.ctl(unix.EPOLL_CTL_ADD, int32(l.wakeFD), unix.EPOLLIN, wakeSlot, 0); err != nil {
		return errors.Join(errors.New("netpoll: cannot watch the eventfd"), err)
	}
	if err = l.reserve(); err != nil {
		return errors.Join(errors.New("netpoll: no descriptor to keep in reserve"), err)
	}
	cfg := &l.poll.cfg
	l.buf = make([]byte, cfg.ReadBuffer+keptMax)
	l.batch = make([]byte, 0, min(cfg.ReadBuffer, cfg.WriteMax))
	l.events = make([]unix.EpollEvent, 512)
	l.wheel.s = &l.slab
	l.stash.trim()
	l.epoch = cfg.Now()
	l.now = l.epoch
	l.trimAt = l.now + int64(trimEvery)
	return nil
}

const trimEvery = 5 * time.Second
