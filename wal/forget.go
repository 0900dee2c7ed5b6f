package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
	"eyrie/wal/stretch"
)

// Forgetting says whose payloads go.
type Forgetting struct {
	Agents []uint32 // records of any of these, where there are any
	Key    uint32   // with this key, where it is not 0
	Below  uint64   // and an offset below this one; all of these must be durable
	// Match, if set, has the last word; the record is borrowed until it returns.
	Match func(*Record) bool
	// Rest returns what stays of a link record's payload, nothing if it is not set.
	// What is as long as the payload changes nothing.
	Rest func(*Record) []byte
}

// Forgotten is what one Forget did.
type Forgotten struct {
	Records   uint64 // whose payloads are gone
	Bytes     uint64 // of these payloads
	Blocks    int    // written again
	Stretches int    // alike
	// Unreadable are chunks and blocks that may hold more of it and cannot be read.
	Unreadable []*LostError
}

// forgettable are the kinds whose payloads are callers': the log does without.
const forgettable = 1<<KindEvent | 1<<KindLink

// Forget takes the payloads of events, and of link records, out of the log for
// good: once it returns, no file of the store holds them. An event becomes a record
// of kind Forgotten; all else of it stays, so that offsets, numbers and digests are
// what they were, and an event that is sent again is a duplicate. Who decides on it
// writes a record of that first, and calls Forget again after a crash: it goes on where it
// stopped. What an accepted loss has left in store.lost goes whole. It works in the background of appends and readers, for long; readers
// under way may still see what they hold. One goroutine at a time.
// Errors are those of the store and of ctx.
func (l *Log) Forget(ctx context.Context, f Forgetting) (r Forgotten, err error) {
	if f.Below > l.Next() {
		return r, fmt.Errorf("wal: offsets below %d are to be forgotten, and the log ends at %d", f.Below, l.Next())
	}
	if len(f.Agents) == 0 && f.Key == 0 {
		return r, errors.New("wal: neither agents nor a key to forget")
	}
	err = l.read(func() error {
		o := obliteration{l: l, ctx: ctx, f: f, q: Query{Agents: slices.Sorted(slices.Values(f.Agents)), Key: f.Key, ToOffset: f.Below}}
		err := o.run()
		r = o.done
		return err
	})
	return r, err
}

// obliteration is one Forget under way.
type obliteration struct {
	l    *Log
	ctx  context.Context
	f    Forgetting
	q    Query
	w    *stretch.Writer
	done Forgotten
}

func (o *obliteration) run() error {
	if err := o.raise(); err != nil {
		return err
	}
	for at := o.l.First(); at < o.f.Below; {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		next, err := o.step(at)
		if err != nil {
			return err
		}
		at = next
	}
	// What was found when a loss was accepted holds it, too.
	fs, dir := o.l.o.FS, o.l.dir
	if err := errors.Join(fs.RemoveAll(fs.PathJoin(dir, lostName)), syncDir(fs, dir)); err != nil {
		return err
	}
	lost, err := o.l.purge(o.ctx)
	if lost != nil {
		o.done.Unreadable = append(o.done.Unreadable, lost)
	}
	return err
}

// raise has releases refuse the log that would take it for damaged.
func (o *obliteration) raise() error {
	l := o.l
	v := binary.LittleEndian.AppendUint32(nil, logVersion)
	return errors.Join(l.db.Set([]byte(metaLog), append(v, l.id[:]...), pebble.Sync), l.Err())
}

// step deals with the stretch that holds at, or with some blocks from at on, and
// returns where to go on. Nothing is sealed or dropped meanwhile.
func (o *obliteration) step(at uint64) (next uint64, err error) {
	l := o.l
	l.shaping.Lock()
	defer l.shaping.Unlock()
	if at >= l.Sealed() {
		return o.blocks(at)
	}
	s, ok := l.stretchAt(at)
	if !ok {
		return max(at+1, min(l.First(), l.Sealed())), nil // dropped meanwhile
	}
	return s.Next, o.stretch(&s)
}

// forget takes the record's payload, if it goes.
func (o *obliteration) forget(r *Record) bool {
	if forgettable>>r.Kind&1 == 0 || len(r.Payload) == 0 || !o.q.is(r) || o.f.Match != nil && !o.f.Match(r) {
		return false
	}
	if r.Kind == KindEvent {
		r.Forget()
		return true
	}
	was := len(r.Payload)
	if o.f.Rest == nil {
		r.Payload = nil
	} else {
		r.Payload = o.f.Rest(r)
	}
	return len(r.Payload) < was
}

