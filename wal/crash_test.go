package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// The power cut test runs a log on a file system that keeps synced bytes only,
// and a random part of the others. Before the k-th operation that writes, the
// plug is pulled: what was acknowledged by then must be in what is left. The
// next trial goes on from there.

// cut pulls the plug.
type cut struct {
	fs    *vfs.MemFS
	at    int64 // operation
	n     atomic.Int64
	mu    sync.Mutex
	rng   *rand.Rand
	led   *ledger
	clone *vfs.MemFS
	acked uint64
	links sync.Mutex // held by a link, and by a clone
}

func (c *cut) String() string { return "cut" }

func (c *cut) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && c.n.Add(1) == c.at {
		c.pull()
	}
	return nil
}

func (c *cut) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clone == nil {
		c.links.Lock()
		defer c.links.Unlock()
		c.acked = c.led.acked.Load()
		c.clone = c.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.rng.IntN(101), RNG: c.rng})
	}
}

func (c *cut) pulled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clone != nil
}

// linking keeps links and clones of a MemFS apart: it takes its locks for one in
// another order than for the other, and both may wait for ever.
type linking struct {
	vfs.FS
	mu *sync.Mutex
}

func (l linking) Link(from, to string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.FS.Link(from, to)
}

// ledger is what a client that never forgets knows.
type ledger struct {
	recs  []Record // by offset-1; kind 0: the log's own record
	acked atomic.Uint64
	// what was to be forgotten; done: Forget returned before the plug was pulled
	forgets []forgetting
}

type forgetting struct {
	agent uint32
	below uint64
	done  bool
}

// forgotten tells whether the record's payload may be gone, and whether it must.
func (g *ledger) forgotten(w *Record, off uint64) (may, must bool) {
	for _, f := range g.forgets {
		if w.Agent == f.agent && off < f.below {
			may, must = true, must || f.done
		}
	}
	return may, must && len(w.Payload) > 0
}

// append notes the records up to next, the last of which is r.
func (g *ledger) append(next uint64, r Record) {
	for uint64(len(g.recs))+2 < next {
		g.recs = append(g.recs, Record{})
	}
	g.recs = append(g.recs, r)
}

// check compares the log with the ledger: nothing acknowledged is lost, nothing
// is there twice or changed. What was not acknowledged may be missing, from
// some offset on.
func (g *ledger) check(l *rig, acked uint64) error {
	got, err := l.readAll()
	if err != nil {
		return err
	}
	if err := sound(got); err != nil {
		return err
	}
	if uint64(len(got)) < acked {
		return fmt.Errorf("%d records are left, %d were acknowledged", len(got), acked)
	}
	next := map[uint32]uint64{}
	for i := range got {
		r := &got[i]
		if i < len(g.recs) && g.recs[i].Kind != 0 {
			w := g.recs[i]
			may, must := g.forgotten(&w, r.Offset)
			if may && (must || r.Kind == KindForgotten) {
				w.Forget()
			}
			if w.Kind != r.Kind || w.Seq != r.Seq || w.Producer != r.Producer || w.Agent != r.Agent || !bytes.Equal(w.Payload, r.Payload) {
				return fmt.Errorf("offset %d is %v, appended was %v", i+1, r, w)
			}
		}
		if r.Kind == KindEvent || r.Kind == KindForgotten {
			if want := next[r.Producer] + 1; r.Seq != want {
				return fmt.Errorf("offset %d: number %d of producer %d, %d expected", i+1, r.Seq, r.Producer, want)
			}
			next[r.Producer] = r.Seq
		}
	}
	if err := l.digested(got); err != nil {
		return err
	}
	g.recs = g.recs[:min(len(g.recs), len(got))]
	g.acked.Store(uint64(len(got)))
	for p, n := range next {
		if l.w.NextSeq(p) != n+1 {
			return fmt.Errorf("producer %d goes on at %d, stored are %d", p, l.w.NextSeq(p), n)
		}
	}
	return nil
}

func (g *ledger) restart() {
	g.recs, g.forgets = g.recs[:0], nil
	g.acked.Store(0)
}

