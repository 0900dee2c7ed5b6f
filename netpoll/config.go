package netpoll

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"eyrie/netpoll/tables"

	"github.com/VictoriaMetrics/metrics"
)

// Config says how a Poll works. Zero values mean the defaults named here.
type Config struct {
	// Loops is the number of loops and threads, up to LoopsMax; GOMAXPROCS,
	// or one for each of Tables.
	Loops int
	// Thread, if set, is called on each loop's thread before the loop works. The
	// thread is the loop's alone until it ends.
	Thread func()

	// ReadBuffer is the size in bytes of a loop's one read buffer, and the
	// most one connection may hand in before others have their turn; 256 KiB.
	ReadBuffer int
	// ReadMax is the most bytes of one connection that Read may leave
	// unconsumed; 1 MiB and one ReadBuffer. Beyond it the connection ends
	// with ErrReadFull.
	ReadMax int
	// WriteMax is the most bytes queued to be written to one connection;
	// 1 MiB. Write answers ErrWriteFull beyond it.
	WriteMax int
	// Tick is the grain of timers; 50 ms. A timer fires up to one Tick late.
	Tick time.Duration
	// Linger is how long an orderly close may take, from CloseAfterFlush to
	// the peer's own close; 2 s.
	Linger time.Duration
	// Now is a clock in nanoseconds that never goes back; the monotonic one.
	// Loops ask once per cycle. Who injects one calls Loop.Wake after moving
	// it: a sleeping loop does not notice otherwise.
	Now func() int64
	// Metrics receives the counters; a set of its own when nil.
	Metrics *metrics.Set
	// Transform, when not nil, makes the stage between socket and handler of
	// one loop (see Transform).
	Transform func(l *Loop) Transform
	// Tables, when not nil, gives each loop one of its threads, so that the
	// limit of descriptors holds for each loop alone. It stays the caller's,
	// to be closed after Shutdown.
	Tables *tables.Set
}

const (
	readBufferMin = 4 << 10
	readBufferMax = 64 << 20
	bytesMax      = 1 << 29
)

func (c Config) withDefaults() (Config, error) {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	if c.Tables != nil {
		def(&c.Loops, c.Tables.Len())
	}
	def(&c.Loops, min(runtime.GOMAXPROCS(0), LoopsMax))
	def(&c.ReadBuffer, 256<<10)
	def(&c.ReadMax, 1<<20+c.ReadBuffer)
	def(&c.WriteMax, 1<<20)
	if c.Tick == 0 {
		c.Tick = 50 * time.Millisecond
	}
	if c.Linger == 0 {
		c.Linger = 2 * time.Second
	}
	if c.Now == nil {
		start := time.Now()
		c.Now = func() int64 { return int64(time.Since(start)) }
	}
	if c.Metrics == nil {
		c.Metrics = metrics.NewSet()
	}
	var errs []error
	within := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("netpoll: %s is %d, want %d to %d", name, v, lo, hi))
		}
	}
	within("Loops", c.Loops, 1, LoopsMax)
	if c.Tables != nil && c.Loops > c.Tables.Len() {
		errs = append(errs, fmt.Errorf("netpoll: Loops is %d, want at most %d, the number of tables", c.Loops, c.Tables.Len()))
	}
	within("ReadBuffer", c.ReadBuffer, readBufferMin, readBufferMax)
	within("ReadMax", c.ReadMax, 1, bytesMax)
	within("WriteMax", c.WriteMax, 1, bytesMax)
	if c.Tick < time.Millisecond {
		errs = append(errs, fmt.Errorf("netpoll: Tick is %v, want at least 1ms", c.Tick))
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("netpoll: Linger is %v, want none negative", c.Linger))
	}
	return c, errors.Join(errs...)
}
