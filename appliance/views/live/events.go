package live

import (
	"errors"
	"sync"
	"sync/atomic"

	"eyrie/wal"
)

// encoded keeps the events encoded of the newest blocks read, so that each is
// encoded once for all viewers.
type encoded struct {
	log    Log
	mu     sync.Mutex
	blocks map[*wal.Block]*encodedBlock
	order  []*wal.Block
}

type encodedBlock struct{ rows []atomic.Pointer[[]byte] }

const blocksCached = 16

func (c *encoded) init(log Log) { c.log, c.blocks = log, map[*wal.Block]*encodedBlock{} }

func (c *encoded) of(b *wal.Block) *encodedBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.blocks[b]
	if e == nil {
		e = &encodedBlock{rows: make([]atomic.Pointer[[]byte], b.Len())}
		c.blocks[b] = e
		c.order = append(c.order, b)
		if len(c.order) > blocksCached {
			delete(c.blocks, c.order[0])
			c.order[0] = nil
			c.order = c.order[1:]
		}
	}
	return e
}

// event returns record i as JSON; two readers at once may both encode it.
func (c *encoded) event(e *encodedBlock, i int, rec *wal.Record) []byte {
	if p := e.rows[i].Load(); p != nil {
		return *p
	}
	b := AppendEventJSON(make([]byte, 0, len(rec.Payload)*2+128), rec, c.log.Agent)
	e.rows[i].Store(&b)
	return b
}

// origin resolves where the subscription starts. Recovered says that every
// event since the place asked for will be seen.
func (s *sub) origin() (off uint64, recovered bool, err error) {
	log := s.h.o.Log
	head := log.Next()
	if s.what != whatEvents {
		return s.h.offset(), false, nil
	}
	switch {
	case s.from.age > 0:
		since := s.h.o.Now().Add(-s.from.age).UnixNano()
		recs, _, err := log.Find(s.h.ctx, wal.Query{FromRecv: since, Limit: 1})
		if err != nil {
			return 0, false, err
		}
		if len(recs) == 0 {
			return head, true, nil
		}
		return recs[0].Offset, true, nil
	case s.from.now || s.from.epoch != "" && s.from.epoch != s.epoch() || s.from.offset > head:
		return head, false, nil
	}
	return max(s.from.offset, 1), true, nil
}

func (s *sub) epoch() string { return string(appendUint(nil, uint64(s.h.o.Log.Epoch()))) }

// events reads on from the subscription's own place, a few blocks at a time.
func (s *sub) events(r *reader) bool {
	h := s.h
	if s.follow == nil {
		s.follow = h.o.Log.Follow(s.next)
	}
	defer func() { s.reached.Store(s.next) }()
	for range blocksRun {
		if s.passOver(); s.next >= h.o.Log.Next() || !s.latest && s.credit() <= 0 {
			s.flush(r)
			return false
		}
		s.follow.Skip(s.next)
		b, err := s.follow.Next(h.ctx)
		var lost *wal.LostError
		if errors.As(err, &lost) { // the log has said so; the viewer sees the offsets jump
			if lost.Records == 0 { // else some among others, to which the follower goes on
				s.next = lost.To + 1
			}
			continue
		}
		if err != nil {
			return false
		}
		h.gists.note(b)
		s.next = max(s.next, b.Base())
		if s.latest {
			s.conflate(r, b)
			continue
		}
		if !s.forward(r, b) {
			return false
		}
	}
	s.flush(r)
	return !s.isStopped()
}

// skips tells from a block's header that nothing in it is wanted.
func (s *sub) skips(b *wal.Block) bool {
	return !s.filter.system && b.Classes()&s.filter.classes == 0
}

// forward sends what a block holds for the viewer; false when it must wait.
func (s *sub) forward(r *reader, b *wal.Block) bool {
	if s.skips(b) {
		s.next = b.Next()
		return true
	}
	e := s.h.cache.of(b)
	for s.next < b.Next() {
		most := int(min(s.credit(), pageItems))
		if most <= 0 {
			return false
		}
		out, n, i := r.out[:0], 0, int(s.next-b.Base())
		for ; i < b.Len() && n < most && len(out) < pageBytes; i++ {
			if !s.passes(b, i) {
				continue
			}
			rec := b.Record(i)
			if !s.hit(r, &rec) {
				continue
			}
			if n > 0 {
				out = append(out, ',')
			}
			out = append(out, s.h.cache.event(e, i, &rec)...)
			n++
		}
		r.out = out
		next := b.Base() + uint64(i)
		if n > 0 {
			if err := s.send(s.eventsMessage(out, next-1)); err != nil {
				s.refused(err)
				return false
			}
			s.spend(n)
		}
		s.next = next
	}
	return true
}

func (s *sub) eventsMessage(items []byte, last uint64) []byte {
	b := append(head(make([]byte, 0, len(items)+64), "events", s.id), `,"items":[`...)
	b = append(append(b, items...), ']')
	return append(offsetField(b, last), '}')
}

// conflate keeps the newest event per agent.
func (s *sub) conflate(r *reader, b *wal.Block) {
	if !s.skips(b) {
		e := s.h.cache.of(b)
		for i := int(s.next - b.Base()); i < b.Len(); i++ {
			if !s.passes(b, i) {
				continue
			}
			rec := b.Record(i)
			if !s.hit(r, &rec) {
				continue
			}
			if s.pending == nil {
				s.pending = map[uint32][]byte{}
			}
			if _, ok := s.pending[rec.Agent]; !ok {
				s.order = append(s.order, rec.Agent)
			}
			s.pending[rec.Agent] = s.h.cache.event(e, i, &rec)
		}
	}
	s.next = b.Next()
}

// flush sends conflated events when their time has come.
func (s *sub) flush(r *reader) {
	if len(s.order) == 0 || s.early(s.gap) || s.full() {
		return
	}
	n := int(min(s.credit(), pageItems, int64(len(s.order))))
	if n <= 0 {
		return
	}
	out, taken := r.out[:0], 0
	for ; taken < n && len(out) < pageBytes; taken++ {
		if taken > 0 {
			out = append(out, ',')
		}
		out = append(out, s.pending[s.order[taken]]...)
	}
	n, r.out = taken, out
	if err := s.send(s.eventsMessage(out, s.next-1)); err != nil {
		s.refused(err)
		return
	}
	for _, num := range s.order[:n] {
		delete(s.pending, num)
	}
	s.order = append(s.order[:0], s.order[n:]...)
	s.spend(n)
	s.sent = s.h.o.Now()
	if s.gap = max(s.gap/2, gapMin); len(s.order) > 0 {
		s.gap = 2 * gapMin
		s.arm(s.gap)
	}
}