// stretch writes a sealed stretch again, if it holds what goes.
func (o *obliteration) stretch(s *Stretch) (err error) {
	l := o.l
	x, err := l.index(s)
	if err != nil {
		return o.unreadable(err)
	}
	look := search{l: l, ctx: o.ctx, q: o.q}
	chunks, err := look.candidates(s, x)
	if err != nil {
		return o.unreadable(err)
	}
	if o.w == nil {
		o.w = stretch.NewWriter(l.o.Seal.Tier)
	}
	defer o.w.Reset()
	var r *rewriting
	at := 0 // chunks of r that are put down
	records, size := uint64(0), uint64(0)
	for i := range chunks {
		if err := o.ctx.Err(); err != nil {
			return err
		}
		p, err := l.chunk(s, &chunks[i])
		if err != nil {
			if err := o.unreadable(err); err != nil {
				return err
			}
			continue
		}
		if p == nil {
			continue
		}
		now := chunks[i]
		v, n, bytes := o.w.Forget(&now, p, o.forget)
		if n == 0 {
			continue
		}
		if p, err := stretch.ProveChunk(&now, v); err != nil || p.Digest() != now.Digest {
			return fmt.Errorf("what was just encoded cannot be read: %w", errors.Join(err, errNotTheSame))
		}
		if r == nil {
			if r, err = l.rewrite(*s, x); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.close()) }()
		}
		to := slices.IndexFunc(x.Chunks, func(c stretch.ChunkInfo) bool { return c.Tier == now.Tier && c.No == now.No })
		for ; at < to; at++ {
			if err := r.keep(at); err != nil {
				return o.keptAsItWas(s, err)
			}
		}
		r.x.Chunks[to] = now
		r.x.Bytes -= uint64(bytes)
		if err := r.set(to, v); err != nil {
			return err
		}
		at = to + 1
		records += uint64(n)
		size += uint64(bytes)
	}
	if r == nil {
		return nil
	}
	for ; at < len(x.Chunks); at++ {
		if err := r.keep(at); err != nil {
			return o.keptAsItWas(s, err)
		}
	}
	if err := r.end(o.ctx); err != nil {
		return err
	}
	o.done.Stretches++
	o.done.Records += records
	o.done.Bytes += size
	return nil
}

var errNotTheSame = errors.New("it is not what was meant")

// keptAsItWas notes a stretch that cannot be written again, for a part of it cannot be read. The others go on.
func (o *obliteration) keptAsItWas(s *Stretch, err error) error {
	if !pebble.IsCorruptionError(err) {
		return err
	}
	o.done.Unreadable = append(o.done.Unreadable, &LostError{From: s.Base, To: s.Next - 1, Reason: "nothing of it was forgotten: " + brief(err)})
	return nil
}

// unreadable notes what cannot be read.
func (o *obliteration) unreadable(err error) error {
	var lost *LostError
	if !errors.As(err, &lost) {
		return err
	}
	o.done.Unreadable = append(o.done.Unreadable, lost)
	return nil
}

// forgetBytes of bodies are written again at a time.
const forgetBytes = 4 << 20

// blocks gives blocks from at on other bodies, until that is enough for one batch.
func (o *obliteration) blocks(at uint64) (next uint64, err error) {
	l := o.l
	it, err := l.headers(max(l.Sealed(), at-min(at, block.RecordsMax)), o.f.Below)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	b := l.db.NewBatch()
	defer b.Close()
	var changed []*Block
	var enc block.Encoder
	next = o.f.Below
	for ok := it.First(); ok; ok = it.Next() {
		if err := o.ctx.Err(); err != nil {
			return 0, err
		}
		var h block.Header
		if err := headerAt(it, &h); damaged(err) {
			base := baseIn(it.Key()[:9])
			o.done.Unreadable = append(o.done.Unreadable, &LostError{From: base, To: base, Reason: brief(err)})
			continue
		} else if err != nil {
			return 0, err
		}
		if h.Next() <= at || !o.q.may(&h) {
			continue
		}
		was, err := l.loadBody(&h)
		if err != nil {
			o.done.Unreadable = append(o.done.Unreadable, &LostError{From: h.Base, To: h.Next() - 1, Reason: err.Error()})
			continue
		}
		now, n, bytes := was.Forget(o.forget)
		if n == 0 {
			continue
		}
		body := enc.Body(nil, now)
		if err := errors.Join(b.Set(key8(prefixBody, h.Base), body, nil), b.Set(key8(prefixAmend, h.Base), amendment(body), nil)); err != nil {
			return 0, err
		}
		changed = append(changed, now)
		o.done.Records += uint64(n)
		o.done.Bytes += uint64(bytes)
		o.done.Blocks++
		if b.Len() >= forgetBytes {
			next = h.Next()
			break
		}
	}
	if err := it.Error(); err != nil || len(changed) == 0 {
		return next, err
	}
	if err := errors.Join(l.db.Apply(b, pebble.Sync), l.Err()); err != nil {
		return 0, err
	}
	for _, b := range changed {
		l.cache.replace(b)
	}
	return next, nil
}
