package wal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
)

// Query selects records. Zero fields select all; ranges are half-open, [From, To).
type Query struct {
	Agents               []uint32 // any of them
	Classes              uint64   // bit class & 63
	Kinds                uint32   // Kind.Mask
	Key                  uint32
	FromOffset, ToOffset uint64
	FromRecv, ToRecv     int64 // Unix ns
	Reverse              bool  // newest first
	Limit                int   // records; 0 is 1,000
	Budget               Budget
	// Skip tells of many records at once that none of them is sought. Several
	// goroutines call its functions at once. Blocks know Payloads alone.
	Skip Skip
	// Match, if set, has the last word; the record is borrowed until it returns.
	Match func(*Record) bool
}

// Skip tells of a block or a chunk that nothing in it is sought.
type Skip = stretch.Skip

// Budget bounds what one Find reads. Zero is without bound.
type Budget struct {
	Bytes int64         // of block bodies read and decoded, as stored
	Time  time.Duration // by Options.Now
}

// findLimit is Query.Limit's default.
const findLimit = 1000

// Find returns durable records in order of offset, newest first with Reverse.
// next tells where to go on if it stopped at its limit or budget: as FromOffset,
// with Reverse as ToOffset, of the same query; 0 is done. Payloads are valid as
// long as they are referenced. Offsets that the log has lost are skipped, see Holes;
// a damaged block is an error that names it, with what was found before.
func (l *Log) Find(ctx context.Context, q Query) (recs []Record, next uint64, err error) {
	err = l.read(func() error {
		recs, next, err = l.find(ctx, q)
		return err
	})
	return recs, next, err
}

func (l *Log) find(ctx context.Context, q Query) (recs []Record, next uint64, err error) {
	if q.Limit <= 0 {
		q.Limit = findLimit
	}
	if end := l.Next(); q.ToOffset == 0 || q.ToOffset > end {
		q.ToOffset = end
	}
	q.FromOffset = max(q.FromOffset, 1)
	q.Agents = slices.Clone(q.Agents)
	slices.Sort(q.Agents)
	q.Agents = slices.Compact(q.Agents)
	s := search{l: l, ctx: ctx, q: q, begin: l.o.Now()}
	for q := &s.q; q.FromOffset < q.ToOffset && !s.done; {
		sealed := l.Sealed()
		switch {
		case q.Reverse && q.ToOffset > sealed:
			err = s.blocks(max(q.FromOffset, sealed), q.ToOffset)
		case q.Reverse:
			err = s.stretch(q.ToOffset - 1)
		case q.FromOffset < sealed:
			err = s.stretch(q.FromOffset)
		default:
			err = s.blocks(q.FromOffset, q.ToOffset)
		}
		if err != nil {
			return s.recs, 0, err
		}
	}
	return s.recs, s.next, nil
}

// search is one Find under way. What of q's offsets it has dealt with, it takes
// off the query.
type search struct {
	l     *Log
	ctx   context.Context
	q     Query
	recs  []Record
	next  uint64 // where to go on
	done  bool   // at the limit, the budget, or where nothing can match any more
	begin time.Time
	read  int64 // bytes
	steps int
}

// stop ends the search; it goes on at next, 0 for never.
func (s *search) stop(next uint64) { s.done, s.next = true, next }

// spent tells whether the budget is used up. The first step is always taken.
func (s *search) spent() bool {
	b := &s.q.Budget
	s.steps++
	return s.steps > 1 && (b.Bytes > 0 && s.read >= b.Bytes || s.steps&15 == 1 && s.late())
}

// late tells whether the budget's time is over.
func (s *search) late() bool {
	t := s.q.Budget.Time
	return t > 0 && s.l.o.Now().Sub(s.begin) >= t
}

// passed takes the offsets up to from or down to to off the query.
func (s *search) passed(from, to uint64) {
	if s.q.Reverse {
		s.q.ToOffset = min(s.q.ToOffset, from)
	} else {
		s.q.FromOffset = max(s.q.FromOffset, to)
	}
}

