package logbench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"eyrie/appliance/vault"
	"eyrie/bench/host"
	"eyrie/wal"
)

// Order is what a child is to do; a child gets one kind only, a line each.
type Order struct {
	Do     string        `json:"do"` // open, run, fill, drain, seal, kill, first
	Kind   string        `json:"kind"`
	Dir    string        `json:"dir"`
	Seed   uint64        `json:"seed"`
	Agents int           `json:"agents"`
	Events int           `json:"events"` // open: of the pool, 0 for none; fill: to append
	For    time.Duration `json:"for"`
	Small  bool          `json:"small"` // open: small sizes, so that little stays unsealed
	Off    bool          `json:"off"`   // open: no sealing
}

// The kinds of children.
const (
	KindLog     = "log"
	KindSegment = "segment"
)

// Answer is what was seen.
type Answer struct {
	Error   string           `json:"error,omitempty"`
	Events  int              `json:"events"`
	Took    time.Duration    `json:"took"` // until durable
	Whole   time.Duration    `json:"whole"`
	Used    Usage            `json:"used"` // since the process began
	Stats   wal.Stats        `json:"stats"`
	Sealed  SealedLog        `json:"sealed"`
	Stages  map[string]int64 `json:"stages"`
	Memory  uint64           `json:"memory"`  // seal: resident at most, beyond what was before
	Opened  time.Duration    `json:"opened"`  // first: until Open returned
	Process time.Duration    `json:"process"` // first: from the process' start until the first event was durable
}

// SealedLog sums up what is sealed.
type SealedLog struct {
	Records, HotBytes, Bytes, IndexBytes uint64
	Stretches                            int
}

// SealedOf sums up a log.
func SealedOf(l *wal.Log) (s SealedLog) {
	for _, e := range l.Stretches() {
		s.Records += e.Records
		s.HotBytes += e.HotBytes
		s.Bytes += e.Bytes
		s.IndexBytes += e.IndexBytes
		s.Stretches++
	}
	return s
}

// errStalled ends what kill feeds.
var errStalled = errors.New("stalled")

// Options are those of the product on a machine with 4 GiB or more; small ones
// leave little unsealed.
func Options(dir string, small bool) wal.Options {
	o := wal.Options{Dir: dir, Seal: wal.SealOptions{Tier: vault.Tier}}
	if small {
		o.MemtableBytes, o.GroupBytes, o.CheckpointBytes, o.Seal.Bytes = SmallMemtable, SmallGroup, SmallCheckpoint, SmallStretch
	}
	return o
}

// The small sizes.
const (
	SmallMemtable   = 4 << 20
	SmallGroup      = 1 << 20
	SmallCheckpoint = 4 << 20
	SmallStretch    = 64 << 20
)

// served is one measurement's process.
type served struct {
	began   time.Time
	pool    *Pool
	frame   int // next of the pool
	feeder  *Feeder
	source  *Source
	stages  *Stages
	segment *segment
}

