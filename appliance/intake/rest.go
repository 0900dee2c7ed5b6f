package intake

import (
	"sync/atomic"
	"time"
)

// rest is how long a group is filled before it is handed over, while the cores are
// busy. Each commit costs syncs and hand-overs between a dozen threads, of which views
// and viewers get a share for every block, however few records are in it; where
// nobody is short of the cores, waiting would only delay an answer, and there is no rest.
//
// It is none up to restFrom of the cores, and from there on the longer the busier they
// are, up to restParts times as long as a group takes to be made durable. So groups
// grow with the load of the whole host, as they do by themselves with that of the log.
// It ends when nothing came in for one of its restLooks: who sends no more before he is
// answered must not wait for others who do not either.
type rest struct {
	took atomic.Int64  // ns that a group takes, of late
	busy atomic.Uint32 // of the host's cores, in parts of 1<<16
}

const (
	restFrom  = 0.6 // share of the cores below which there is none
	restParts = 8   // times as long as a group takes, where all are in use
	restLooks = 4   // looks for what came in, in one rest
	// restMost is far below admit.Delay: what gathers meanwhile is no sign of a queue
	// that is not emptied.
	restMost = 10 * time.Millisecond
	// restWeight is what a new look weighs, in shares of 1.
	restWeight = 1.0 / 8
)

// host notes which share of the host's cores is in use, 0 to 1. It belongs to one goroutine.
func (r *rest) host(share float64) {
	was := float64(r.busy.Load()) / (1 << 16)
	r.busy.Store(uint32((was + (min(max(share, 0), 1)-was)*restWeight) * (1 << 16)))
}

// durable notes how long a group took from when it was handed over until it was
// announced. It belongs to the goroutine that announces.
func (r *rest) durable(d time.Duration) {
	was := r.took.Load()
	if was == 0 {
		r.took.Store(int64(d))
		return
	}
	r.took.Store(was + int64(float64(int64(d)-was)*restWeight))
}

// length is how long to rest now between two groups that are handed over.
func (r *rest) length() time.Duration {
	busy := float64(r.busy.Load()) / (1 << 16)
	if busy <= restFrom {
		return 0
	}
	return min(restMost, time.Duration(restParts*float64(r.took.Load())*(busy-restFrom)/(1-restFrom)))
}

// Busy tells which share of the host's cores is in use, 0 to 1: the busier, the more
// goes into one commit. It is called several times a second, by any one goroutine.
func (in *Intake) Busy(share float64) { in.rest.host(share) }

// resting returns how long the group being filled should wait for more before the
// intake looks again, after so many looks, with so many items found since the last; 0: no
// longer.
func (in *Intake) resting(looks, found int) time.Duration {
	length := in.rest.length()
	if length == 0 || in.full() || looks > 0 && found == 0 || looks >= restLooks {
		return 0
	}
	return min(length/restLooks, max(0, length-in.o.Now().Sub(in.handed)))
}
