package intake

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"eyrie/appliance/audit"
	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/VictoriaMetrics/metrics"
)

// Links is what intake needs of the engine.
type Links interface {
	// Rings returns the rings of the loops; intake is their only consumer.
	Rings() []*ring.Ring
	// Freed tells a loop that room was made in its ring.
	Freed(loop int)
	// Reply hands answers to the loops; they are copied before it returns.
	Reply(rs []engine.Reply)
}

// Options configures an Intake.
type Options struct {
	Now     func() time.Time
	Metrics *metrics.Set
	// Tick is the time between two clock records in the log, by which views
	// measure time; 0 writes none.
	Tick time.Duration
	// ProducerTTL is how long a producer without a link that sends nothing is
	// remembered; default 90 days. See expire.go.
	ProducerTTL time.Duration
	// Failed is called once when the log has failed: nothing more will be
	// acknowledged, and the process should end loudly.
	Failed func(err error)
	// Refused is called for each event that was refused, with what the sender
	// is told. It must not block. May be nil.
	Refused func(space, code, field, msg string)
	// Blobs judges an event that may name blobs, before it is stored: a refusal
	// where one is not there. From then on the blobs it names are kept. An error
	// is a disk that cannot be read. May be nil.
	Blobs func(space string, payload []byte) (refusal *wire.FieldError, err error)
}

// Errors of Submit.
var (
	// ErrStopped is returned once the intake has stopped.
	ErrStopped = errors.New("eyrie is stopping")
	// ErrBusy is returned when more submissions wait than are taken.
	ErrBusy = errors.New("too many requests wait for the log")
)

// Intake is the one consumer of the rings and the one owner of the log's
// Writer. Run belongs to one goroutine; Submit, Notify, Ready and Committed may
// be called by any.
type Intake struct {
	o     Options
	log   *wal.Log
	w     *wal.Writer
	links Links

	wake chan struct{}
	subs chan *Submission
	stop chan struct{}
	over chan struct{} // closed when Run has returned

	table  table
	open   atomic.Int64              // links in table
	holder map[uint32]netpoll.Handle // producer → the link that speaks for it
	last   *link                     // the link of the item before
	spaces map[string]*space

	cur       *group
	groups    uint64 // begun so far
	stored    int    // events since they were counted last
	spare     chan *group
	flying    atomic.Int32 // groups handed over whose answers are not out
	owed      []owed
	inFrame   bool
	body      []byte // scratch
	recv      int64
	chain     audit.Chain      // of what was appended
	tail      chan audit.Chain // gives chain as it stood at the start; nil once it is known
	unchained []*Submission    // entries of audit that wait for it
	nextTick  time.Time
	ticked    time.Time // the last tick
	calm      time.Time // since when ticks have come one after another
	rest      rest
	handed    time.Time // when the last group was handed over

	m counters
}

// New returns an Intake. The log's Options must name its Committed and Ready
// methods; links may be nil and be given later by Attach, before Run.
func New(log *wal.Log, links Links, o Options) *Intake {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.ProducerTTL == 0 {
		o.ProducerTTL = 90 * 24 * time.Hour
	}
	in := &Intake{
		o: o, log: log, links: links,
		wake: make(chan struct{}, 1), subs: make(chan *Submission, 1024),
		stop: make(chan struct{}), over: make(chan struct{}),
		holder: make(map[uint32]netpoll.Handle),
		spaces: make(map[string]*space),
		groups: 1, cur: &group{number: 1}, spare: make(chan *group, 4),
	}
	in.m.init(o.Metrics)
	o.Metrics.NewGauge(`eyrie_intake_rest_seconds`, func() float64 { return in.rest.length().Seconds() })
	return in
}

// Attach names the log and the links where New could not.
func (in *Intake) Attach(log *wal.Log, links Links) { in.log, in.links = log, links }

// Links returns how many agents' links are open.
func (in *Intake) Links() int { return int(in.open.Load()) }

// Notify wakes the intake: a ring has something. It never blocks.
func (in *Intake) Notify() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// Ready wakes the intake: the log takes a group again.
func (in *Intake) Ready() { in.Notify() }

// Committed is the log's call for each durable group: the answers go out.
func (in *Intake) Committed(token any, first, last uint64, err error) {
	g, ok := token.(*group)
	if !ok || g == nil {
		return
	}
	defer func() {
		if in.flying.Add(-1) == 0 {
			in.Notify() // who stops waits for this
		}
	}()
	if err != nil {
		for _, s := range g.done {
			s.finish(fmt.Errorf("not stored: %w", err))
		}
		if in.o.Failed != nil {
			in.o.Failed(err)
		}
		return
	}
	in.rest.durable(in.o.Now().Sub(g.handed))
	if rs := g.compact(); len(rs) > 0 {
		in.links.Reply(rs)
	}
	for _, s := range g.done {
		s.finish(nil)
	}
	g.reset()
	select {
	case in.spare <- g:
	default:
	}
}

// Budgets of one turn, so that no ring starves another or delays a commit.
const (
	turnItems = 4096
	turnSubs  = 64
)

