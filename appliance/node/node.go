package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"eyrie/appliance/access"
	"eyrie/appliance/api"
	"eyrie/appliance/capacity"
	"eyrie/appliance/config"
	"eyrie/appliance/intake"
	"eyrie/appliance/obs"
	"eyrie/appliance/vault"
	"eyrie/appliance/views/live"
	"eyrie/engine"
	"eyrie/netpoll"
	"eyrie/netpoll/tables"
	"eyrie/ui"
	"eyrie/wal"
	"eyrie/wal/blob"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are what a Node needs beside its configuration.
type Options struct {
	Config   *config.Config
	Settings func(tuned []config.Tuned) []config.Value // with origins
	Logger   *slog.Logger
	Now      func() time.Time // default time.Now
	Rand     io.Reader        // default crypto/rand
	FS       vfs.FS           // of log and views; default the machine's
	Clock    func() int64     // of the loops: ns, never back; default the monotonic one
	// BeforeViews, if not nil, is called when events are taken and before the views
	// are loaded, which waits for it; ctx ends when the node stops.
	BeforeViews func(ctx context.Context)
}

// Node is one running appliance.
type Node struct {
	cfg      *config.Config
	o        Options
	logger   *slog.Logger
	throttle *obs.Throttle
	now      func() time.Time
	hostname string
	started  time.Time
	set      *metrics.Set
	tuner    *tuner
	tuning   tuning         // as it was at the start
	ingest   sync.Map       // thread id → true: those that an event passes on its way to its ack
	arriving sync.WaitGroup // of these, the ones that are not there yet

	keys     *access.Keys
	madeKeys bool
	log      *wal.Log
	blobs    *blob.Store
	end      uint64 // of the log when it was opened: what lies before was there at the start
	loading  loading
	timeline *timeline
	hub      *live.Hub
	intake   *intake.Intake
	engine   *engine.Server
	tables   *tables.Set // nil where all share the process' own
	api      *api.Server
	self     *self
	watched  *capacity.Watch
	viewers  liveSocket

	listeners []api.Listener
	refused   []string // listeners that could not be opened, with why

	failed   chan error // the first failure that ends the process
	failOnce sync.Once
	backups  backups
	forgets  forgets

	compactions  compactions
	verification verification
	stopping     context.Context // done when the end is near
	cancel       context.CancelFunc
	running      sync.WaitGroup
	selfDone     chan struct{}
}

// ErrTables is returned by Open when loops cannot have descriptor tables of
// their own on this system.
var ErrTables = errors.New("own-tables")

