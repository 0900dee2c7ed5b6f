package node

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/capacity"
	"eyrie/appliance/config"

	"golang.org/x/sys/unix"
)

// tuning is what the node chose for this host, with reasons. It is a value:
// decide makes it from the configuration and a reading of the host, apply puts
// in force what is process-wide.
type tuning struct {
	loops         int
	ownTables     bool   // each loop has a descriptor table of its own
	procs         int    // goroutines that run at once
	cacheBytes    int64  // both stores' block caches together
	memtableBytes uint64 // of the views store, capacity.Memtables of which may exist
	blocksBytes   int64  // newest blocks of the log, kept for who follows it
	stretchBytes  int64  // of the log's blocks, sealed at a time
	filterBytes   int64  // that tells new spans from stored ones; not of the heap
	memoryBytes   int64  // soft limit of the Go heap; 0 = none
	descriptors   uint64
	why           []config.Tuned
}

// decide chooses what the configuration leaves open for host h. The keys that
// are no setting (procs, background-nice, gc-percent, memtable-mib, log-blocks-mib, log-stretch-mib, span-filter-mib, descriptors, socket-buffers) are always chosen.
func decide(c *config.Config, h host) tuning {
	t := tuning{loops: c.Loops, cacheBytes: int64(c.CacheMiB) << 20, memoryBytes: int64(c.Memory) << 20}
	because := func(key, value, why string, args ...any) {
		t.why = append(t.why, config.Tuned{Key: key, Value: value, Why: fmt.Sprintf(why, args...)})
	}
	inMiB := func(n int64) string { return strconv.FormatInt(n>>20, 10) }
	if t.loops == 0 {
		t.loops = h.cores
		because("loops", strconv.Itoa(t.loops), "one for each core this process may use")
	}
	t.decideTables(c, h, because)
	t.procs = h.cores + backgroundWorkers
	because("procs", strconv.Itoa(t.procs), "%d cores, and a place for each of %d background workers, so that none holds one that ingest needs", h.cores, backgroundWorkers)
	because("background-nice", strconv.Itoa(backgroundNice), "all threads but those who receive, store and acknowledge yield the cores to these; those that seal the log and merge the store of the views, at %d, to the views, too", upkeepNice)
	if t.memoryBytes == 0 && h.memory > 0 {
		t.memoryBytes = int64(float64(h.memory) * capacity.MemoryShare)
		because("memory-mib", inMiB(t.memoryBytes), "80 %% of the %s's %d MiB", h.memoryFrom, h.memory>>20)
	}
	because("gc-percent", fmt.Sprintf("%d to %d", percentDefault, percentMost), "more than %d where over %d MiB live, as long as garbage and they take at most half of the memory limit", percentDefault, percentLiveMin>>20)
	b := capacity.BuffersOf(t.memoryBytes)
	if t.cacheBytes == 0 {
		t.cacheBytes = b.Cache
		because("cache-mib", inMiB(t.cacheBytes), "a thirty-second of the memory limit, 16 to 512 MiB")
	}
	t.memtableBytes = uint64(b.Memtable)
	because("memtable-mib", inMiB(int64(t.memtableBytes)), "a sixty-fourth of the memory limit, 16 to 128 MiB: the larger, the less the views store merges")
	t.blocksBytes = b.Blocks
	because("log-blocks-mib", inMiB(t.blocksBytes), "a sixty-fourth of the memory limit, 16 to 256 MiB: views that fall behind while they save need not decode what they missed")
	t.stretchBytes = b.Stretch
	because("log-stretch-mib", inMiB(t.stretchBytes), "a sixty-fourth of the memory limit, 4 to 64 MiB: so much of the log is sealed at a time, in some four times as much memory. The larger, the smaller it gets on disk")
	t.filterBytes = min(max(t.memoryBytes/32, 128<<20), 4<<30)
	because("span-filter-mib", inMiB(t.filterBytes), "a thirty-second of the memory limit, 128 MiB to 4 GiB, at most, outside of the heap; it takes 3 bytes a span as they come. A span that ended before the newest that fit, and is named again, is a new one")
	if t.descriptors = h.nofileMax; t.descriptors > 0 {
		because("descriptors", strconv.FormatUint(t.descriptors, 10), "the hard limit; it was %d at the start", h.nofile)
	}
	if h.tcpRead > 0 {
		because("socket-buffers", "kernel", "the kernel sizes each by its traffic, up to %d KiB in and %d KiB out; a fixed size would cost every idle link", h.tcpRead>>10, h.tcpWrite>>10)
	}
	return t
}

// Descriptors of one table that are not for connections: the reserve, epoll,
// listeners, Go's poller, what else the process has open.
const (
	tableOthers   = 64   // in a loop's own, and one wake-up for each loop
	processOthers = 6000 // in the process' one: stores, HTTP, and room for a burst
)

