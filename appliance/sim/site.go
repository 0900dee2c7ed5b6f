//go:build linux

package sim

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"eyrie/appliance/intake"
	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/netpoll"
	"eyrie/wal"
)

// site is one life of the server.
type site struct {
	w     *world
	disk  *disk
	log   *wal.Log
	in    *intake.Intake
	srv   *engine.Server
	loops []*loopIO
	views *viewSet

	durable chan durable // what the log announces, in order
	closing atomic.Bool
	due     bool  // a step is on the agenda
	toldAt  int64 // when the last answers go out
	relay   *relay
}

// durable is a call of the log's Committed.
type durable struct {
	token       any
	first, last uint64
	err         error
}

// Sizes that make a short run pass the bounds of rings, blocks and tables.
const (
	loopsOfSite   = 2
	ringBytes     = 1 << 18
	memtableBytes = 4 << 20
	openWait      = 20 * time.Second // real time: the log does not answer
)

// seeded is randomness for the log's id.
type seeded uint64

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(uint64(s) >> (i % 8 * 8))
	}
	return len(p), nil
}

// serve starts a server on what is left of a disk.
func (w *world) serve(d *disk) bool {
	s := &site{w: w, disk: d, durable: make(chan durable, 16)}
	var err error
	s.in = intake.New(nil, nil, intake.Options{Now: w.wall, Tick: time.Second})
	o := wal.Options{
		FS: d.fs(), Dir: "data/log", Now: w.wall, Rand: seeded(w.cfg.Seed), MemtableBytes: memtableBytes, CheckpointBytes: 64 << 10,
		CacheBytes: 256 << 10, StoreCacheBytes: 1 << 20, DiskFree: func(string) (uint64, error) { return 1 << 40, nil },
		Committed: func(token any, first, last uint64, err error) {
			if !s.closing.Load() {
				s.durable <- durable{token, first, last, err}
			}
		},
		Seal: wal.SealOptions{Off: !w.cfg.Seal, Bytes: 64 << 10, Tier: func(r *wal.Record) uint8 { return uint8(r.Kind) % 2 }},
	}
	if w.cfg.Seal {
		o.MemtableBytes, o.GroupBytes = 64<<10, 32<<10 // little stays in blocks
	}
	s.log, err = wal.Open(o)
	if err != nil {
		if left := d.pulled(); left != nil { // it died while it opened
			w.note("the server dies while it opens")
			return w.serve(left)
		}
		if d.failed() {
			return w.serve(d.pull())
		}
		w.fail("the log does not open: %w", err)
		return false
	}
	var ios []engine.Transport
	for i := range loopsOfSite {
		l := &loopIO{w: w, index: i, site: s, conns: map[netpoll.Handle]*conn{}}
		s.loops, ios = append(s.loops, l), append(ios, l)
	}
	cfg := engine.Config{
		RingBytes: ringBytes, Now: w.wall, Notify: s.notify,
		Gate: engine.GateFunc(func(*engine.Request) (engine.Grant, *engine.Refusal) {
			return engine.Grant{Space: "main", Owner: "k"}, nil
		}),
	}
	cfg.Poll.Now = func() int64 { return w.now + 1 }
	srv, handlers, err := engine.Simulated(cfg, ios...)
	if err != nil {
		w.fail("the engine: %w", err)
		return false
	}
	for i, h := range handlers {
		s.loops[i].handler = h
	}
	s.srv = srv
	var links intake.Links = srv
	if w.cfg.Plant == NoFence {
		s.relay = newRelay(srv)
		links = s.relay
	}
	s.in.Attach(s.log, links)
	w.site = s
	w.note("the server serves from %d", s.log.Next())
	w.verify(s, false)
	if w.cfg.Views && w.err == nil {
		if s.views, err = openViews(stillFS{d.views, &d.viewMoves}, s.log); err != nil {
			w.fail("the views do not open: %w", err)
			return false
		}
		s.compareViews()
	}
	s.in.Begin()
	s.tick()
	return w.err == nil
}

func (d *disk) failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failAt > 0 && d.ops >= d.failAt
}

// notify puts a step of the intake on the agenda.
func (s *site) notify() {
	if s.due || s.w.site != s {
		return
	}
	s.due = true
	s.w.after(s.w.between(20*time.Microsecond, 5*time.Millisecond), func() {
		s.due = false
		if s.w.site == s {
			s.step()
		}
	})
}

// tick has the intake look at the clock each second.
func (s *site) tick() {
	s.notify()
	s.w.after(time.Second, func() {
		if s.w.site == s {
			s.tick()
		}
	})
}

