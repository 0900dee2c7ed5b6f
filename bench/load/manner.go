package load

import "eyrie/engine/wire"

// Manner is how links of an overload behave, by their number modulo manners.
type Manner int

// The manners.
const (
	Keeps    Manner = iota // allows nothing to be shed, keeps what it cannot send
	Yields                 // allows every class to be shed that may be
	YieldLow               // allows the lowest class
	GivesUp                // allows nothing, gives numbers up once waitingMax frames wait
	manners
)

// MannerOf tells the manner of a link.
func MannerOf(conn int) Manner { return Manner(conn % int(manners)) }

// Sheddable are the classes that a link allows to be shed.
func (m Manner) Sheddable() []wire.Prio {
	switch m {
	case Yields:
		return []wire.Prio{wire.PrioLow, wire.PrioNormal, wire.PrioHigh}
	case YieldLow:
		return []wire.Prio{wire.PrioLow}
	}
	return nil
}

// Book is what a link of an overload says it did with its numbers.
type Book struct {
	Conn    int    `json:"conn"`
	Sent    uint64 `json:"sent"`    // numbered, given up ones included
	Acked   uint64 `json:"acked"`   // highest number acknowledged
	Refused uint64 `json:"refused"` // told refused
	Shed    uint64 `json:"shed"`    // told shed
	Lost    uint64 `json:"lost"`    // given up
	Waiting uint64 `json:"waiting"` // offered, never numbered: still held
}