// trial is one life of the log, from a file system to what a cut leaves of it.
type trial struct {
	rng    *rand.Rand
	led    *ledger
	fl     *faults
	buf    [700]byte
	rounds int // of appending, in this life
	forget bool
	forgot int // times that something was forgotten to the end
	sealed int // lives that began with sealed stretches
}

func (t *trial) options(fs vfs.FS) Options {
	o := small(fs)
	o.MemtableBytes, o.CheckpointBytes, o.CacheBytes, o.faults = 16<<10, 8<<10, 8<<10, t.fl
	o.GroupBytes, o.Seal.Bytes = 8<<10, 16<<10
	o.Seal.Tier = func(r *Record) uint8 { return uint8(r.Agent % 2) }
	o.Dir = "var/log"
	return o
}

// run opens the log on fs, checks it, works until the plug is pulled, and
// returns what is left. An error is a broken promise.
func (t *trial) run(fs *vfs.MemFS, acked uint64) (*vfs.MemFS, uint64, error) {
	c := &cut{fs: fs, at: 1 + t.rng.Int64N(1<<(2+t.rng.IntN(8))), rng: rand.New(rand.NewPCG(t.rng.Uint64(), 1)), led: t.led}
	t.led.acked.Store(acked) // of the life before, until this one is checked
	if t.rounds > 40 {
		c.at = 1 << 40
	}
	o := t.options(errorfs.Wrap(linking{fs, &c.links}, c))
	o.Now = time.Now
	var announced atomic.Int64
	o.Committed = func(_ any, _, last uint64, err error) {
		if err == nil {
			t.led.acked.Store(last)
			announced.Add(1)
		}
	}
	l, err := Open(o)
	if err != nil {
		return nil, 0, err
	}
	r := &rig{Log: l, w: l.Writer()}
	if l.Sealed() > 1 {
		t.sealed++
	}
	if err := t.led.check(r, acked); err != nil {
		return nil, 0, errors.Join(err, l.Close())
	}
	err = t.work(r, c)
	err = errors.Join(err, l.Close())
	c.pull() // if the life was too short for it
	return c.clone, c.acked, err
}

func (t *trial) work(r *rig, c *cut) error {
	w := r.w
	for i := range t.buf {
		t.buf[i] = byte(t.rng.Uint32())
	}
	var ps [3]uint32
	for i := range ps {
		p, wel, err := w.Fence(key(byte(i)), uint64(1+len(t.led.recs)), 0)
		if err != nil {
			return err
		}
		if wel.GapTo != 0 {
			return fmt.Errorf("welcome %+v", wel)
		}
		ps[i] = p
	}
	for i := range t.led.forgets { // what an earlier life has not ended
		if !t.led.forgets[i].done {
			if err := t.erase(r, c, i); err != nil {
				return err
			}
		}
	}
	rounds := t.rounds
	t.rounds = 40
	for n := 0; n < rounds && !c.pulled(); n++ {
		if t.forget && t.rng.IntN(20) == 0 && r.Next() > 1 {
			t.led.forgets = append(t.led.forgets, forgetting{agent: 1 + t.rng.Uint32N(40), below: 1 + t.rng.Uint64N(r.Next())})
			if err := t.erase(r, c, len(t.led.forgets)-1); err != nil {
				return err
			}
		}
		p := ps[t.rng.IntN(len(ps))]
		for range 1 + t.rng.IntN(30) {
			a := w.Agent([]byte("main"), []byte{'a', byte(t.rng.IntN(40))})
			seq, at := w.NextSeq(p), t.rng.IntN(300)
			text := t.buf[at : at+t.rng.IntN(len(t.buf)-at)]
			if v := w.Append(p, seq, 1, 0, a, 0, time.Now().UnixNano(), text); v != Stored {
				return fmt.Errorf("append: %v", v)
			}
			t.led.append(w.Next(), Record{Kind: KindEvent, Producer: p, Seq: seq, Agent: a, Payload: bytes.Clone(text)})
		}
		if !w.Commit(nil) && t.rng.IntN(2) == 0 {
			for !w.Commit(nil) {
				time.Sleep(20 * time.Microsecond)
			}
		}
	}
	return nil
}

