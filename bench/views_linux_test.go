package bench

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/tsdb"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// dictionary numbers agents at first sight, as the log does.
type dictionary struct {
	ids []string
	num map[string]uint32
}

func (d *dictionary) of(id []byte) uint32 {
	n, ok := d.num[string(id)]
	if !ok {
		d.ids = append(d.ids, string(id))
		n = uint32(len(d.ids))
		d.num[string(id)] = n
	}
	return n
}

func (d *dictionary) Agent(n uint32) (space, id string, ok bool) {
	if n == 0 || int(n) > len(d.ids) {
		return "", "", false
	}
	return "main", d.ids[n-1], true
}

func (d *dictionary) AgentNum(_, id string) (uint32, bool) {
	n, ok := d.num[id]
	return n, ok
}

// foldLog makes the blocks that n events of the mix become at 500,000 events/s.
func foldLog(b *testing.B, d *dictionary, n int) (blocks []*block.Block) {
	shape := workload.Shape{Seed: workload.FigureSeed, Agents: 65_000, Connections: 1000, Frame: 100}
	streams := make([]*workload.Stream, shape.Connections)
	for i := range streams {
		streams[i] = workload.NewStream(shape, i)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	bb, recv, p := block.NewBuilder(1, block.RecordsMax, block.PayloadBytesMax), int64(1_800_000_000e9), []byte(nil)
	for made := 0; made < n; {
		c := rng.IntN(len(streams))
		recv += 200_000
		for range shape.Frame {
			seq := streams[c].Seq()
			p = streams[c].Append(p[:0], recv/1e6)
			h, err := wire.CheckPayload(p)
			if err != nil {
				b.Fatal(err)
			}
			if !bb.Fits(len(p)) {
				blocks = append(blocks, bb.Block())
				bb = block.NewBuilder(blocks[len(blocks)-1].Next(), block.RecordsMax, block.PayloadBytesMax)
			}
			bb.Event(uint32(c+1), seq, uint8(h.Type), h.Flags(), d.of(h.Agent), h.Key, recv, p, -1)
			made++
		}
	}
	return append(blocks, bb.Block())
}

// The clocks that stages go by: the tick-based figures of getrusage are too coarse for a block.
const (
	thread  = unix.CLOCK_THREAD_CPUTIME_ID
	process = unix.CLOCK_PROCESS_CPUTIME_ID
)

// stages adds up CPU time by name, of this thread or of the whole process.
type stages struct {
	names []string
	ns    map[string]int64
}

func (s *stages) run(name string, clock int32, fn func()) {
	from := cpuNow(clock)
	fn()
	if _, ok := s.ns[name]; !ok {
		s.names = append(s.names, name)
	}
	s.ns[name] += cpuNow(clock) - from
}

func cpuNow(clock int32) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// BenchmarkViews folds the mix as the runner does, one stage after the other on
// one thread, and reports the CPU time of each by event; process is all of it,
// with the garbage collector's and the store's own threads. Events beyond the
// first million count. EYRIE_FOLD_EVENTS sets how many millions.
func BenchmarkViews(b *testing.B) {
	const warm, saveEvery = 1_000_000, 2_000_000
	millions := 2
	if s := os.Getenv("EYRIE_FOLD_EVENTS"); s != "" {
		var err error
		if millions, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := &dictionary{num: map[string]uint32{}}
	blocks := foldLog(b, d, warm+millions*1_000_000)
	for b.Loop() {
		foldAll(b, d, blocks, warm, saveEvery)
	}
}

func foldAll(b *testing.B, d *dictionary, blocks []*block.Block, warm, saveEvery int) {
	store, err := views.OpenStore(vfs.Default, b.TempDir(), func(o *pebble.Options) { o.MemTableSize = 128 << 20 })
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	db, err := tsdb.Open(store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	folds := []views.Fold{fleet.New(d), spans.New(d, store), series.New(db, d)}
	for _, f := range folds {
		f.Reset()
	}
	var vs []wire.View
	var all, apply stages
	events, unsaved, bytes := 0, 0, 0
	reset := func() { all, apply = stages{ns: map[string]int64{}}, stages{ns: map[string]int64{}} }
	reset()
	warmed := false
	save := func() {
		for _, f := range folds {
			w := store.NewBatchWithSize(200 << 20)
			apply.run("save-"+f.Name(), thread, func() {
				if err := f.Save(w); err != nil {
					b.Fatal(err)
				}
			})
			bytes += w.Len()
			apply.run("commit", thread, func() {
				if err := w.Commit(pebble.NoSync); err != nil {
					b.Fatal(err)
				}
			})
			if s, ok := f.(views.Saver); ok {
				s.Saved()
			}
		}
		apply.run("flush", process, func() {
			if err := store.Flush(); err != nil {
				b.Fatal(err)
			}
			for m := store.Metrics(); m.Compact.NumInProgress > 0; m = store.Metrics() {
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for _, blk := range blocks {
		if !warmed && events >= warm {
			save()
			reset()
			warmed, events, unsaved, bytes = true, 0, 0, 0
		}
		all.run("process", process, func() {
			apply.run("parse", thread, func() { vs = parseAll(blk, vs) })
			for _, f := range folds {
				apply.run(f.Name(), thread, func() { f.Apply(blk, 0, vs) })
			}
			if unsaved += blk.Len(); unsaved >= saveEvery {
				save()
				unsaved = 0
			}
		})
		events += blk.Len()
	}
	all.run("process", process, func() { save() })
	for _, n := range apply.names {
		b.ReportMetric(float64(apply.ns[n])/float64(events), n+"-ns/event")
	}
	b.ReportMetric(float64(all.ns["process"])/float64(events), "process-ns/event")
	b.ReportMetric(float64(bytes)/float64(events), "saved-B/event")
	b.ReportMetric(0, "ns/op")
}

func parseAll(b *block.Block, vs []wire.View) []wire.View {
	if len(vs) < b.Len() {
		vs = make([]wire.View, b.Len())
	}
	for i := range b.Len() {
		if err := vs[i].Reset(b.Record(i).Payload); err != nil {
			panic(err)
		}
	}
	return vs
}