// step is one turn of the intake. While the log commits, nothing else happens.
func (s *site) step() {
	w := s.w
	s.disk.committing(true)
	defer s.disk.committing(false)
	taken, handed, err := s.in.Step()
	if err != nil {
		w.crash("the log failed: " + reason(err))
		return
	}
	if taken > 0 {
		s.notify()
	}
	if !handed {
		return
	}
	var d durable
	select {
	case d = <-s.durable:
	case <-time.After(openWait):
		w.fail("the log never announced a commit")
		return
	}
	if s.disk.pulled() != nil {
		if w.cfg.Plant == AckBeforeSync {
			s.in.Committed(d.token, d.first, d.last, nil)
			s.due = true // nothing more is taken in
			w.after(200*time.Millisecond, func() { w.crashOf(s) })
			return
		}
		w.crash("the plug is pulled")
		return
	}
	if d.err != nil {
		w.crash("the log failed: " + reason(d.err))
		return
	}
	w.note("commit of %d to %d", d.first, d.last)
	s.notify() // for what came in meanwhile
	s.toldAt = max(s.toldAt, w.now+int64(w.between(50*time.Microsecond, 10*time.Millisecond)))
	w.after(time.Duration(s.toldAt-w.now), func() {
		if w.site == s {
			s.in.Committed(d.token, d.first, d.last, nil)
		}
	})
}

// reason keeps out of the trace what differs between equal runs.
func reason(err error) string {
	if errors.Is(err, wal.ErrFailed) {
		return "failed"
	}
	return err.Error()
}

func (s *site) calm() { s.disk.calm() }

// crash ends the server's life; another begins on what is left of its disk.
func (w *world) crash(why string) {
	s := w.site
	if s == nil {
		return
	}
	w.res.Crashes++
	w.note("crash: %s", why)
	left := s.disk.pull()
	w.site = nil
	for _, l := range s.loops {
		for _, c := range byHandle(l.conns) {
			c.gone = true
			c.hear(errors.New("the server is gone"))
		}
	}
	s.close()
	w.after(w.between(time.Millisecond, 2*time.Second), func() {
		if w.err == nil && w.site == nil {
			w.serve(left)
		}
	})
}

func (w *world) crashOf(s *site) {
	if w.site == s {
		w.crash("the plug was pulled")
	}
}

// close ends what runs; it may write to a disk that nobody will read.
func (s *site) close() {
	s.closing.Store(true)
	if s.views != nil {
		s.views.close()
	}
	if s.log.Err() != nil { // its store may take seconds to give up
		go func() { _ = s.log.Close() }()
		return
	}
	_ = s.log.Close()
}

func byHandle(m map[netpoll.Handle]*conn) []*conn {
	out := make([]*conn, 0, len(m))
	for _, c := range m {
		out = append(out, c)
	}
	sortConns(out)
	return out
}

// relay stands between the engine's rings and the intake for Plant NoFence: it
// takes what a producer's former links left in flight for its newest link's.
type relay struct {
	srv   *engine.Server
	out   *ring.Ring
	owner map[netpoll.Handle][16]byte
	now   map[[16]byte]netpoll.Handle
}

func newRelay(srv *engine.Server) *relay {
	return &relay{srv: srv, out: ring.New(1<<20, 1<<16), owner: map[netpoll.Handle][16]byte{}, now: map[[16]byte]netpoll.Handle{}}
}

func (r *relay) Reply(rs []engine.Reply) { r.srv.Reply(rs) }
func (r *relay) Freed(int)               {}

// Rings moves on what the engine has published, and returns where to.
func (r *relay) Rings() []*ring.Ring {
	for i, from := range r.srv.Rings() {
		n := 0
		for r.out.Size()-r.out.Used() > 1<<19 {
			rec, ok := from.Next()
			if !ok {
				break
			}
			n++
			r.move(rec)
		}
		if n > 0 {
			from.Release()
			r.srv.Freed(i)
		}
	}
	r.out.Publish()
	return []*ring.Ring{r.out}
}

func (r *relay) move(rec []byte) {
	var it engine.Item
	if engine.DecodeItem(rec, &it) != nil {
		return
	}
	b, ok := r.out.Reserve(len(rec), true)
	if !ok {
		return
	}
	copy(b, rec)
	switch it.Kind {
	case engine.ItemHello:
		var h engine.HelloItem
		if engine.DecodeHello(it.Payload, &h) == nil {
			r.owner[it.Link], r.now[h.Producer] = h.Producer, it.Link
		}
	case engine.ItemEvent, engine.ItemRefused, engine.ItemLost, engine.ItemShed, engine.ItemFrameEnd:
		if h, ok := r.now[r.owner[it.Link]]; ok {
			binary.LittleEndian.PutUint64(b[8:], uint64(h))
		}
	}
}
