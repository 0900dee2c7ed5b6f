//go:build linux

package fleet

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"
)

// BenchmarkApply folds a seeded mix of spans, usage, metrics and messages of
// 65,000 agents, about 130 B each.
func BenchmarkApply(b *testing.B) {
	names, blocks := mix()
	v := New(names)
	views := make([][]wire.View, len(blocks))
	for i, blk := range blocks {
		views[i] = parse(blk)
	}
	before := heap()
	for i, blk := range blocks {
		v.Apply(blk, 0, views[i])
	}
	used := float64(heap()-before) / mixAgents
	b.ReportAllocs()
	cpu := cpuTime()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		v.Apply(blocks[n%len(blocks)], 0, views[n%len(blocks)])
		n++
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(n*1024), "cpu-ns/record")
	b.ReportMetric(used, "B/agent")
	runtime.KeepAlive(v)
}

const mixAgents = 65000

// mix makes the blocks of BenchmarkApply.
func mix() (*dict, []*block.Block) {
	const agents = mixAgents
	names := &dict{}
	for i := range agents {
		names.add("main", fmt.Sprintf("agent-%05d", i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var blocks []*block.Block
	base, now := uint64(1), int64(1_700_000_000e9)
	open := map[uint32]string{}
	for serial := 0; len(blocks) < 128; {
		bb := block.NewBuilder(base, 16, 1<<18)
		for range 1024 {
			num := uint32(rng.IntN(agents)) + 1
			now += 4e3
			serial++
			e := wire.Event{Type: wire.TypeTool, TS: now / 1e6 * 1e6, Name: "Bash", Span: fmt.Sprintf("span-%016x", serial), Run: "run-1"}
			switch k := rng.IntN(10); {
			case k < 6 && open[num] != "":
				e.Phase, e.Status, e.Span = wire.PhaseEnd, wire.StatusOK, open[num]
				delete(open, num)
			case k < 6:
				e.Phase, open[num] = wire.PhaseStart, e.Span
			case k < 8:
				e = wire.Event{Type: wire.TypeMetrics, TS: e.TS, Name: "host", Msg: "cpu and memory of the process here"}
			case k < 9:
				e = wire.Event{Type: wire.TypeMessage, TS: e.TS, Kind: "text", Msg: "a message between two agents of the fleet"}
			default:
				e = wire.Event{Type: wire.TypeLLM, TS: e.TS, Name: "claude", Span: e.Span, Usage: &wire.Usage{Input: 1200, Output: 80, CostNanoUSD: 9000}}
			}
			put(bb, num, now, &e)
		}
		blocks = append(blocks, bb.Block())
		base += 1024
	}
	return names, blocks
}

// BenchmarkSnapshot takes a snapshot of 65,000 agents that have all changed:
// what the fold waits for, what compressing it takes beside, and its bytes; then
// what loading it takes.
func BenchmarkSnapshot(b *testing.B) {
	names, blocks := mix()
	v := New(names)
	for _, blk := range blocks {
		v.Apply(blk, 0, parse(blk))
	}
	v.gather()
	db := openStore(b)
	defer db.Close()
	var wait, all, load int64
	n, size := 0, 0
	for b.Loop() {
		v.snaps.whole = true
		runtime.GC()
		begin := cpuTime()
		took := time.Now()
		v.takeSnapshot()
		wait += int64(time.Since(took))
		v.gather()
		all += cpuTime() - begin
		for _, val := range v.snaps.ready[len(v.snaps.ready)-1].values {
			size += len(val)
		}
		w := db.NewBatch()
		if err := v.Save(w); err != nil {
			b.Fatal(err)
		}
		if err := w.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
		v.Saved()
		off, _ := v.Offset()
		runtime.GC()
		begin = cpuTime()
		if err := New(names).LoadMoment(db, v.MomentBefore(off)); err != nil {
			b.Fatal(err)
		}
		load += cpuTime() - begin
		n++
	}
	b.ReportMetric(float64(wait)/float64(n)/1e6, "wait-ms")
	b.ReportMetric(float64(all)/float64(n)/1e6, "cpu-ms")
	b.ReportMetric(float64(load)/float64(n)/1e6, "load-cpu-ms")
	b.ReportMetric(float64(size)/float64(n*mixAgents), "B/agent")
}

// BenchmarkSave writes 4,000 agents that have all changed.
func BenchmarkSave(b *testing.B) {
	names := &dict{}
	v := New(names)
	e := wire.Event{Type: wire.TypeRun, Phase: wire.PhaseStart, Span: "run", Name: "goal"}
	bb := block.NewBuilder(1, 16, 1<<19)
	for i := range uint32(4000) {
		names.add("main", fmt.Sprintf("agent-%05d", i))
		put(bb, i+1, t0, &e)
	}
	blk := bb.Block()
	v.Apply(blk, 0, parse(blk))
	db := openStore(b)
	defer db.Close()
	cpu, n, size := cpuTime(), 0, 0
	for b.Loop() {
		for _, a := range v.agents {
			if a != nil {
				a.dirty = true
				n++
			}
		}
		w := db.NewBatch()
		if err := v.Save(w); err != nil {
			b.Fatal(err)
		}
		size += w.Len()
		w.Close()
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(n), "cpu-ns/agent")
	b.ReportMetric(float64(size)/float64(n), "B/agent")
}

// cpuTime is the process's own: other load on the machine does not count.
func cpuTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
