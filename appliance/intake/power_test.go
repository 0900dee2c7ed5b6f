package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The power cuts of the whole path: ring, intake, log, mark and views work on a
// file system that keeps synced bytes only, and a random part of the others.
// Before some operation that writes, the plug is pulled. What the clients were
// told by then must be in what is left, once, in order; every view must be a
// fold from zero of it; and the clients go on from there.

// world is the clients, and what they know, over many lives of one data folder.
type world struct {
	rng     *rand.Rand
	clients [3]*client
	poster  poster
	life    uint64
	deaf    func(name string) bool // syncs of these files and folders are taken out

	mu     sync.Mutex
	broken error // a reply that should not be
}

func newWorld(rng *rand.Rand, deaf func(string) bool) *world {
	w := &world{rng: rng, deaf: deaf}
	for i := range w.clients {
		w.clients[i] = &client{p: byte(i + 1), next: 1, ends: map[uint64]bool{0: true}}
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

// Rings, Freed and Reply make simLinks the engine's stand-in.
type simLinks struct {
	w    *world
	ring *ring.Ring
}

func (l *simLinks) Rings() []*ring.Ring { return []*ring.Ring{l.ring} }
func (l *simLinks) Freed(int)           {}
func (l *simLinks) Reply(rs []engine.Reply) {
	for _, r := range rs {
		c := l.w.clients[r.Link%8-1]
		switch r.Kind {
		case engine.ReplyWelcome:
			wel := *r.Welcome
			wel.Pos = bytes.Clone(wel.Pos)
			c.hello <- wel
		case engine.ReplyAck:
			if r.To > c.acked.Load() {
				c.acked.Store(r.To)
			}
		default:
			l.w.fail("producer %d was told %+v", c.p, r)
		}
	}
}

const dataDir = "var/eyrie"

// site is one life: log, intake and views.
type site struct {
	log   *wal.Log
	in    *Intake
	links *simLinks
	views *viewSet
}

func (w *world) openLog(fs vfs.FS, in *Intake) (*wal.Log, error) {
	return wal.Open(wal.Options{
		FS: fs, Dir: path.Join(dataDir, "log"), MemtableBytes: 64 << 10, CheckpointBytes: 8 << 10, CacheBytes: 32 << 10,
		StoreCacheBytes: 1 << 20, DiskFree: func(string) (uint64, error) { return 1 << 40, nil },
		Committed: in.Committed, Ready: in.Ready,
	})
}

// open opens everything as the node does, in its order.
func (w *world) open(fs vfs.FS) (_ *site, err error) {
	s := &site{in: New(nil, nil, Options{Tick: 5 * time.Millisecond}), links: &simLinks{w: w, ring: ring.New(1<<19, 1<<15)}}
	if s.log, err = w.openLog(fs, s.in); err != nil {
		return nil, err
	}
	if s.views, err = openViews(fs, path.Join(dataDir, "views"), s.log); err != nil {
		return nil, errors.Join(err, s.log.Close())
	}
	s.in.Attach(s.log, s.links)
	return s, nil
}

func (s *site) close() error { return errors.Join(s.views.close(), s.log.Close()) }

// live runs one life on fs until the plug is pulled, and returns what is left
// and what was known.
func (w *world) live(fs *vfs.MemFS, k known) (left *vfs.MemFS, _ known, err error) {
	w.life++
	g := &plug{w: w, fs: fs, at: 1 + w.rng.Int64N(1<<(3+w.rng.IntN(7))), rng: rand.New(rand.NewPCG(w.rng.Uint64(), 1))}
	for i, c := range w.clients { // what was told after the cut was not
		c.acked.Store(k.numbers[i])
		c.floor = k.numbers[i]
		c.hello = make(chan wire.Welcome, 4)
	}
	w.poster.acked = k.posts
	var disk vfs.FS = fs
	if w.deaf != nil {
		disk = deafFS{disk, w.deaf}
	}
	s, err := w.open(errorfs.Wrap(disk, g))
	if err != nil {
		return nil, k, fmt.Errorf("open: %w", err)
	}
	if err = w.verify(s, k); err != nil {
		return nil, k, errors.Join(err, s.close())
	}
	ran := make(chan error, 1)
	go func() { ran <- s.in.Run(context.Background()) }()
	err = w.work(s, g)
	s.in.Stop()
	err = errors.Join(err, <-ran)
	w.mu.Lock()
	err = errors.Join(err, w.broken)
	w.mu.Unlock()
	if s := s.views.broken.Load(); s != nil {
		err = errors.Join(err, errors.New(*s))
	}
	err = errors.Join(err, s.close())
	g.pull() // if the life was too short for it
	return g.clone, g.known, err
}

// work is what the clients do in one life.
func (w *world) work(s *site, g *plug) error {
	for _, c := range w.clients {
		if err := c.greet(w, s); err != nil {
			return err
		}
	}
	for range 30 {
		if g.pulled() {
			return nil
		}
		if w.rng.IntN(6) == 0 {
			if err := w.post(s); err != nil {
				return err
			}
			continue
		}
		c := w.clients[w.rng.IntN(len(w.clients))]
		for range 1 + w.rng.IntN(4) {
			c.frame(s)
		}
		if w.rng.IntN(3) == 0 {
			if err := c.settled(); err != nil {
				return err
			}
		}
	}
	return nil
}

// post makes the next submission, or one of before again.
func (w *world) post(s *site) error {
	done := w.poster.known()
	i := len(done) + 1
	if w.rng.IntN(3) == 0 && i > 1 {
		i = 1 + w.rng.IntN(len(done))
	}
	w.poster.sent = max(w.poster.sent, i)
	sub := submission(i)
	if err := s.in.Submit(context.Background(), sub); err != nil {
		return err
	}
	at := posting{sub.First, sub.Last}
	if i <= len(done) {
		if !sub.Replayed || at != done[i-1] {
			return fmt.Errorf("submission %d again: %+v, replayed %v; the first time %+v", i, at, sub.Replayed, done[i-1])
		}
		return nil
	}
	w.poster.mu.Lock()
	defer w.poster.mu.Unlock()
	w.poster.acked = append(w.poster.acked, at)
	return nil
}

// livesMax is how many lives one data folder has.
const livesMax = 12

// cutPower runs n lives; the first broken promise ends it. noticed counts the
// damages that were seen at the next open, harmless those that touched nothing
// acknowledged.
func cutPower(seed uint64, n int, deaf func(string) bool) (noticed, harmless int, err error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var w *world
	var fs *vfs.MemFS
	var k known
	for i := range n {
		if i%livesMax == 0 {
			w, fs, k = newWorld(rng, deaf), vfs.NewCrashableMem(), known{}
		}
		if fs, k, err = w.live(fs, k); err != nil {
			return noticed, harmless, fmt.Errorf("seed %d, cut %d: %w", seed, i, err)
		}
		if rng.IntN(4) != 0 {
			continue
		}
		hurt := fs.CrashClone(vfs.CrashCloneCfg{})
		if changed, err := damage(hurt, rng); err != nil || !changed {
			if err != nil {
				return noticed, harmless, err
			}
			continue
		}
		saw, err := w.notices(hurt, k)
		if err != nil {
			return noticed, harmless, fmt.Errorf("seed %d, cut %d, damaged: %w", seed, i, err)
		}
		if saw {
			noticed++
		} else {
			harmless++
		}
	}
	return noticed, harmless, nil
}

// TestPowerCuts makes EYRIE_CUTS cuts, 200 unless told.
func TestPowerCuts(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 24
	}
	if s := os.Getenv("EYRIE_CUTS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal("EYRIE_CUTS: ", err)
		}
	}
	// A life mostly waits for the parts of the appliance to settle, so there are
	// more lanes than cores.
	const lanes = 10
	var noticed, harmless atomic.Int64
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			saw, missed, err := cutPower(uint64(lane), (n+lanes-1)/lanes, nil)
			if err != nil {
				t.Error(err)
			}
			noticed.Add(int64(saw))
			harmless.Add(int64(missed))
		})
	}
	wg.Wait()
	t.Logf("%d cuts; of the damages %d were noticed, %d touched nothing acknowledged", n, noticed.Load(), harmless.Load())
	if noticed.Load() == 0 && n >= 100 && !t.Failed() {
		t.Error("no damage was noticed: the damages are too small")
	}
}

