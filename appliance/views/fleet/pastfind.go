package fleet

import (
	"context"

	"eyrie/wal"
)

// offsetAt returns the last offset received at or before an instant, 0 where
// there is none. Snapshots narrow it down, halving does the rest: recv never
// decreases along the log.
func (p *Past) offsetAt(ctx context.Context, recv int64) (uint64, error) {
	end := p.o.Log.Next()
	low, high := p.o.Fleet.Around(recv) // low is at most the answer, high beyond it
	if high == 0 || high > end {
		high = end
	}
	for low+1 < high {
		mid := low + (high-low)/2
		recs, _, err := p.o.Log.Find(ctx, wal.Query{FromOffset: mid, ToOffset: high, Limit: 1})
		if err != nil {
			return 0, err
		}
		switch {
		case len(recs) == 0: // a hole up to high
			high = mid
		case recs[0].Recv <= recv:
			low = recs[0].Offset
		default:
			high = mid
		}
	}
	return low, nil
}
