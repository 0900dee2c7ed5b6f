package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/views"
	"eyrie/appliance/views/fleet"
	"eyrie/appliance/views/series"
	"eyrie/appliance/views/spans"
	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/tsdb"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The power cuts of the whole path: ring, intake, log, mark and views work on a
// file system that keeps synced bytes only, and a random part of the others.
// Before some operation that writes, the plug is pulled. What the clients were
// told by then must be in what is left, once, in order; every view must be a
// fold from zero of it; and the clients go on from there.

// script is event n of producer p: the same whenever it is sent.
func script(p byte, n uint64) wire.Event {
	rng := rand.New(rand.NewPCG(uint64(p), n))
	agent := fmt.Sprintf("p%d.a%d", p, n/16%4)
	run, span := fmt.Sprintf("r%d.%d", p, n/16), fmt.Sprintf("s%d.%d", p, n)
	e := wire.Event{Agent: agent, Run: run, TS: 1_700_000_000e9 + int64(n)*1e6, Attrs: map[string]any{"pad": strings.Repeat("x", rng.IntN(300))}}
	dur := float64(n % 50)
	switch n % 8 {
	case 0:
		e.Type, e.Name, e.Role, e.HeartbeatMs = wire.TypeAgent, "worker", "tester", 60_000
	case 1:
		e.Type, e.Phase, e.Name = wire.TypeRun, wire.PhaseStart, "goal"
	case 2:
		e.Type, e.Phase, e.Span, e.Name = wire.TypeTool, wire.PhaseStart, span, "Bash"
	case 3:
		e.Type, e.Phase, e.Name = wire.TypeTool, wire.PhaseEnd, "Bash"
		e.Span, e.DurMs, e.Status = fmt.Sprintf("s%d.%d", p, n-1), &dur, []wire.Status{wire.StatusOK, wire.StatusError}[rng.IntN(2)]
	case 4:
		e.Type, e.Span, e.Name, e.DurMs = wire.TypeLLM, span, "model", &dur
		e.Usage = &wire.Usage{Model: []byte("model"), Input: int64(rng.IntN(900)), Output: int64(rng.IntN(90))}
	case 5:
		e.Type = wire.TypeMetrics
		e.Metrics = map[string]float64{"cpu": rng.Float64(), "mem": float64(rng.IntN(1000))}
		e.Counters = map[string]float64{"done": float64(n)}
	case 6:
		e.Type = wire.TypeState
		e.State = &wire.State{State: []string{"running", "waiting", "idle"}[rng.IntN(3)], By: "agent"}
	default:
		e.Type, e.Msg = wire.TypeMessage, fmt.Sprintf("%d of %d", n, p)
		if n%16 == 15 {
			e.Type, e.Phase, e.Msg, e.Status = wire.TypeRun, wire.PhaseEnd, "", wire.StatusOK
		}
	}
	return e
}

// frameEnd is the last number of the frame that starts at n.
func frameEnd(p byte, n uint64) uint64 {
	return n + rand.New(rand.NewPCG(uint64(p)+100, n)).Uint64N(20)
}

// posAt is the position that travels with the frame ending at n.
func posAt(p byte, n uint64) string { return fmt.Sprintf("%d:%d", p, n) }

// client is a producer that numbers its script and never forgets an ack.
type client struct {
	p     byte
	link  netpoll.Handle
	next  uint64 // to be sent
	ends  map[uint64]bool
	sent  uint64        // highest number that ever was in the ring
	acked atomic.Uint64 // highest number acknowledged
	floor uint64        // stored when the log was last opened: readable, so it must stay
	hello chan wire.Welcome
}

// poster sends submissions with an Idempotency-Key.
type poster struct {
	mu    sync.Mutex
	acked []posting // by number-1
	sent  int
}

type posting struct{ first, last uint64 }

func (q *poster) known() []posting {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]posting(nil), q.acked...)
}

