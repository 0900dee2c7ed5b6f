package workload

import "fmt"

// Source makes the events of one connection, in the order of their numbers, from 1
// on. It belongs to one goroutine.
type Source interface {
	// Append appends the payload of the next event, which happened at ts (Unix ms).
	Append(dst []byte, ts int64) []byte
	// AppendMessage appends the payload of a message of the first agent as the next
	// event, outside the mix: one that leaves nothing open behind it.
	AppendMessage(dst []byte, ts int64) []byte
	// Seq is the number of the next event.
	Seq() uint64
	// Agents are the ids of those it speaks for, known from the beginning.
	Agents() []string
}

// Kind is where events come from.
type Kind string

// The kinds.
const (
	Fleet     Kind = "fleet"     // the seeded mix of script.go; "" means it too
	Telemetry Kind = "telemetry" // metrics alone: see telemetry.go
	Recorded  Kind = "recorded"  // recorded runs, overlaid: see recorded.go
)

// Maker makes the sources of one shape. Its methods may run concurrently.
type Maker struct {
	shape Shape
	tapes []*tape
	cast  []int // copies of recordings: the tape of each
}

// NewMaker prepares what the sources of a shape share. It fails where recordings
// cannot be read, or do not fit the shape.
func NewMaker(sh Shape) (*Maker, error) {
	if err := sh.Check(); err != nil {
		return nil, err
	}
	m := &Maker{shape: sh}
	if sh.Events == Recorded {
		return m, m.load()
	}
	return m, nil
}

// Source returns the events of connection conn, before number 1.
func (m *Maker) Source(conn int) Source {
	switch m.shape.Events {
	case Telemetry:
		return newGauges(m.shape, conn)
	case Recorded:
		return m.player(conn)
	}
	return NewStream(m.shape, conn)
}

// Agents is how many agents all connections speak for: what the shape says, or of
// recorded runs the next number that they make.
func (m *Maker) Agents() int {
	if m.shape.Events != Recorded {
		return m.shape.Agents
	}
	n := 0
	for _, t := range m.cast {
		n += len(m.tapes[t].agents)
	}
	return n
}

// Mix is the mix in one line, for reports.
func (m *Maker) Mix() string {
	switch m.shape.Events {
	case Telemetry:
		return fmt.Sprintf("metrics alone, %d of each agent in turn: random walks, every other one in whole numbers of 0 to 100, the rest in hundredths; %d B of MessagePack an event", m.shape.Metrics, len(newGauges(m.shape, 0).Append(nil, 0)))
	case Recorded:
		events, bytes := 0, 0
		for _, t := range m.tapes {
			events += len(t.takes)
			for i := range t.takes {
				bytes += len(t.takes[i].payload)
			}
		}
		return fmt.Sprintf("%d recorded runs of %d events, %d B of MessagePack each in the mean, overlaid %d times to %d agents, each copy with ids and a phase of its own, again and again", len(m.tapes), events, bytes/max(events, 1), len(m.cast), m.Agents())
	}
	return Mix
}
