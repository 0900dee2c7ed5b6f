package admit

import (
	"math"
	"time"
)

// Reading is what a Control is told now and then.
type Reading struct {
	CPU, Memory float64 // share in use, 0 to 1
	Queue       float64 // fill of the fullest queue, 1 at its high watermark
	Stored      uint64  // events that the log has committed, from any origin
	Taken       uint64  // events that were admitted by now, from any origin
	Critical    uint64  // CRITICAL events of these
	Held        bool    // since the last reading somebody waited for a rate
	Agents      int     // that have ever been seen; 0 = not known
}

// Rates are how many events a second may come in. The zero value limits nothing.
type Rates struct {
	Total    float64 // of all links together, CRITICAL events apart
	Agent    float64 // of each agent
	Critical float64 // CRITICAL ones of each link
}

// Limited tells whether r limits anything.
func (r Rates) Limited() bool { return r.Total > 0 }

const (
	// factorLeast is the floor of what CPU, memory and queue leave of a rate.
	factorLeast = 0.1
	// factorOver and paceOver are how long readings are smoothed.
	factorOver = time.Second
	paceOver   = 2 * time.Second
	// queueWanted is the fill at which the log is never without work and nobody
	// waits long. The base follows the distance to it.
	queueWanted = 0.5
	// raise and lower are how fast rates follow, per second and unit of distance:
	// what is not let in while the log has nothing to do is lost for good, what
	// comes in above the rate only waits in the queue.
	raise, lower = 16, 2
	// leastTotal is what a total is at least, of the best pace seen of late: below
	// it the queue's own bound does what is needed.
	leastTotal = 0.95
	// baseMax bounds the base in times of the best pace seen of late, which the
	// floor of the factor makes a tenth.
	baseMax  = 2 / factorLeast
	bestOver = time.Minute
	// calmFor without pressure ends all limits.
	calmFor = 10 * time.Second
	// criticalShare of the total rate is for CRITICAL events, beside the rest.
	criticalShare = 1.0 / 16
)

// Control finds rates from readings: rate = base × (1−cpu) × (1−memory) ×
// (1−queue), where the last three together count for at least a tenth. The
// base is learned: unknown, and nothing limited, until the queue first shows
// that the log takes no more; from then on raised while the queue is emptier
// than wanted and somebody waits, lowered while it is fuller, and never below
// what makes the rate nearly the best pace seen of late. The rate of an
// agent is one for all (the rate control protocol's way to max-min fairness):
// raised while all together take less than the total, lowered while they take
// more. Not for concurrent use.
type Control struct {
	last   Reading
	at     int64
	pace   float64 // stored a second
	best   float64
	taken  float64 // admitted a second, CRITICAL apart
	crit   float64 // CRITICAL a second
	factor float64
	base   float64
	calm   time.Duration
	rates  Rates
}

// Base is the learned base in events a second, 0 while it is not known.
func (c *Control) Base() float64 { return c.base }

// Factor is what the readings leave of it, smoothed.
func (c *Control) Factor() float64 { return c.factor }

// Pace is what the log commits, in events a second, smoothed.
func (c *Control) Pace() float64 { return c.pace }

// Update takes a reading at now, in ns, and returns the rates from now on.
// Readings come about ten times a second; the first only begins.
func (c *Control) Update(now int64, r Reading) Rates {
	dt := time.Duration(now - c.at)
	last := c.last
	if c.at == 0 {
		c.last, c.at, c.factor = r, now, factorOf(r)
		return c.rates
	}
	if dt <= 0 {
		return c.rates
	}
	c.last, c.at = r, now
	s := dt.Seconds()
	smooth(&c.factor, factorOf(r), dt, factorOver)
	smooth(&c.pace, rise(r.Stored, last.Stored)/s, dt, paceOver)
	critical := rise(r.Critical, last.Critical)
	smooth(&c.crit, critical/s, dt, factorOver)
	smooth(&c.taken, max(rise(r.Taken, last.Taken)-critical, 0)/s, dt, factorOver)
	c.best = max(c.pace, c.best*math.Exp(-s/bestOver.Seconds()))
	pressed := r.Queue >= queueWanted || r.Held
	if c.calm += dt; pressed {
		c.calm = 0
	}
	switch {
	case c.calm >= calmFor:
		c.base, c.rates = 0, Rates{}
		return c.rates
	case c.base == 0 && (r.Queue < queueWanted || c.pace == 0):
		return c.rates
	case c.base == 0:
		c.base = c.best / c.factor
	case pressed:
		c.base *= math.Exp(speed(queueWanted-min(r.Queue, 1)) * s)
	}
	c.base = min(max(c.base, c.best*leastTotal/c.factor, 1), max(c.best*baseMax, 1))
	t := c.base * c.factor
	if !c.rates.Limited() {
		c.rates.Agent, c.rates.Critical = t, t*criticalShare
	}
	c.rates = Rates{
		Total:    t,
		Agent:    level(c.rates.Agent, t, c.taken, s, r.Agents),
		Critical: level(c.rates.Critical, t*criticalShare, c.crit, s, r.Agents),
	}
	return c.rates
}

// level moves the rate of one so that all together take as much as there is. Of
// so many nobody needs to get less than an equal part.
func level(rate, all, taken, s float64, of int) float64 {
	rate *= math.Exp(speed(max((all-taken)/all, -2)) * s)
	least := 1e-6
	if of > 0 {
		least = 1 / float64(of)
	}
	return min(max(rate, all*least), all)
}

func speed(distance float64) float64 {
	if distance > 0 {
		return raise * distance
	}
	return lower * distance
}

func factorOf(r Reading) float64 {
	return max(factorLeast, left(r.CPU)*left(r.Memory)*left(r.Queue))
}

// left is what a share in use leaves; what is no number leaves all.
func left(used float64) float64 {
	if used != used {
		return 1
	}
	return 1 - min(max(used, 0), 1)
}

func smooth(v *float64, to float64, dt, over time.Duration) {
	*v += (to - *v) * (1 - math.Exp(-dt.Seconds()/over.Seconds()))
}

// rise is how much a counter has grown; one that began anew has not.
func rise(now, then uint64) float64 {
	if now < then {
		return 0
	}
	return float64(now - then)
}
