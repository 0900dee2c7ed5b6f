package node

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"

	"eyrie/appliance/config"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// tuning is what the node chose for this host, with reasons.
type tuning struct {
	loops       int
	cacheBytes  int64 // both stores' block caches together
	memoryBytes int64 // soft limit of the Go heap
	descriptors uint64
	why         []config.Tuned
}

// memtable is the size of a memtable of the views store: the larger, the fewer
// and longer its runs, and the less it merges; four may exist at a time.
func (t *tuning) memtable() uint64 {
	return uint64(min(max(t.memoryBytes/64, 16<<20), 128<<20))
}

// memoryShare of the host's or container's memory is the heap's soft limit.
const memoryShare = 0.8

// tune chooses what the configuration leaves open and applies what is
// process-wide: the heap's soft limit and the descriptor limit.
func tune(c *config.Config) tuning {
	t := tuning{loops: c.Loops, cacheBytes: int64(c.CacheMiB) << 20, memoryBytes: int64(c.Memory) << 20}
	if t.loops == 0 {
		t.loops = runtime.GOMAXPROCS(0)
		t.why = append(t.why, config.Tuned{Key: "loops", Value: strconv.Itoa(t.loops), Why: "one for each core this process may use"})
	}
	if t.memoryBytes == 0 {
		limit, err := memlimit.FromCgroupHybrid()
		from := "container"
		if err != nil || limit == 0 {
			limit, err = memlimit.FromSystem()
			from = "host"
		}
		if err == nil && limit > 0 {
			t.memoryBytes = int64(float64(limit) * memoryShare)
			t.why = append(t.why, config.Tuned{Key: "memory-mib", Value: strconv.FormatInt(t.memoryBytes>>20, 10), Why: fmt.Sprintf("80 %% of the %s's %d MiB", from, limit>>20)})
		}
	}
	if t.memoryBytes > 0 {
		debug.SetMemoryLimit(t.memoryBytes)
	}
	if t.cacheBytes == 0 {
		t.cacheBytes = min(max(t.memoryBytes/32, 16<<20), 512<<20)
		t.why = append(t.why, config.Tuned{Key: "cache-mib", Value: strconv.FormatInt(t.cacheBytes>>20, 10), Why: "a thirty-second of the memory limit, 16 to 512 MiB"})
	}
	t.descriptors = raiseDescriptors()
	return t
}

// raiseDescriptors raises the soft limit of open descriptors to the hard one
// and returns what is in force.
func raiseDescriptors() uint64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	if r.Cur < r.Max {
		was := r.Cur
		r.Cur = r.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
			return was
		}
	}
	return r.Cur
}

// Tune returns what the node would choose for this host, and why.
func Tune(c *config.Config) []config.Tuned { return tune(c).why }
