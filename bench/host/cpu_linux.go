package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// schedClock marks the clock of a process' CPU as the scheduler counts it, to the
// nanosecond; /proc counts whole ticks (clock_getcpuclockid(3)).
const schedClock = 2

// cpuOf returns what a process has used.
func cpuOf(pid int) (time.Duration, bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
