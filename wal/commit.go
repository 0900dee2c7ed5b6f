package wal

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// Four stages run at once. While the committer syncs group k, the writer fills
// k+1 and the encoder encodes each block of it as it is sealed, so that at its
// commit little is left to do; the marker syncs the mark of k-1 and announces
// it. One group is between writer and committer (Log.inflight); the marker takes
// all that are synced in one mark.

// batchKept bounds the memory of a batch that is kept for the next one: a group
// is 8 MiB at most, and compressed in it.
const batchKept = 16 << 20

// batches are two: one is filled while the other is synced.
const batches = 2

// syncedMax bounds the groups between committer and marker.
const syncedMax = 4

// work is what the writer gives the encoder: a block of the group being filled,
// or that group itself when it is handed over.
type work struct {
	block *Block
	group *group
}

// encoder turns blocks into the batch of their group. It belongs to its loop.
type encoder struct {
	l      *Log
	digest uint64 // of the newest header
	enc    block.Encoder
	batch  *pebble.Batch // of the group being filled; nil = nothing is in it
	body   []byte
	head   []byte
	key    []byte
	stored int
	spent  time.Duration
	err    error
}

// encodeLoop is the encoder's goroutine. digest is that of the newest header.
func (l *Log) encodeLoop(digest uint64) {
	defer close(l.encoded)
	e := encoder{l: l, digest: digest}
	for w := range l.work {
		if len(l.work) == aheadMax/2 && l.o.Ready != nil {
			l.o.Ready()
		}
		begin := time.Now()
		if w.block != nil {
			e.block(w.block)
			e.spent += time.Since(begin)
			continue
		}
		e.end(w.group)
		w.group.encoding = e.spent + time.Since(begin)
		e.spent = 0
		l.encoded <- w.group
	}
	if e.batch != nil { // of a group that the failed log never ends
		l.free <- e.batch
	}
}

// room makes sure that there is a batch.
func (e *encoder) room() {
	if e.batch == nil {
		e.batch = <-e.l.free
	}
}

func (e *encoder) block(b *Block) {
	e.room()
	e.body = e.enc.Body(e.body[:0], b)
	e.head, e.digest = block.EncodeHeader(e.head[:0], b, e.body, block.Stamp{LogID: e.l.id, Epoch: e.l.Epoch(), Chain: e.digest})
	e.key = appendKey8(e.key[:0], prefixHeader, b.Base())
	e.set(e.key, e.head)
	e.key = appendKey8(e.key[:0], prefixBody, b.Base())
	e.set(e.key, e.body)
	e.stored += len(e.head) + len(e.body)
	if cap(e.body) > 4<<20 {
		e.body = nil // a large record was in it
	}
}

func (e *encoder) set(key, value []byte) {
	if err := e.batch.Set(key, value, nil); err != nil && e.err == nil {
		e.err = err
	}
}

// end adds what else the group's commit takes along and gives the batch to it.
func (e *encoder) end(g *group) {
	for _, o := range e.l.cursors.take(g.ops) {
		e.room()
		if o.value != nil {
			e.set(o.key, o.value)
		} else if err := e.batch.Delete(o.key, nil); err != nil && e.err == nil {
			e.err = err
		}
	}
	g.batch, g.digest, g.stored, g.err = e.batch, e.digest, e.stored, e.err
	e.batch, e.stored = nil, 0
}

// commitLoop is the committer's goroutine.
func (l *Log) commitLoop() {
	defer close(l.synced)
	for g := range l.encoded {
		if g.err != nil {
			l.fail(g.err)
		}
		if err := l.Err(); err != nil {
			g.err = err
		} else if g.batch != nil {
			l.commit(g)
		}
		if g.batch != nil {
			g.batch.Reset()
			l.free <- g.batch
			g.batch = nil
		}
		l.inflight.Store(false)
		if l.o.Ready != nil && !g.silent {
			l.o.Ready()
		}
		l.synced <- g
	}
	for range batches {
		_ = (<-l.free).Close() // empty or of no use, and only given back
	}
}

// commit makes a group durable.
func (l *Log) commit(g *group) {
	begin := time.Now()
	sync := pebble.Sync
	if l.o.faults.skipStoreSync {
		sync = pebble.NoSync
	}
	if err := l.db.Apply(g.batch, sync); err != nil {
		l.fail(err)
	}
	// A failed sync ends in storeLogger.Fatalf, and Apply may return nil.
	if g.err = l.Err(); g.err != nil {
		return
	}
	m := l.metrics
	m.encode.Update(g.encoding.Seconds())
	m.sync.UpdateDuration(begin)
	m.commits.Inc()
	m.records.AddInt64(int64(g.end - g.first))
	m.payload.AddInt64(int64(g.bytes) - int64(g.end-g.first)*rowBytes)
	m.stored.AddInt64(int64(g.stored))
	m.commitRec.Update(float64(g.end - g.first))
	m.commitB.Update(float64(g.stored))
}

// markLoop is the marker's goroutine.
func (l *Log) markLoop() {
	defer close(l.done)
	var gs []*group
	for g := range l.synced {
		gs = append(gs[:0], g)
		for more := true; more; {
			select {
			case g, ok := <-l.synced:
				if more = ok; ok {
					gs = append(gs, g)
				}
			default:
				more = false
			}
		}
		l.settle(gs)
		clear(gs)
	}
}

// settle writes one mark for all of gs and announces them.
func (l *Log) settle(gs []*group) {
	var newest *group
	for _, g := range gs {
		if g.err == nil {
			newest = g
		}
	}
	if last := l.mark.last; newest != nil && (newest.end != last.next || newest.digest != last.digest) {
		begin := time.Now()
		m := mark{log: l.id, epoch: l.Epoch(), next: newest.end, digest: newest.digest}
		if err := l.mark.write(m); err != nil {
			l.fail(err)
		}
		l.metrics.mark.UpdateDuration(begin)
		l.metrics.marks.Inc()
	}
	failed := l.Err()
	for _, g := range gs {
		if g.err == nil && failed != nil {
			g.err = failed
		}
		if g.err == nil {
			for _, b := range g.blocks {
				l.producers.publish(b)
			}
			l.cache.add(g.blocks)
			if g.digests != nil {
				l.digests.Store(g.digests) // before anybody can be beyond it
			}
			l.durable.Store(g.end)
			l.sealer.grown(g.stored)
		}
	}
	l.cache.wakeAll()
	for _, g := range gs {
		if l.o.Committed != nil && !g.silent {
			l.o.Committed(g.token, g.first, g.end-1, g.err)
		}
	}
}
