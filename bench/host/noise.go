package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Clock is the CPU time of the whole machine up to an instant.
type Clock struct {
	At    time.Time
	Busy  time.Duration // everything but idle and waiting for the disk
	Steal time.Duration // taken by other guests of the hypervisor

	all map[int]one // processes, to name who disturbs
}

// ReadClock reads it.
func ReadClock() (c Clock) {
	c.At, c.all = time.Now(), everyone()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return c
	}
	first, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(first)
	// cpu user nice system idle iowait irq softirq steal; guest is part of user.
	for i, s := range f {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseUint(s, 10, 64)
		c.Busy += time.Duration(n) * tick
		if i == 8 {
			c.Steal = time.Duration(n) * tick
		}
	}
	return c
}

// Noise is how far a measurement was disturbed.
type Noise struct {
	StealShare float64 `json:"steal_share"` // of all cores' time
	OtherShare float64 `json:"other_share"` // used by processes that are not ours
	Trusted    bool    `json:"trusted"`
	Why        string  `json:"why,omitempty"`
}

// Limits beyond which a figure is not to be trusted. The kernel's own work for
// us on the disk and the loopback device counts as others', hence the room.
const (
	stealMax = 0.02
	otherMax = 0.08
)

// Since judges the time from one clock to the other, in which our own processes
// used ours.
func Since(from, to Clock, cores int, ours time.Duration) (n Noise) {
	all := float64(to.At.Sub(from.At)) * float64(cores)
	if all <= 0 {
		return n
	}
	steal := to.Steal - from.Steal
	n.StealShare = float64(steal) / all
	n.OtherShare = max(0, float64(to.Busy-from.Busy-steal-ours)/all)
	var why []string
	if n.StealShare > stealMax {
		why = append(why, fmt.Sprintf("the hypervisor took %.0f %% of the cores", 100*n.StealShare))
	}
	if n.OtherShare > otherMax {
		said := fmt.Sprintf("other processes used %.0f %% of the cores", 100*n.OtherShare)
		if who := busiest(from.all, to.all, os.Getpid(), time.Duration(all)); who != "" {
			said += ", most of all " + who
		}
		why = append(why, said)
	}
	n.Trusted, n.Why = len(why) == 0, strings.Join(why, "; ")
	return n
}
