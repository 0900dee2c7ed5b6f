package views

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memLog is a log in memory: blocks that are durable at once.
type memLog struct {
	mu     sync.Mutex
	id     byte
	epoch  uint32
	blocks []*block.Block
	next   uint64
	first  uint64 // what lies before was dropped
	lost   error  // told once by each follower
	wake   chan struct{}
	shown  *wal.DigestsAt
}

func newLog() *memLog { return &memLog{id: 1, epoch: 1, next: 1, first: 1, wake: make(chan struct{})} }

func (l *memLog) ID() (id [16]byte) { id[0] = l.id; return id }
func (l *memLog) Epoch() uint32     { return l.epoch }
func (l *memLog) First() uint64     { return l.first }

func (l *memLog) Next() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// add appends one block of events.
func (l *memLog) add(events ...wire.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := block.NewBuilder(l.next, len(events), 0)
	for i := range events {
		p := events[i].AppendMsgpack(nil)
		if events[i].Msg == "malformed" {
			p = []byte{0xc1}
		}
		b.Append(&block.Record{Recv: int64(l.next) * 1e6, Kind: block.KindEvent, Class: uint8(wire.TypeLog), Producer: 1, Seq: l.next + uint64(i), Agent: 1, Payload: p}, -1)
	}
	blk := b.Block()
	l.blocks, l.next = append(l.blocks, blk), blk.Next()
	close(l.wake)
	l.wake = make(chan struct{})
}

// upTo returns the log as far as offset next, which must be a block's end.
func (l *memLog) upTo(next uint64) *memLog {
	c := newLog()
	for _, b := range l.blocks {
		if b.Next() <= next {
			c.blocks, c.next = append(c.blocks, b), b.Next()
		}
	}
	return c
}

// AskDigests shows at once what the blocks add up to.
func (l *memLog) AskDigests() {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := block.NewDigests()
	for _, b := range l.blocks {
		d.Add(b.AppendDigests(nil, 0, b.Len()))
	}
	l.shown = &wal.DigestsAt{Next: l.next, Digests: d}
}

func (l *memLog) Digests() *wal.DigestsAt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shown
}

func (l *memLog) DigestsFrom() uint64                       { return 1 }
func (l *memLog) Gone(from, to uint64) bool                 { return to < l.first }
func (l *memLog) Producer(uint32) (wal.ProducerState, bool) { return wal.ProducerState{}, false }

type memFollower struct {
	l    *memLog
	next uint64
	lost error
}

func (l *memLog) Follow(from uint64) Follower { return &memFollower{l, from, l.lost} }

func (f *memFollower) Ready() bool { return f.next < f.l.Next() }

func (f *memFollower) Next(ctx context.Context) (*block.Block, error) {
	if err := f.lost; err != nil {
		f.lost = nil
		return nil, err
	}
	for {
		f.l.mu.Lock()
		wake := f.l.wake
		for _, b := range f.l.blocks {
			if b.Next() > f.next {
				f.next = b.Next()
				f.l.mu.Unlock()
				return b, nil
			}
		}
		f.l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tally folds messages into a chain of hashes per name, so that order, loss
// and repetition all show.
type tally struct {
	prefix  byte
	name    string
	version uint32

	mu    sync.Mutex
	state map[string]uint64
	dirty map[string]bool
	saves int
	saved int
	poke  func(msg string) // may panic
	most  uint64           // SaveRecords
}

func newTally(prefix byte, name string) *tally {
	t := &tally{prefix: prefix, name: name, version: 1}
	t.Reset()
	return t
}

func (t *tally) SaveRecords() uint64 { return t.most }

func (t *tally) Name() string    { return t.name }
func (t *tally) Version() uint32 { return t.version }

func (t *tally) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state, t.dirty = map[string]uint64{}, map[string]bool{}
}

func (t *tally) Load(r pebble.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{t.prefix}, UpperBound: []byte{t.prefix + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if bytes.Equal(it.Value(), []byte("broken")) {
			it.Close()
			return fmt.Errorf("broken row")
		}
		t.state[string(it.Key()[1:])] = binary.LittleEndian.Uint64(it.Value())
	}
	return it.Close()
}

func (t *tally) Apply(b *block.Block, from int, vs []wire.View) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := from; i < b.Len(); i++ {
		rec := b.Record(i)
		if rec.Kind != block.KindEvent {
			continue
		}
		name, msg := string(vs[i].Str(wire.FName)), string(vs[i].Str(wire.FMsg))
		// Half done before it panics: what is left behind must not stay.
		t.state[name] = xxhash.Sum64String(fmt.Sprint(t.state[name], rec.Offset, msg))
		t.dirty[name] = true
		if t.poke != nil {
			t.poke(msg)
		}
	}
}

func (t *tally) Save(w *pebble.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.dirty {
		v := binary.LittleEndian.AppendUint64(nil, t.state[n])
		if err := w.Set(append([]byte{t.prefix}, n...), v, nil); err != nil {
			return err
		}
	}
	clear(t.dirty)
	t.saves++
	return nil
}

func (t *tally) Saved() {
	t.mu.Lock()
	t.saved++
	t.mu.Unlock()
}

func (t *tally) copy() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.state)
}

// fromZero folds the log up to next the plain way.
func fromZero(l *memLog, next uint64, leaveOut ...uint64) map[string]uint64 {
	t := newTally(0, "")
	for _, b := range l.blocks {
		for i := range b.Len() {
			off := b.Base() + uint64(i)
			if off >= next || contains(leaveOut, off) {
				continue
			}
			var v [1]wire.View
			_ = v[0].Reset(b.Record(i).Payload)
			t.Apply(slice(b, i, i+1), 0, v[:])
		}
	}
	return t.state
}

func contains(xs []uint64, x uint64) bool {
	for _, y := range xs {
		if x == y {
			return true
		}
	}
	return false
}

func events(rng *rand.Rand, n int) (es []wire.Event) {
	for range n {
		es = append(es, wire.Event{Type: wire.TypeLog, Name: fmt.Sprint("n", rng.IntN(30)), Msg: fmt.Sprint(rng.Uint64())})
	}
	return es
}

func openTestStore(t *testing.T, fs vfs.FS) *pebble.DB {
	t.Helper()
	p, err := OpenStore(fs, "views", func(o *pebble.Options) { o.MemTableSize = 256 << 10 })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, o Options) *Runner {
	t.Helper()
	r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func waitFor(t *testing.T, r *Runner, offset uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.WaitFor(ctx, offset); err != nil {
		t.Fatalf("wait for %d: %v; %+v", offset, err, r.Stats())
	}
}

func mustClose(t *testing.T, r *Runner, p *pebble.DB) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// stopped is a clock that stands still: nothing becomes due by it.
func stopped() time.Time { return time.Unix(1, 0) }
