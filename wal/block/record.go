package block

import "encoding/binary"

// Kind says what a record is to the log itself. Zero is invalid.
type Kind uint8

// The kinds of the log. Below KindSystem they are the log's own; the numbers
// are on disk and never reused.
const (
	KindEvent        Kind = 1  // numbered by a producer, payload is the caller's
	KindAgentDict    Kind = 2  // first sight of an agent: Agent is its number, payload names it
	KindProducerDict Kind = 3  // first sight of a producer: Producer is its number, payload names it
	KindFence        Kind = 4  // a producer's session begins: Seq is its next number, payload the epoch
	KindLost         Kind = 5  // numbers Seq..To() were given up by or for the producer
	KindRefused      Kind = 6  // number Seq was refused, payload says why
	KindShed         Kind = 7  // numbers Seq..To() were shed
	KindPos          Kind = 8  // the producer's own position, opaque
	KindLink         Kind = 9  // a link opened or closed
	KindTick         Kind = 10 // the clock views go by
	KindHole         Kind = 11 // offsets that the log itself lost: payload is a Hole of package wal
	KindExpired      Kind = 12 // a producer is forgotten: Seq was its next number, payload the epoch
	KindForgotten    Kind = 13 // was an event: its payload is gone for good, the rest is as it was
	KindSystem       Kind = 16 // the caller's, without a producer's number
	KindMax          Kind = 31 // kinds fit a 32-bit mask
)

var kindNames = [...]string{
	KindEvent: "event", KindAgentDict: "agent-dict", KindProducerDict: "producer-dict", KindFence: "fence", KindLost: "lost",
	KindRefused: "refused", KindShed: "shed", KindPos: "pos", KindLink: "link", KindTick: "tick", KindHole: "hole", KindExpired: "expired", KindForgotten: "forgotten", KindSystem: "system",
}

// String names the kind; one without a name is "kind-N".
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "kind-" + string([]byte{'0' + byte(k)/100, '0' + byte(k)/10%10, '0' + byte(k)%10})
}

// Mask is the kind's bit in Header.Kinds.
func (k Kind) Mask() uint32 { return 1 << (k & 31) }

// Numbered tells whether records of the kind settle a producer's number.
func (k Kind) Numbered() bool {
	return k == KindEvent || k == KindLost || k == KindRefused || k == KindShed || k == KindForgotten
}

// StateKinds are the kinds whose payloads the log's own tables are folded from.
const StateKinds = 1<<KindAgentDict | 1<<KindProducerDict | 1<<KindFence | 1<<KindPos | 1<<KindHole | 1<<KindExpired

// Record is one record of the log with its envelope. Payload is borrowed:
// see Block.Record.
type Record struct {
	Offset   uint64 // dense from 1
	Recv     int64  // Unix ns, never decreases along the log
	Kind     Kind
	Class    uint8 // the caller's
	Flags    uint8 // the caller's
	Producer uint32
	Seq      uint64 // the producer's number, 0 for none
	Agent    uint32 // dense number, 0 for none
	Key      uint32 // the caller's, 0 for none
	Payload  []byte
}

// A record of kind Lost or Shed begins its payload with the last number of its
// range, 8 bytes little-endian; what follows is the caller's.
const toLen = 8

// AppendTo appends the beginning of a Lost or Shed payload.
func AppendTo(dst []byte, to uint64) []byte { return binary.LittleEndian.AppendUint64(dst, to) }

// To returns the last number that the record settles: of Lost and Shed the end
// of their range, of any other record Seq.
func (r *Record) To() uint64 {
	if (r.Kind == KindLost || r.Kind == KindShed) && len(r.Payload) >= toLen {
		return binary.LittleEndian.Uint64(r.Payload)
	}
	return r.Seq
}

// Body returns the caller's payload: without the end of range that Lost and
// Shed begin with.
func (r *Record) Body() []byte {
	if (r.Kind == KindLost || r.Kind == KindShed) && len(r.Payload) >= toLen {
		return r.Payload[toLen:]
	}
	return r.Payload
}
