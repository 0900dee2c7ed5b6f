package logbench

import (
	"bytes"
	"fmt"

	"eyrie/engine/wire"
)

// Space is the one space of all events here.
const Space = "main"

// FrameEvents is how many events a sender puts into one message.
const FrameEvents = 100

// Connections is how many senders there are, each a producer of the log.
const Connections = 1_000

// Item is one event as intake gets it from a ring. Its bytes are borrowed from
// the pool or source that it comes from.
type Item struct {
	Agent        []byte
	Payload      []byte
	Num          uint32 // the agent's place in the fleet, from 0
	Key          uint32
	Class, Flags uint8
}

// Pool is a fixed number of events made in advance, frames in the order of their
// sending; senders begin anew at its end. Without pointers inside, so that it
// costs the collector nothing.
type Pool struct {
	buf    []byte
	items  []pooled
	frames int
}

type pooled struct {
	at           uint32
	size         uint16
	agentAt      uint16 // within the payload
	key          uint32
	num          uint32
	agentSize    uint8
	class, flags uint8
}

// poolBytesMax is what a place in the pool can name.
const poolBytesMax = 1<<32 - 1

// MakePool makes n events of the shape, n a multiple of FrameEvents; ts is when
// they happened, in Unix ms.
func MakePool(seed uint64, agents, n int, ts int64) (*Pool, error) {
	s := NewSource(seed, agents)
	p := &Pool{frames: n / FrameEvents, items: make([]pooled, 0, n), buf: make([]byte, 0, n*136)}
	for range p.frames {
		items, _, err := s.Frame(ts)
		if err != nil {
			return nil, err
		}
		for i := range items {
			it := &items[i]
			if len(p.buf)+len(it.Payload) > poolBytesMax {
				return nil, fmt.Errorf("%d events are more than 4 GiB", n)
			}
			p.items = append(p.items, pooled{at: uint32(len(p.buf)), size: uint16(len(it.Payload)), agentAt: uint16(bytes.Index(it.Payload, it.Agent)),
				key: it.Key, num: it.Num, agentSize: uint8(len(it.Agent)), class: it.Class, flags: it.Flags})
			p.buf = append(p.buf, it.Payload...)
		}
	}
	return p, nil
}

// Frames returns the number of frames.
func (p *Pool) Frames() int { return p.frames }

// Frame fills items with the events of a frame.
func (p *Pool) Frame(n int, items *[FrameEvents]Item) {
	first := n % p.frames * FrameEvents
	for i := range items {
		e := &p.items[first+i]
		b := p.buf[e.at : e.at+uint32(e.size)]
		items[i] = Item{Agent: b[e.agentAt : e.agentAt+uint16(e.agentSize)], Payload: b, Num: e.num, Key: e.key, Class: e.class, Flags: e.flags}
	}
}

// Wire appends frame n as an agent's message.
func (p *Pool) Wire(dst []byte, n int) []byte {
	var items [FrameEvents]Item
	p.Frame(n, &items)
	evs := make([][]byte, len(items))
	for i := range items {
		evs[i] = items[i].Payload
	}
	return wire.AppendEvents(dst, wire.MsgPack, 1, nil, evs...)
}
