package intake

import (
	"strings"
	"time"

	"eyrie/wal"
)

// A producer expires by the clock, and the clock may be wrong: after a start, a
// pause or a jump of it, whoever is still there has calmTime to come back before
// anybody is forgotten. tickGapMax is the longest time between two ticks that is
// no such thing.
const (
	calmTime   = time.Hour
	tickGapMax = time.Minute
)

// expire forgets producers that have been silent for too long and have no link.
// It is called with each tick.
func (in *Intake) expire(now time.Time) {
	if gap := now.Sub(in.ticked); gap < 0 || gap > tickGapMax {
		in.calm = now
	}
	in.ticked = now
	if now.Sub(in.calm) < calmTime {
		return
	}
	in.w.Expire(func(p uint32, k *wal.ProducerKey, idle time.Duration) bool {
		life := in.o.ProducerTTL
		if strings.HasPrefix(k.Owner, onceOwner) {
			life = onceLife // behind it the name is a new request in any case
		}
		if idle < life {
			return false
		}
		_, linked := in.holder[p]
		if !linked {
			in.m.expired.Inc()
		}
		return !linked
	})
}