// Open builds the node: log, blobs, keys. It accepts nothing yet, and loads no view:
// Start does. Of errors,
// wal.ErrInUse, *wal.NewerFormatError and *wal.LostError say that the data
// folder cannot be served.
func Open(o Options) (_ *Node, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	n := &Node{
		cfg: o.Config, o: o, logger: o.Logger, now: o.Now, started: o.Now(), set: metrics.NewSet(),
		throttle: obs.NewThrottle(10*time.Second, o.Now), timeline: newTimeline(o.Now),
		loading: loading{done: make(chan struct{}), ended: make(chan struct{})},
		failed:  make(chan error, 1), selfDone: make(chan struct{}), forgets: forgets{wake: make(chan struct{}, 1)},
	}
	if n.hostname, err = os.Hostname(); err != nil {
		n.hostname = "localhost"
	}
	n.tuner = newTuner(o.Config, n.now, readHost)
	n.tuning = n.tuner.cur
	if n.tuning.ownTables {
		// Before any file, database or listener is open.
		if n.tables, err = tables.Open(n.tuning.loops); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTables, err)
		}
		defer func() {
			if err != nil {
				n.tables.Close()
			}
		}()
	}
	n.meterTuning()
	n.timeline.reached("host")
	if err := os.MkdirAll(o.Config.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	// The log takes the folder's lock, so it comes before all else.
	n.intake = intake.New(nil, nil, intake.Options{
		Now: n.now, Metrics: n.set, Tick: time.Second, Failed: n.fail, Refused: n.refusedEvent, Blobs: n.judgeBlobs,
	})
	n.arriving.Add(3 + 1 + n.tuning.loops) // of the log, intake, and the loops
	n.log, err = wal.Open(wal.Options{
		FS: o.FS, Dir: filepath.Join(o.Config.Data, "log"), Now: n.now, Rand: o.Rand, Metrics: n.set,
		DiskMin: uint64(o.Config.DiskMin) << 20, BallastBytes: int64(o.Config.DiskMin) << 20 / 8,
		Processors: cores(), StoreCacheBytes: n.tuning.cacheBytes / 4, CacheBytes: int(n.tuning.blocksBytes),
		AcceptLoss: o.Config.AcceptLoss,
		Seal:       wal.SealOptions{Bytes: n.tuning.stretchBytes, Tier: vault.Tier, Unread: n.unread, Begin: upkeep},
		Retain:     wal.RetainOptions{Age: o.Config.Retain.D(), Bytes: uint64(o.Config.Budget) << 20, Needed: n.needed, Beside: n.besideLog},
		Committed:  n.intake.Committed, Ready: n.intake.Ready, Events: n.logEvents(),
		Thread: n.foreground,
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.log.Close()
		}
	}()
	n.end = n.log.Next()
	n.timeline.reached("log")
	n.blobs, err = blob.Open(blob.Options{FS: n.log.FS(), Dir: filepath.Join(o.Config.Data, "blobs"), Now: n.now, DiskMin: uint64(o.Config.DiskMin) << 20})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.blobs.Close()
		}
	}()
	if n.keys, n.madeKeys, err = access.Open(filepath.Join(o.Config.Data, "keys"), n.now, o.Rand); err != nil {
		return nil, err
	}
	n.timeline.reached("blobs and keys")
	n.hub = live.New(live.Options{Log: n.log, Now: n.now})
	if err = n.openFront(); err != nil {
		n.hub.Close()
		return nil, err
	}
	n.timeline.reached("front")
	n.set.RegisterMetricsWriter(n.meterStores)
	n.set.RegisterMetricsWriter(n.timeline.meter)
	n.self = newSelf(n)
	n.watched = capacity.NewWatch(capacity.Reference(), machine())
	return n, nil
}

// openFront builds what faces agents and people.
func (n *Node) openFront() (err error) {
	n.viewers = n.newLiveSocket()
	n.engine, err = engine.New(engine.Config{
		Poll:      netpoll.Config{Loops: n.tuning.loops, Tables: n.tables, Metrics: n.set, Now: n.o.Clock, Thread: n.foreground},
		RingBytes: n.cfg.RingMiB << 20,
		Gate:      n.keys,
		HTTP:      func(c net.Conn, listener int) { n.api.Handle(c, listener) },
		Sockets:   engine.Sockets{access.LivePath: n.viewers},
		Notify:    n.intake.Notify,
		Ping:      n.cfg.Ping.D(), Idle: n.cfg.IdleTimeout.D(),
		AgentDeflate: n.cfg.AgentDeflate,
		Metrics:      n.set, Now: n.now,
	})
	if err != nil {
		return err
	}
	n.intake.Attach(n.log, n.engine)
	n.api, err = api.New(api.Parts{
		Log: n.log, Views: n.apiViews, Hub: n.hub, Intake: n.intake, Keys: n.keys, Blobs: n.blobs, Engine: n.engine, UI: ui.FS(), Metrics: []*metrics.Set{n.set},
		Logger: n.logger, Now: n.now, Rand: n.o.Rand, Host: n, Processors: cores(),
	})
	return err
}

