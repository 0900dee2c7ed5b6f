package intake

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/docs/model"
	"eyrie/engine"
	"eyrie/engine/ring"
	"eyrie/engine/wire"
	"eyrie/netpoll"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The code against the model: random ways through the model's states are taken
// by intake and log as well, and both must say and store the same.

// twin is a real server beside a state of the model.
type twin struct {
	fs, backup *vfs.MemFS
	log        *wal.Log
	in         *Intake
	links      *fakeLinks
	handles    map[int]netpoll.Handle // by link of the model
	opened     int
	accept     bool
}

func (w *twin) open() (err error) {
	w.links = &fakeLinks{ring: ring.New(1<<16, 1<<10), changed: make(chan struct{}, 1)}
	w.in = New(nil, nil, Options{Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	w.log, err = wal.Open(wal.Options{FS: w.fs, Dir: "log", MemtableBytes: 256 << 10, Committed: w.in.Committed, Ready: w.in.Ready, AcceptLoss: w.accept,
		DiskFree: func(string) (uint64, error) { return 1 << 40, nil }, Now: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	if err == nil {
		w.in.Attach(w.log, w.links)
		w.in.w = w.log.Writer()
	}
	return err
}

// take hands items to the intake, which takes them in at once.
func (w *twin) take(its ...engine.Item) {
	for i := range its {
		rec := engine.AppendItem(nil, &its[i])
		b, ok := w.links.ring.Reserve(len(rec), false)
		if !ok {
			panic("the ring is full")
		}
		copy(b, rec)
	}
	w.links.ring.Publish()
	w.in.turn(true)
}

// commit waits until the group is durable and its answers are out.
func (w *twin) commit() error {
	for w.in.w.Pending() || !w.in.cur.empty() || w.in.flying.Load() > 0 {
		w.in.commit()
		if err := w.log.Err(); err != nil {
			return err
		}
		time.Sleep(20 * time.Microsecond)
	}
	return nil
}

// said takes what was told to links so far, acks and nacks number by number.
func (w *twin) said() map[netpoll.Handle][]string {
	w.links.mu.Lock()
	defer w.links.mu.Unlock()
	out := map[netpoll.Handle][]string{}
	for _, r := range w.links.replies {
		add := func(format string, args ...any) { out[r.Link] = append(out[r.Link], fmt.Sprintf(format, args...)) }
		switch r.Kind {
		case engine.ReplyWelcome:
			add("welcome %d/%d", r.Welcome.Next, r.Welcome.Epoch)
		case engine.ReplyAck:
			add("ack %d", r.To)
		case engine.ReplyNack:
			for n := r.From; n <= r.To; n++ {
				add("%s %d", r.Code, n)
			}
		case engine.ReplyShed:
			for n := r.From; n <= r.To; n++ {
				add("shed %d", n)
			}
		case engine.ReplyClose:
			add("close %d", r.Close)
		}
	}
	w.links.replies = nil
	return out
}

// items are what a message of the model is in the ring.
func (w *twin) items(d model.Deed) []engine.Item {
	h := w.handles[d.Link]
	n := uint64(d.Msg.N)
	switch d.Msg.Kind {
	case model.Hello:
		p := engine.HelloItem{Space: "main", Owner: "agent", Producer: [16]byte{7}, First: n, Agent: "a", Epoch: uint64(d.Life), Now: int64(h)}
		return []engine.Item{{Kind: engine.ItemHello, Link: h, Payload: engine.AppendHello(nil, &p)}}
	case model.Lost:
		return []engine.Item{{Kind: engine.ItemLost, Link: h, Seq: n, To: n, Payload: []byte("given up")}, end(h, n)}
	}
	it := event(h, n, fmt.Sprintf("%d of life %d", n, d.Msg.X))
	switch {
	case d.What == model.Shedded:
		it = engine.Item{Kind: engine.ItemShed, Class: uint8(wire.PrioLow), Link: h, Seq: n, To: n, Agent: []byte("a")}
	case model.Bad(d.Msg.X, d.Msg.N):
		it = engine.Item{Kind: engine.ItemRefused, Link: h, Seq: n, Payload: engine.AppendRefusal(nil, "refused", "msg", "bad")}
	}
	return []engine.Item{it, end(h, n)}
}

// step does what d says and compares what was said. was and is are the model's
// states before and after it.
func (w *twin) step(d model.Deed, was, is *model.State) error {
	switch d.What {
	case model.Opened:
		w.opened++
		w.handles[d.Link] = netpoll.Handle(w.opened)
	case model.Took, model.Shedded, model.Dropped:
		w.take(w.items(d)...)
		if d.Msg.Kind == model.Hello {
			return w.closes(d, was, is)
		}
	case model.Reaped:
		w.take(engine.Item{Kind: engine.ItemClosed, Link: w.handles[d.Link], Seq: 1006})
	case model.Committed:
		if err := w.commit(); err != nil {
			return err
		}
		return w.compare(was)
	case model.BackedUp:
		w.backup = w.fs.CrashClone(vfs.CrashCloneCfg{})
	case model.Crashed, model.Restored:
		from := w.fs
		if d.What == model.Restored {
			from = w.backup
		}
		left := from.CrashClone(vfs.CrashCloneCfg{})
		if err := w.log.Close(); err != nil {
			return err
		}
		w.fs, w.accept = left, d.What == model.Restored
		if w.accept { // no mark vouches for an old state
			if err := w.fs.Remove("log/mark"); err != nil {
				return err
			}
		}
		if err := w.open(); err != nil {
			return err
		}
	case model.Expired:
		w.in.w.Expire(func(p uint32, _ *wal.ProducerKey, _ time.Duration) bool {
			_, linked := w.in.holder[p]
			return !linked
		})
	}
	return nil
}

// closes compares which links a hello sent away.
func (w *twin) closes(d model.Deed, was, is *model.State) error {
	got := w.said()
	var want string
	switch old := int(was.Holder) - 1; {
	case is.Holder == was.Holder && old != d.Link && was.Links[d.Link].Life == is.Mem.Epoch && old >= 0:
		want = fmt.Sprintf("%d: [close 1013]", w.handles[d.Link])
	case is.Holder != uint8(d.Link+1):
		want = fmt.Sprintf("%d: [close 4001]", w.handles[d.Link])
	case old >= 0 && old != d.Link:
		want = fmt.Sprintf("%d: [close 4000]", w.handles[old])
	}
	var all []string
	for h, s := range got {
		all = append(all, fmt.Sprintf("%d: %v", h, s))
	}
	if s := strings.Join(all, ", "); s != want {
		return fmt.Errorf("at a hello: said %q, the model %q", s, want)
	}
	return nil
}

// compare holds what a commit told against what the model owed.
func (w *twin) compare(was *model.State) error {
	got := w.said()
	for j := range was.Links {
		if was.LeftBy(j) || was.Links[j].Life == 0 || was.Links[j].Fenced { // the engine tells nothing behind a close
			continue
		}
		var want []string
		for _, m := range was.OwedTo(j) {
			switch m.Kind {
			case model.Welcome:
				want = append(want, fmt.Sprintf("welcome %d/%d", m.N, m.X))
			case model.Ack:
				want = append(want, fmt.Sprintf("ack %d", m.N))
			case model.Conflict:
				want = append(want, fmt.Sprintf("conflict %d", m.N))
			case model.Gap:
				want = append(want, fmt.Sprintf("gap %d", m.N))
			case model.Refused:
				want = append(want, fmt.Sprintf("refused %d", m.N))
			case model.Shed:
				want = append(want, fmt.Sprintf("shed %d", m.N))
			}
		}
		if s := got[w.handles[j]]; !slices.Equal(s, want) {
			return fmt.Errorf("link %d was told %v, the model says %v", j, s, want)
		}
	}
	return nil
}

// same compares the numbers that log and model expect.
func (w *twin) same(s *model.State) error {
	next, epoch := s.Next()
	if e := w.log.Epoch(); e != uint32(epoch) {
		return fmt.Errorf("the log is in epoch %d, the model's in %d", e, epoch)
	}
	_, wel, known := w.in.w.Producer(wal.ProducerKey{Space: "main", Owner: "agent", ID: [16]byte{7}})
	if known != s.Known() || known && wel.Next != uint64(next) {
		return fmt.Errorf("the log knows the producer: %v, next %d; the model: %v, %d", known, wel.Next, s.Known(), next)
	}
	return nil
}

// holds compares the log's content with the model's, for the producer's newest incarnation.
func (w *twin) holds(s *model.State) error {
	fates := map[uint64]string{}
	recs, _, err := w.log.Find(context.Background(), wal.Query{Limit: 1 << 20})
	if err != nil {
		return err
	}
	for _, r := range recs {
		what := map[wal.Kind]string{wal.KindEvent: "event", wal.KindRefused: "refused", wal.KindShed: "shed", wal.KindLost: "lost"}[r.Kind]
		if r.Kind == wal.KindExpired {
			clear(fates)
		}
		for n := r.Seq; what != "" && n <= r.To(); n++ {
			if had := fates[n]; had != "" {
				return fmt.Errorf("number %d is %s and %s", n, had, what)
			}
			if fates[n] = what; r.Kind == wal.KindEvent {
				fates[n] = strings.TrimSpace(what + " " + string(r.Payload[len(r.Payload)-1:]))
			}
		}
	}
	want := s.Fates()
	if fmt.Sprint(fates) != fmt.Sprint(want) {
		return fmt.Errorf("the log holds %v, the model %v", fates, want)
	}
	return nil
}

// walk goes n random steps from the start, in both.
func walk(seed uint64, b model.Budget, n int) (deeds int, trace []string, err error) {
	rng := rand.New(rand.NewPCG(seed, 11))
	s := model.Start(b)
	w := &twin{fs: vfs.NewCrashableMem(), handles: map[int]netpoll.Handle{}}
	if err := w.open(); err != nil {
		return 0, nil, err
	}
	defer func() { err = firstOf(err, w.log.Close()) }()
	for range n {
		steps := model.Steps(&s, model.Rules{})
		if len(steps) == 0 {
			break
		}
		st := steps[rng.IntN(len(steps))]
		trace = append(trace, st.Name)
		if err := w.step(st.Deed, &s, &st.To); err != nil {
			return deeds, trace, err
		}
		if st.Deed.What != model.Nothing {
			deeds++
		}
		s = st.To
		if err := w.same(&s); err != nil {
			return deeds, trace, err
		}
	}
	if err := w.commit(); err != nil {
		return deeds, trace, err
	}
	return deeds, trace, w.holds(&s)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestCodeDoesWhatTheModelSays(t *testing.T) {
	budgets := []model.Budget{
		{Numbers: 4, Links: 3, Cuts: 4, Crashes: 2, Resends: 3, Sheds: 1, Gives: 1},
		{Numbers: 4, Links: 3, Cuts: 2, Crashes: 1, Births: 1, Restores: 1, Resends: 2, Sheds: 1},
		{Numbers: 4, Links: 2, Cuts: 3, Crashes: 1, Births: 1, Expiries: 1, Resends: 2},
	}
	deeds, seeds := 0, uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		n, trace, err := walk(seed, budgets[seed%3], 120)
		if err != nil {
			t.Fatalf("seed %d: %v, by\n  %s", seed, err, strings.Join(trace, "\n  "))
		}
		deeds += n
	}
	t.Logf("%d steps of a server", deeds)
}
