package model

import "fmt"

// What says what a step does to the server, for code that is driven by steps.
type What uint8

// The deeds. Steps of clients alone are Nothing.
const (
	Nothing What = iota
	Opened       // Life opened Link, with a hello that is later than those before
	Took         // the server took Msg of Link
	Shedded      // it shed Msg of Link
	Dropped      // it passed over Msg of Link
	Reaped       // it found Link gone
	Committed
	BackedUp
	Crashed
	Restored
	Expired
)

// Deed is what a step does to the server.
type Deed struct {
	What What
	Link int
	Life uint8
	Msg  Msg
}

// do says what the step added last does.
func (t *stepper) do(d Deed) { t.out[len(t.out)-1].Deed = d }

// Bad tells whether a server refuses event n of a life.
func Bad(life, n uint8) bool { return bad(life, n) }

// Next returns the number that the server's memory expects, and the log's epoch.
func (s *State) Next() (next, epoch uint8) { return s.Mem.Next, s.Mem.Hist }

// Known tells whether the server knows the producer.
func (s *State) Known() bool { return s.Mem.Known }

// OwedTo returns what link j is told with the next commit: acks merged into the
// last, as a server does.
func (s *State) OwedTo(j int) (ms []Msg) {
	var ack Msg
	for _, m := range s.Links[j].Owed {
		switch m.Kind {
		case 0:
		case Ack:
			ack = m
		default:
			ms = append(ms, m)
		}
	}
	if ack.Kind != 0 {
		ms = append(ms, ack)
	}
	return ms
}

// LeftBy tells that the client of link j has gone, so that nobody hears what it is told.
func (s *State) LeftBy(j int) bool { return s.Links[j].Left }

// Fates tells how the numbers of the producer are settled in memory: "event"
// with the life that made it, refused, shed or lost.
func (s *State) Fates() map[uint64]string {
	m := map[uint64]string{}
	for n, f := range s.Mem.Fates {
		switch f.how {
		case 0:
		case Event:
			m[uint64(n)] = fmt.Sprintf("event %d", f.by)
		default:
			m[uint64(n)] = kindNames[f.how]
		}
	}
	return m
}
