package node

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"eyrie/engine/admit"

	"github.com/prometheus/procfs"
)

// pressureEvery is how often admission is told how loaded the host is.
const pressureEvery = 100 * time.Millisecond

// pressure tells the engine how busy the host's cores are, how much of its soft
// limit the heap takes, what the log has committed and of how many agents, and intake
// the first of these, until ctx ends.
func (n *Node) pressure(ctx context.Context) {
	proc, _ := procfs.NewFS("/proc")
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	t := time.NewTicker(pressureEvery)
	defer t.Stop()
	var busy, all float64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r := admit.Reading{Stored: n.log.Next(), Agents: n.log.Agents()}
		if st, err := proc.Stat(); err == nil {
			c := st.CPUTotal
			b := c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal
			a := b + c.Idle + c.Iowait
			if a > all {
				r.CPU = (b - busy) / (a - all)
			}
			busy, all = b, a
			n.intake.Busy(r.CPU)
		}
		metrics.Read(memory)
		if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
			r.Memory = float64(memory[0].Value.Uint64()-memory[1].Value.Uint64()) / float64(limit)
		}
		n.engine.Pressure(r)
	}
}