// repliesMax bounds what is owed for one commit: numbers that store nothing,
// such as duplicates, never fill the log's own group.
const repliesMax = 1 << 16

// full tells that nothing more may be taken in before the group is handed over.
func (in *Intake) full() bool { return in.w.Full() || len(in.cur.replies) >= repliesMax }

// Run works until Stop is called and everything taken in before is committed
// and answered, or the log has failed. It returns the log's failure.
func (in *Intake) Run(ctx context.Context) error {
	defer close(in.over)
	defer in.beginChain()()
	tick := time.NewTicker(tickGrain(in.o.Tick))
	defer tick.Stop()
	rest := time.NewTimer(0)
	defer rest.Stop()
	looks, found := 0, 0 // in this rest; items since the last look
	stopping := false
	for {
		n, err := in.take(!stopping)
		if err != nil {
			in.abandon(err)
			return err
		}
		found += n
		wake, subs := in.wake, in.subs
		var rested <-chan time.Time
		if in.gathered() {
			if wait := in.resting(looks, found); wait == 0 || stopping {
				if looks = 0; !in.commit() {
					looks = restLooks // as soon as the log takes it: see Ready
				}
			} else {
				// What is published meanwhile stays in the rings and wakes nobody.
				rest.Reset(wait)
				rested, wake, subs = rest.C, nil, nil
			}
		}
		if n > 0 {
			continue
		}
		if stopping {
			if !in.gathered() && in.flying.Load() == 0 && len(in.unchained) == 0 {
				in.abandon(ErrStopped)
				return nil
			}
			select {
			case <-in.wake:
			case <-ctx.Done():
				in.abandon(ctx.Err())
				return ctx.Err()
			}
			continue
		}
		if in.full() {
			subs = nil // until the log takes the group: see Ready
		}
		select {
		case <-wake:
		case <-rested:
			looks, found = looks+1, 0
		case s := <-subs:
			in.submit(s)
		case <-tick.C:
		case <-in.stop:
			stopping = true
		case <-ctx.Done():
			stopping = true
		}
	}
}

func tickGrain(d time.Duration) time.Duration {
	if d <= 0 {
		return time.Hour
	}
	return d
}

// Stop ends Run once what the rings hold is durable and its answers are out,
// and waits for it. Submissions that were not taken in yet get ErrStopped.
func (in *Intake) Stop() {
	close(in.stop)
	<-in.over
}

// turn takes in what is there, within the budgets, and reports how much.
// Submissions are left alone when the end is near: they come from connections
// that nobody has quiesced, and could keep it away for ever.
func (in *Intake) turn(submissions bool) int {
	now := in.o.Now()
	in.recv = now.UnixNano()
	if in.o.Tick > 0 && !now.Before(in.nextTick) {
		in.nextTick = now.Add(in.o.Tick)
		_ = in.w.Wall() // while the log refuses, nobody else may ask for room again
		in.w.System(wal.KindTick, 0, 0, nil)
		in.expire(now)
	}
	in.settleOwed()
	in.chained()
	n := 0
	for i, r := range in.links.Rings() {
		if in.full() {
			break
		}
		if k := in.drain(r); k > 0 {
			in.links.Freed(i)
			n += k
		}
	}
	for range turnSubs {
		if !submissions || in.full() {
			break
		}
		select {
		case s := <-in.subs:
			in.submit(s)
			n++
			continue
		default:
		}
		break
	}
	in.m.stored.Add(in.stored)
	in.stored = 0
	return n
}

// drain takes whole frames from one ring.
func (in *Intake) drain(r *ring.Ring) int {
	var it engine.Item
	n := 0
	for in.inFrame || n < turnItems && !in.full() {
		rec, ok := r.Next()
		if !ok {
			break
		}
		n++
		if err := engine.DecodeItem(rec, &it); err != nil {
			panic("intake: the ring holds what the engine never wrote: " + err.Error())
		}
		in.item(&it)
	}
	if n > 0 {
		r.Release()
	}
	return n
}

// gathered tells whether there is something to hand over.
func (in *Intake) gathered() bool { return in.w.Pending() || !in.cur.empty() }

// commit hands the group to the log if it takes one, and tells whether it did.
func (in *Intake) commit() bool {
	in.flying.Add(1)
	now := in.o.Now()
	in.cur.handed = now
	if !in.w.Commit(in.cur) {
		in.flying.Add(-1)
		return false
	}
	in.handed = now
	select {
	case in.cur = <-in.spare:
	default:
		in.cur = &group{}
	}
	in.groups++
	in.cur.number = in.groups
	return true
}

// abandon answers those who wait for what will not be stored.
func (in *Intake) abandon(err error) {
	for _, s := range in.cur.done {
		s.finish(err)
	}
	in.cur.reset()
	for _, s := range in.unchained {
		s.finish(err)
	}
	in.unchained = nil
	for {
		select {
		case s := <-in.subs:
			s.finish(err)
		default:
			return
		}
	}
}
