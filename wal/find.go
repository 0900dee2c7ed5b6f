package wal

import (
	"context"
	"errors"
	"slices"
	"time"

	"eyrie/wal/block"
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
	// Match, if set, has the last word; the record is borrowed until it returns.
	Match func(*Record) bool
}

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
	if q.FromOffset >= q.ToOffset {
		return nil, 0, nil
	}
	// The first block may begin before FromOffset.
	from := q.FromOffset - min(q.FromOffset, block.RecordsMax)
	it, err := l.headers(from, q.ToOffset)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	begin, read := l.o.Now(), int64(0)
	step, ok := it.Next, it.First()
	if q.Reverse {
		step, ok = it.Prev, it.Last()
	}
	for n := 0; ok; ok, n = step(), n+1 {
		if err := ctx.Err(); err != nil {
			return recs, 0, err
		}
		var h block.Header
		if err := headerAt(it, &h); err != nil {
			return recs, 0, err
		}
		if h.Next() <= q.FromOffset || !q.may(&h) {
			if q.past(&h) {
				return recs, 0, nil
			}
			continue
		}
		spent := q.Budget.Bytes > 0 && read >= q.Budget.Bytes ||
			q.Budget.Time > 0 && n&15 == 0 && l.o.Now().Sub(begin) >= q.Budget.Time
		if spent && n > 0 {
			if q.Reverse {
				return recs, min(h.Next(), q.ToOffset), nil
			}
			return recs, max(h.Base, q.FromOffset), nil
		}
		b := l.cache.at(h.Base)
		if b == nil {
			if b, err = l.loadBody(&h); err != nil {
				return recs, 0, err
			}
			read += int64(h.BodyLen)
		}
		var full bool
		if recs, next, full = q.scan(b, recs); full {
			return recs, next, nil
		}
	}
	return recs, 0, it.Error()
}

// loadBody reads and decodes the block of h.
func (l *Log) loadBody(h *block.Header) (b *Block, err error) {
	err = l.get(key8(prefixBody, h.Base), func(v []byte) (err error) {
		b, err = block.Decode(h, v)
		return err
	})
	return b, notFound(err, h.Base)
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
func (q *Query) past(h *block.Header) bool {
	if q.Reverse {
		return q.FromRecv != 0 && h.RecvMax < q.FromRecv || h.Next() <= q.FromOffset
	}
	return q.ToRecv != 0 && h.RecvMin >= q.ToRecv
}

// scan adds the records of b that are sought; full tells that the limit was
// reached, and next where to go on.
func (q *Query) scan(b *Block, recs []Record) (_ []Record, next uint64, full bool) {
	for i := range b.Len() {
		if q.Reverse {
			i = b.Len() - 1 - i
		}
		r := b.Record(i)
		if !q.is(&r) {
			continue
		}
		if len(recs) == q.Limit {
			if q.Reverse {
				return recs, r.Offset + 1, true
			}
			return recs, r.Offset, true
		}
		recs = append(recs, r)
	}
	return recs, 0, false
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
	if len(q.Agents) > 0 {
		if _, ok := slices.BinarySearch(q.Agents, r.Agent); !ok {
			return false
		}
	}
	return q.Match == nil || q.Match(r)
}