// submission i has events that say so.
func submission(i int) *Submission {
	s := &Submission{Space: "main", Owner: "poster", Once: fmt.Sprint("post ", i), Body: sha256.Sum256([]byte{byte(i), byte(i >> 8)}), Answer: []byte("[]")}
	for j := range 1 + i%3 {
		e := wire.Event{Type: wire.TypeMessage, Agent: "poster", Msg: fmt.Sprintf("post %d.%d", i, j)}
		s.Events = append(s.Events, Event{Agent: "poster", Class: uint8(wire.TypeMessage), Payload: e.AppendMsgpack(nil)})
	}
	return s
}

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

// known is what was acknowledged at an instant.
type known struct {
	numbers [3]uint64
	posts   []posting
}

// plug is pulled before operation number at.
type plug struct {
	w     *world
	fs    *vfs.MemFS
	at    int64
	n     atomic.Int64
	rng   *rand.Rand
	mu    sync.Mutex
	clone *vfs.MemFS
	known known
}

func (g *plug) String() string { return "plug" }

func (g *plug) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && g.n.Add(1) == g.at {
		g.pull()
	}
	return nil
}

func (g *plug) pull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clone != nil {
		return
	}
	g.known = g.w.known()
	g.clone = g.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: g.rng.IntN(101), RNG: g.rng})
}

func (w *world) known() (k known) {
	for i, c := range w.clients {
		k.numbers[i] = max(c.acked.Load(), c.floor)
	}
	k.posts = w.poster.known()
	return k
}

func (g *plug) pulled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clone != nil
}

// deafFS takes out the syncs of files and folders by name.
type deafFS struct {
	vfs.FS
	deaf func(name string) bool
}

func (d deafFS) file(f vfs.File, err error, name string) (vfs.File, error) {
	if err == nil && d.deaf(name) {
		f = deafFile{f}
	}
	return f, err
}

func (d deafFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.file(f, err, name)
}

func (d deafFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return d.file(f, err, name)
}

func (d deafFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.file(f, err, name)
}

func (d deafFS) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.file(f, err, name)
}

func (d deafFS) Unwrap() vfs.FS { return d.FS }

type deafFile struct{ vfs.File }

func (deafFile) Sync() error                { return nil }
func (deafFile) SyncData() error            { return nil }
func (deafFile) SyncTo(int64) (bool, error) { return false, nil }

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

// viewSet is every view over one store.
type viewSet struct {
	store  *pebble.DB
	fleet  *fleet.View
	spans  *spans.View
	series *series.View
	runner *views.Runner
	broken atomic.Pointer[string]
}

func openViews(fs vfs.FS, dir string, log *wal.Log) (_ *viewSet, err error) {
	v := &viewSet{}
	v.store, err = views.OpenStore(fs, dir, func(o *pebble.Options) {
		o.MemTableSize = 64 << 10
		o.EventListener = &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) {
			v.fail("the views' store is damaged: %s: %v", i.Path, i.Details)
		}}
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.store.Close())
		}
	}()
	db, err := tsdb.Open(v.store, series.DBPrefix, tsdb.Options{})
	if err != nil {
		return nil, err
	}
	v.fleet, v.spans, v.series = fleet.New(log), spans.New(log, v.store), series.New(db, log)
	v.runner, err = views.Open(views.Options{
		Folds: []views.Mount{{Fold: v.fleet, Prefixes: "f"}, {Fold: v.spans, Prefixes: "s"}, {Fold: v.series, Prefixes: "tm"}},
		Store: v.store, Log: views.FromLog(log), SaveEvery: time.Millisecond, FlushEvery: 3 * time.Millisecond,
		Events: views.Events{
			Poison: func(fold string, off uint64, p any, _ []byte) { v.fail("%s set offset %d aside: %v", fold, off, p) },
			Halted: func(fold string, err error) { v.fail("%s was halted: %v", fold, err) },
			Failed: func(err error) { v.fail("the runner failed: %v", err) },
		},
	})
	return v, err
}

func (v *viewSet) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	v.broken.CompareAndSwap(nil, &s)
}

