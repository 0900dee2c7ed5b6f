package admit

import (
	"sync/atomic"
	"time"
)

// Burst is how much of a rate may come at once.
const Burst = 250 * time.Millisecond

// waitMax bounds one wait: rates change, so nobody waits longer by one reading.
const waitMax = time.Second

// Bucket is a token bucket in its virtual form: the instant, in ns, at which
// what was taken so far is paid for. The zero value is full. Not for concurrent
// use.
type Bucket struct{ paid int64 }

// Take takes n at a rate a second and returns how long its owner should wait
// until the next; negative is how far it is from having to. n may exceed the
// burst: then it is owed.
func (b *Bucket) Take(now int64, n, rate float64) time.Duration {
	b.paid = after(b.paid, now, n, rate)
	return owed(b.paid, now)
}

// Full tells that nothing is owed any more.
func (b *Bucket) Full(now int64) bool { return b.paid <= now }

// SharedBucket is a Bucket for any goroutine.
type SharedBucket struct{ paid atomic.Int64 }

// Take is Bucket.Take.
func (b *SharedBucket) Take(now int64, n, rate float64) time.Duration {
	for {
		was := b.paid.Load()
		paid := after(was, now, n, rate)
		if b.paid.CompareAndSwap(was, paid) {
			return owed(paid, now)
		}
	}
}

// after is when n more are paid for, at most waitMax and a burst ahead.
func after(paid, now int64, n, rate float64) int64 {
	ns := n / rate * float64(time.Second)
	if !(ns < float64(waitMax+Burst)) { // also where rate is 0
		ns = float64(waitMax + Burst)
	}
	return min(max(paid, now)+int64(ns), now+int64(waitMax+Burst))
}

func owed(paid, now int64) time.Duration { return time.Duration(paid-now) - Burst }
