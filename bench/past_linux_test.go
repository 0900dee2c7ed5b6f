package bench

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// logRate is the pace of the logs made here: 65,000 agents, an event each 20 s.
const logRate = 3250

// makeLog fills a log in dir with n events of the mix, received at logRate, and
// a tick a second: the log that the figures of look-up and past moments are of.
// The same n gives the same records; below a million they are of a tenth of the agents. With EYRIE_LOG_SEALED set nearly all of it is
// sealed: small memtables leave less that the next open has to check.
func makeLog(t testing.TB, dir string, n int) *wal.Log {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	ready := make(chan struct{}, 1)
	memtable := 0
	if os.Getenv("EYRIE_LOG_SEALED") != "" {
		memtable = 4 << 20
	}
	l, err := wal.Open(wal.Options{
		MemtableBytes: memtable, CheckpointBytes: int64(memtable),
		Dir: dir, Now: func() time.Time { return now }, DiskMin: 1,
		Committed: func(_ any, _, _ uint64, err error) {
			if err != nil {
				panic(err)
			}
		},
		Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	shape := workload.Shape{Seed: workload.FigureSeed, Agents: 65_000, Connections: 1000, Frame: 100}
	if n < 1e6 { // a test's: as many events an agent
		shape.Agents, shape.Connections = 6_500, 100
	}
	w := l.Writer()
	commit := func() {
		for !w.Commit(nil) {
			<-ready
		}
	}
	streams := make([]*workload.Stream, shape.Connections)
	producers := make([]uint32, shape.Connections)
	for i := range streams {
		streams[i] = workload.NewStream(shape, i)
		if producers[i], _, err = w.Fence(wal.ProducerKey{Space: "main", Owner: "bench", ID: shape.Producer(i)}, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	rng, start, made := rand.New(rand.NewPCG(1, 2)), now, 0
	var p []byte
	for tick := 0; made < n; {
		now = start.Add(time.Duration(made) * (time.Second / logRate))
		if s := int(now.Sub(start) / time.Second); s > tick {
			tick = s
			w.System(wal.KindTick, 0, 0, nil)
		}
		c := rng.IntN(len(streams))
		for range shape.Frame {
			seq := streams[c].Seq()
			p = streams[c].Append(p[:0], now.UnixMilli())
			h, err := wire.CheckPayload(p)
			if err != nil {
				t.Fatal(err)
			}
			if v := w.Append(producers[c], seq, uint8(h.Type), h.Flags(), w.Agent([]byte("main"), h.Agent), h.Key, now.UnixNano(), p); v != wal.Stored {
				t.Fatal(v)
			}
			made++
		}
		if w.Full() {
			commit()
		}
	}
	commit()
	for l.Next() < w.Next() {
		time.Sleep(time.Millisecond)
	}
	for s := l.Sealed(); memtable > 0 && n >= 2e6; { // until it has caught up
		time.Sleep(5 * time.Second)
		if now := l.Sealed(); now == s && now > 1 {
			break
		} else {
			s = now
		}
	}
	return l
}

// millions reads how many million events a log has.
func millions(t testing.TB, otherwise float64) int {
	t.Helper()
	if s := os.Getenv("EYRIE_LOG_MILLIONS"); s != "" {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal("EYRIE_LOG_MILLIONS: ", err)
		}
		otherwise = x
	} else if testing.Short() {
		otherwise /= 5 // beside the detector of races
	}
	return int(otherwise * 1e6)
}

// TestPast makes a log of EYRIE_LOG_MILLIONS million events (0.05 unless told) of
// 65,000 agents, folds it as the node does, and asks for the fleet at random
// moments: each must be what a plain fold of the log up to there says, and with
// a million events or more come within 2 s at p99.
func TestPast(t *testing.T) {
	t.Parallel()
	n := millions(t, 0.05)
	l := makeLog(t, t.TempDir(), n)
	defer l.Close()
	store, err := views.OpenStore(vfs.Default, t.TempDir(), func(o *pebble.Options) { o.MemTableSize = 64 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	live := fleet.New(l)
	if n < 1e6 {
		live.Snapshots(fleet.SnapshotOptions{Min: uint64(n / 10), Reach: uint64(n / 5)})
	}
	from := cpuNow(process)
	r, err := views.Open(views.Options{Folds: []views.Mount{{Fold: live, Prefixes: fleet.Prefixes}}, Store: store, Log: views.FromLog(l)})
	if err != nil {
		t.Fatal(err)
	}
	r.Start()
	if err := r.WaitFor(context.Background(), l.Next()-1); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("sealed up to %d", l.Sealed())
	t.Logf("folded %d records, %.0f CPU-ns each with reading and saving, %d snapshots", l.Next()-1, float64(cpuNow(process)-from)/float64(l.Next()), live.SnapshotStats().Count)
	if live.SnapshotStats().Count == 0 {
		t.Fatal("no snapshot was taken")
	}
	p := fleet.NewPast(fleet.PastOptions{Log: fleet.PastLogOf(l), Fleet: live, Store: store, Kept: 1})
	rng := rand.New(rand.NewPCG(3, 4))
	asked := 5
	if n >= 1e6 {
		asked = 100
	}
	var took, cpu []float64
	offsets := map[uint64]*fleet.PastState{}
	first, err := l.Read(1)
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.Read(l.Next() - 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range asked {
		at := first.Recv + rng.Int64N(last.Recv-first.Recv)
		runtime.GC()
		begin, used := time.Now(), cpuNow(process)
		s, err := p.At(context.Background(), at)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, float64(time.Since(begin))/1e6)
		cpu = append(cpu, float64(cpuNow(process)-used)/1e6)
		if i < 5 {
			offsets[s.Offset] = s
		}
	}
	slices.Sort(took)
	slices.Sort(cpu)
	at := func(s []float64, q float64) float64 { return s[int(q*float64(len(s)-1))] }
	t.Logf("state at a random moment: p50 %.0f ms, p99 %.0f ms, most %.0f ms; CPU p50 %.0f ms, p99 %.0f ms", at(took, .5), at(took, .99), took[len(took)-1], at(cpu, .5), at(cpu, .99))
	if n >= 1e6 && at(took, .99) > 2000 {
		t.Errorf("p99 is %.0f ms, want less than 2,000", at(took, .99))
	}
	plain := fleet.New(l)
	plain.NoSnapshots()
	follow := l.Follow(1)
	for len(offsets) > 0 {
		b, err := follow.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		vs := make([]wire.View, 1)
		for i := range b.Len() {
			rec := b.Record(i)
			if rec.Kind == block.KindEvent {
				_ = vs[0].Reset(rec.Payload)
			} else {
				vs[0] = wire.View{}
			}
			nb := block.NewBuilder(rec.Offset, 1, 0)
			nb.Append(&rec, -1)
			plain.Apply(nb.Block(), 0, vs)
			if s := offsets[rec.Offset]; s != nil {
				same(t, rec.Offset, plain, s.View)
				delete(offsets, rec.Offset)
			}
		}
	}
}

// same compares two states as the API shows them.
func same(t *testing.T, off uint64, a, b *fleet.View) {
	t.Helper()
	text := func(v *fleet.View) []byte {
		p, err := v.List(fleet.Query{Ended: "all", Sort: "name", Asc: true, Limit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal([]any{p, v.Fleet(""), v.Attention("", 1<<20)})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	x, y := text(a), text(b)
	if string(x) != string(y) {
		t.Errorf("behind offset %d the states differ: %d and %d bytes of JSON", off, len(x), len(y))
	}
}
