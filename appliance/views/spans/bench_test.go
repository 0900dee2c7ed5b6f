//go:build linux

package spans

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// BenchmarkApplySave folds starts and ends of tool calls of 65,000 agents and
// saves every 100,000 records into a store in memory: the whole cost of a span.
func BenchmarkApplySave(b *testing.B) {
	const agents, perBlock = 65000, 1024
	d := &dict{}
	for i := range agents {
		d.add("main", fmt.Sprintf("agent-%05d", i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	db, err := pebble.Open("views", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest, MemTableSize: 64 << 20, MemTableStopWritesThreshold: 4})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	v := New(d, db)
	open := map[uint32]string{}
	next, now, serial := uint64(1), t0, 0
	ready := func() (*block.Block, []wire.View) {
		bb := block.NewBuilder(next, 16, 1<<18)
		for range perBlock {
			num := uint32(rng.IntN(agents)) + 1
			now += 4e3
			e := wire.Event{Type: wire.TypeTool, TS: now / 1e6 * 1e6, Name: "Bash"}
			if id := open[num]; id != "" {
				e.Phase, e.Status, e.Span = wire.PhaseEnd, wire.StatusOK, id
				delete(open, num)
			} else {
				serial++
				e.Phase, e.Span, e.Run = wire.PhaseStart, fmt.Sprintf("span-%016x", serial), fmt.Sprintf("run-%d", num%5000)
				open[num] = e.Span
			}
			put(bb, num, now, &e)
		}
		blk := bb.Block()
		next = blk.Next()
		return blk, parse(blk)
	}
	for range 100 { // open what will be ended
		blk, vs := ready()
		v.Apply(blk, 0, vs)
	}
	save(b, v, db)
	var spent int64
	n := 0
	for b.Loop() {
		blk, vs := ready()
		from := cpuTime()
		v.Apply(blk, 0, vs)
		n += perBlock
		if n%(98*perBlock) == 0 {
			save(b, v, db)
		}
		spent += cpuTime() - from
	}
	b.ReportMetric(float64(spent)/float64(n), "cpu-ns/record")
}

// cpuTime is the process's own: other load on the machine does not count.
func cpuTime() int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
