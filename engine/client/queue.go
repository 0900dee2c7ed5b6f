package client

import (
	"time"

	"eyrie/engine/wire"
)

// frameBytesMax leaves room in a frame for what stands around the events.
const frameBytesMax = wire.MaxFrame - wire.MaxPos*2 - 1024

// eventOverhead is what an event costs in memory beside its bytes.
const eventOverhead = 48

// batch is one frame's worth of consecutive numbers: events, or numbers given up.
type batch struct {
	first    uint64
	n        uint64
	payloads [][]byte // nil for numbers given up
	pos      []byte
	reason   string // why given up
	bytes    int    // charged against the bound
	wire     int    // bytes in a frame
	written  bool   // on this or an earlier link
}

func (b *batch) last() uint64 { return b.first + b.n - 1 }

// queue holds every number that is not settled, in order: full batches, of which the first `sent` went out on the
// present link, and one that is still open. The Client's mutex guards it.
type queue struct {
	full   []*batch
	sent   int
	open   *batch
	since  time.Time // when open got its first event
	next   uint64    // number of the next event
	events int
	bytes  int
}

// base is the lowest number held, next when none is.
func (q *queue) base() uint64 {
	switch {
	case len(q.full) > 0:
		return q.full[0].first
	case q.open != nil:
		return q.open.first
	}
	return q.next
}

// add numbers one event into the open batch.
func (q *queue) add(payload []byte, size int, now time.Time) uint64 {
	if q.open == nil {
		q.open = &batch{first: q.next}
		q.since = now
	}
	b := q.open
	b.payloads = append(b.payloads, payload)
	b.n++
	b.wire += size + 1
	b.bytes += len(payload) + eventOverhead
	q.events++
	q.bytes += len(payload) + eventOverhead
	q.next++
	return q.next - 1
}

// seal closes the open batch.
func (q *queue) seal() {
	if q.open != nil {
		q.full = append(q.full, q.open)
		q.open = nil
	}
}

// rewind makes every batch go out again, on a new link.
func (q *queue) rewind() { q.sent = 0 }

// settle forgets the numbers up to seq and returns how many those were.
func (q *queue) settle(seq uint64) (n uint64) {
	done := 0
	for done < len(q.full) && q.full[done].last() <= seq {
		b := q.full[done]
		n += b.n
		q.release(len(b.payloads), b.bytes)
		done++
	}
	clear(q.full[:done])
	q.full = q.full[done:]
	q.sent = max(q.sent-done, 0)
	if len(q.full) > 0 {
		if b := q.full[0]; b.first <= seq {
			n += b.trim(q, seq)
		}
	} else if b := q.open; b != nil && b.first <= seq {
		if b.last() <= seq {
			n += b.n
			q.release(len(b.payloads), b.bytes)
			q.open = nil
		} else {
			n += b.trim(q, seq)
		}
	}
	return n
}

func (q *queue) release(events, bytes int) {
	q.events -= events
	q.bytes -= bytes
}

// trim forgets the head of a batch up to seq, which lies within it. Its position stays: it belongs to the whole.
func (b *batch) trim(q *queue, seq uint64) uint64 {
	n := seq - b.first + 1
	if b.payloads != nil {
		size := 0
		for _, p := range b.payloads[:n] {
			size += len(p) + eventOverhead
		}
		b.payloads = b.payloads[n:]
		b.bytes -= size
		q.release(int(n), size)
	}
	b.first += n
	b.n -= n
	return n
}

// giveUp replaces every batch that the present link has not carried by one that tells its numbers lost; events is
// how many were still held of them.
func (q *queue) giveUp(reason string) (from, to uint64, events int) {
	q.seal()
	for _, b := range q.full[q.sent:] {
		events += len(b.payloads)
		q.release(len(b.payloads), b.bytes)
	}
	if events == 0 {
		return 0, 0, 0
	}
	from, to = q.full[q.sent].first, q.full[len(q.full)-1].last()
	q.full = append(q.full[:q.sent], &batch{first: from, n: to - from + 1, reason: reason})
	return from, to, events
}