// TestPowerCutsSeeEachSync takes out each sync in turn: the cuts must go red.
func TestPowerCutsSeeEachSync(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of lives; the long run has them")
	}
	in := func(dir, pattern string) func(string) bool {
		return func(name string) bool {
			if path.Dir(name) != path.Join(dataDir, dir) {
				return false
			}
			ok, _ := path.Match(pattern, path.Base(name))
			return ok
		}
	}
	folder := func(dir string) func(string) bool {
		return func(name string) bool { return path.Clean(name) == path.Join(dataDir, dir) }
	}
	for name, deaf := range map[string]func(string) bool{
		"the log's WAL":                 in("log/store", "*.log"),
		"the log's tables":              in("log/store", "*.sst"),
		"the log's MANIFEST":            in("log/store", "MANIFEST-*"),
		"the mark":                      in("log", "mark"),
		"the folder of the log's store": folder("log/store"),
		"the folder of the mark":        folder("log"),
		"the data folder":               folder(""),
		"the data folder's parent":      folder(".."),
		"the views' tables":             in("views", "*.sst"),
		"the views' MANIFEST":           in("views", "MANIFEST-*"),
		"the folder of the views":       folder("views"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(60) {
				if _, _, err := cutPower(1000+seed, 8, deaf); err != nil {
					t.Logf("red after %d seeds: %.300s", seed+1, err.Error())
					return
				}
			}
			t.Fatal("without this sync the cuts stay green")
		})
	}
}
