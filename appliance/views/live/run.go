package live

import "sync"

// queue holds the subscriptions that a reader should look at. A subscription
// is in it once; one that is pushed while a reader has it comes again.
type queue struct {
	mu     sync.Mutex
	wake   sync.Cond
	list   []*sub
	closed bool
}

func (q *queue) init() { q.wake.L = &q.mu }

func (q *queue) push(s *sub) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed || s.queued:
	case s.running:
		s.again = true
	default:
		s.queued = true
		q.list = append(q.list, s)
		q.wake.Signal()
	}
}

// pop waits for the next subscription; nil once the queue is closed.
func (q *queue) pop() *sub {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return nil
	}
	s := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	s.queued, s.running, s.again = false, true, false
	return s
}

// done gives a subscription back; more says that it has still something to do.
func (q *queue) done(s *sub, more bool) {
	q.mu.Lock()
	s.running = false
	more = more || s.again
	q.mu.Unlock()
	if more {
		q.push(s)
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.list = nil
	q.mu.Unlock()
	q.wake.Broadcast()
}

// read is one reader: it serves whichever subscription is due.
func (h *Hub) read() {
	defer h.done.Done()
	var r reader
	for {
		s := h.run.pop()
		if s == nil {
			return
		}
		at := h.o.Now()
		more := s.serve(&r)
		h.spent.Add(int64(h.o.Now().Sub(at)))
		h.run.done(s, more)
	}
}
