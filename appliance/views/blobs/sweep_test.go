package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/blob"
	"eyrie/wal/block"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is a log of the test: events by offset, of which some were dropped.
type logged struct {
	next    uint64
	events  map[uint64]wal.Record // that are there
	dropped uint64                // bits of tiers of the one stretch
	sealed  uint64                // its end
	first   uint64
}

func (l *logged) Next() uint64  { return l.next }
func (l *logged) First() uint64 { return l.first }

func (l *logged) Stretches() []wal.Stretch {
	if l.sealed <= l.first {
		return nil
	}
	return []wal.Stretch{{Base: l.first, Next: l.sealed, Tiers: 3, Dropped: l.dropped}}
}

func (l *logged) Find(_ context.Context, q wal.Query) ([]wal.Record, uint64, error) {
	for off, r := range l.events {
		if off >= q.FromOffset && off < q.ToOffset {
			r.Offset = off
			q.Match(&r)
		}
	}
	return nil, 0, nil
}

// Agent implements Names: agents of odd numbers are of another space.
func (l *logged) Agent(num uint32) (space, id string, ok bool) {
	return []string{"main", "other"}[num%2], "a", num != 0
}

// TestModel compares what a sweep leaves with what a plain map says: a blob stays
// while an event in the log names it, or while it is young.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		fs := vfs.NewMem()
		db, err := pebble.Open("views", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var shift time.Duration
		now := func() time.Time { return time.Now().Add(shift) }
		var store *blob.Store
		log := &logged{next: 1, first: 1, events: map[uint64]wal.Record{}}
		var view *View
		var sweeper *Sweeper
		saved := uint64(1)
		reopen := func() {
			if store != nil {
				store.Close()
			}
			if store, err = blob.Open(blob.Options{FS: fs, Dir: "blobs", Now: now, Grace: time.Hour}); err != nil {
				t.Fatal(err)
			}
			view = New(log)
			sweeper = NewSweeper(Options{View: view, Blobs: store, Store: db, Log: log, Now: now, Wait: 1})
		}
		reopen()
		defer func() { store.Close() }()
		apply := func(from uint64) { // what a runner does behind a crash
			b := block.NewBuilder(from, 16, 1024)
			for off := from; off < log.next; off++ {
				r, ok := log.events[off]
				if !ok {
					r = wal.Record{Kind: wal.KindTick, Recv: 1}
				}
				b.Append(&r, -1)
			}
			if blk := b.Block(); blk.Len() > 0 {
				view.Apply(blk, 0, nil)
			}
		}
		save := func() {
			w := db.NewBatch()
			if err := view.Save(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			view.Saved()
			saved = log.next
		}
		used := map[blob.Key]time.Duration{} // that are there → last use
		key := func(t *rapid.T) (blob.Key, string, uint32) {
			content := strings.Repeat(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "content"), 10)
			agent := uint32(rapid.IntRange(2, 3).Draw(t, "agent"))
			space, _, _ := log.Agent(agent)
			return blob.Key{Space: space, Sum: sha256.Sum256([]byte(content))}, content, agent
		}
		isNamed := func(k blob.Key) bool {
			for _, r := range log.events {
				space, _, _ := log.Agent(r.Agent)
				for _, n := range wire.Blobs(nil, r.Payload) {
					if space == k.Space && n.SHA256 == k.Sum {
						return true
					}
				}
			}
			return false
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, content, _ := key(t)
				if _, err := store.Put(k.Space, "", []byte(content)); err != nil {
					t.Fatal(err)
				}
				used[k] = shift
			},
			"event": func(t *rapid.T) {
				k, _, agent := key(t)
				e := wire.Event{Type: wire.TypeTool, Agent: "a", Output: []any{(&wire.Blob{SHA256: k.Sum}).Value(), 1}}
				payload := e.AppendMsgpack(nil)
				h, fe := wire.CheckPayload(payload)
				if fe != nil || !h.Blob {
					t.Fatal(fe)
				}
				refusal, err := Judge(store, k.Space, payload)
				if err != nil {
					t.Fatal(err)
				}
				if _, there := used[k]; there == (refusal != nil) {
					t.Fatalf("%v is there: %v, refused: %v", k, there, refusal)
				}
				if refusal != nil {
					if refusal.Code != wire.CodeBlob || refusal.Field != "output" {
						t.Fatalf("got %+v", refusal)
					}
					return
				}
				used[k] = shift
				log.events[log.next] = wal.Record{Kind: wal.KindEvent, Flags: h.Flags(), Agent: agent, Recv: 1, Payload: payload}
				log.next++
				apply(log.next - 1)
			},
			"save": func(*rapid.T) { save() },
			"seal": func(*rapid.T) {
				if log.dropped == 0 { // a stretch of which something was dropped does not grow
					log.sealed = saved
				}
			},
			"drop": func(t *rapid.T) { // a tier of the stretch: half of its events
				save()
				bit := uint64(rapid.IntRange(0, 1).Draw(t, "tier"))
				for off := range log.events {
					if off < log.sealed && off%2 == bit {
						delete(log.events, off)
					}
				}
				if log.sealed > log.first {
					log.dropped |= 1 << bit
				}
			},
			"trim": func(*rapid.T) { // what is dropped whole is forgotten
				if log.dropped == 3 {
					log.first, log.dropped = log.sealed, 0
				}
			},
			"forget": func(t *rapid.T) { // an event out of the middle
				save()
				for off := range log.events {
					if off%3 == 0 {
						delete(log.events, off)
					}
				}
				sweeper.Recheck()
			},
			"time": func(*rapid.T) { shift += 40 * time.Minute },
			"crash": func(*rapid.T) {
				reopen()
				for k := range used {
					used[k] = -1 << 40
				}
				log.next++ // a tick, so that the view moves
				apply(saved)
			},
			"sweep": func(t *rapid.T) {
				r, err := sweeper.Sweep(ctx)
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for k, at := range used {
					_, err := store.Stat(k)
					switch {
					case err == nil:
					case isNamed(k):
						t.Fatalf("%v, which is named, is gone", k)
					case shift-at < time.Minute:
						t.Fatalf("%v is gone, and was used just now", k)
					default:
						n++
						delete(used, k)
					}
				}
				if r.Dropped != n {
					t.Fatalf("%d are gone, %d were told", n, r.Dropped)
				}
			},
			"": func(t *rapid.T) {
				for k := range used {
					if _, err := store.Get(k); err != nil && isNamed(k) {
						t.Fatal(k, err)
					}
				}
			},
		})
		// In the end, with nothing new, only what is named is left.
		shift += 48 * time.Hour
		save()
		sweeper.Recheck()
		for range 2 {
			if _, err := sweeper.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if view.next.Load() < log.next {
			return // no event since a crash: nothing may be dropped yet
		}
		for k := range used {
			if _, err := store.Stat(k); (err == nil) != isNamed(k) {
				t.Fatalf("%v: named %v, and %v", k, isNamed(k), err)
			}
		}
		if rows, err := sweeper.rows(0, 1<<62); err != nil || len(rows) != len(log.events) {
			t.Fatalf("%d rows, %d events: %v", len(rows), len(log.events), err)
		}
	})
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(f string, args ...any) {
	panic(fmt.Sprintf(f, args...))
}

