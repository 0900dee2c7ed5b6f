package wal

import (
	"time"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// Three stages run at once: the writer fills group k+1, the committer encodes
// and syncs k, the marker syncs the mark of k-1 and announces it. The committer
// has one group at a time (Log.inflight); the marker takes all that are synced
// in one mark.

// batchKept bounds the memory of a batch that is kept for the next one.
const batchKept = 16 << 20

// syncedMax bounds the groups between committer and marker.
const syncedMax = 4

// commitLoop is the committer's goroutine. digest is that of the newest header.
func (l *Log) commitLoop(digest uint64) {
	c := committer{l: l, digest: digest}
	for g := range l.groups {
		if err := l.Err(); err != nil {
			g.err = err
		} else {
			c.commit(g)
		}
		l.inflight.Store(false)
		if l.o.Ready != nil && !g.silent {
			l.o.Ready()
		}
		l.synced <- g
	}
	if c.batch != nil {
		_ = c.batch.Close() // empty, and only given back
	}
	close(l.synced)
}

type committer struct {
	l      *Log
	digest uint64
	enc    block.Encoder
	batch  *pebble.Batch // used again: a group is 8 MiB at most, and compressed in it
	body   []byte
	head   []byte
	key    []byte
}

func (c *committer) commit(g *group) {
	l := c.l
	g.ops = l.cursors.take(g.ops)
	g.digest = c.digest
	if len(g.blocks) == 0 && len(g.ops) == 0 {
		return
	}
	begin := time.Now()
	if c.batch == nil {
		c.batch = l.db.NewBatch(pebble.WithMaxRetainedSizeBytes(batchKept))
	}
	batch := c.batch
	defer batch.Reset()
	stored := 0
	for _, b := range g.blocks {
		c.body = c.enc.Body(c.body[:0], b)
		c.head, c.digest = block.EncodeHeader(c.head[:0], b, c.body, block.Stamp{LogID: l.id, Epoch: l.Epoch(), Chain: c.digest})
		c.key = appendKey8(c.key[:0], prefixHeader, b.Base())
		err := batch.Set(c.key, c.head, nil)
		if err == nil {
			c.key = appendKey8(c.key[:0], prefixBody, b.Base())
			err = batch.Set(c.key, c.body, nil)
		}
		if err != nil {
			l.fail(err)
			g.err = l.Err()
			return
		}
		stored += len(c.head) + len(c.body)
	}
	g.digest = c.digest
	for _, o := range g.ops {
		var err error
		if o.value == nil {
			err = batch.Delete(o.key, nil)
		} else {
			err = batch.Set(o.key, o.value, nil)
		}
		if err != nil {
			l.fail(err)
			g.err = l.Err()
			return
		}
	}
	encoded := time.Now()
	sync := pebble.Sync
	if l.o.faults.skipStoreSync {
		sync = pebble.NoSync
	}
	if err := l.db.Apply(batch, sync); err != nil {
		l.fail(err)
	}
	// A failed sync ends in storeLogger.Fatalf, and Apply may return nil.
	if g.err = l.Err(); g.err != nil {
		return
	}
	m := l.metrics
	m.encode.Update(encoded.Sub(begin).Seconds())
	m.sync.UpdateDuration(encoded)
	m.commits.Inc()
	m.records.AddInt64(int64(g.end - g.first))
	m.payload.AddInt64(int64(g.bytes) - int64(g.end-g.first)*rowBytes)
	m.stored.AddInt64(int64(stored))
	m.commitRec.Update(float64(g.end - g.first))
	m.commitB.Update(float64(stored))
	if cap(c.body) > 4<<20 {
		c.body = nil // a large record was in it
	}
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
			l.durable.Store(g.end)
		}
	}
	l.cache.wakeAll()
	for _, g := range gs {
		if l.o.Committed != nil && !g.silent {
			l.o.Committed(g.token, g.first, g.end-1, g.err)
		}
	}
}
