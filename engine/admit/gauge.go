package admit

import "time"

// Level says what a queue's fill means for those who want to add to it.
type Level uint8

// The levels, in rising order; each does what those below it do.
const (
	Calm       Level = iota // everything is taken
	ShedLow                 // the lowest class is shed where its sender allows it
	ShedNormal              // and the one above it
	ShedHigh                // and the highest below CRITICAL
	Full                    // what may not be shed waits, CRITICAL excepted
)

var levelNames = [...]string{"calm", "shed_low", "shed_normal", "shed_high", "full"}

// String returns the level's name.
func (l Level) String() string { return levelNames[min(int(l), len(levelNames)-1)] }

const (
	// Delay is how long what enters a queue at its high watermark waits until
	// it is taken out, as far as the queue's pace is known.
	Delay = 50 * time.Millisecond
	// paceWindow is over what time the pace is measured: longer than the pauses
	// between two commits.
	paceWindow = int64(200 * time.Millisecond)
	// leastShare of the queue is always used, so that a measured pace of next to
	// nothing does not starve the reader.
	leastShare = 32
)

// A level is entered at or above up/16 of the high watermark and left below
// down/16. Full is left at the low watermark, half of the high one.
var (
	enters = [...]int{0, 8, 11, 14, 16}
	leaves = [...]int{0, 6, 8, 11, 8}
)

// Gauge turns the fill of one bounded queue into a Level, with hysteresis. Its
// high watermark is what the queue gives out in Delay, between a thirty-second
// of the queue and all of it. It belongs to the queue's producer.
type Gauge struct {
	limit int // bytes that may be filled
	high  int
	level Level

	began int64  // of the window, in ns; 0 = none
	gone  uint64 // bytes that had left the queue then
	dry   bool   // the queue was empty in the window
	pace  float64
}

// NewGauge is a Gauge for a queue that takes limit bytes.
func NewGauge(limit int) Gauge { return Gauge{limit: limit, high: limit} }

// High is the high watermark in bytes.
func (g *Gauge) High() int { return g.high }

// Low is the low watermark in bytes.
func (g *Gauge) Low() int { return g.high / 16 * leaves[Full] }

// Pace is how many bytes a second the queue was last seen to give out while
// there was something in it; 0 until it has been seen.
func (g *Gauge) Pace() float64 { return g.pace }

// Level judges a queue that holds used bytes.
func (g *Gauge) Level(used int) Level {
	for g.level < Full && used >= max(g.high/16*enters[g.level+1], 1) {
		g.level++
	}
	for g.level > Calm && used < max(g.high/16*leaves[g.level], 1) {
		g.level--
	}
	return g.level
}

// Observe is told at any moment how much has left the queue since it was made
// and how much is in it.
func (g *Gauge) Observe(now int64, gone uint64, used int) {
	if g.began == 0 {
		g.began, g.gone, g.dry = now, gone, used == 0
		return
	}
	g.dry = g.dry || used == 0
	span := now - g.began
	if span < paceWindow {
		return
	}
	pace := float64(gone-g.gone) / time.Duration(span).Seconds()
	switch {
	case g.dry && pace <= g.pace:
		// Less came in than could have gone out: nothing is learned.
	case g.dry && g.pace == 0:
		// It gave out all it got, which bounds nothing.
	case g.pace == 0:
		g.pace = pace
	default:
		g.pace += (pace - g.pace) / 2
	}
	if g.pace > 0 {
		most := g.pace * Delay.Seconds()
		g.high = g.limit
		if most < float64(g.limit) {
			g.high = max(int(most), g.limit/leastShare)
		}
	}
	g.began, g.gone, g.dry = now, gone, used == 0
}
