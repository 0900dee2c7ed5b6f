package node

import (
	"context"
	"fmt"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/capacity"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sys/unix"
)

// watch reads what the node does and what that takes, until ctx ends.
func (n *Node) watch(ctx context.Context) {
	c := n.newCounters()
	n.watched.Add(n.reading(c))
	t := time.NewTicker(capacity.ReadEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			n.watched.Add(n.reading(c))
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

func (n *Node) reading(c *counters) capacity.Reading {
	viewers, _ := n.hub.Viewers()
	series := n.series.DB().Stats()
	all, own := n.fleet.Fleet(""), n.fleet.Fleet(api.SelfSpace)
	r := capacity.Reading{
		At: n.now(), CPU: processCPU().Seconds(),
		Events: c.stored.Get(), Samples: series.Samples + series.Replaced, Deliveries: n.hub.Sent(),
		Sealed: c.sealed.Get(), SealedBytes: c.sealedBytes.Get(),
		Records: n.log.Next() - 1, LogBytes: n.log.Stats().DiskBytes, ViewsBytes: n.store.Metrics().DiskSpaceUsage(),
		Agents: float64(all.Live - own.Live), Connections: float64(n.intake.Links()), Viewers: float64(viewers), Series: float64(series.Series),
		Lag: float64(n.runner.Lag()),
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

// machine describes the host that costs are measured on.
func (n *Node) machine() capacity.Machine {
	h := readHost()
	m := capacity.Machine{Cores: h.cores, Memory: h.memory}
	if cpus, err := n.self.proc.CPUInfo(); err == nil && len(cpus) > 0 {
		m.CPU = cpus[0].ModelName
	}
	return m
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
	m := n.watched.Machine()
	c.Host = capacity.Host{Cores: float64(m.Cores), CPU: m.CPU, Memory: float64(m.Memory), Descriptors: float64(n.descriptorsMost())}
	if u, err := n.o.FS.GetDiskUsage(n.cfg.Data); err == nil {
		c.Host.Disk, c.Host.DiskFree = float64(u.TotalBytes), float64(u.AvailBytes)
		c.Host.DiskUsed = float64(n.log.Stats().DiskBytes + n.store.Metrics().DiskSpaceUsage())
	}
	return c
}

// descriptorsMost is how many descriptors the process may have open: its limit,
// or that of each of its loops' tables.
func (n *Node) descriptorsMost() uint64 {
	h := readHost()
	if n.tables != nil {
		return h.nofileMax * uint64(n.tuning.loops)
	}
	return h.nofileMax
}
