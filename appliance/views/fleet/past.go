package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"eyrie/wal"
	"eyrie/wal/block"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2"
)

// PastLog is what a Past reads; *wal.Log is one behind PastLogOf.
type PastLog interface {
	Names
	Next() uint64
	Stretches() []wal.Stretch
	FollowTo(from, to uint64) Follower
}

// Follower hands out durable blocks in order, see wal.Follower.
type Follower interface {
	Next(ctx context.Context) (*block.Block, error)
}

// PastLogOf makes a PastLog of the real one.
func PastLogOf(l *wal.Log) PastLog { return realLog{l} }

type realLog struct{ *wal.Log }

// FollowTo returns a follower from that offset on, for a reader up to another.
func (l realLog) FollowTo(from, to uint64) Follower { return l.Log.FollowTo(from, to) }

// PastOptions of a Past. Log, Fleet and Store must be given.
type PastOptions struct {
	Log   PastLog
	Fleet *View
	Store pebble.Reader // in which Fleet is saved
	// Aside says which records the view has set aside; nil: none.
	Aside func() (map[uint64]string, error)

	Background func() // called first by goroutines that work for long; nil: nothing
	Now        func() time.Time
	Metrics    *metrics.Set // nil: a set of its own

	Kept      int           // states kept ready; 0: 3
	AgentsMax int           // of all states kept together, the newest one aside; 0: 200,000
	Idle      time.Duration // after which a state that nobody asks for goes; 0: 1 min
	Waiting   int           // askers that may wait for builds; 0: 64
}

// Errors of At, the caller's fault but ErrBusy.
var (
	ErrBefore = errors.New("fleet: the log holds nothing from that time or before")
	ErrFuture = errors.New("fleet: that has not happened yet")
	ErrGone   = errors.New("fleet: the log no longer holds what led to that state")
	ErrBusy   = errors.New("fleet: too many ask for past states at once")
)

// Past makes past states of the fleet. Make one with NewPast.
type Past struct {
	o       PastOptions
	turn    chan struct{} // one build at a time
	waiting chan struct{}

	mu     sync.Mutex
	kept   []*PastState // least recently used first
	builds map[target]*building

	built, folded *metrics.Counter
	shared        *metrics.Counter
	took          *metrics.Histogram
}

// PastState is the fleet behind one offset.
type PastState struct {
	*View
	At      int64  // recv of the last record in it, Unix ns
	Offset  uint64 // that record's, or the one asked for where the log has a hole
	Partial bool   // retention has dropped, or damage has taken, records that led to it
	until   int64  // recv of the record behind it, 0 where there was none
	used    time.Time
}

// target is what is asked for: the state behind an offset or, with 0, that at an instant.
type target struct {
	offset uint64
	recv   int64
}

// is tells whether the state is what was asked for.
func (s *PastState) is(t target) bool {
	if t.offset != 0 {
		return s.Offset == t.offset
	}
	return s.At <= t.recv && t.recv < s.until
}

// NewPast returns a Past that holds nothing yet.
func NewPast(o PastOptions) *Past {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Background == nil {
		o.Background = func() {}
	}
	if o.Aside == nil {
		o.Aside = func() (map[uint64]string, error) { return nil, nil }
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Kept == 0 {
		o.Kept = 3
	}
	if o.AgentsMax == 0 {
		o.AgentsMax = 200_000
	}
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if o.Waiting == 0 {
		o.Waiting = 64
	}
	p := &Past{o: o, turn: make(chan struct{}, 1), waiting: make(chan struct{}, o.Waiting), builds: map[target]*building{}}
	p.built = o.Metrics.GetOrCreateCounter("eyrie_past_builds_total")
	p.folded = o.Metrics.GetOrCreateCounter("eyrie_past_folded_total")
	p.shared = o.Metrics.GetOrCreateCounter("eyrie_past_shared_total")
	p.took = o.Metrics.GetOrCreateHistogram("eyrie_past_build_seconds")
	o.Metrics.GetOrCreateGauge("eyrie_past_kept", func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(len(p.kept))
	})
	o.Metrics.GetOrCreateGauge("eyrie_fleet_snapshots", func() float64 { return float64(o.Fleet.SnapshotStats().Count) })
	return p
}

// At returns the fleet as it was at an instant (Unix ns): behind the last
// record received until then. Beyond the newest record it is the state now.
// The state is shared: it may be read, not folded on.
func (p *Past) At(ctx context.Context, recv int64) (*PastState, error) {
	if recv > p.o.Now().UnixNano() {
		return nil, ErrFuture
	}
	return p.get(ctx, target{recv: recv})
}

// Behind returns the fleet as it was once the record at an offset was folded.
func (p *Past) Behind(ctx context.Context, offset uint64) (*PastState, error) {
	switch {
	case offset == 0:
		return nil, ErrBefore
	case offset >= p.o.Log.Next():
		return nil, fmt.Errorf("%w: the log ends before offset %d", ErrFuture, p.o.Log.Next())
	}
	return p.get(ctx, target{offset: offset})
}

func (p *Past) get(ctx context.Context, t target) (*PastState, error) {
	b, s, err := p.ask(t)
	if err != nil || s != nil {
		return s, err
	}
	select {
	case <-b.done:
		p.leave(b)
		return b.state, b.err
	case <-ctx.Done():
		p.leave(b)
		return nil, ctx.Err()
	}
}