// blocks searches the blocks that hold offsets from ≤ offset < to. It returns
// early if one of them was sealed meanwhile.
func (s *search) blocks(from, to uint64) (err error) {
	l, q := s.l, &s.q
	// The first block may begin before from.
	it, err := l.headers(from-min(from, block.RecordsMax), to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if from < l.Sealed() {
		return nil // sealed since the caller looked: their blocks may be gone
	}
	step, ok := it.Next, it.First()
	if q.Reverse {
		step, ok = it.Prev, it.Last()
	}
	past := false // the last header that was looked at
	candidates := func(yield func(*block.Header) bool) {
		for ; ok; ok = step() {
			if err = s.ctx.Err(); err != nil {
				return
			}
			var h block.Header
			if err = headerAt(it, &h); err != nil {
				return
			}
			if h.Next() <= from || !q.may(&h) {
				if past = h.Next() > from && q.past(&h); past {
					return
				}
				continue
			}
			if err = block.DecodeHeader(bytes.Clone(it.Value()), &h); err != nil || !yield(&h) {
				return
			}
		}
	}
	type loaded struct {
		h    *block.Header
		b    *Block   // nil for one without what is sought, or for
		some []Record // of it
		err  error
	}
	var failed error
	sealed := false // meanwhile; what is left of the query finds them there
	ahead(l.turns, candidates, func(h *block.Header) (x loaded) {
		x.h = h
		if b := l.cache.at(h.Base); b == nil {
			x.b, x.some, x.err = s.load(h)
		} else if q.Skip.Payloads == nil || !q.Skip.Payloads([][]byte{b.Payloads()}) {
			x.b = b
		}
		return x
	}, func(x loaded) bool {
		if s.spent() {
			if q.Reverse {
				s.stop(min(x.h.Next(), to))
			} else {
				s.stop(max(x.h.Base, from))
			}
			return false
		}
		if x.err != nil {
			if sealed = x.h.Next() <= l.Sealed(); !sealed {
				failed = x.err
			}
			return false
		}
		s.read += int64(x.h.BodyLen)
		if x.b != nil {
			s.scan(x.b)
		}
		s.scanSome(x.some)
		if !s.done {
			s.passed(x.h.Base, x.h.Next())
		}
		return !s.done
	})
	if err = cmp.Or(failed, err); err != nil || s.done || sealed {
		return err
	}
	if past {
		s.stop(0)
		return nil
	}
	s.passed(from, to)
	return it.Error()
}

// scratch is memory for blocks and chunks of which only some records are wanted.
type scratch struct {
	block    block.Scratch
	part     stretch.Part
	payloads []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// load reads the block of h, or some records of it, in its order, which are all
// that can be sought; neither for one to skip.
func (s *search) load(h *block.Header) (b *Block, some []Record, err error) {
	if s.q.Skip.Payloads == nil && !s.q.narrow() {
		b, err = s.l.loadBody(h)
		return b, nil, err
	}
	t := scratches.Get().(*scratch)
	defer scratches.Put(t)
	err = s.l.body(h, func(h *block.Header, v []byte) (err error) {
		if s.q.Skip.Payloads != nil {
			if t.payloads, err = block.Payloads(h, v, t.payloads); err != nil || s.q.Skip.Payloads([][]byte{t.payloads}) {
				return err
			}
		}
		if !s.q.narrow() {
			b, err = block.Decode(h, v)
			return err
		}
		all, err := t.block.Decode(h, v)
		if err != nil {
			return err
		}
		for i := range all.Len() {
			if r := all.Record(i); s.q.ofAgent(r.Agent) && (s.q.Key == 0 || s.q.Key == r.Key) {
				some = append(some, r)
			}
		}
		own(some)
		return nil
	})
	return b, some, err
}

// narrow tells that few records of a block or chunk are sought.
func (q *Query) narrow() bool { return len(q.Agents) > 0 || q.Key != 0 }

func (q *Query) ofAgent(a uint32) bool {
	if len(q.Agents) == 0 {
		return true
	}
	_, ok := slices.BinarySearch(q.Agents, a)
	return ok
}

// own gives borrowed records payloads of their own.
func own(recs []Record) {
	n := 0
	for i := range recs {
		n += len(recs[i].Payload)
	}
	p := make([]byte, 0, n)
	for i := range recs {
		at := len(p)
		p = append(p, recs[i].Payload...)
		recs[i].Payload = p[at:len(p):len(p)]
	}
}

// loadBody reads and decodes the block of h.
func (l *Log) loadBody(h *block.Header) (b *Block, err error) {
	err = l.body(h, func(h *block.Header, v []byte) (err error) {
		b, err = block.Decode(h, v)
		return err
	})
	return b, err
}

// may tells whether the block may hold a record that is sought.
func (q *Query) may(h *block.Header) bool {
	if q.Classes != 0 && q.Classes&h.Classes == 0 || q.Kinds != 0 && q.Kinds&h.Kinds == 0 {
		return false
	}
	if q.FromRecv != 0 && h.RecvMax < q.FromRecv || q.ToRecv != 0 && h.RecvMin >= q.ToRecv {
		return false
	}
	if q.Key != 0 && !h.MayHaveKey(q.Key) {
		return false
	}
	if len(q.Agents) == 0 {
		return true
	}
	for _, a := range q.Agents {
		if h.HasAgent(a) {
			return true
		}
	}
	return false
}

// past tells that no later block, in the direction of the query, can match: recv
// never decreases.
func (q *Query) past(h *block.Header) bool { return q.beyond(h.RecvMin, h.RecvMax) }

// beyond is past for what was received from least to most.
func (q *Query) beyond(least, most int64) bool {
	if q.Reverse {
		return q.FromRecv != 0 && most < q.FromRecv
	}
	return q.ToRecv != 0 && least >= q.ToRecv
}

// scan adds the records of b that are sought.
func (s *search) scan(b *Block) {
	for i := range b.Len() {
		if s.q.Reverse {
			i = b.Len() - 1 - i
		}
		r := b.Record(i)
		if s.q.is(&r) && !s.add(&r) {
			return
		}
	}
}

// scanSome does so with records by themselves.
func (s *search) scanSome(recs []Record) {
	for i := range recs {
		r := &recs[i]
		if s.q.Reverse {
			r = &recs[len(recs)-1-i]
		}
		if s.q.is(r) && !s.add(r) {
			return
		}
	}
}

// add adds a record that is sought; at the limit it stops there.
func (s *search) add(r *Record) bool {
	if len(s.recs) < s.q.Limit {
		s.recs = append(s.recs, *r)
		return true
	}
	if s.q.Reverse {
		s.stop(r.Offset + 1)
	} else {
		s.stop(r.Offset)
	}
	return false
}

func (q *Query) is(r *Record) bool {
	if r.Offset < q.FromOffset || r.Offset >= q.ToOffset {
		return false
	}
	if q.FromRecv != 0 && r.Recv < q.FromRecv || q.ToRecv != 0 && r.Recv >= q.ToRecv {
		return false
	}
	if q.Classes != 0 && q.Classes>>(r.Class&63)&1 == 0 || q.Kinds != 0 && q.Kinds&r.Kind.Mask() == 0 || q.Key != 0 && q.Key != r.Key {
		return false
	}
	return q.ofAgent(r.Agent) && (q.Match == nil || q.Match(r))
}
