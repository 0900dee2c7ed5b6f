package views

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// Options of a Runner. Folds, Store and Log must be given.
type Options struct {
	Folds []Mount
	Store *pebble.DB
	Files Files // of the store; the zero value: nobody waits for files to go
	Log   Log

	Metrics *metrics.Set     // nil: a set of its own
	Now     func() time.Time // nil: time.Now

	// Folds are saved before a flush and seldom between: the store has no log of
	// its own, so what is saved and not flushed is lost in a crash all the same.
	// A flush for its bytes is for those whose memory grows, and passes over others.
	SaveEvery  time.Duration // between saves of a fold at most; 0: FlushEvery
	FlushEvery time.Duration // between flushes of the store; 0: 20 s
	FlushBytes int64         // payload bytes of the log between flushes; 0: 256 MiB
	// Refold is how long it may take to fold again, after a crash, what was not
	// saved: by the rate at which the folds take records. 0: 10 s. Fewer than RefoldRecords are
	// not worth a save for that; 0: 2 Mi.
	Refold        time.Duration
	RefoldRecords uint64
	PoisonMax     int // records set aside after which a fold is halted; 0: 1,000
	// CompareEvery is how often what the folds were given is compared with what
	// the log holds; 0: 10 s.
	CompareEvery time.Duration

	// Background is called at the start of each of the runner's goroutines that
	// works for long, and keeps to its thread from then on: whoever watches can wait for
	// those who send. nil: nothing.
	Background func()
	// Loading, if not nil, shows how far Open is, and may end it.
	Loading *Loading
	// AfterApply is called with every block once all folds have applied it, on
	// the runner's goroutine: it must not block.
	AfterApply func(b *block.Block)
	Events     Events
}

// Events are hooks for what a person should hear of; any may be nil. They run
// on the runner's goroutines and must not block.
type Events struct {
	Rebuild   func(fold, reason string)
	Lost      func(err error) // records that the log cannot read any more were passed over
	Poison    func(fold string, offset uint64, panicked any, stack []byte)
	Malformed func(offset uint64, err error) // an event whose payload is no map: folded as an empty one
	Halted    func(fold string, err error)
	Differs   func(d *Differs) // told once, until it is built anew
	Failed    func(err error)  // the runner has stopped: log or store failed
}

func (o *Options) defaults() error {
	if o.Store == nil || o.Log == nil {
		return errors.New("views: Options need Store and Log")
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = 20 * time.Second
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = o.FlushEvery
	}
	if o.FlushBytes == 0 {
		o.FlushBytes = 256 << 20
	}
	if o.Refold == 0 {
		o.Refold = 10 * time.Second
	}
	if o.RefoldRecords == 0 {
		o.RefoldRecords = 2 << 20
	}
	if o.CompareEvery == 0 {
		o.CompareEvery = 10 * time.Second
	}
	if o.Background == nil {
		o.Background = func() {}
	}
	if o.PoisonMax == 0 {
		o.PoisonMax = 1000
	}
	return nil
}

// Runner keeps folds up with a log.
type Runner struct {
	o       Options
	folds   []*member
	views   []wire.View // of the block that a recovery is at
	crew    *crew
	commits chan write
	done    chan written

	rewrites chan rewrite

	given     digests // of what was read
	givenNext uint64
	known     *block.Digests // of given, when it was last held to the log's
	askedAt   time.Time      // for the log's digests
	startedAt time.Time
	flushedAt time.Time
	unflushed int64 // payload bytes applied since
	pace      pace
	million   atomic.Int64 // ns that the folds take over a million records; 0 before anything is known
	shown     uint64
	flushing  bool
	broken    error // the store failed

	cancel  context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a cursor moves and someone waits
	waiting int
	err     error
	malform *metrics.Counter
}

