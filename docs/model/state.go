package model

import "fmt"

// The bounds that are fixed by the shape of a state.
const (
	numbersMax = 4 // numbers that lives give to events
	lives      = 2
	linksMax   = 3 // sockets at a time, those that the client left included
	queueMax   = 3 // messages in flight in one direction
)

// Kind says what a message is.
type Kind uint8

// The messages: three of the producer, the rest of the server.
const (
	Hello    Kind = 1 + iota // N is first
	Event                    // N its number, X the life that made it
	Lost                     // N is given up
	Welcome                  // N is next, X the log's epoch
	Ack                      // up to N, X the log's epoch
	Conflict                 // nack: N is settled otherwise
	Gap                      // nack: numbers before N are missing
	Refused                  // nack: N was refused
	Shed                     // N was shed
	Fenced                   // close 4000
	EpochLow                 // close 4001
)

var kindNames = [...]string{"none", "hello", "event", "lost", "welcome", "ack", "conflict", "gap", "refused", "shed", "fenced", "epoch low"}

// Msg is a message in flight. The zero Msg is none.
type Msg struct {
	Kind Kind
	N, X uint8
}

func (m Msg) String() string { return fmt.Sprintf("%s %d/%d", kindNames[m.Kind], m.N, m.X) }

type queue [queueMax]Msg

func (q *queue) len() int {
	n := 0
	for n < queueMax && q[n].Kind != 0 {
		n++
	}
	return n
}

func (q *queue) push(m Msg) bool {
	n := q.len()
	if n == queueMax {
		return false
	}
	q[n] = m
	return true
}

func (q *queue) pop() Msg {
	m := q[0]
	copy(q[:], q[1:])
	q[queueMax-1] = Msg{}
	return m
}

func (q *queue) cut(keep int) {
	for i := keep; i < queueMax; i++ {
		q[i] = Msg{}
	}
}

// fate is what the log says of a number: how it was settled, and whose event
// that was (0: nobody's, a gap).
type fate struct {
	how Kind // 0, Event, Refused, Shed or Lost
	by  uint8
}

// table is what the log knows of the producer.
type table struct {
	Known bool
	Epoch uint8 // of the newest fence
	Next  uint8
	Fates [numbersMax + 1]fate // by number
	Hist  uint8                // the log's epoch
	Inc   uint8                // how often the producer was forgotten
}

// link is one socket, with what is in flight on it.
type link struct {
	Life   uint8 // who opened it, from 1; 0 is a free slot
	Age    uint8 // among the links of its life, later is higher
	Left   bool  // the client has gone
	Gone   bool  // the server has gone
	Bound  bool  // its hello was taken
	Fenced bool
	Up     queue // to the server
	Down   queue // to the client
	Owed   queue // said once the commit is durable
}

// life is one process with the producer's id. Its epoch is its place.
type life struct {
	Born, Dead bool
	Over       bool // it was told that another speaks for the producer
	Met        bool // it knows where its numbers stand
	Hist       uint8
	Doubt      uint8 // numbers up to it are settled by acks alone, never by next
	Doubted    bool  // with Rules.TrustSecond: the welcome that raised Doubt was the last
	Next       uint8 // number of the next event
	Held       [numbersMax + 1]uint8
	Link       uint8 // 1 + its link, 0 for none
	Welcomed   bool
	Sent       uint8 // numbers below it went out on this link
	Given      uint8 // bits of numbers given up
	Told       uint8 // bits of numbers that were told to be settled otherwise
}

// Budget bounds what happens from outside.
type Budget struct {
	Numbers                                                          uint8 // at most numbersMax
	Links                                                            uint8 // at a time, at most linksMax
	Cuts, Crashes, Restores, Expiries, Resends, Gives, Sheds, Births uint8
}

// State is one state of the whole. Two equal states behave alike.
type State struct {
	Lives  [lives]life
	Links  [linksMax]link
	Holder uint8 // 1 + the link that speaks for the producer, 0 for none
	Mem    table
	Dur    table
	Bak    table // the backup; Hist 0: none was taken
	Left   Budget
	// Acked has, of each life, bits of the events whose ack was taken in and
	// which are stored in this epoch of the log. No rule reads it.
	Acked [lives]uint8
}

// Start is the state in which life 1 begins, with a log that is new.
func Start(b Budget) State {
	s := State{Left: b}
	s.Lives[0] = life{Born: true}
	s.Mem = table{Next: 1, Hist: 1}
	s.Dur = s.Mem
	return s
}

// bad says which event a server refuses.
func bad(by, n uint8) bool { return by == 1 && n == 2 }

func (l *life) on() bool { return l.Born && !l.Dead && !l.Over }

// first is the lowest number held.
func (l *life) first() uint8 {
	for n := uint8(1); n <= numbersMax; n++ {
		if l.Held[n] != 0 {
			return n
		}
	}
	return max(l.Next, 1)
}

func (l *life) idle() bool { return l.first() == max(l.Next, 1) }
