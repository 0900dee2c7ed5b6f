//go:build linux

package engine

import (
	"unsafe"

	"eyrie/engine/wire"
	"eyrie/netpoll"
)

// linkState is where a connection stands. The loop's thread moves it, only
// forward: head → hello → agent, or head → socket, and from each → gone.
type linkState uint8

const (
	linkNone   linkState = iota // no connection in this slot
	linkHead                    // reading the request head
	linkHello                   // an agent that has not said hello
	linkAgent                   // an agent
	linkSocket                  // a generic socket
	linkGone                    // being closed: nothing is read any more
)

// linkFlag is a bit set.
type linkFlag uint8

const (
	linkFull    linkFlag = 1 << iota // paused: the ring has no room for what is read next
	linkSlow                         // paused: the peer does not read what we send
	linkAck                          // ack is owed and queued in loop.acks
	linkPinged                       // a ping went out and nothing came in since
	linkQuiet                        // paused for good: the server drains
	linkTurn                         // it waited for the ring and may now go before the others
	linkWide                         // loop.wide has more of it
	linkInflate                      // paused: its message is inflated in turns
)

const linkPaused = linkFull | linkSlow | linkQuiet | linkInflate

// link is the state of one connection, in a slab parallel to netpoll's slots.
// It has no pointers: the collector never looks at it.
type link struct {
	h      netpoll.Handle
	next   uint64  // number after the last one seen
	ack    uint64  // highest number to acknowledge
	events uint32  // received, refused ones included; see loop.received
	bytes  uint32  // received after the upgrade; likewise
	addr   [4]byte // see loop.remote
	grant  uint32  // in loop.grants, valid from the upgrade on
	agent  nameRef // default agent id
	cold   uint32  // 1 + index in loop.joins: a message in parts
	opened uint32  // seconds since the server started
	seen   uint32  // tenths of a second since the server started: last bytes in
	port   uint16
	state  linkState
	flags  linkFlag
	codec  wire.Codec
	tag    uint8 // of the listener
	faults uint8 // messages in a row that could not be parsed
	agreed uint8 // bit 1<<wire.Prio: classes its sender allows to be shed; agreedDeflate, agreedRing
}

// agreedDeflate is the bit of link.agreed for compressed messages; no class of
// priority has it.
const agreedDeflate = 1 << 7

// agreedRing is the bit of link.agreed for sockets whose messages go into the
// ring; no class of priority has it either.
const agreedRing = 1 << 6

// linkBytes bounds what an idle connection costs the engine beside its name.
const linkBytes = 64

var _ [linkBytes - unsafe.Sizeof(link{})]byte // link has grown: say so above

// linkChunk is how many links are allocated together. Chunks never move, so a
// *link stays good while its connection lives.
const linkChunk = 512

// links is the slab. Loop thread only.
type links struct {
	chunks []*[linkChunk]link
}

// slot returns the link of a netpoll slot, making room for it.
func (t *links) slot(i uint32) *link {
	for int(i/linkChunk) >= len(t.chunks) {
		t.chunks = append(t.chunks, new([linkChunk]link))
	}
	return &t.chunks[i/linkChunk][i%linkChunk]
}

// at returns the link of h, or nil if h is stale.
func (t *links) at(h netpoll.Handle) *link {
	i := h.Slot()
	if int(i/linkChunk) >= len(t.chunks) {
		return nil
	}
	lk := &t.chunks[i/linkChunk][i%linkChunk]
	if lk.state == linkNone || lk.h != h {
		return nil
	}
	return lk
}

// each calls fn for every connection.
func (t *links) each(fn func(lk *link)) {
	for _, c := range t.chunks {
		for i := range c {
			if c[i].state != linkNone {
				fn(&c[i])
			}
		}
	}
}