// erase has the log forget entry i of the ledger.
func (t *trial) erase(r *rig, c *cut, i int) error {
	f := &t.led.forgets[i]
	_, err := r.Forget(context.Background(), Forgetting{Agents: []uint32{f.agent}, Below: min(f.below, r.Next())})
	if err == nil && !c.pulled() {
		f.done = true
		t.forgot++
	}
	return err
}

// newestLog returns the path of the store's newest WAL, or "".
func newest(fs vfs.FS, dir, suffix string) string {
	names, err := fs.List(dir)
	if err != nil {
		return ""
	}
	best := ""
	for _, n := range names {
		if (suffix != "" && strings.HasSuffix(n, suffix) || suffix == "" && strings.HasPrefix(n, "MANIFEST")) && n > best {
			best = n
		}
	}
	if best == "" {
		return ""
	}
	return fs.PathJoin(dir, best)
}

// damage cuts the newest WAL short or flips a bit of it or of the MANIFEST, as
// a disk may that has said it synced. It reports whether anything was changed.
func damage(fs vfs.FS, dir string, rng *rand.Rand) (bool, error) {
	name := newest(fs, dir, ".log")
	if rng.IntN(4) == 0 {
		name = newest(fs, dir, "")
	}
	if name == "" {
		return false, nil
	}
	f, err := fs.Open(name)
	if err != nil {
		return false, err
	}
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil && len(b) > 0 {
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	used := len(bytes.TrimRight(b, "\x00"))
	if used == 0 {
		return false, nil
	}
	at := used - 1 - rng.IntN(min(used, 1+rng.IntN(8<<10)))
	if rng.IntN(2) == 0 {
		b = b[:at]
	} else {
		b[at] ^= 1 << rng.IntN(8)
	}
	w, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false, err
	}
	if _, err = w.Write(b); err == nil {
		err = w.Sync()
	}
	return true, errors.Join(err, w.Close())
}

// cutPower runs n trials; the first broken promise ends it. noticed counts the
// damages that the log saw, harmless those that touched nothing acknowledged.
func cutPower(seed uint64, n int, fl *faults) (noticed, harmless int, err error) {
	noticed, harmless, _, err = cutSealed(seed, n, fl)
	return noticed, harmless, err
}

// cutSealed is cutPower; sealed counts the lives that began with sealed stretches.
func cutSealed(seed uint64, n int, fl *faults) (noticed, harmless, sealed int, err error) {
	return (&trial{rng: rand.New(rand.NewPCG(seed, 0)), led: &ledger{}, fl: fl}).cuts(seed, n)
}

// cuts is cutSealed for a trial that is set up.
func (t *trial) cuts(seed uint64, n int) (noticed, harmless, sealed int, err error) {
	fs, acked := vfs.NewCrashableMem(), uint64(0)
	for i := range n {
		if i%12 == 0 {
			fs, acked = vfs.NewCrashableMem(), 0
			t.led.restart()
			t.rounds = 40
			if i/12%3 == 0 { // enough for the log to seal, and no cut before its end
				t.rounds = 150
			}
		}
		if fs, acked, err = t.run(fs, acked); err != nil {
			return noticed, harmless, t.sealed, fmt.Errorf("seed %d, trial %d: %w", seed, i, err)
		}
		if t.rng.IntN(3) != 0 {
			continue
		}
		// What is left is damaged as well: the loss must be noticed.
		hurt := fs.CrashClone(vfs.CrashCloneCfg{})
		changed, err := damage(hurt, "var/log/store", t.rng)
		if err != nil {
			return noticed, harmless, t.sealed, err
		}
		if !changed {
			continue
		}
		saw, err := t.notice(hurt, acked)
		if err != nil {
			return noticed, harmless, t.sealed, fmt.Errorf("seed %d, trial %d, damaged: %w", seed, i, err)
		}
		if saw {
			noticed++
		} else {
			harmless++
		}
	}
	return noticed, harmless, t.sealed, nil
}

