// Package admit decides how much may come in: pure arithmetic on a clock that
// is passed in. It owns levels, rates and block times; it knows no link, ring
// or message, waits for nobody and closes nothing.
//
// gauge.go says from a queue's fill level who is shed and who waits, sized by
// how fast the queue drains; control.go finds rates from what host and log
// tell, bucket.go holds a sender to one; crowd.go estimates for how many agents
// he speaks; blocks.go keeps abusers out for a while.
package admit
