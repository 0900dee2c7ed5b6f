package live

import "time"

// pace spaces rounds of events by what they cost: with few viewers every commit
// is shown at once, with a thousand several commits share a message, and readers
// never take more than a part of the machine from those who write.
type pace struct {
	began time.Time
	spent int64 // ns by readers, when the round began
}

const (
	paceCost = 2 // a round begins at most every so many times what the last one cost
	paceMax  = 500 * time.Millisecond
)

// begin notes the begin of a round; spent is what readers have worked so far.
func (p *pace) begin(spent int64, now time.Time) { p.spent, p.began = spent, now }

// wait is how long the next round has to wait; not positive for not at all.
func (p *pace) wait(spent int64, now time.Time) time.Duration {
	if p.began.IsZero() {
		return 0
	}
	gap := min(time.Duration(spent-p.spent)*paceCost, paceMax)
	return gap - now.Sub(p.began)
}
