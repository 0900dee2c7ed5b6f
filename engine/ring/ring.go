package ring

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Layout. A record is a header and a payload, both at multiples of four, so
// that a header always fits before the end of the buffer:
//
//	┌──────────────┬───────────────┬─────────┐
//	│ length u32le │ payload       │ 0..3 B  │
//	└──────────────┴───────────────┴─────────┘
//
// A record never wraps. Where the next one does not fit before the end, the
// header padMark tells the consumer to go on at the start of the buffer.
//
// Positions are bytes since New and only grow; masked they index the buffer.
//
//	released ≤ cursor ≤ published ≤ reserved ≤ released + size
//
// [released, published) is the consumer's to read, [published, reserved) the
// producer's to write, the rest is free and the producer's. The producer moves
// published and thereby hands bytes over; the consumer moves released and
// thereby hands them back. Nothing else is shared. Each method makes at most
// one access to the other side's position, which is what lets a test that
// interleaves whole calls cover every interleaving.
const (
	headerBytes = 4
	align       = 4
	padMark     = ^uint32(0)
	sizeMin     = 64
	sizeMax     = 1 << 30
	// linePair keeps the two sides two cache lines apart: the prefetcher of
	// current x86 parts fetches lines in pairs.
	linePair = 128
)

// Ring is a single-producer single-consumer queue of byte records. Reserve,
// Abort and Publish belong to the producer, Next and Release to the consumer;
// Used, Drained, Size and Headroom may be called by anyone.
type Ring struct {
	buf      []byte
	mask     uint64
	limit    uint64 // bytes a reservation may fill that is not critical
	headroom int

	_         [linePair]byte
	published atomic.Uint64 // written by the producer
	reserved  uint64        // producer only
	freeSeen  uint64        // producer's last view of released

	_        [linePair]byte
	released atomic.Uint64 // written by the consumer
	cursor   uint64        // consumer only
	pubSeen  uint64        // consumer's last view of published
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
		mask:     uint64(size - 1),
		limit:    uint64(size - headroom),
		headroom: headroom,
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

// Size is the number of bytes the ring holds, headers and padding included.
func (r *Ring) Size() int { return len(r.buf) }

// Headroom is the number of bytes only critical reservations may use.
func (r *Ring) Headroom() int { return r.headroom }

// Used is the number of bytes published and not yet released, headers and
// padding included. From a goroutine that is neither side it is an estimate.
func (r *Ring) Used() int {
	// released first: it never overtakes published, so the difference cannot
	// become negative by what happens between the two loads.
	rel := r.released.Load()
	return int(r.published.Load() - rel)
}

// Drained is the number of bytes released since New, headers and padding
// included. It only grows.
func (r *Ring) Drained() uint64 { return r.released.Load() }

// Cost is the number of bytes a record with n bytes of payload takes, without
// padding at the end of the buffer.
func Cost(n int) int { return (headerBytes + n + align - 1) &^ (align - 1) }

// Largest is the payload that always fits once the ring is empty, wherever
// its positions stand. A group of records always fits an empty ring when the
// sum of their costs and the cost of the largest of them is at most Size, less
// Headroom if they are not critical.
func (r *Ring) Largest(critical bool) int {
	room := len(r.buf)
	if !critical {
		room -= r.headroom
	}
	// The pad in front of a record is at least one align shorter than it.
	return max(0, (room+align)/2&^(align-1)-headerBytes)
}

func header(b []byte, at uint64) uint32       { return binary.LittleEndian.Uint32(b[at:]) }
func setHeader(b []byte, at uint64, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
