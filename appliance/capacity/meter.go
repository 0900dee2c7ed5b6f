package capacity

import (
	"math"
	"time"
)

// predicted is the CPU, in cores, that these costs make of the load, without rest.
func (c *Costs) predicted(v *Observed) float64 {
	return (v.Events*c.CPUEvent + v.Frames*c.CPUFrame + v.Samples*c.CPUSample + v.Deliveries*c.CPUDelivery) / 1e6
}

const (
	// loadShare of the cores is what the server must use for a minute to tell what
	// an event costs: at less, commits are small and an event costs several times
	// what it costs where it matters.
	loadShare = 0.10
	// countedShare of a minute's CPU is what the counted load must make by the costs
	// known before. Where it makes less, something else used the CPU, a verify,
	// views that catch up, questions, and the minute says nothing of events.
	countedShare = 1.0 / 8
	// restSeconds are enough to tell what rest takes.
	restSeconds = 50
	// restShare of the cores is the most that the counted load of a minute at rest
	// may take by the costs known before.
	restShare = 0.0005

	enoughMinutes = 5    // under load, before what was measured is taken
	goodMinutes   = 30   // for a good confidence
	enoughSpread  = 0.25 // of the value, at most
	goodSpread    = 0.10

	// halfLife of what was measured: costs follow what the server does now.
	halfLife = 2 * time.Hour
)

// meter tells what load costs here, as the factor between the CPU that was used
// and the CPU that the costs known before make of the same load. One factor for
// all, since a load that only passes by does not tell events from frames. It keeps
// sums of whole minutes, since seconds next to each other are alike (merges and
// collections take several), and halves them every two hours.
type meter struct {
	prior *Costs
	cores float64

	rest, restCPU float64 // seconds at rest, and core seconds used

	// Under load, each minute weighted by its seconds: y is CPU used, x predicted.
	seconds, events  float64
	x, y, xx, xy, yy float64
}

// add takes a minute.
func (m *meter) add(v *Observed) {
	fade := math.Exp2(-v.Seconds / halfLife.Seconds())
	for _, p := range []*float64{&m.rest, &m.restCPU, &m.seconds, &m.events, &m.x, &m.y, &m.xx, &m.xy, &m.yy} {
		*p *= fade
	}
	x, y, w := m.prior.predicted(v), v.CPU, v.Seconds
	switch {
	case y < loadShare*m.cores:
		if x <= restShare*m.cores {
			m.rest += w
			m.restCPU += w * y
		}
	case x >= countedShare*y && v.Events > 0:
		m.seconds += w
		m.events += v.Events * w
		m.x += w * x
		m.y += w * y
		m.xx += w * x * x
		m.xy += w * x * y
		m.yy += w * y * y
	}
}

// Measured is what a server learnt of its own costs.
type Measured struct {
	InForce    bool    `json:"in_force"`     // the plan takes it
	Confidence string  `json:"confidence"`   // none, low, fair, good
	Events     float64 `json:"events"`       // that it rests on; older ones count less
	Minutes    float64 `json:"minutes"`      // under load; older ones count less
	CPUEvent   float64 `json:"cpu_event_us"` // CPU used per event beyond rest, frames, samples and viewers in it
	Factor     float64 `json:"factor"`       // CPU used by what the costs known before make of the same load
	Spread     float64 `json:"spread"`       // half of the factor's 95 % interval, as a fraction of it
	Idle       float64 `json:"idle_cores"`   // at rest, 0 if it never was
	Says       string  `json:"says"`         // what it rests on, or what is missing
}

// measured evaluates the sums.
func (m *meter) measured() (r Measured) {
	idle := m.prior.CPUIdle
	if m.rest >= restSeconds {
		r.Idle = m.restCPU / m.rest
		idle = r.Idle
	}
	r.Confidence, r.Events, r.Minutes = "none", m.events, m.seconds/60
	if m.x <= 0 {
		r.Says = "events never took more than a tenth of the cores: too little to tell what one costs where it matters"
		return r
	}
	used := max(0, m.y-idle*m.seconds)
	r.Factor, r.CPUEvent = used/m.x, used/m.events*1e6
	// What the factor leaves over: Σw(y-idle-kx)².
	k := r.Factor
	over := m.yy - 2*idle*m.y + idle*idle*m.seconds - 2*k*(m.xy-idle*m.x) + k*k*m.xx
	if n := m.seconds / 60; n > 2 && used > 0 {
		variance := max(0, over/m.seconds) * n / (n - 1)
		t := 1.96 + 3/(n-1) // Student's, nearly
		r.Spread = t * math.Sqrt(variance/n) * m.seconds / used
	} else {
		r.Spread = 1
	}
	switch {
	case r.Minutes >= goodMinutes && r.Spread <= goodSpread:
		r.Confidence = "good"
	case r.Minutes >= enoughMinutes && r.Spread <= enoughSpread:
		r.Confidence = "fair"
	default:
		r.Confidence = "low"
	}
	r.InForce = r.Confidence != "low"
	switch {
	case r.InForce:
		r.Says = "measured by this server in minutes in which it used more than a tenth of the cores, most of it for events"
	case r.Minutes < enoughMinutes:
		r.Says = "too short under load as yet: what was recorded is planned with"
	default:
		r.Says = "too uneven as yet: what was recorded is planned with"
	}
	return r
}
