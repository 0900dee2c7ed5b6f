package capacity

import (
	"fmt"
	"sync"
	"time"
)

const (
	// A Watch takes readings every ReadEvery.
	ReadEvery = 5 * time.Second

	recentReads = 12      // a minute of them, of which live rates are means
	dayMinutes  = 24 * 60 // of which the busiest is kept
)

// Watch follows a running server: its load now, the busiest minute of a day, and
// what load costs here. It never grows. Its methods are for any goroutine.
type Watch struct {
	here Machine

	mu     sync.Mutex
	meter  meter
	recent [recentReads + 1]Reading // a ring, the oldest at next
	next   int
	reads  int
	minute [dayMinutes]Observed // a ring
	filled int
	last   Reading // at which the minute began
}

// NewWatch returns a Watch of a server on a machine that begins with costs known
// before.
func NewWatch(known *Costs, here Machine) *Watch {
	return &Watch{here: here, meter: meter{prior: known, cores: float64(here.Cores)}}
}

// Add takes a reading. Of one after which counters began anew, or that comes more
// than a minute late, only what follows counts.
func (w *Watch) Add(r Reading) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reads > 0 {
		v, ok := Between(w.newest(), &r)
		if !ok || v.Seconds > 60 {
			w.reads, w.next = 0, 0
		}
	}
	if w.reads == 0 {
		w.last = r
	}
	w.recent[w.next] = r
	w.next = (w.next + 1) % len(w.recent)
	w.reads++
	if r.At.Sub(w.last.At) >= time.Minute {
		if v, ok := Between(&w.last, &r); ok {
			w.minute[w.filled%dayMinutes] = v
			w.filled++
			w.meter.add(&v)
		}
		w.last = r
	}
}

// newest returns the last reading.
func (w *Watch) newest() *Reading {
	return &w.recent[(w.next+len(w.recent)-1)%len(w.recent)]
}

// Live returns the load of the last minute, or as much of it as was read; ok is
// false until there were two readings.
func (w *Watch) Live() (Observed, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reads < 2 {
		return Observed{}, false
	}
	first := 0
	if w.reads >= len(w.recent) {
		first = w.next
	}
	return Between(&w.recent[first], w.newest())
}

// Busiest returns the minute of the last day that had the most events; ok is
// false until there was a whole minute.
func (w *Watch) Busiest() (most Observed, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reads == 0 {
		return most, false
	}
	since := w.newest().At.Add(-24 * time.Hour)
	for i := range min(w.filled, dayMinutes) {
		v := &w.minute[i]
		if v.At.After(since) && (!ok || v.Events > most.Events) {
			most, ok = *v, true
		}
	}
	return most, ok
}

const (
	enoughSealed  = 1_000_000 // records, before their size is taken for that of others
	enoughRecords = 1_000_000
)

// Costs returns the costs in force: those known before, and in their place what
// was measured here, where that rests on enough.
func (w *Watch) Costs() (*Costs, Measured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := *w.meter.prior
	c.Sources = make(map[string]Source, len(w.meter.prior.Sources))
	for name, s := range w.meter.prior.Sources {
		c.Sources[name] = s
	}
	m := w.meter.measured()
	if m.InForce {
		c.MemoryBase = c.base(float64(w.here.Memory)) // before the machine is another
		c.By, c.Machine, c.At = Live, w.here, w.newest().At
		c.Says = fmt.Sprintf("CPU measured by this server over %.0f minutes under load; the rest as the single values say.", m.Minutes)
		for name, p := range map[string]*float64{
			"cpu_event_us": &c.CPUEvent, "cpu_frame_us": &c.CPUFrame, "cpu_sample_us": &c.CPUSample, "cpu_delivery_us": &c.CPUDelivery,
		} {
			if *p > 0 {
				*p *= m.Factor
				c.Sources[name] = Source{By: Live, Events: uint64(m.Events), Minutes: m.Minutes, Spread: m.Spread,
					Says: fmt.Sprintf("%.2f times what was known before, by the CPU that this server's load took", m.Factor)}
			}
		}
	}
	if m.Idle > 0 {
		c.CPUIdle = m.Idle
		c.Sources["cpu_idle_cores"] = Source{By: Live, Says: "CPU that this server used while nothing came in"}
	}
	if w.reads == 0 {
		return &c, m
	}
	r := w.newest()
	if r.Sealed >= enoughSealed {
		c.DiskLogEvent = float64(r.SealedBytes) / float64(r.Sealed)
		c.Sources["disk_log_event_bytes"] = Source{By: Live, Events: r.Sealed, Says: "what this server sealed since its start"}
	}
	if r.Records >= enoughRecords {
		c.DiskViewsEvent = float64(r.ViewsBytes) / float64(r.Records)
		c.Sources["disk_views_event_bytes"] = Source{By: Live, Events: r.Records, Says: "the views' files by the records of the log, samples and what waits to be merged in it"}
	}
	return &c, m
}
