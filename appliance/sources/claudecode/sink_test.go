package claudecode

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"eyrie/engine/wire"
)

// store stands for a server: it commits events and position together and keeps them between runs.
type store struct {
	mu      sync.Mutex
	pos     []byte
	events  []wire.Event
	frames  int
	failAt  int // the frame that is refused, from 1; 0 = none
	arrived chan struct{}
}

var errCut = errors.New("link cut")

func (s *store) Welcome(context.Context) ([]byte, error) { return slices.Clone(s.pos), nil }
func (s *store) Flush(context.Context) error             { return nil }

func (s *store) Send(_ context.Context, evs []wire.Event, pos []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	if s.frames == s.failAt {
		return errCut
	}
	for _, e := range evs {
		var c wire.Event // a copy that shares nothing with the sender
		if err := wire.DecodeEvent(e.AppendMsgpack(nil), &c); err != nil {
			return err
		}
		s.events = append(s.events, c)
	}
	if pos != nil {
		s.pos = slices.Clone(pos)
	}
	if s.arrived != nil {
		select {
		case s.arrived <- struct{}{}:
		default:
		}
	}
	return nil
}

func (s *store) all() []wire.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// once runs a follower over root to the end of the history and returns what it added.
func once(t *testing.T, s *store, root string, edit ...func(*FollowOptions)) ([]wire.Event, []Report) {
	t.Helper()
	var reports []Report
	o := FollowOptions{Root: root, Host: "nest", Once: true, Report: func(r Report) { reports = append(reports, r) }}
	for _, f := range edit {
		f(&o)
	}
	before := len(s.all())
	if _, err := Follow(context.Background(), s, o); err != nil {
		t.Fatal(err)
	}
	added := s.all()[before:]
	for i := range added {
		if err := added[i].Check(); err != nil {
			t.Fatalf("the server would refuse %s: %v", added[i].AppendJSON(nil), err)
		}
	}
	return added, reports
}