func (v *viewSet) close() error { return errors.Join(v.runner.Close(), v.store.Close()) }

// catchUp folds everything up to next.
func (v *viewSet) catchUp(next uint64) error {
	v.runner.Start()
	if next > 1 {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := v.runner.WaitFor(ctx, next-1); err != nil {
			return fmt.Errorf("the views never caught up: %w", err)
		}
	}
	if s := v.broken.Load(); s != nil {
		return errors.New(*s)
	}
	return nil
}

// dump is all that the views can be asked, as text.
func (v *viewSet) dump() (string, error) {
	ctx := context.Background()
	var b strings.Builder
	put := func(x any, err error) error {
		j, e := json.Marshal(x)
		b.Write(append(j, '\n'))
		return errors.Join(err, e)
	}
	err := errors.Join(put(v.fleet.Fleet(""), nil), put(v.fleet.Attention("", 1000), nil))
	sp, e := v.spans.List(ctx, spans.Query{Limit: 1 << 20})
	err = errors.Join(err, put(sp, e))
	runs, e := v.spans.Runs(ctx, spans.Query{Limit: 1 << 20})
	err = errors.Join(err, put(runs, e))
	for num := range v.fleet.Numbers() {
		a, ok := v.fleet.Row(num)
		if !ok {
			continue
		}
		err = errors.Join(err, put(a, nil), put(v.series.List(a.Space, a.ID), nil))
		lines, e := v.series.Range(a.Space, a.ID, "", 1_700_000_000_000, 1_700_000_100_000, 1000)
		err = errors.Join(err, put(lines, e))
	}
	return b.String(), err
}

// verify holds what is left against what was known when the plug was pulled.
func (w *world) verify(s *site, k known) error {
	next := s.log.Next()
	for _, f := range s.views.runner.Stats() {
		if f.Cursor > next {
			return fmt.Errorf("the view %s is at %d, ahead of the log's %d", f.Name, f.Cursor, next)
		}
	}
	if err := w.verifyLog(s.log, k); err != nil {
		return err
	}
	if err := s.views.catchUp(next); err != nil {
		return err
	}
	fresh, err := openViews(vfs.NewMem(), "views", s.log)
	if err != nil {
		return err
	}
	err = fresh.catchUp(next)
	got, e1 := s.views.dump()
	want, e2 := fresh.dump()
	if err = errors.Join(err, e1, e2, fresh.close()); err == nil && got != want {
		err = fmt.Errorf("a view differs from its fold from zero:\n%s", difference(got, want))
	}
	return err
}

// difference is the first line in which two dumps differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			at := 0
			for at < min(len(g[i]), len(w[i])) && g[i][at] == w[i][at] {
				at++
			}
			from := max(at-200, 0)
			return fmt.Sprintf("line %d\n got …%.400s\nwant …%.400s", i, g[i][from:], w[i][from:])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(g), len(w))
}

// verifyLog reads the log from its beginning.
func (w *world) verifyLog(log *wal.Log, k known) error {
	var stored [3]uint64
	posts := map[string][]uint64{}
	want, recv := uint64(1), int64(0)
	for f := log.Follow(1); f.Offset() < log.Next(); {
		b, err := f.Next(context.Background())
		if err != nil {
			return err
		}
		for i := range b.Len() {
			r := b.Record(i)
			if r.Offset != want || r.Recv < recv {
				return fmt.Errorf("offset %d, recv %d behind offset %d, recv %d", r.Offset, r.Recv, want-1, recv)
			}
			want, recv = want+1, r.Recv
			if r.Kind != wal.KindEvent {
				continue
			}
			_, agent, _ := log.Agent(r.Agent)
			if agent == "poster" {
				var e wire.Event
				if err := wire.DecodeEvent(r.Payload, &e); err != nil {
					return err
				}
				posts[e.Msg] = append(posts[e.Msg], r.Offset)
				continue
			}
			var p byte
			if _, err := fmt.Sscanf(agent, "p%d.", &p); err != nil || p < 1 || int(p) > len(stored) {
				return fmt.Errorf("offset %d is of the agent %q", r.Offset, agent)
			}
			stored[p-1]++
			e := script(p, stored[p-1])
			if r.Seq != stored[p-1] || agent != e.Agent || !bytes.Equal(r.Payload, e.AppendMsgpack(nil)) {
				return fmt.Errorf("offset %d is number %d of producer %d, want %d: lost, twice or changed", r.Offset, r.Seq, p, stored[p-1])
			}
		}
	}
	for i, c := range w.clients {
		switch {
		case stored[i] < k.numbers[i]:
			return fmt.Errorf("producer %d: %d stored, %d were acknowledged", c.p, stored[i], k.numbers[i])
		case stored[i] > c.sent:
			return fmt.Errorf("producer %d: %d stored, %d were sent", c.p, stored[i], c.sent)
		case !c.ends[stored[i]]:
			return fmt.Errorf("producer %d: the log ends at %d, inside a frame", c.p, stored[i])
		}
	}
	return w.verifyPosts(posts, k, stored)
}