func TestTooManyBlobs(t *testing.T) {
	store, err := blob.Open(blob.Options{FS: vfs.NewMem(), Dir: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	k, err := store.Put("main", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var many []any
	for range wire.MaxBlobs + 1 {
		e := wire.Event{Type: wire.TypeTool, Output: append([]any{}, many...)}
		if refusal, err := Judge(store, "main", e.AppendMsgpack(nil)); refusal != nil || err != nil {
			t.Fatal(len(many), refusal, err)
		}
		many = append(many, (&wire.Blob{SHA256: k.Sum}).Value())
	}
	e := wire.Event{Type: wire.TypeTool, Output: many}
	if refusal, err := Judge(store, "main", e.AppendMsgpack(nil)); refusal == nil || refusal.Code != wire.CodeSize || err != nil {
		t.Fatal(refusal, err)
	}
}

// TestSweepWaitsForTheView sweeps while the view is behind the log.
func TestSweepWaitsForTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		db, err := pebble.Open("views", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		shift := time.Duration(0)
		now := func() time.Time { return time.Now().Add(shift) }
		store, err := blob.Open(blob.Options{FS: fs, Dir: "blobs", Now: now, Grace: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		k, err := store.Put("main", "", []byte("named by nothing"))
		if err != nil {
			t.Fatal(err)
		}
		shift = 50 * 365 * 24 * time.Hour // beyond the grace of a file of now
		log := &logged{next: 3, first: 1}
		view := New(log)
		s := NewSweeper(Options{View: view, Blobs: store, Store: db, Log: log, Now: now})
		view.next.Store(2)
		begin := time.Now()
		r, err := s.Sweep(t.Context())
		if err != nil || !r.Behind || r.Dropped != 0 || time.Since(begin) != 5*time.Second {
			t.Fatalf("%+v, %v, after %v", r, err, time.Since(begin))
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			view.next.Store(3)
		}()
		if r, err = s.Sweep(t.Context()); err != nil || r.Behind || r.Dropped != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		if _, err := store.Stat(k); !errors.Is(err, blob.ErrNotFound) {
			t.Error(err)
		}
	})
}

// TestRecheckEnds: every row is compared with the log until those of events from
// before were in the store too, and no longer, whatever comes.
func TestRecheckEnds(t *testing.T) {
	fs := vfs.NewMem()
	db, err := pebble.Open("views", &pebble.Options{FS: fs, DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := blob.Open(blob.Options{FS: fs, Dir: "blobs", Now: time.Now, Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	log := &logged{next: 5, first: 1}
	view := New(log)
	view.next.Store(100)
	s := NewSweeper(Options{View: view, Blobs: store, Store: db, Log: log, Now: time.Now})
	s.Recheck()
	log.next = 100
	for _, c := range []struct {
		offset uint64
		again  bool
	}{{4, true}, {99, false}} {
		view.fresh = map[blob.Key][]row{{}: {{offset: c.offset}}}
		if _, err := s.Sweep(t.Context()); err != nil || s.all != c.again {
			t.Errorf("with an unsaved row of offset %d all are compared again: %v, %v", c.offset, s.all, err)
		}
	}
}
