//go:build linux

package echo

import (
	"sync/atomic"
	"time"

	"eyrie/engine"
	"eyrie/engine/ring"
)

// sink is the other end of the rings: one goroutine that takes what is in them
// and drops it. Under load it looks every dropEvery, so that loops need not
// wake it for each turn; without, it sleeps until a loop has something.
type sink struct {
	idle  atomic.Bool // asleep: a loop that publishes wakes it
	wake  chan struct{}
	ended chan struct{}
}

const dropEvery = time.Millisecond

func newSink() *sink { return &sink{wake: make(chan struct{}, 1), ended: make(chan struct{})} }

// notify is called on loops when a ring has something.
func (s *sink) notify() {
	if s.idle.Load() && s.idle.CompareAndSwap(true, false) {
		s.wake <- struct{}{} // there is room: who sets idle has emptied it
	}
}

func (s *sink) stop() { close(s.ended) }

// drop works until stop.
func (s *sink) drop(srv *engine.Server) {
	rings := srv.Rings()
	tick := time.NewTicker(dropEvery)
	defer tick.Stop()
	for {
		if dropAll(srv, rings) {
			select {
			case <-tick.C:
				continue
			case <-s.ended:
				return
			}
		}
		tick.Stop()
		s.idle.Store(true)
		if dropAll(srv, rings) && s.idle.CompareAndSwap(true, false) {
			tick.Reset(dropEvery)
			continue
		}
		select {
		case <-s.wake:
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