func (w *world) verifyPosts(posts map[string][]uint64, k known, stored [3]uint64) error {
	n := 0
	for i := 1; i <= w.poster.sent; i++ {
		s := submission(i)
		var offs []uint64
		for j := range s.Events {
			at := posts[fmt.Sprintf("post %d.%d", i, j)]
			if len(at) > 1 {
				return fmt.Errorf("submission %d is stored %d times", i, len(at))
			}
			offs = append(offs, at...)
		}
		n += len(offs)
		if len(offs) != 0 && len(offs) != len(s.Events) {
			return fmt.Errorf("submission %d is stored in part", i)
		}
		if i <= len(k.posts) && (len(offs) == 0 || offs[0] != k.posts[i-1].first || offs[len(offs)-1] != k.posts[i-1].last) {
			return fmt.Errorf("submission %d was acknowledged as %+v and is at %v", i, k.posts[i-1], offs)
		}
	}
	if len(posts) != n {
		return fmt.Errorf("%d posted events, %d are accounted for", len(posts), n)
	}
	// What can be read now must stay, acknowledged or not.
	for i, c := range w.clients {
		c.floor = stored[i]
	}
	return nil
}

// live runs one life on fs until the plug is pulled, and returns what is left
// and what was known.
func (w *world) live(fs *vfs.MemFS, k known) (left *vfs.MemFS, _ known, err error) {
	w.life++
	g := &plug{w: w, fs: fs, at: 1 + w.rng.Int64N(1<<(3+w.rng.IntN(7))), rng: rand.New(rand.NewPCG(w.rng.Uint64(), 1))}
	for i, c := range w.clients { // what was told after the cut was not
		c.acked.Store(k.numbers[i])
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

// put hands items to the intake; false when the ring is full.
func (s *site) put(its ...engine.Item) bool {
	for i := range its {
		rec := engine.AppendItem(nil, &its[i])
		b, ok := s.links.ring.Reserve(len(rec), false)
		if !ok {
			s.links.ring.Abort()
			return false
		}
		copy(b, rec)
	}
	s.links.ring.Publish()
	s.in.Notify()
	return true
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

// greet opens the client's link and holds the welcome against what it knows.
func (c *client) greet(w *world, s *site) error {
	c.link = netpoll.Handle(w.life*8 + uint64(c.p))
	h := engine.HelloItem{Space: "main", Owner: "k", Producer: [16]byte{c.p}, Epoch: w.life, First: 1, Agent: fmt.Sprintf("p%d.a0", c.p)}
	s.put(engine.Item{Kind: engine.ItemHello, Link: c.link, Payload: engine.AppendHello(nil, &h)})
	var wel wire.Welcome
	select {
	case wel = <-c.hello:
	case <-time.After(10 * time.Second):
		return fmt.Errorf("producer %d was never welcomed", c.p)
	}
	if last := wel.Next - 1; last != c.floor || last > 0 && string(wel.Pos) != posAt(c.p, last) {
		return fmt.Errorf("producer %d: welcomed to %d with position %q; %d are stored", c.p, wel.Next, wel.Pos, c.floor)
	}
	c.next = wel.Next
	if acked := c.acked.Load(); w.rng.IntN(2) == 0 && c.ends[acked] {
		c.next = acked + 1 // as one who does not trust the welcome: what was stored comes twice
	}
	return nil
}

// frame sends the client's next frame with its position.
func (c *client) frame(s *site) {
	var its []engine.Item
	last := frameEnd(c.p, c.next)
	for n := c.next; n <= last; n++ {
		e := script(c.p, n)
		payload := e.AppendMsgpack(nil)
		h, fe := wire.CheckPayload(payload)
		if fe != nil {
			panic(fe)
		}
		its = append(its, engine.Item{Kind: engine.ItemEvent, Link: c.link, Seq: n, Class: uint8(h.Type), Flags: h.Flags(), Key: h.Key, TS: h.TS, Agent: []byte(e.Agent), Payload: payload})
	}
	its = append(its, engine.Item{Kind: engine.ItemPos, Link: c.link, Seq: last, Payload: []byte(posAt(c.p, last))},
		engine.Item{Kind: engine.ItemFrameEnd, Link: c.link, Seq: last})
	c.sent, c.ends[last] = max(c.sent, last), true
	if s.put(its...) {
		c.next = last + 1
	}
}

// settled waits until all that was sent is acknowledged.
func (c *client) settled() error {
	for deadline := time.Now().Add(10 * time.Second); c.acked.Load() < c.next-1; time.Sleep(50 * time.Microsecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("producer %d: %d of %d are acknowledged", c.p, c.acked.Load(), c.next-1)
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

// damage cuts the end off the log's newest WAL, as a disk may that lied.
func damage(fs *vfs.MemFS, rng *rand.Rand) (bool, error) {
	dir := path.Join(dataDir, "log", "store")
	names, err := fs.List(dir)
	if err != nil {
		return false, nil // cut off before it was there
	}
	newest := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > newest {
			newest = n
		}
	}
	if newest == "" {
		return false, nil
	}
	name := path.Join(dir, newest)
	f, err := fs.Open(name)
	if err != nil {
		return false, err
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	used := len(bytes.TrimRight(b, "\x00"))
	if used == 0 {
		return false, nil
	}
	b = b[:used-1-rng.IntN(min(used, 1+rng.IntN(8<<10)))]
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false, err
	}
	_, err = out.Write(b)
	return true, errors.Join(err, out.Sync(), out.Close())
}

// notices opens a damaged log: it must refuse, or hold everything acknowledged.
func (w *world) notices(fs vfs.FS, k known) (bool, error) {
	var floors [3]uint64
	for i, c := range w.clients {
		floors[i] = c.floor
	}
	in := New(nil, nil, Options{})
	log, err := w.openLog(fs, in)
	if err != nil {
		return true, nil
	}
	err = w.verifyLog(log, k)
	for i, c := range w.clients {
		c.floor = floors[i]
	}
	return false, errors.Join(err, log.Close())
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
	const lanes = 4
	var noticed atomic.Int64
	t.Run("lanes", func(t *testing.T) {
		for lane := range lanes {
			t.Run(fmt.Sprintf("lane=%d", lane), func(t *testing.T) {
				t.Parallel()
				saw, harmless, err := cutPower(uint64(lane), n/lanes, nil)
				if err != nil {
					t.Fatal(err)
				}
				noticed.Add(int64(saw))
				t.Logf("%d cuts; of the damages %d were noticed, %d touched nothing acknowledged", n/lanes, saw, harmless)
			})
		}
	})
	if noticed.Load() == 0 && n >= 100 && !t.Failed() {
		t.Error("no damage was noticed: the damages are too small")
	}
}

// TestPowerCutsSeeEachSync takes out each sync in turn: the cuts must go red.
func TestPowerCutsSeeEachSync(t *testing.T) {
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
