package series

import (
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// cpu returns the processor time of the process in ns: what counts on a
// machine that others use too.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkApply folds blocks of which a quarter are reports of four metrics, so
// one sample an event; chunks that close are part of it.
func BenchmarkApply(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	const blocks, events = 512, 1000
	var bs []*block.Block
	var vs [][]wire.View
	for i := range blocks {
		var rs []rec
		for k := range events {
			r := rec{agent: uint32(1 + rng.IntN(900)), recv: base + int64(i*events+k)*10, e: wire.Event{Type: wire.TypeLog, Msg: "hello"}}
			if rng.IntN(4) == 0 {
				r.e = metrics(map[string]float64{"cpu": float64(rng.IntN(1000)) / 10, "mem": float64(rng.IntN(1 << 30)), "queue": float64(rng.IntN(9)), "tasks": float64(i)})
			}
			rs = append(rs, r)
		}
		blk, v := makeBlock(uint64(i*events+1), rs)
		bs, vs = append(bs, blk), append(vs, v)
	}
	p := testStore(b)
	b.ReportAllocs()
	runtime.GC()
	b.ResetTimer()
	var v *View
	var spent int64
	for i := range b.N {
		k := i % blocks
		if k == 0 {
			b.StopTimer()
			v = load(b, p)
			b.StartTimer()
		}
		start := cpu()
		v.Apply(bs[k], 0, vs[k])
		spent += cpu() - start
	}
	b.ReportMetric(float64(spent)/float64(b.N*events), "cpu-ns/event")
}
