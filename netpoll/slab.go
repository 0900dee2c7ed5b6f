//go:build linux

package netpoll

import (
	"sync/atomic"
	"unsafe"
)

// conn is what the loop knows of a connection: 28 bytes without a pointer, so
// that the garbage collector never looks at it. What waits is in the stash.
type conn struct {
	fd    int32
	gen   uint32 // of the current user, or of the next while the slot is free
	flags uint16
	wheel uint16 // wheel slot it is linked in, wheelNone if in none
	stash uint32 // entry of what waits, 0 = nothing does

	at   uint32 // tick the timer fires at, 0 = off
	next uint32 // slot+1 of the next in the wheel slot, or in the free list
	prev uint32 // slot+1 of the previous in the wheel slot
}

// connBytes is what an idle connection costs netpoll.
const connBytes = 28

var _ [connBytes - unsafe.Sizeof(conn{})]byte // conn has grown: say so above

const (
	isLive      = 1 << iota // the slot has a user
	isPaused                // the handler wants no Read
	isHeld                  // was readable while the loop held reads
	isAgain                 // in Loop.again
	isClosing               // flush, shut down, drain, close: no more Read
	isShut                  // write side is shut down, waiting for the peer's
	isEnding                // in Loop.ends: only Close is left
	isDetached              // gone from the loop as soon as Read returns
	isPeerDone              // the peer closed its side
	isByPeer                // closing because of that, not by CloseAfterFlush
	isArmedIn               // epoll is asked for EPOLLIN
	isArmedOut              // epoll is asked for EPOLLOUT
	isTransform             // passes the Transform
)

func (c *conn) has(f uint16) bool { return c.flags&f != 0 }

const (
	chunkLog   = 10
	chunkConns = 1 << chunkLog
)

// slab holds the connections of one loop by slot, in chunks that never move.
// Free slots wait in line, so that a slot rests as long as possible.
type slab struct {
	chunks              []*[chunkConns]conn
	freeFirst, freeLast uint32 // slot+1
	live                atomic.Int64
}

func (s *slab) at(slot uint32) *conn {
	return &s.chunks[slot>>chunkLog][slot&(chunkConns-1)]
}

// find returns the connection of slot if gen is its current user.
func (s *slab) find(gen, slot uint32) *conn {
	if int(slot>>chunkLog) >= len(s.chunks) {
		return nil
	}
	c := s.at(slot)
	if c.gen != gen || !c.has(isLive) {
		return nil
	}
	return c
}

// take returns a free slot, clean but for its generation.
func (s *slab) take() (uint32, *conn) {
	if s.freeFirst == 0 {
		s.grow()
	}
	slot := s.freeFirst - 1
	c := s.at(slot)
	if s.freeFirst = c.next; s.freeFirst == 0 {
		s.freeLast = 0
	}
	*c = conn{gen: c.gen, flags: isLive, wheel: wheelNone}
	s.live.Add(1)
	return slot, c
}

// give ends the current user of slot.
func (s *slab) give(slot uint32) {
	c := s.at(slot)
	gen := (c.gen + 1) & genMask
	if gen == 0 {
		gen = 1
	}
	*c = conn{gen: gen}
	s.enqueue(slot)
	s.live.Add(-1)
}

func (s *slab) grow() {
	base := uint32(len(s.chunks)) << chunkLog
	ch := new([chunkConns]conn)
	s.chunks = append(s.chunks, ch)
	for i := range ch {
		ch[i].gen = 1
		s.enqueue(base + uint32(i))
	}
}

func (s *slab) enqueue(slot uint32) {
	if s.freeLast != 0 {
		s.at(s.freeLast - 1).next = slot + 1
	} else {
		s.freeFirst = slot + 1
	}
	s.freeLast = slot + 1
}

// each calls fn for every live connection.
func (s *slab) each(fn func(slot uint32, c *conn)) {
	for i, ch := range s.chunks {
		for j := range ch {
			if ch[j].has(isLive) {
				fn(uint32(i<<chunkLog+j), &ch[j])
			}
		}
	}
}
