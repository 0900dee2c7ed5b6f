//go:build linux

package netpoll

import "github.com/VictoriaMetrics/metrics"

// counts are what one loop adds up by itself; publish moves them to the
// shared counters once per cycle.
type counts struct {
	accepted, refused, muted        uint64
	closed, detached, aborted       uint64
	reads, readBytes                uint64
	sends, sendBytes, blocked, full uint64
	wakes, timeouts, cycles         uint64
}

type counters struct {
	accepted, refused, muted        *metrics.Counter
	closed, detached, aborted       *metrics.Counter
	reads, readBytes                *metrics.Counter
	sends, sendBytes, blocked, full *metrics.Counter
	wakes, timeouts, cycles         *metrics.Counter
}

func newCounters(s *metrics.Set, p *Poll) *counters {
	c := func(name string) *metrics.Counter { return s.GetOrCreateCounter("eyrie_netpoll_" + name + "_total") }
	s.GetOrCreateGauge("eyrie_netpoll_connections", func() float64 { return float64(p.Conns()) })
	s.GetOrCreateGauge("eyrie_netpoll_held_bytes", func() float64 { return float64(p.heldBytes()) })
	return &counters{
		accepted: c("accepted"), refused: c("refused"), muted: c("accept_muted"),
		closed: c("closed"), detached: c("detached"), aborted: c("aborted"),
		reads: c("reads"), readBytes: c("read_bytes"),
		sends: c("sends"), sendBytes: c("sent_bytes"), blocked: c("send_blocked"), full: c("write_full"),
		wakes: c("wakes"), timeouts: c("timeouts"), cycles: c("cycles"),
	}
}

func (n *counts) publish(c *counters) {
	add := func(m *metrics.Counter, v *uint64) {
		if *v != 0 {
			m.AddInt64(int64(*v))
			*v = 0
		}
	}
	add(c.accepted, &n.accepted)
	add(c.refused, &n.refused)
	add(c.muted, &n.muted)
	add(c.closed, &n.closed)
	add(c.detached, &n.detached)
	add(c.aborted, &n.aborted)
	add(c.reads, &n.reads)
	add(c.readBytes, &n.readBytes)
	add(c.sends, &n.sends)
	add(c.sendBytes, &n.sendBytes)
	add(c.blocked, &n.blocked)
	add(c.full, &n.full)
	add(c.wakes, &n.wakes)
	add(c.timeouts, &n.timeouts)
	add(c.cycles, &n.cycles)
}
