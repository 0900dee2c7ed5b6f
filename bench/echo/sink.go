//go:build linux

package echo

import (
	"sync/atomic"
	"time"

	"eyrie/engine"
	"eyrie/engine/ring"
)

// sink is the other end of the rings: one goroutine that takes what is in them
// and drops it. Under load it looks every dropEvery, or when a ring holds
// dropBytes, so that loops need not wake it for each turn and what it takes is
// still in the cache; without, it sleeps until a loop has something.
type sink struct {
	rings []*ring.Ring
	idle  atomic.Bool // asleep: a loop that publishes wakes it
	wake  chan struct{}
	ended chan struct{}
}

const (
	dropEvery = time.Millisecond
	dropBytes = 256 << 10
)

func newSink() *sink { return &sink{wake: make(chan struct{}, 1), ended: make(chan struct{})} }

// notify is called on loops when a ring has something.
func (s *sink) notify() {
	if s.idle.Load() && s.idle.CompareAndSwap(true, false) || s.much() {
		select {
		case s.wake <- struct{}{}:
		default: // it is woken already
		}
	}
}

func (s *sink) much() bool {
	for _, r := range s.rings {
		if r.Used() >= dropBytes {
			return true
		}
	}
	return false
}

func (s *sink) stop() { close(s.ended) }

// drop works until stop.
func (s *sink) drop(srv *engine.Server) {
	tick := time.NewTicker(dropEvery)
	defer tick.Stop()
	for {
		if dropAll(srv, s.rings) {
			select {
			case <-tick.C:
				continue
			case <-s.wake:
				continue
			case <-s.ended:
				return
			}
		}
		tick.Stop()
		s.idle.Store(true)
		if dropAll(srv, s.rings) && s.idle.CompareAndSwap(true, false) {
			tick.Reset(dropEvery)
			continue
		}
		select {
		case <-s.wake:
			s.idle.Store(false)
			tick.Reset(dropEvery)
		case <-s.ended:
			return
		}
	}
}

// dropAll empties the rings; true if there was something.
func dropAll(srv *engine.Server, rings []*ring.Ring) (some bool) {
	for i, r := range rings {
		n := 0
		for {
			if _, ok := r.Next(); !ok {
				break
			}
			n++
		}
		if n > 0 {
			some = true
			r.Release()
			srv.Freed(i)
		}
	}
	return some
}