// notice opens a damaged log: it must refuse or hold everything acknowledged.
// Where it refuses for a loss, accepting that must give a sound log.
func (t *trial) notice(fs *vfs.MemFS, acked uint64) (bool, error) {
	led := &ledger{recs: t.led.recs, forgets: t.led.forgets}
	r, err := open(t.options(fs))
	if err == nil {
		return false, errors.Join(led.check(r, acked), r.Close())
	}
	var lost *LostError
	if !errors.As(err, &lost) {
		return true, nil // the store itself refuses
	}
	if lost.To < lost.From && lost.To != 0 {
		return true, fmt.Errorf("a loss without a range: %w", lost)
	}
	o := t.options(fs)
	o.AcceptLoss = true
	if r, err = open(o); err != nil {
		return true, fmt.Errorf("accepted, but: %w", err)
	}
	if r.Epoch() != 2 {
		return true, errors.Join(fmt.Errorf("epoch %d after a loss", r.Epoch()), r.Close())
	}
	rs, err := r.readAll()
	epochs, holes := r.Epochs(), r.Holes()
	if err == nil && (len(rs) == 0 || rs[len(rs)-1].Kind != KindHole) {
		err = errors.New("no record tells of the loss")
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return true, err
	}
	if r, err = open(t.options(fs)); err != nil {
		return true, fmt.Errorf("after accepting %q as epoch start %v, holes %v, %d records: %w", lost, epochs, holes, len(rs), err)
	}
	return true, r.Close()
}

// setting reads a number from the environment.
// setting reads a number of trials. Under the detector of races, beside which all of
// them run once more without it, a fifth is enough.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		if testing.Short() {
			otherwise /= 5
		}
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestPowerCuts runs EYRIE_CUTS trials, 200 unless told. They differ from those of
// another EYRIE_CUTS_SEED, so that a long campaign can be run in parts.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	n, seed := setting(t, "EYRIE_CUTS", 200), setting(t, "EYRIE_CUTS_SEED", 0)
	const lanes = 4
	var noticed, sealed atomic.Int64
	t.Run("lanes", func(t *testing.T) {
		for lane := range lanes {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				saw, harmless, began, err := cutSealed(uint64(1000*seed+100+lane), n/lanes, &faults{})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d cuts; %d lives began with sealed stretches; of the damages %d were noticed, %d touched nothing acknowledged", n/lanes, began, saw, harmless)
				noticed.Add(int64(saw))
				sealed.Add(int64(began))
			})
		}
	})
	if noticed.Load() == 0 {
		t.Error("no damage was noticed: the damages are too small")
	}
	if sealed.Load() == 0 {
		t.Error("nothing was sealed: the lives are too short")
	}
}

// TestPowerCutsForgetting is TestPowerCuts of lives in which agents are forgotten:
// EYRIE_FORGET_CUTS trials, 100 unless told.
func TestPowerCutsForgetting(t *testing.T) {
	t.Parallel()
	n := setting(t, "EYRIE_FORGET_CUTS", 100)
	const lanes = 4
	var forgot atomic.Int64
	t.Run("lanes", func(t *testing.T) {
		for lane := range uint64(lanes) {
			t.Run(strconv.Itoa(int(lane)), func(t *testing.T) {
				t.Parallel()
				life := &trial{rng: rand.New(rand.NewPCG(lane, 7)), led: &ledger{}, fl: &faults{}, forget: true}
				_, _, sealed, err := life.cuts(lane, n/lanes)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%d cuts; %d lives began with sealed stretches; forgotten to the end %d times", n/lanes, sealed, life.forgot)
				forgot.Add(int64(life.forgot))
			})
		}
	})
	if forgot.Load() == 0 {
		t.Error("nothing was forgotten to the end: the lives are too short")
	}
}

// TestPowerCutsSeeEachSync takes out each sync in turn: the trials must go red.
func TestPowerCutsSeeEachSync(t *testing.T) {
	for name, fl := range map[string]faults{
		"store sync":          {skipStoreSync: true},
		"mark sync":           {skipMarkSync: true},
		"mark's folder sync":  {skipMarkDirSync: true},
		"parents' sync":       {skipParentDirSync: true},
		"sealed tables' sync": {skipSealSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(40) {
				if _, _, err := cutPower(seed, 24, &fl); err != nil {
					t.Log("red: ", err)
					return
				}
			}
			t.Fatal("without this sync the test stays green")
		})
	}
}
