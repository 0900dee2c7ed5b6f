package logbench

import (
	"fmt"

	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Source makes events that are all distinct, frame after frame, from senders in
// turn.
type Source struct {
	streams []*workload.Stream
	nums    map[string]uint32
	next    int // frame
	turn    int // sender of the next frame that is of no long run
	buf     []byte
	parser  wire.Parser
	items   [FrameEvents]Item
	shape   workload.Shape

	// Of the long runs, if they are wanted: see WithRuns.
	runs    bool
	run     *workload.Stream
	runConn int
	keyed   int
	found   func(id string)
}

// Shape is that of a fleet of so many agents behind Connections senders.
func Shape(seed uint64, agents int) workload.Shape {
	return workload.Shape{Seed: seed, Agents: agents, Connections: Connections, Frame: FrameEvents}
}

// NewSource returns the mix of the shape from its beginning.
func NewSource(seed uint64, agents int) *Source {
	s := &Source{shape: Shape(seed, agents), nums: agentNums(agents), streams: make([]*workload.Stream, Connections)}
	for i := range s.streams {
		s.streams[i] = workload.NewStream(s.shape, i)
	}
	return s
}

// RunEvents is how many events of a long run name it, at least; one run is begun every
// runEvery frames, and every runShare-th frame is of it until it is complete.
const (
	RunEvents = 10_000
	runEvery  = 10_000
	runShare  = 20
)

// WithRuns adds long runs to the mix; found is told of each that is complete.
func (s *Source) WithRuns(found func(id string)) { s.runs, s.found = true, found }

// Frame makes the next frame, of events that happened at ts (Unix ms), and
// returns it with its sender. It is valid until the next call.
func (s *Source) Frame(ts int64) ([]Item, int, error) {
	n := s.next
	s.next++
	if s.runs {
		if n%runEvery == 0 {
			s.runConn = n / runEvery
			s.run, s.keyed = workload.NewRun(s.shape, s.runConn), 0
		}
		if s.run != nil && n%runShare == 0 {
			items, err := s.frame(s.run, ts)
			if err != nil {
				return nil, 0, err
			}
			for i := range items {
				if items[i].Key != 0 {
					s.keyed++
				}
			}
			if s.keyed >= RunEvents {
				s.found(s.run.Run())
				s.run = nil
			}
			return items, Connections + s.runConn, nil
		}
	}
	conn := s.turn
	s.turn = (s.turn + 1) % len(s.streams)
	items, err := s.frame(s.streams[conn], ts)
	return items, conn, err
}

func (s *Source) frame(st *workload.Stream, ts int64) ([]Item, error) {
	s.buf = wire.AppendArrayHeader(s.buf[:0], FrameEvents)
	for range FrameEvents {
		s.buf = st.Append(s.buf, ts)
	}
	var m wire.Message
	if e := s.parser.ParseBatch(wire.MsgPack, s.buf, &m); e != nil {
		return nil, fmt.Errorf("a frame of the mix: %s %s", e.Field, e.Msg)
	}
	for i := range s.items {
		var h wire.Head
		payload, e, _ := s.parser.NextEvent(wire.MsgPack, &m, &h)
		if e != nil {
			return nil, fmt.Errorf("an event of the mix: %s %s", e.Field, e.Msg)
		}
		s.items[i] = Item{Agent: h.Agent, Payload: payload, Num: s.nums[string(h.Agent)], Key: h.Key, Class: uint8(h.Type), Flags: h.Flags()}
	}
	return s.items[:], nil
}

// agentNums numbers the fleet.
func agentNums(n int) map[string]uint32 {
	m := make(map[string]uint32, n)
	for i := range n {
		m[workload.AgentID(i)] = uint32(i)
	}
	return m
}
