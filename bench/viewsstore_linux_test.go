package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/tsdb"
	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// madeLog is a log that makes its blocks as they are read, at a rate of its own clock.
type madeLog struct {
	dictionary
	mu      sync.RWMutex // of dictionary
	streams []*workload.Stream
	rng     *rand.Rand
	frame   int
	recv    atomic.Int64 // of the last record, Unix ns
	step    int64        // ns of a frame
	end     uint64
	next    atomic.Uint64 // first offset not made
	cpu     atomic.Int64  // that making them took
	pause   func(next uint64)
	p       []byte
	c, at   int
}

func newMadeLog(events int, rate float64) *madeLog {
	shape := workload.Shape{Seed: workload.FigureSeed, Agents: 65_000, Connections: 1000, Frame: 100}
	l := &madeLog{dictionary: dictionary{num: map[string]uint32{}}, rng: rand.New(rand.NewPCG(1, 2)), frame: shape.Frame,
		step: int64(float64(shape.Frame) / rate * 1e9), end: uint64(events) + 1}
	for i := range shape.Connections {
		l.streams = append(l.streams, workload.NewStream(shape, i))
	}
	l.recv.Store(1_800_000_000e9)
	l.next.Store(1)
	return l
}

func (l *madeLog) Agent(n uint32) (space, id string, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dictionary.Agent(n)
}

func (l *madeLog) AgentNum(space, id string) (uint32, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dictionary.AgentNum(space, id)
}

func (l *madeLog) ID() [16]byte                                  { return [16]byte{1} }
func (l *madeLog) Epoch() uint32                                 { return 1 }
func (l *madeLog) First() uint64                                 { return 1 }
func (l *madeLog) Next() uint64                                  { return l.end }
func (l *madeLog) AskDigests()                                   {}
func (l *madeLog) Digests() *wal.DigestsAt                       { return nil }
func (l *madeLog) DigestsFrom() uint64                           { return 1 }
func (l *madeLog) Gone(from, to uint64) bool                     { return false }
func (l *madeLog) Producer(uint32) (s wal.ProducerState, _ bool) { return s, false }
func (l *madeLog) Ready() bool                                   { return l.next.Load() < l.end }

type madeFollower struct{ *madeLog }

