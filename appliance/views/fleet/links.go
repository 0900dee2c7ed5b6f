package fleet

import (
	"slices"

	"eyrie/wal/block"

	"github.com/tinylib/msgp/msgp"
)

// Classes of the records that tell of links. A producer has one link at a time:
// a new one takes the place of the old. Of kind link:
const (
	LinkOpened uint8 = 1 // payload: a map with link and, perhaps, agent (a declaration)
	LinkClosed uint8 = 2 // payload: a map with link
)

// SystemStart is the class of a system record that says: a new process serves
// the log, so every link of the one before is gone.
const SystemStart uint8 = 1

// speaks notes that the producer is the one that now speaks for the agent.
func (v *View) speaks(a *agent, p uint32) {
	if p == a.producer || p == 0 {
		return
	}
	v.leave(a)
	a.producer = p
	q := v.producer(p)
	a.speaker, a.place = q, len(q.agents)
	q.agents = append(q.agents, a.num)
}

func (v *View) producer(p uint32) *producer {
	q := v.prods[p]
	if q == nil {
		q = &producer{dirty: v.left[p]} // the snapshot's former entry must go
		v.prods[p] = q
		delete(v.left, p)
	}
	return q
}

func (v *View) leave(a *agent) {
	q := a.speaker
	if q == nil {
		return
	}
	last := v.agents[q.agents[len(q.agents)-1]]
	q.agents[a.place] = last.num
	last.place = a.place
	q.agents = q.agents[:len(q.agents)-1]
	v.forget(a.producer, q)
}

// forget drops a producer that speaks for nobody and has no link.
func (v *View) forget(p uint32, q *producer) {
	if len(q.agents) == 0 && !q.open {
		delete(v.prods, p)
		v.left[p] = true
	}
}

func (v *View) link(r *block.Record) {
	if r.Producer == 0 {
		return
	}
	id, declared := linkPayload(r.Payload)
	q := v.producer(r.Producer)
	q.dirty = true
	switch r.Class {
	case LinkOpened:
		q.link, q.open, q.closed, q.off = id, true, 0, 0
		if len(declared) == 0 {
			break // there was none, or it was forgotten, and the agent with it
		}
		if a := v.agent(r.Agent); a != nil {
			v.touch(a)
			v.speaks(a, r.Producer)
			if v.inner.Reset(declared) == nil {
				if a.first == 0 {
					a.first = v.clock
				}
				a.last, a.recv = max(a.last, v.clock), v.clock
				v.declare(a, v.clock, &v.inner)
			}
		}
	case LinkClosed:
		if !q.open || q.link != id {
			return
		}
		q.open, q.closed, q.off = false, v.clock, r.Offset
	}
	v.relinked(q)
	v.forget(r.Producer, q)
}

// relinked shows the agents of a producer that its link changed.
func (v *View) relinked(q *producer) {
	for _, n := range q.agents {
		a := v.agents[n]
		v.touch(a)
		if q.open {
			v.acquit(a, vdUnknown, rlLink)
		}
		v.schedule(a)
	}
}

// started closes every link.
func (v *View) started(r *block.Record) {
	for p, q := range v.prods {
		if q.open {
			q.open, q.closed, q.off, q.dirty = false, v.clock, r.Offset, true
			v.relinked(q)
			v.forget(p, q)
		}
	}
	slices.Sort(v.touched)
}

// linkPayload reads the link's id and the declaration of its agent.
func linkPayload(b []byte) (id uint64, declared []byte) {
	n, b, err := msgp.ReadMapHeaderBytes(b)
	for ; err == nil && n > 0; n-- {
		var k []byte
		if k, b, err = msgp.ReadStringZC(b); err != nil {
			break
		}
		value := b
		if b, err = msgp.Skip(b); err != nil {
			break
		}
		switch string(k) {
		case "link":
			id, _, _ = msgp.ReadUint64Bytes(value)
		case "agent":
			declared = value[:len(value)-len(b)]
		}
	}
	return id, declared
}