// decideTables says whether loops get descriptor tables of their own, and how
// many are needed: the kernel spreads connections over them by chance, so that
// each has a tenth to spare.
func (t *tuning) decideTables(c *config.Config, h host, because func(key, value, why string, args ...any)) {
	if !c.OwnTables {
		return
	}
	if h.nofileMax >= uint64(c.Connections+processOthers) {
		because("own-tables", "false", "not needed: the hard limit of %d descriptors is enough for %d connections", h.nofileMax, c.Connections)
		return
	}
	t.ownTables = true
	each := max(int(h.nofileMax)-tableOthers-t.loops, 1)
	need := (c.Connections*11/10 + each - 1) / each
	if c.Loops > 0 {
		because("own-tables", "true", "a hard limit of %d descriptors, for each of %d loops alone; %d connections want %d loops", h.nofileMax, t.loops, c.Connections, need)
		return
	}
	if need > t.loops {
		t.loops = min(need, loopsMax)
		t.why[len(t.why)-1] = config.Tuned{Key: "loops", Value: strconv.Itoa(t.loops), Why: fmt.Sprintf("so many descriptor tables hold %d connections with a tenth to spare", c.Connections)}
	}
	because("own-tables", "true", "a hard limit of %d descriptors, for each of %d loops alone", h.nofileMax, t.loops)
}

// loopsMax is what the configuration allows, too.
const loopsMax = 128

// apply puts in force what is process-wide: the goroutines that run at
// once, the heap's soft limit and the descriptor limit. What the kernel refuses stays as it is, and the reason says so.
func (t *tuning) apply() {
	if t.procs != runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(t.procs)
	}
	if t.memoryBytes > 0 {
		debug.SetMemoryLimit(t.memoryBytes)
	}
	if t.descriptors == 0 {
		return
	}
	var r unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r)
	if err == nil && r.Cur < t.descriptors {
		want := unix.Rlimit{Cur: t.descriptors, Max: r.Max}
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &want)
	}
	if err != nil {
		t.descriptors = r.Cur
		if i := slices.IndexFunc(t.why, func(w config.Tuned) bool { return w.Key == "descriptors" }); i >= 0 {
			t.why[i].Value = strconv.FormatUint(r.Cur, 10)
			t.why[i].Why = fmt.Sprintf("the limit could not be raised to %d: %v", r.Max, err)
		}
	}
}

// Tune returns what the node would choose for this host, and why. It changes
// nothing.
func Tune(c *config.Config) []config.Tuned {
	t := decide(c, readHost())
	return t.why
}

// tuner keeps decisions up while the host changes: a container may get more or
// less memory, a process another descriptor limit. Everything else is chosen
// once, at the start. Its methods are for any goroutine.
type tuner struct {
	c    *config.Config
	now  func() time.Time
	read func() host

	mu  sync.Mutex
	cur tuning
	at  map[string]time.Time // of each key's value
}

// newTuner decides and applies for the first time.
func newTuner(c *config.Config, now func() time.Time, read func() host) *tuner {
	t := &tuner{c: c, now: now, read: read, at: make(map[string]time.Time)}
	t.cur = decide(c, read())
	t.cur.apply()
	for _, w := range t.cur.why {
		t.at[w.Key] = now()
	}
	return t
}

// running are the keys that can change without a restart.
var running = []string{"memory-mib", "descriptors"}

// again looks at the host once more and applies what may change in a running
// process. It returns the decisions that did.
func (t *tuner) again() []config.Tuned {
	next := decide(t.c, t.read())
	t.mu.Lock()
	defer t.mu.Unlock()
	var changed []config.Tuned
	for _, w := range next.why {
		i := slices.IndexFunc(t.cur.why, func(o config.Tuned) bool { return o.Key == w.Key })
		if i < 0 || t.cur.why[i].Value == w.Value || !slices.Contains(running, w.Key) {
			continue
		}
		t.cur.why[i] = w
		t.at[w.Key] = t.now()
		changed = append(changed, w)
	}
	if len(changed) > 0 {
		t.cur.memoryBytes, t.cur.descriptors = next.memoryBytes, next.descriptors
		t.cur.apply()
	}
	return changed
}

// memory returns the heap's soft limit in force, 0 for none.
func (t *tuner) memory() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cur.memoryBytes
}

// tuned returns what is in force.
func (t *tuner) tuned() []config.Tuned {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.cur.why)
}

// decisions returns the same with when each was made.
func (t *tuner) decisions() []api.Decision {
	t.mu.Lock()
	defer t.mu.Unlock()
	ds := make([]api.Decision, 0, len(t.cur.why))
	for _, w := range t.cur.why {
		ds = append(ds, api.Decision{Key: w.Key, Value: w.Value, Why: w.Why, At: float64(t.at[w.Key].UnixMicro()) / 1e3})
	}
	return ds
}

// number returns the value of key, or 0 if it is none.
func (t *tuner) number(key string) float64 {
	for _, w := range t.tuned() {
		if w.Key == key {
			v, _ := strconv.ParseFloat(w.Value, 64)
			return v
		}
	}
	return 0
}

// cores is how many cores this process may use, by affinity, quota and
// environment, as the runtime found them before procs was applied.
var cores = sync.OnceValue(func() int { return runtime.GOMAXPROCS(0) })