// Start opens the listeners and serves. A listener that cannot be opened is
// named and the rest starts; it returns an error only if none could.
func (n *Node) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.stopping, n.cancel = ctx, cancel
	n.running.Go(func() {
		n.foreground()
		if err := n.intake.Run(context.Background()); err != nil {
			n.fail(err)
		}
	})
	n.began() // before anybody can do anything
	n.api.Start()
	ingest, web := n.cfg.Addresses()
	for _, l := range []struct {
		name, addr string
		tag        int
		roles      []string
	}{
		{"ingest", ingest, api.ListenerIngest, []string{"ingest"}},
		{"web", web, api.ListenerWeb, []string{"web"}},
	} {
		at, err := n.engine.Listen(l.addr, l.tag)
		if err != nil {
			n.logger.Error("cannot listen", "listener", l.name, "addr", l.addr, "err", err)
			n.refused = append(n.refused, fmt.Sprintf("%s cannot listen on %s: %v", l.name, l.addr, err))
			continue
		}
		n.listeners = append(n.listeners, api.Listener{Name: l.name, Addr: at.String(), Roles: l.roles})
	}
	// Only now are requests answered, which read what the listeners are.
	n.engine.Start()
	if len(n.listeners) == 0 {
		cancel()
		close(n.selfDone) // Stop waits for them
		close(n.loading.ended)
		return errors.New(strings.Join(n.refused, "; "))
	}
	n.timeline.reached("listening")
	n.logger.Info("events are taken", n.timeline.args()...)
	go n.load(ctx)
	go func() {
		defer close(n.selfDone)
		n.self.run(ctx)
	}()
	n.running.Go(func() { n.sweep(ctx) })
	n.running.Go(func() { n.retain(ctx) })
	n.running.Go(func() { n.forgetting(ctx) })
	n.running.Go(func() { n.pressure(ctx) })
	n.running.Go(func() { n.retune(ctx) })
	n.running.Go(func() { n.collect(ctx) })
	n.running.Go(func() { n.watch(ctx) })
	return nil
}

// Failed delivers the failure that must end the process, if one comes.
func (n *Node) Failed() <-chan error { return n.failed }

// fail reports a failure that ends the process.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.logger.Error("eyrie cannot go on", "err", err)
		n.failed <- err
	})
}

// Listeners returns what is listened on, and why the rest is not.
func (n *Node) Listeners() (open []api.Listener, refused []string) { return n.listeners, n.refused }

// Keys returns the key store, and whether this start made the standing keys.
func (n *Node) Keys() (*access.Keys, bool) { return n.keys, n.madeKeys }

// Stop drains and closes: no new links, what was taken in is settled and
// acknowledged, links get 1001, views are saved, stores closed. It keeps to
// the time of ctx where it can; what is durable is safe in any case.
func (n *Node) Stop(ctx context.Context) error {
	n.engine.Quiesce(ctx)
	n.self.goodbye(ctx)
	n.audit(ctx, "server.stop", n.hostname, bySystem, "", "")
	n.cancel()
	<-n.selfDone
	<-n.loading.ended
	n.intake.Stop()
	n.running.Wait()
	n.hub.Close()
	n.engine.Shutdown(ctx)
	if n.tables != nil {
		n.tables.Close()
	}
	err := n.api.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // requests that did not end in time were cut
	}
	err = errors.Join(err, n.loading.close(), n.log.Close())
	n.blobs.Close()
	return err
}

// refusedEvent tells of events that failed their checks, at most now and then.
func (n *Node) refusedEvent(space, code, field, msg string) {
	if ok, dropped := n.throttle.Allow("refused " + code); ok {
		n.logger.Warn("an event was refused", "space", space, "code", code, "field", field, "reason", msg, "alike", dropped)
	}
}

func (n *Node) logEvents() wal.Events {
	return wal.Events{
		Failed:   n.fail,
		DiskSlow: func(path string, d time.Duration) { n.slow("disk is slow", "path", path, "took", d) },
		Background: func(err error) {
			n.slow("the store failed in the background and tries again", "err", err)
		},
		Corrupt: func(path string, err error) { n.logger.Error("damaged file", "path", path, "err", err) },
		Stall:   func(reason string) { n.slow("writes wait for the store", "reason", reason) },
		Log:     func(format string, args ...any) { n.logger.Debug("store", "msg", fmt.Sprintf(format, args...)) },
		Wall: func(full bool, free, least uint64) {
			if full {
				n.logger.Error("disk below its watermark: writes are refused, reads go on", "free_mib", free>>20, "least_mib", least>>20)
			} else {
				n.logger.Info("disk has room again: writes are taken", "free_mib", free>>20)
			}
		},
	}
}

func (n *Node) slow(msg string, args ...any) {
	if ok, dropped := n.throttle.Allow(msg); ok {
		n.logger.Warn(msg, append(args, "alike", dropped)...)
	}
}