// Serve takes orders from r until it ends, and answers to w.
func Serve(r io.Reader, w io.Writer) error {
	c := served{began: time.Now()}
	in, out := json.NewDecoder(bufio.NewReader(r)), json.NewEncoder(w)
	for {
		var o Order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return c.close()
		} else if err != nil {
			return err
		}
		var a Answer
		if err := c.do(&o, &a); err != nil {
			a.Error = err.Error()
		}
		var err error
		if a.Used, err = own(); err != nil {
			return err
		}
		if c.feeder != nil {
			a.Stats, a.Sealed = c.feeder.Log.Stats(), SealedOf(c.feeder.Log)
		}
		if c.stages != nil {
			a.Stages = c.stages.Bytes()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func (c *served) do(o *Order, a *Answer) error {
	switch o.Do {
	case "open":
		return c.open(o)
	case "run":
		return c.run(o.For, a)
	case "fill":
		return c.fill(o.Events, a)
	case "drain":
		return c.feeder.Sealed()
	case "seal":
		return c.seal(a)
	case "kill":
		return c.kill(o)
	case "first":
		return c.first(o, a)
	}
	return fmt.Errorf("order %q", o.Do)
}

func (c *served) close() error {
	switch {
	case c.feeder != nil:
		return c.feeder.Log.Close()
	case c.segment != nil:
		return c.segment.close()
	}
	return nil
}

func (c *served) open(o *Order) (err error) {
	if o.Events > 0 {
		if c.pool, err = MakePool(o.Seed, o.Agents, o.Events, time.Now().UnixMilli()); err != nil {
			return err
		}
	} else {
		c.source = NewSource(o.Seed, o.Agents)
	}
	runtime.GC() // of what making the pool left
	if o.Kind == KindSegment {
		c.segment, err = openSegment(filepath.Join(o.Dir, "segment"))
		return err
	}
	opts := Options(o.Dir, o.Small)
	opts.Seal.Off = o.Off
	if c.pool == nil { // counting costs an interface call a write: not where rates are measured
		c.stages = NewStages()
		opts.FS = c.stages
	}
	c.feeder, err = OpenFeeder(opts)
	return err
}

// run feeds from the pool for so long.
func (c *served) run(d time.Duration, a *Answer) (err error) {
	begin, first := time.Now(), c.frame
	if c.segment != nil {
		c.frame, err = c.segment.run(c.pool, c.frame, d)
	} else {
		var items [FrameEvents]Item
		for end := begin.Add(d); time.Now().Before(end); c.frame++ {
			c.pool.Frame(c.frame, &items)
			if err := c.feeder.Feed(items[:], c.frame%Connections, time.Now().UnixNano()); err != nil {
				return err
			}
		}
		err = c.feeder.Settle()
	}
	a.Took, a.Events = time.Since(begin), (c.frame-first)*FrameEvents
	if err == nil && c.feeder != nil {
		err = c.feeder.Sealed()
	}
	a.Whole = time.Since(begin)
	return err
}

// fill appends so many events of the source.
func (c *served) fill(n int, a *Answer) error {
	begin := time.Now()
	for range n / FrameEvents {
		now := time.Now()
		items, conn, err := c.source.Frame(now.UnixMilli())
		if err != nil {
			return err
		}
		if err := c.feeder.Feed(items, conn, now.UnixNano()); err != nil {
			return err
		}
		a.Events += len(items)
	}
	err := c.feeder.Settle()
	a.Took = time.Since(begin)
	return err
}

// seal seals all that may be sealed, alone, and looks at what that takes.
func (c *served) seal(a *Answer) error {
	runtime.GC()
	before, err := host.Look(os.Getpid())
	if err != nil {
		return err
	}
	start, err := own()
	if err != nil {
		return err
	}
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				if p, err := host.Look(os.Getpid()); err == nil {
					peak = max(peak, p.Anon)
				}
			case <-stop:
				most <- peak
				return
			}
		}
	}()
	begin := time.Now()
	err = c.feeder.Log.Seal(context.Background())
	a.Took = time.Since(begin)
	close(stop)
	peak := <-most
	a.Memory = peak - min(peak, before.Anon)
	end, oerr := own()
	a.Whole = end.CPU - start.CPU
	return errors.Join(err, oerr)
}

// kill feeds while the store may not flush, until every memtable is full and
// writes wait for it: at no moment are more bytes not flushed. Then it says so
// and stays, to be killed.
func (c *served) kill(o *Order) error {
	c.source = NewSource(o.Seed, o.Agents)
	c.stages = NewStages()
	opts := Options(o.Dir, o.Small)
	opts.FS = c.stages
	stalled := make(chan struct{})
	once := sync.OnceFunc(func() { close(stalled) })
	opts.Events.Stall = func(string) { once() }
	f, err := OpenFeeder(opts)
	if err != nil {
		return err
	}
	f.stalled = stalled
	c.stages.Hold()
	// c.feeder stays nil: this log is never closed.
	for {
		now := time.Now()
		items, conn, err := c.source.Frame(now.UnixMilli())
		if err != nil {
			return err
		}
		if err := f.Feed(items, conn, now.UnixNano()); errors.Is(err, errStalled) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// first opens a log and times it until the first event is durable.
func (c *served) first(o *Order, a *Answer) (err error) {
	begin := time.Now()
	if c.feeder, err = OpenFeeder(Options(o.Dir, o.Small)); err != nil {
		return err
	}
	a.Opened = time.Since(begin)
	it := Item{Agent: []byte("first"), Payload: []byte("\x82\xa4type\xa7message\xa5agent\xa5first")}
	if err := c.feeder.Feed([]Item{it}, 0, time.Now().UnixNano()); err != nil {
		return err
	}
	if err := c.feeder.Settle(); err != nil {
		return err
	}
	a.Took, a.Process = time.Since(begin), time.Since(c.began)
	return nil
}