// Open loads every fold, or resets those whose snapshot does not fit, and
// returns a runner that Start sets going. It returns ErrClosed where Loading was
// stopped; the folds are then of no use, and the store is as it was.
func Open(o Options) (*Runner, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	r := &Runner{o: o, commits: make(chan write, len(o.Folds)+1), done: make(chan written, len(o.Folds)+1),
		changed: make(chan struct{}), stopped: make(chan struct{}), rewrites: make(chan rewrite), shown: 1}
	r.malform = o.Metrics.GetOrCreateCounter("eyrie_view_malformed_events_total")
	owner := map[byte]string{}
	names := map[string]bool{}
	for _, m := range o.Folds {
		f, err := newMember(m, &r.o)
		if err != nil {
			return nil, err
		}
		if names[f.name] {
			return nil, fmt.Errorf("views: two folds named %s", f.name)
		}
		names[f.name] = true
		if err := r.o.Files.sweep(f.name); err != nil {
			return nil, err
		}
		for i := range len(m.Prefixes) {
			if other, taken := owner[m.Prefixes[i]]; taken {
				return nil, fmt.Errorf("views: folds %s and %s share prefix %q", other, f.name, m.Prefixes[i])
			}
			owner[m.Prefixes[i]] = f.name
		}
		r.folds = append(r.folds, f)
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// load loads the folds beside each other: people wait for it. What must be built
// anew is begun one after the other.
func (r *Runner) load() error {
	l := r.o.Loading
	if l == nil {
		l = new(Loading)
	}
	defer l.end()
	if err := l.begin(r.o.Store, r.folds); err != nil {
		return fmt.Errorf("views: load: %w", err)
	}
	reasons, errs := make([]string, len(r.folds)), make([]error, len(r.folds))
	var loads sync.WaitGroup
	for i, f := range r.folds {
		loads.Go(func() {
			r.o.Background()
			reasons[i], errs[i] = f.load(&r.o, watched{r.o.Store, l.folds[i]})
			l.folds[i].end()
		})
	}
	loads.Wait()
	if l.stopped.Load() {
		return ErrClosed // what was found is not all there is
	}
	for i, f := range r.folds {
		err := errs[i]
		if err == nil {
			err = f.opened(&r.o, reasons[i])
		}
		if err != nil {
			return fmt.Errorf("views: load %s: %w", f.name, err)
		}
		f.loaded.Store(f.next)
		f.kept.Store(f.next)
	}
	return nil
}

// Start begins to follow. It is called once.
func (r *Runner) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	now := r.o.Now()
	r.startedAt, r.flushedAt = now, now
	for _, f := range r.folds {
		f.savedAt = now
	}
	r.reckon()
	r.crew = newCrew(len(r.folds), r.o.Background)
	go r.commit()
	go func() {
		defer close(r.stopped)
		r.o.Background()
		err := r.run(ctx)
		close(r.commits)
		r.crew.end()
		for w := range r.done {
			r.settle(w)
		}
		if err != nil {
			r.fail(err)
		}
		r.wake()
	}()
}

// Close stops following, saves every fold, flushes the store and returns the
// error that stopped the runner earlier, if one did. The store stays open.
func (r *Runner) Close() error {
	if r.cancel == nil {
		return nil
	}
	r.cancel()
	<-r.stopped
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// run is the loop; it returns nil after a cancel.
func (r *Runner) run(ctx context.Context) error {
	reading, stop := context.WithCancel(ctx)
	in := reader{turns: make(chan *turn), free: make(chan *turn, turnsMax)}
	var reads sync.WaitGroup
	defer reads.Wait()
	defer stop()
	for range turnsMax {
		in.free <- &turn{}
	}
	follow := r.o.Log.Follow(r.start())
	reads.Go(func() { r.read(reading, follow, &in) })
	for {
		t, err := r.next(ctx, &in)
		if err == nil && t != nil {
			if err = r.take(ctx, t); err == nil {
				in.free <- t
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return r.finish()
			}
			return err
		}
		if err := r.saveDue(); err != nil {
			return err
		}
	}
}

// take applies a turn and tells of it; it returns what was met behind it, too.
func (r *Runner) take(ctx context.Context, t *turn) error {
	if len(t.blocks) == 0 {
		return t.err
	}
	began := r.o.Now()
	if err := r.apply(ctx, t); err != nil {
		return err
	}
	r.account(t)
	r.pace.took(t.records(), r.o.Now().Sub(began))
	r.million.Store(int64(r.pace.of(1e6)))
	for _, b := range t.blocks {
		r.unflushed += int64(b.PayloadBytes())
		if b.Next() > r.shown {
			r.shown = b.Next()
			if r.o.AfterApply != nil {
				r.o.AfterApply(b)
			}
		}
	}
	if now := r.o.Now(); now.Sub(r.askedAt) >= r.o.CompareEvery || now.Before(r.askedAt) {
		r.askedAt = now
		r.o.Log.AskDigests()
	}
	r.wake()
	return t.err
}

// start returns the first offset that a fold needs.
func (r *Runner) start() uint64 {
	from := r.o.Log.Next()
	for _, f := range r.folds {
		from = min(from, f.next)
	}
	return from
}

// wake tells those who wait that cursors moved.
func (r *Runner) wake() {
	r.mu.Lock()
	if r.waiting > 0 {
		close(r.changed)
		r.changed = make(chan struct{})
	}
	r.mu.Unlock()
}

func (r *Runner) fail(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	if r.o.Events.Failed != nil {
		r.o.Events.Failed(err)
	}
}

// WaitFor returns once every fold has applied the record at offset.
func (r *Runner) WaitFor(ctx context.Context, offset uint64) error {
	return r.wait(ctx, offset, false)
}

// CatchUp returns once every fold that has not halted has applied what lies before
// offset next.
func (r *Runner) CatchUp(ctx context.Context, next uint64) error {
	if next <= 1 {
		return nil
	}
	return r.wait(ctx, next-1, true)
}

func (r *Runner) wait(ctx context.Context, offset uint64, passHalted bool) error {
	for {
		r.mu.Lock()
		r.waiting++
		changed, failed := r.changed, r.err
		r.mu.Unlock()
		behind, halted := false, error(nil)
		for _, f := range r.folds {
			if f.cursor.Load() > offset {
				continue
			}
			h := f.halted.Load()
			if h != nil && passHalted {
				continue
			}
			behind = true
			if h != nil {
				halted = *h
			}
		}
		var err error
		switch {
		case !behind:
		case halted != nil:
			err = halted
		case failed != nil:
			err = failed
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				err = ctx.Err()
			case <-r.stopped:
				if err = ErrClosed; r.Applied() > offset {
					err, behind = nil, false
				}
			}
		}
		r.mu.Lock()
		r.waiting--
		r.mu.Unlock()
		if !behind || err != nil {
			return err
		}
	}
}

// Applied returns the first offset that not every fold has applied.
func (r *Runner) Applied() uint64 {
	at := r.o.Log.Next()
	for _, f := range r.folds {
		at = min(at, f.cursor.Load())
	}
	return at
}

// Durable returns the first offset that not every fold has committed to the
// store; after a crash less the store's last flush counts.
func (r *Runner) Durable() uint64 {
	at := r.o.Log.Next()
	for _, f := range r.folds {
		at = min(at, f.durable.Load())
	}
	return at
}

// Unread returns the first offset that a fold which has not halted has still to
// be given, or would be given again after a crash.
func (r *Runner) Unread() uint64 {
	at := r.o.Log.Next()
	for _, f := range r.folds {
		if f.halted.Load() == nil {
			at = min(at, f.kept.Load(), f.cursor.Load())
		}
	}
	return at
}

// Lag returns how many durable records the slowest fold has not applied.
func (r *Runner) Lag() uint64 {
	var lag uint64
	for _, f := range r.folds {
		lag = max(lag, f.lag(r.o.Log))
	}
	return lag
}

// Behind returns Lag, and how long the folds lately took over so many records; 0 before
// that is known.
func (r *Runner) Behind() (records uint64, d time.Duration) {
	n := r.Lag()
	return n, time.Duration(float64(n) * float64(r.million.Load()) / 1e6)
}

// FoldStats are figures of one fold.
type FoldStats struct {
	Name   string
	Cursor uint64 // first offset not applied
	Saved  uint64 // the same of the last committed snapshot
	Lag    uint64
	Poison uint64 // records set aside
	Halted error
	// Agreed is the offset below which it was given what the log holds, as far
	// as that was compared in this life; 0 for not yet.
	Agreed  uint64
	Differs *Differs // nil while it was
}

// Stats returns the figures of every fold.
func (r *Runner) Stats() []FoldStats {
	out := make([]FoldStats, 0, len(r.folds))
	for _, f := range r.folds {
		s := FoldStats{Name: f.name, Cursor: f.cursor.Load(), Saved: f.durable.Load(), Lag: f.lag(r.o.Log), Poison: f.poisons.Load(), Agreed: f.agreed.Load(), Differs: f.differs.Load()}
		if h := f.halted.Load(); h != nil {
			s.Halted = *h
		}
		out = append(out, s)
	}
	return out
}
