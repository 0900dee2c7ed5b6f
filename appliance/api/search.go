package api

import (
	"context"
	"iter"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// eventBudget bounds what one request for events may read: bytes of payload.
var eventBudget = wal.Budget{Bytes: 4 << 30, Time: 2 * time.Second}

// Pieces of the log that a search reads at once: the first is small, for what
// is asked for is often near, and each further one twice as large. A sealed
// stretch is always read by one.
const (
	pieceFirst = 8 << 10 // offsets
	pieceMost  = 256 << 10
)

// exactFields may be asked for by parameters of their names.
var exactFields = [...]wire.Field{wire.FRun, wire.FSession, wire.FSpan}

// search is a look-up that needs payloads: what a record must be, and by which
// bytes most are known not to be it, without being read.
type search struct {
	s            *Server
	space        string
	least        wire.Severity
	task         string
	values       [len(exactFields)]string // of exactFields, "" is any
	filter       *query.Query
	words, block query.Words // of a record with its agent's id; of a block
	first, most  uint64      // offsets of a piece
}

func newSearch(s *Server) *search { return &search{s: s, first: pieceFirst, most: pieceMost} }

// plain tells that there is nothing to match.
func (x *search) plain() bool {
	return x.space == "" && x.least == 0 && x.task == "" && x.values == [len(exactFields)]string{} && x.filter.Empty()
}

// prepare finds out what the bytes of a record, and of a block, must hold.
func (x *search) prepare() {
	x.words = x.filter.Words(live.RawField)
	for _, v := range append(x.values[:], x.task) {
		x.words.Exact(v)
	}
	if x.words.Empty() {
		return
	}
	log := x.s.p.Log
	x.block = x.words.Without(func(found func(string) bool) {
		for n := uint32(1); n <= uint32(log.Agents()); n++ {
			if _, id, ok := log.Agent(n); ok && found(id) {
				return
			}
		}
	})
}

// match returns what tells whether a record is sought, for one goroutine.
func (x *search) match() func(*wal.Record) bool {
	var v wire.View
	byPayload := x.task != "" || x.values != [len(exactFields)]string{} || !x.filter.Empty()
	return func(r *wal.Record) bool {
		space, id, _ := x.s.p.Log.Agent(r.Agent)
		if x.space != "" && space != x.space {
			return false
		}
		if r.Kind != wal.KindEvent {
			return x.least == 0 && !byPayload
		}
		if x.least != 0 && wire.HeadFromFlags(r.Flags).Severity < x.least {
			return false
		}
		if !byPayload {
			return true
		}
		if !x.words.InEither(r.Payload, id) || v.Reset(r.Payload) != nil {
			return false
		}
		for i, f := range exactFields {
			if x.values[i] != "" && string(v.Str(f)) != x.values[i] {
				return false
			}
		}
		if x.task != "" && string(v.Str(wire.FTask)) != x.task && !(wire.Type(r.Class) == wire.TypeTask && string(v.SpanID()) == x.task) {
			return false
		}
		return x.filter.Match(live.NewEventRow(r, &v, space, id))
	}
}

// piece is a part of the log to search, and what was found there.
type piece struct {
	from, to uint64
	recs     []wal.Record
	count    uint64 // with counting, instead of recs
	next     uint64 // where the piece was left before its end
	err      error
	done     chan struct{}
}

// finding is a search under way.
type finding struct {
	x     *search
	q     wal.Query
	count bool // matches are counted and not kept
	begin time.Time
	read  atomic.Int64 // bytes of payload
}

// find answers a look-up as wal.Find does, the pieces of the log read by as many
// goroutines as there are processors, at most four. With count, matches are
// counted and none is returned.
func (x *search) find(ctx context.Context, wq wal.Query, count bool) (recs []wal.Record, n, next uint64, err error) {
	log := x.s.p.Log
	if wq.ToOffset == 0 || wq.ToOffset > log.Next() {
		wq.ToOffset = log.Next()
	}
	wq.FromOffset = max(wq.FromOffset, log.First())
	ctx, release := detach(ctx, 0)
	workers := min(cap(x.s.turns), 4)
	f := finding{x: x, q: wq, count: count, begin: x.s.p.Now()}
	order, work := make(chan *piece, workers), make(chan *piece)
	var running sync.WaitGroup
	defer running.Wait()
	defer release()
	for range workers {
		running.Go(func() { f.work(ctx, work) })
	}
	running.Go(func() {
		defer close(order)
		defer close(work)
		for p := range f.pieces() {
			for _, to := range []chan<- *piece{order, work} {
				select {
				case to <- p:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for p := range order {
		select {
		case <-p.done:
		case <-ctx.Done():
			return nil, 0, 0, ctx.Err()
		}
		if p.err != nil {
			return nil, 0, 0, p.err
		}
		n += p.count
		recs = append(recs, p.recs...)
		next = p.next
		if next == 0 && (!wq.Reverse && p.to < wq.ToOffset || wq.Reverse && p.from > wq.FromOffset) {
			if next = p.to; wq.Reverse {
				next = p.from
			}
		}
		if !count && len(recs) > wq.Limit {
			if next = recs[wq.Limit].Offset; wq.Reverse {
				next++
			}
			return recs[:wq.Limit], n, next, nil
		}
		if p.next != 0 || !count && len(recs) == wq.Limit {
			return recs, n, next, nil
		}
	}
	return recs, n, 0, ctx.Err()
}

// pieces yields the parts of what is asked for, in the order of the answer.
func (f *finding) pieces() iter.Seq[*piece] {
	log, from, to := f.x.s.p.Log, f.q.FromOffset, f.q.ToOffset
	return func(yield func(*piece) bool) {
		for size := f.x.first; from < to; size = min(2*size, f.x.most) {
			p := &piece{from: from, to: to, done: make(chan struct{})}
			list, sealed := log.Stretches(), uint64(1)
			if len(list) > 0 {
				sealed = list[len(list)-1].Next
			}
			switch {
			case f.q.Reverse && to > sealed:
				p.from = max(from, sealed, to-min(size, to))
			case f.q.Reverse:
				i := sort.Search(len(list), func(i int) bool { return list[i].Next >= to })
				p.from = max(from, list[i].Base)
			case from < sealed:
				i := sort.Search(len(list), func(i int) bool { return list[i].Next > from })
				p.to = min(to, list[i].Next)
			default:
				p.to = min(to, from+size)
			}
			if !yield(p) {
				return
			}
			if f.q.Reverse {
				to = p.from
			} else {
				from = p.to
			}
		}
	}
}

// work searches pieces until there are no more.
func (f *finding) work(ctx context.Context, pieces <-chan *piece) {
	match := f.x.match()
	for p := range pieces {
		f.turn(ctx, p, match)
		close(p.done)
	}
}

// turn searches a piece when it is one of those that may compute: more at once
// would take the places to run from what brings events to their acknowledgement.
func (f *finding) turn(ctx context.Context, p *piece, match func(*wal.Record) bool) {
	f.x.s.turns <- struct{}{}
	defer func() { <-f.x.s.turns }()
	f.piece(ctx, p, match)
}

func (f *finding) piece(ctx context.Context, p *piece, match func(*wal.Record) bool) {
	q := f.q
	q.FromOffset, q.ToOffset = p.from, p.to
	q.Budget.Time -= f.x.s.p.Now().Sub(f.begin)
	if q.Budget.Time <= 0 || f.read.Load() >= eventBudget.Bytes {
		if p.next = p.from; q.Reverse { // nothing of it
			p.next = p.to
		}
		return
	}
	var read atomic.Int64
	if !f.x.block.Empty() {
		q.Skip.Texts = func(may func([]byte) bool) bool { return !f.x.block.May(may) }
		q.Skip.Payloads = func(payloads [][]byte) bool {
			for _, p := range payloads {
				read.Add(int64(len(p)))
			}
			return !f.x.block.Among(payloads)
		}
	}
	q.Match = func(r *wal.Record) bool {
		if q.Skip.Empty() {
			read.Add(int64(len(r.Payload)))
		}
		if ok := match(r); !f.count {
			return ok
		} else if ok {
			p.count++
		}
		return false
	}
	p.recs, p.next, p.err = f.x.s.p.Log.Find(ctx, q)
	f.read.Add(read.Load())
}