func (l madeFollower) Next(ctx context.Context) (*block.Block, error) {
	next := l.next.Load()
	if next >= l.end {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	l.pause(next)
	from := cpuNow(thread)
	b := l.make(next)
	l.next.Store(b.Next())
	l.cpu.Add(cpuNow(thread) - from)
	return b, nil
}

// make returns the next block.
func (l *madeLog) make(next uint64) *block.Block {
	bb := block.NewBuilder(next, block.RecordsMax, block.PayloadBytesMax)
	for n := next; n < l.end; n++ {
		if len(l.p) == 0 {
			if l.at == 0 {
				l.c = l.rng.IntN(len(l.streams))
				l.recv.Add(l.step)
			}
			l.at = (l.at + 1) % l.frame
			l.p = l.streams[l.c].Append(l.p[:0], l.recv.Load()/1e6)
		}
		h, err := wire.CheckPayload(l.p)
		if err != nil {
			panic(err)
		}
		if !bb.Fits(len(l.p)) {
			break
		}
		l.mu.Lock()
		num := l.of(h.Agent)
		l.mu.Unlock()
		bb.Event(uint32(l.c+1), l.streams[l.c].Seq()-1, uint8(h.Type), h.Flags(), num, h.Key, l.recv.Load(), l.p, -1)
		l.p = l.p[:0]
	}
	return bb.Block()
}

// counted is a fold whose batches are counted by the first two bytes of keys.
type counted struct {
	views.Fold
	mu    *sync.Mutex
	kinds map[[2]byte]*kindBytes
	cpu   *atomic.Int64
}

type kindBytes struct{ keys, keyBytes, valueBytes int }

func (c counted) Save(w *pebble.Batch) error {
	if err := c.Fold.Save(w); err != nil {
		return err
	}
	return c.count(w)
}

func (c counted) SaveApart(w *pebble.Batch) (views.Rows, error) {
	a, ok := c.Fold.(views.Apart)
	if !ok {
		return nil, c.Save(w)
	}
	rows, err := a.SaveApart(w)
	if err == nil {
		err = c.count(w)
	}
	if rows == nil || err != nil {
		return nil, err
	}
	return func(put func(key, value []byte) error) error {
		return rows(func(key, value []byte) error {
			c.mu.Lock()
			c.add(key, value)
			c.mu.Unlock()
			return put(key, value)
		})
	}, nil
}

func (c counted) count(w *pebble.Batch) error {
	from := cpuNow(thread)
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := w.Reader(); ; {
		_, k, v, ok, err := r.Next()
		if !ok || err != nil {
			c.cpu.Add(cpuNow(thread) - from)
			return err
		}
		c.add(k, v)
	}
}

func (c counted) add(k, v []byte) {
	id := [2]byte{k[0], 0}
	if len(k) > 1 {
		id[1] = k[1]
	}
	n := c.kinds[id]
	if n == nil {
		n = &kindBytes{}
		c.kinds[id] = n
	}
	n.keys++
	n.keyBytes += len(k)
	n.valueBytes += len(v)
}

func (c counted) Saved() {
	if s, ok := c.Fold.(views.Saver); ok {
		s.Saved()
	}
}

func (c counted) SaveRecords() uint64 {
	if g, ok := c.Fold.(views.Grower); ok {
		return g.SaveRecords()
	}
	return 0
}

// BenchmarkViewsStore has the real runner fold the mix into a store, at
// 100,000 events/s of the log's clock, and lets the store do what it has put off
// after each flush: so bytes are the same each time. It reports what is saved, by
// kind of key, and what the store writes and computes for it.
// EYRIE_FOLD_EVENTS sets how many millions, EYRIE_FOLD_RATE another rate.
func BenchmarkViewsStore(b *testing.B) {
	millions := 4
	if s := os.Getenv("EYRIE_FOLD_EVENTS"); s != "" {
		var err error
		if millions, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	rate := 100_000.0
	if s := os.Getenv("EYRIE_FOLD_RATE"); s != "" {
		var err error
		if rate, err = strconv.ParseFloat(s, 64); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		foldStore(b, millions*1_000_000, rate)
	}
}

// mergedBytes is what merges wrote, by level and kind of key.
type mergedBytes struct {
	mu     sync.Mutex
	window map[mergedKind]uint64
}

type mergedKind struct {
	level int
	kind  [2]byte // first bytes of the table's first key
}

func (m *mergedBytes) add(i pebble.CompactionInfo) {
	if i.Reason == "move" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range i.Output.Tables {
		m.window[mergedKind{i.Output.Level, [2]byte(t.Smallest.UserKey)}] += t.Size
	}
}

// print tells of the ten millions of events up to those.
func (m *mergedBytes) print(millions uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kinds := slices.SortedFunc(maps.Keys(m.window), func(x, y mergedKind) int {
		return cmp.Or(cmp.Compare(x.level, y.level), cmp.Compare(x.kind[0], y.kind[0]), cmp.Compare(x.kind[1], y.kind[1]))
	})
	fmt.Printf("merged, the 10 million events up to %d million:\n", millions)
	for _, k := range kinds {
		fmt.Printf("  level %d %q %02x: %6.2f B/ev\n", k.level, k.kind[0], k.kind[1], float64(m.window[k])/10e6)
	}
	clear(m.window)
}

func foldStore(b *testing.B, events int, rate float64) {
	l := newMadeLog(events, rate)
	var mergeCPU, flushCPU atomic.Int64
	var began sync.Map
	merged := mergedBytes{window: map[mergedKind]uint64{}}
	dir := b.TempDir()
	store, err := views.OpenStore(vfs.Default, dir, func(o *pebble.Options) {
		o.MemTableSize = 128 << 20
		o.Cache = pebble.NewCache(384 << 20)
		o.EventListener = &pebble.EventListener{
			FlushBegin: func(i pebble.FlushInfo) {
				runtime.LockOSThread()
				began.Store(i.JobID, cpuNow(thread))
			},
			FlushEnd: func(i pebble.FlushInfo) {
				if at, ok := began.Load(i.JobID); ok {
					flushCPU.Add(cpuNow(thread) - at.(int64))
				}
			},
			CompactionBegin: func(i pebble.CompactionInfo) {
				runtime.LockOSThread()
				began.Store(i.JobID, cpuNow(thread))
			},
			CompactionEnd: func(i pebble.CompactionInfo) {
				if at, ok := began.Load(i.JobID); ok {
					mergeCPU.Add(cpuNow(thread) - at.(int64))
				}
				merged.add(i)
			},
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	db, err := tsdb.Open(store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	kinds := map[[2]byte]*kindBytes{}
	var countCPU atomic.Int64
	count := func(f views.Fold) views.Fold { return counted{f, &mu, kinds, &countCPU} }
	sp := spans.New(l, store)
	sp.BoundFilter(1 << 30)
	var r *views.Runner
	idle := func() bool {
		m := store.Metrics()
		return m.Compact.NumInProgress == 0 && m.Flush.NumInProgress == 0
	}
	tens := uint64(0)
	l.pause = func(next uint64) {
		if n := next / 10_000_000; n > tens {
			tens = n
			merged.print(10 * n)
		}
		if next/100_000 == (next-4096)/100_000 {
			return
		}
		// The runner has what was made, and the store is at rest.
		for {
			behind := false
			for _, s := range r.Stats() {
				behind = behind || s.Cursor+70_000 < next
			}
			if !behind && idle() {
				time.Sleep(3 * time.Millisecond)
				if idle() {
					return
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	r, err = views.Open(views.Options{
		Folds: []views.Mount{{Fold: count(fleet.New(l)), Prefixes: fleet.Prefixes}, {Fold: count(sp), Prefixes: "s"}, {Fold: count(series.New(db, l)), Prefixes: series.Prefixes}},
		Store: store, Files: views.Files{FS: vfs.Default, Dir: dir}, Log: following{l}, Now: func() time.Time { return time.Unix(0, l.recv.Load()) },
		Background:    runtime.LockOSThread,
		RefoldRecords: 2 << 20, // as on a machine that folds half a million a second: the log's clock knows nothing of this one
		Events:        views.Events{Poison: func(f string, _ uint64, p any, st []byte) { panic(fmt.Sprint(p, string(st))) }, Failed: func(err error) { panic(err) }},
	})
	if err != nil {
		b.Fatal(err)
	}
	cpu := cpuNow(process)
	r.Start()
	for done := false; !done; {
		time.Sleep(5 * time.Millisecond)
		done = true
		for _, s := range r.Stats() {
			done = done && s.Cursor >= l.end
		}
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	for !idle() {
		time.Sleep(5 * time.Millisecond)
	}
	total := cpuNow(process) - cpu - l.cpu.Load() - countCPU.Load()
	m := store.Metrics()
	per := func(x float64, unit string) { b.ReportMetric(x/float64(events), unit) }
	saved := 0
	var ids [][2]byte
	for id, k := range kinds {
		ids = append(ids, id)
		saved += k.keyBytes + k.valueBytes
	}
	slices.SortFunc(ids, func(x, y [2]byte) int { return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) })
	for _, id := range ids {
		k := kinds[id]
		fmt.Printf("%q %02x: %6.3f keys/1000ev %7.3f B/ev key, %7.3f B/ev value, %6.0f B a value\n", id[0], id[1], 1000*float64(k.keys)/float64(events), float64(k.keyBytes)/float64(events), float64(k.valueBytes)/float64(events), float64(k.valueBytes)/float64(k.keys))
	}
	var flushed, ingested, compacted, read uint64
	for i := range m.Levels {
		flushed += m.Levels[i].TableBytesFlushed + m.Levels[i].BlobBytesFlushed
		ingested += m.Levels[i].TableBytesIngested
		compacted += m.Levels[i].TableBytesCompacted + m.Levels[i].BlobBytesCompacted
		read += m.Levels[i].TableBytesRead
	}
	fmt.Printf("%s\n", m.String())
	per(float64(saved), "saved-B/event")
	per(float64(flushed), "flushed-B/event")
	per(float64(ingested), "ingested-B/event")
	per(float64(compacted), "compacted-B/event")
	per(float64(read), "read-B/event")
	per(float64(flushCPU.Load()), "flush-ns/event")
	per(float64(mergeCPU.Load()), "merge-ns/event")
	per(float64(total), "process-ns/event")
	per(float64(m.DiskSpaceUsage()), "disk-B/event")
	b.ReportMetric(0, "ns/op")
}

type following struct{ *madeLog }

func (f following) Follow(uint64) views.Follower { return madeFollower(f) }
