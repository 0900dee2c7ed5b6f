package node

import (
	"context"
	"fmt"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/capacity"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// watch reads what the node does and what that takes, until ctx ends; to load the
// views is none of that.
func (n *Node) watch(ctx context.Context) {
	v, ok := n.loaded(ctx)
	if !ok {
		return
	}
	c := n.newCounters()
	n.watched.Add(n.reading(c, v))
	t := time.NewTicker(capacity.ReadEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.watched.Add(n.reading(c, v))
		}
	}
}

// counters are those of other parts that a reading is taken from.
type counters struct {
	stored, sealed, sealedBytes *metrics.Counter
	messages                    []*metrics.Counter // of each loop
}

func (n *Node) newCounters() *counters {
	c := &counters{
		stored:      n.set.GetOrCreateCounter(`eyrie_intake_events_total{verdict="stored"}`),
		sealed:      n.set.GetOrCreateCounter("eyrie_wal_sealed_records_total"),
		sealedBytes: n.set.GetOrCreateCounter("eyrie_wal_sealed_bytes_total"),
	}
	for i := range n.tuning.loops {
		c.messages = append(c.messages, n.set.GetOrCreateCounter(fmt.Sprintf(`eyrie_engine_messages_total{loop="%d"}`, i)))
	}
	return c
}

func (n *Node) reading(c *counters, v *shown) capacity.Reading {
	viewers, _ := n.hub.Viewers()
	series := v.Series.DB().Stats()
	all, own := v.Fleet.Fleet(""), v.Fleet.Fleet(api.SelfSpace)
	r := capacity.Reading{
		At: n.now(), CPU: processCPU().Seconds(),
		Events: c.stored.Get(), Samples: series.Samples + series.Replaced, Deliveries: n.hub.Sent(),
		Sealed: c.sealed.Get(), SealedBytes: c.sealedBytes.Get(),
		Records: n.log.Next() - 1, LogBytes: n.log.Stats().DiskBytes, ViewsBytes: v.store.Metrics().DiskSpaceUsage(),
		Agents: float64(all.Live - own.Live), Connections: float64(n.intake.Links()), Viewers: float64(viewers), Series: float64(series.Series),
		Lag: float64(v.Runner.Lag()),
	}
	for _, m := range c.messages {
		r.Frames += m.Get()
	}
	if p, err := n.self.proc.Self(); err == nil {
		if st, err := p.Stat(); err == nil {
			r.Memory = float64(st.ResidentMemory())
		}
	}
	return r
}

// processCPU returns the CPU time that this process has used, user and system.
func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ReadHost returns what this process may use of the host, disk apart.
func ReadHost() capacity.Host {
	h := readHost()
	c := capacity.Host{Cores: float64(h.cores), Memory: float64(h.memory), Descriptors: float64(h.nofileMax)}
	if fs, err := procfs.NewFS("/proc"); err == nil {
		if cpus, err := fs.CPUInfo(); err == nil && len(cpus) > 0 {
			c.CPU = cpus[0].ModelName
		}
	}
	return c
}

// machine is where costs are measured.
func machine() capacity.Machine {
	h := ReadHost()
	return capacity.Machine{Cores: int(h.Cores), CPU: h.CPU, Memory: uint64(h.Memory)}
}

// Capacity implements api.Host.
func (n *Node) Capacity() api.Capacity {
	c := api.Capacity{Retain: n.cfg.Retain.D().Hours() / 24, Open: n.self.descriptors()}
	c.Costs, c.Measured = n.watched.Costs()
	if v, ok := n.watched.Live(); ok {
		c.Live = &v
	}
	if v, ok := n.watched.Busiest(); ok {
		c.Busiest = &v
	}
	c.Host = ReadHost()
	if n.tables != nil { // the limit counts for each loop's own
		c.Host.Descriptors *= float64(n.tuning.loops)
	}
	if u, err := n.o.FS.GetDiskUsage(n.cfg.Data); err == nil {
		c.Host.Disk, c.Host.DiskFree = float64(u.TotalBytes), float64(u.AvailBytes)
		used := n.log.Stats().DiskBytes
		if v := n.loading.opened.Load(); v != nil {
			used += v.store.Metrics().DiskSpaceUsage()
		}
		c.Host.DiskUsed = float64(used)
	}
	return c
}
