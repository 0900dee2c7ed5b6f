package ring

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Layout. A record is a header and a payload, both at multiples of four:
//
//	┌──────────────┬───────────────┬─────────┐
//	│ length u32le │ payload       │ 0..3 B  │
//	└──────────────┴───────────────┴─────────┘
//
// Positions are bytes of records since New and only grow:
//
//	released ≤ cursor ≤ published ≤ reserved
//
// [released, published) is the consumer's to read, [published, reserved) the
// producer's to write, the rest of the buffer is free and the producer's. The
// producer moves published and thereby hands bytes over; the consumer moves
// released and thereby hands them back.
//
// A record never wraps. The buffer is filled in turns from its start: the turn's
// position lies at index 0, what follows it behind. The producer begins a new
// turn when the next record does not fit before the end, and when it finds the
// ring empty, so that a ring that keeps up stays in the cache. Records of two
// turns at most are in the ring, so one shared word, turned, tells the consumer
// where to go back to the start:
//
//	turn − 1:              released ▒▒▒▒▒▒▒ turned
//	turn:     0 ▒▒▒▒▒▒ published
const (
	headerBytes = 4
	align       = 4
	sizeMin     = 64
	sizeMax     = 1 << 30
	// warm is how far into the buffer the producer goes before it looks whether
	// the ring is empty. A look costs the consumer's cache line.
	warm = 64 << 10
	// linePair keeps the two sides two cache lines apart: the prefetcher of
	// current x86 parts fetches lines in pairs.
	linePair = 128
)

// Ring is a single-producer single-consumer queue of byte records. Reserve,
// Abort and Publish belong to the producer, Next and Release to the consumer;
// Used, Drained, Size and Headroom may be called by anyone.
type Ring struct {
	buf      []byte
	limit    uint64 // bytes a reservation may fill that is not critical
	headroom int
	warm     uint64

	_         [linePair]byte
	published atomic.Uint64 // written by the producer
	turned    atomic.Uint64 // position of the turn that published lies in; written by the producer
	reserved  uint64        // producer only
	turn      uint64        // position of the turn that reserved lies in
	before    uint64        // position of the turn before it
	freeSeen  uint64        // producer's last view of released
	left      uint64        // bytes that fit behind reserved without a further look; 0 = not known

	_        [linePair]byte
	released atomic.Uint64 // written by the consumer
	cursor   uint64        // consumer only
	start    uint64        // position of the turn that cursor lies in
	pubSeen  uint64        // consumer's last view of published
	turnSeen uint64        // and of turned
	_        [linePair]byte
}

// New makes a ring of size bytes, a power of two from 64 to 2^30. headroom of
// them (0 ≤ headroom < size) are kept for critical reservations. Other values
// are a mistake in the program and panic.
func New(size, headroom int) *Ring {
	check(size, headroom)
	return In(make([]byte, size), headroom)
}

// In is New on memory of the caller's.
func In(buf []byte, headroom int) *Ring {
	size := len(buf)
	check(size, headroom)
	return &Ring{
		buf:      buf,
		limit:    uint64(size - headroom),
		headroom: headroom,
		warm:     warm,
	}
}

func check(size, headroom int) {
	if size < sizeMin || size > sizeMax || size&(size-1) != 0 {
		panic(fmt.Sprintf("ring: size %d, want a power of two from %d to %d", size, sizeMin, sizeMax))
	}
	if headroom < 0 || headroom >= size {
		panic(fmt.Sprintf("ring: headroom %d, want 0 to %d", headroom, size-1))
	}
}

// Size is the number of bytes the ring holds, headers included.
func (r *Ring) Size() int { return len(r.buf) }

// Headroom is the number of bytes only critical reservations may use.
func (r *Ring) Headroom() int { return r.headroom }

// Used is the number of bytes published and not yet released, headers included.
// From a goroutine that is neither side it is an estimate.
func (r *Ring) Used() int {
	// released first: it never overtakes published, so the difference cannot
	// become negative by what happens between the two loads.
	rel := r.released.Load()
	return int(r.published.Load() - rel)
}

// Drained is the number of bytes released since New, headers included. It only
// grows.
func (r *Ring) Drained() uint64 { return r.released.Load() }

// Cost is the number of bytes a record with n bytes of payload takes.
func Cost(n int) int { return (headerBytes + n + align - 1) &^ (align - 1) }

// Largest is the payload that always fits once the ring is empty. A group of
// records always fits an empty ring when the sum of their costs and the cost of
// the largest of them is at most Size, less Headroom if they are not critical.
func (r *Ring) Largest(critical bool) int {
	room := len(r.buf)
	if !critical {
		room -= r.headroom
	}
	return max(0, room&^(align-1)-headerBytes)
}

func header(b []byte, at uint64) uint32       { return binary.LittleEndian.Uint32(b[at:]) }
func setHeader(b []byte, at uint64, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
