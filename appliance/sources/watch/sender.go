package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"eyrie/appliance/sources"
	"eyrie/engine/wire"
)

// queueEvents bounds what waits for the server. At the bound lines are counted instead of kept (offer), and so
// are, beyond a reserve, the few other events (put).
const (
	queueEvents   = 2048
	queueReserved = 64
)

// sender sends from a goroutine of its own, so that nothing of the program waits for the server.
type sender struct {
	sink   sources.Sink
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	queue   []wire.Event
	wake    chan struct{}
	closed  bool
	dropped int
}

func startSender(sink sources.Sink) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{sink: sink, cancel: cancel, done: make(chan error, 1), wake: make(chan struct{}, 1)}
	go func() { s.done <- s.run(ctx) }()
	return s
}

// offer queues an event unless too many wait.
func (s *sender) offer(e wire.Event) bool { return s.add(e, queueEvents-queueReserved) }

// put queues an event that is not one of many.
func (s *sender) put(e wire.Event) { s.add(e, queueEvents) }

func (s *sender) add(e wire.Event, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) >= most {
		if most == queueEvents {
			// Make room: the oldest measurement or line says less than what comes now.
			for i := range s.queue {
				if t := s.queue[i].Type; t == wire.TypeMetrics || t == wire.TypeLog {
					s.queue = append(s.queue[:i], s.queue[i+1:]...)
					break
				}
			}
			s.dropped++
		} else {
			return false
		}
	}
	s.queue = append(s.queue, e)
	s.signal()
	return true
}

func (s *sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns up to a frame of events; last says that nothing will follow them.
func (s *sender) take(dst []wire.Event) (evs []wire.Event, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), 64) // lines of lineBytesMax: well within a frame
	evs = append(dst[:0], s.queue[:n]...)
	s.queue = append(s.queue[:0], s.queue[n:]...)
	return evs, s.closed && len(s.queue) == 0
}

func (s *sender) run(ctx context.Context) error {
	if _, err := s.sink.Welcome(ctx); err != nil {
		return err
	}
	var evs []wire.Event
	for {
		var last bool
		if evs, last = s.take(evs); len(evs) > 0 {
			if err := s.sink.Send(ctx, evs, nil); err != nil {
				return err
			}
		}
		if last {
			return s.sink.Flush(ctx)
		}
		if len(evs) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		}
	}
}

// finish sends what is queued and waits for the server, at most that long.
func (s *sender) finish(linger time.Duration) error {
	s.mu.Lock()
	s.closed = true
	dropped := s.dropped
	s.mu.Unlock()
	s.signal()
	t := time.AfterFunc(linger, s.cancel)
	defer t.Stop()
	err := <-s.done
	s.cancel()
	if errors.Is(err, context.Canceled) {
		err = errors.New("the server did not answer in time")
	}
	if err == nil && dropped > 0 {
		err = errors.New("measurements were dropped while the server was away")
	}
	return err
}
