package live

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/engine/wire"
	"eyrie/wal"
)

const (
	whatAgents = iota
	whatEvents
	whatFleet
)

// sub is one subscription. A reader serves it at most one at a time; fields
// below served are that reader's, those below mu are shared.
type sub struct {
	h      *Hub
	v      *Viewer
	id     int64
	what   uint8
	latest bool
	filter filter
	from   origin

	queued, running, again bool // the queue's

	mu      sync.Mutex
	credits int64
	stopped bool
	timer   *time.Timer
	armed   time.Time // when the timer fires
	resting bool      // it waits for rows that are not in focus
	dirty   bits
	focus   []uint32 // rows that are sent before all others
	urgent  bool     // one of them may be dirty
	only    []uint32 // of one agent: its numbers, in every space,
	looked  uint32   // as they were when the numbers of all ended here

	// served
	started  bool
	snapshot bool
	cursor   uint32 // row to look at next
	shown    bits
	sent     time.Time
	gap      time.Duration
	restAt   time.Time     // when rows that are not in focus are due again
	busy     time.Duration // how long it waited the last time, 0 when it was not busy
	unsent   int           // bytes of the message that the viewer was too busy for; 0: none
	follow   *wal.Follower
	next     uint64            // offset
	reached  atomic.Uint64     // next: what lies below was sent, or is not wanted
	pending  map[uint32][]byte // newest event per agent
	order    []uint32          // of pending
	mine     []uint32          // numbers of the one agent that is wanted,
	mineTo   uint32            // as they were when those of all ended here
	known    bits              // agents whose names were held against the filter
	admitted bits              // of these, the ones that it lets through
}

// reader is what one goroutine of readers keeps between subscriptions.
type reader struct {
	view wire.View
	out  []byte
	nums []uint32
	row  eventRow
}

// serve does what is due for the subscription and reports whether more is.
func (s *sub) serve(r *reader) bool {
	if s.isStopped() {
		return false
	}
	if s.what != whatEvents && s.h.shown.Load() == nil {
		return false // Show pushes it again
	}
	if keeps := s.started && s.what == whatEvents && s.latest; !keeps && s.full() {
		return false // where the newest are kept, that goes on meanwhile
	}
	if !s.started {
		if err := s.begin(); err != nil {
			if !errors.Is(err, ErrBusy) && !errors.Is(err, errClosed) && s.h.ctx.Err() == nil {
				s.v.end(s, "from", "the log cannot be read where this begins")
				return false
			}
			s.refused(err)
			return false
		}
	}
	switch s.what {
	case whatAgents:
		return s.agents(r)
	case whatFleet:
		return s.fleet(r)
	}
	return s.events(r)
}

// full tells, without making it, whether the viewer cannot take now what it could not take
// before; then the subscription waits.
func (s *sub) full() bool {
	if s.unsent == 0 || s.v.conn.Full == nil || !s.v.conn.Full(min(s.unsent, pageBytes)) {
		return false
	}
	s.refused(ErrBusy)
	return true
}

// send is the viewer's, and notes the size of what that cannot take.
func (s *sub) send(p []byte) error {
	err := s.v.send(p)
	if s.unsent = 0; errors.Is(err, ErrBusy) {
		s.unsent = len(p)
	}
	return err
}

// begin settles where the subscription starts and says so.
func (s *sub) begin() error {
	s.gap = gapMin
	off, recovered, err := s.origin()
	if err != nil {
		return err
	}
	if err := s.send(subscribedMessage(s.id, off, recovered)); err != nil {
		return err
	}
	s.started, s.next = true, off
	if s.what == whatAgents {
		s.snapshot = true
		s.mu.Lock()
		if n := s.h.shown.Load().Agents.Numbers(); s.filter.agent == "" {
			s.dirty.fill(n)
		} else {
			s.find(n)
			for _, num := range s.only {
				s.dirty.set(num)
			}
		}
		s.urgent = len(s.focus) > 0
		s.mu.Unlock()
	}
	return nil
}

// refused handles a Send that failed: it waits and tries again, or gives up.
func (s *sub) refused(err error) {
	if errors.Is(err, ErrBusy) {
		s.gap = min(max(s.gap, gapMin)*2, gapMax)
		s.busy = min(max(2*s.busy, busyMin), busyMax)
		s.arm(s.busy)
		return
	}
	s.stop()
}

func (s *sub) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *sub) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// arm has the subscription served again after d; what is armed for later gives way.
func (s *sub) arm(d time.Duration) { s.armFor(d, false) }

func (s *sub) armFor(d time.Duration, resting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.h.o.Now().Add(d)
	if s.stopped || s.timer != nil && (!at.Before(s.armed) || !s.timer.Stop()) {
		return
	}
	s.armed, s.resting = at, resting
	s.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		s.timer, s.resting = nil, false
		s.mu.Unlock()
		s.h.run.push(s)
	})
}

// grant adds credits.
func (s *sub) grant(n int64) {
	s.mu.Lock()
	s.credits = min(s.credits+max(n, 0), creditsMax)
	s.mu.Unlock()
	s.h.run.push(s)
}

func (s *sub) credit() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credits
}

func (s *sub) spend(n int) {
	s.mu.Lock()
	s.credits -= int64(n)
	s.mu.Unlock()
	s.busy = 0
	s.h.sent.Add(uint64(n))
}

// find looks up the numbers of the one agent that is wanted, if there may be more of
// them than before: numbers ends all that there are. s.mu is held.
func (s *sub) find(numbers uint32) {
	if numbers > s.looked {
		s.looked, s.only = numbers, s.h.o.Log.AgentNums(s.filter.agent)
	}
}

// take notes changed agents, whose numbers are below numbers, and reports whether a
// reader should look now.
func (s *sub) take(batch bits, numbers uint32) bool {
	if s.what == whatEvents {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.what == whatFleet:
	case s.filter.agent != "": // whatever others do, nothing is to be done
		s.find(numbers)
		for _, num := range s.only {
			if batch.has(num) {
				s.dirty.set(num)
			}
		}
		if s.dirty.n == 0 {
			return false
		}
	default:
		s.dirty.or(batch)
		s.urgent = s.urgent || slices.ContainsFunc(s.focus, batch.has)
	}
	return (s.timer == nil || s.resting && s.urgent) && !s.stopped && s.credits > 0
}

// wants reports whether a reader should look at what was committed.
func (s *sub) wants() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopped && (s.latest || s.credits > 0) && (s.timer == nil || s.latest)
}

// early arms the timer where the gap since the last message is not over.
func (s *sub) early(gap time.Duration) bool {
	wait := gap - s.h.o.Now().Sub(s.sent)
	if s.sent.IsZero() || wait <= 0 {
		return false
	}
	s.arm(wait)
	return true
}

// send keeps a viewer's messages apart, and off a closed connection.
func (v *Viewer) send(p []byte) error {
	v.sending.Lock()
	defer v.sending.Unlock()
	if v.over {
		return errClosed
	}
	return v.conn.Send(p)
}

var errClosed = errors.New("live: the viewer has closed")
