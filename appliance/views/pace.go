package views

import "time"

// pace is how long the folds take over a record, while they are at it. It belongs
// to the runner's goroutine.
type pace struct {
	records int
	spent   time.Duration
}

const (
	// paceTurn is the least of records that a turn tells something by: of a smaller
	// one most is handing over to threads.
	paceTurn = 64
	// paceRecords is after how many records a half of them is forgotten.
	paceRecords = 1 << 20
)

// took notes a turn.
func (p *pace) took(records int, d time.Duration) {
	if records < paceTurn {
		return
	}
	if p.records >= paceRecords {
		p.records, p.spent = p.records/2, p.spent/2
	}
	p.records += records
	p.spent += d
}

// of is how long so many records take; 0 before anything is known.
func (p *pace) of(records uint64) time.Duration {
	if p.records == 0 {
		return 0
	}
	return time.Duration(float64(p.spent) * float64(records) / float64(p.records))
}
