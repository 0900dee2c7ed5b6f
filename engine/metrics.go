//go:build linux

package engine

import (
	"fmt"
	"math"
	"sync/atomic"

	"eyrie/engine/admit"

	"github.com/VictoriaMetrics/metrics"
	"github.com/gobwas/ws"
)

// meters are one loop's counters. The hot path adds to plain fields of the
// loop; count moves them here once per readable event.
type meters struct {
	set        *metrics.Set
	loop       int
	opened     *metrics.Counter
	agents     *metrics.Counter
	sockets    *metrics.Counter
	detached   *metrics.Counter
	evicted    *metrics.Counter
	closed     *metrics.Counter
	bytes      *metrics.Counter
	messages   *metrics.Counter
	events     *metrics.Counter
	refused    *metrics.Counter
	ringFull   *metrics.Counter
	slow       *metrics.Counter
	replies    *metrics.Counter
	replyStale *metrics.Counter
	yields     *metrics.Counter
	inflateIn  *metrics.Counter
	inflateOut *metrics.Counter
	deflateIn  *metrics.Counter
	deflateOut *metrics.Counter
	closes     map[ws.StatusCode]*metrics.Counter
	turned     map[int]*metrics.Counter
	ring       ringMeters
	critical   *metrics.Counter
	ratePauses *metrics.Counter
	slowed     *metrics.Counter
	abuses     *metrics.Counter
	heldUntil  atomic.Int64 // when the last link that waits for its rate need not any more
}

// ringMeters are what a loop last saw of its ring.
type ringMeters struct {
	used, high, level, pace atomic.Int64
}

func newMeters(set *metrics.Set, loop int) *meters {
	c := func(name string) *metrics.Counter {
		return set.GetOrCreateCounter(fmt.Sprintf(`eyrie_engine_%s{loop="%d"}`, name, loop))
	}
	m := &meters{
		set: set, loop: loop,
		opened:     c("connections_total"),
		closed:     c("connections_closed_total"),
		agents:     c("agent_links_total"),
		sockets:    c("socket_links_total"),
		detached:   c("http_connections_total"),
		evicted:    c("http_idle_closed_total"),
		bytes:      c("received_bytes_total"),
		messages:   c("messages_total"),
		events:     c("events_total"),
		refused:    c("events_refused_total"),
		critical:   c("events_critical_total"),
		ratePauses: c("rate_pauses_total"),
		slowed:     c("slow_told_total"),
		abuses:     c("abuses_total"),
		ringFull:   c("ring_full_pauses_total"),
		slow:       c("slow_reader_pauses_total"),
		replies:    c("replies_total"),
		replyStale: c("replies_stale_total"),
		yields:     c("turns_cut_total"),
		inflateIn:  c("inflate_in_bytes_total"),
		inflateOut: c("inflate_out_bytes_total"),
		deflateIn:  c("deflate_in_bytes_total"),
		deflateOut: c("deflate_out_bytes_total"),
		closes:     make(map[ws.StatusCode]*metrics.Counter),
		turned:     make(map[int]*metrics.Counter),
	}
	for name, v := range map[string]*atomic.Int64{
		"ring_used_bytes": &m.ring.used, "ring_high_bytes": &m.ring.high, "ring_level": &m.ring.level, "ring_pace_bytes": &m.ring.pace,
	} {
		set.GetOrCreateGauge(fmt.Sprintf(`eyrie_engine_%s{loop="%d"}`, name, loop), func() float64 { return float64(v.Load()) })
	}
	return m
}

// deflated counts a message that is sent compressed. For any goroutine.
func (m *meters) deflated(plain, packed int) {
	m.deflateIn.Add(plain)
	m.deflateOut.Add(packed)
}

// close counts a close frame we began, by its code.
func (m *meters) close(code ws.StatusCode) {
	c := m.closes[code]
	if c == nil {
		c = m.set.GetOrCreateCounter(fmt.Sprintf(`eyrie_engine_closes_total{loop="%d",code="%d"}`, m.loop, code))
		m.closes[code] = c
	}
	c.Inc()
}

// turnedAway counts an HTTP refusal, by its status.
func (m *meters) turnedAway(status int) {
	c := m.turned[status]
	if c == nil {
		c = m.set.GetOrCreateCounter(fmt.Sprintf(`eyrie_engine_refused_requests_total{loop="%d",status="%d"}`, m.loop, status))
		m.turned[status] = c
	}
	c.Inc()
}

// pressureMeters are the last reading and what admission made of it.
type pressureMeters struct {
	v [pressureNames]atomic.Uint64 // bits of a float64
}

const pressureNames = 9

// show puts them on set.
func (p *pressureMeters) show(set *metrics.Set) {
	for i, name := range [pressureNames]string{"cpu", "memory", "queue", "factor", "base_events", "pace_events", "rate_events", "agent_rate_events", "critical_rate_events"} {
		set.GetOrCreateGauge("eyrie_admit_"+name, func() float64 { return math.Float64frombits(p.v[i].Load()) })
	}
}

func (p *pressureMeters) set(r admit.Reading, c *admit.Control, rates admit.Rates) {
	for i, x := range [pressureNames]float64{r.CPU, r.Memory, r.Queue, c.Factor(), c.Base(), c.Pace(), rates.Total, rates.Agent, rates.Critical} {
		p.v[i].Store(math.Float64bits(x))
	}
}
