package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"
)

// crowd writes what a few producers and agents would, with every kind of record.
type crowd struct {
	rng   *rand.Rand
	clock *clock
	text  []byte
	stay  bool // nobody expires
}

func newCrowd(seed uint64, c *clock) *crowd {
	w := &crowd{rng: rand.New(rand.NewPCG(seed, 7)), clock: c, text: make([]byte, 2000)}
	for i := range w.text {
		w.text[i] = byte(w.rng.Uint32())
	}
	return w
}

// turn appends about n records, in one group.
func (c *crowd) turn(w *Writer, n int) error {
	c.clock.add(time.Duration(c.rng.IntN(2000)) * time.Millisecond)
	for range n {
		k := byte(c.rng.IntN(6))
		p, _, ok := w.Producer(key(k))
		if !ok || c.rng.IntN(40) == 0 {
			epoch := uint64(1)
			if ok {
				epoch = w.Epoch(p) + 1
			}
			var err error
			if p, _, err = w.Fence(key(k), epoch, 1); err != nil {
				return err
			}
		}
		seq := w.NextSeq(p)
		v := Stored
		switch c.rng.IntN(20) {
		case 0:
			v = w.Lost(p, seq, seq+uint64(c.rng.IntN(5)), []byte("full"))
		case 1:
			v = w.Shed(p, seq, seq+uint64(c.rng.IntN(5)), 1, []byte("shed"))
		case 2:
			v = w.Refused(p, seq, []byte("why"))
		case 3:
			v = w.Pos(p, c.text[:c.rng.IntN(20)])
		case 4:
			w.System(KindTick, 0, 0, nil)
		case 5:
			if c.rng.IntN(10) == 0 && !c.stay {
				w.Expire(func(x uint32, _ *ProducerKey, _ time.Duration) bool { return x == p })
			}
		default:
			a := w.Agent([]byte("main"), []byte{'a', byte(c.rng.IntN(60))})
			at := c.rng.IntN(len(c.text))
			v = w.Append(p, seq, uint8(1+c.rng.IntN(13)), 0, a, c.rng.Uint32N(3)<<20, c.clock.now().UnixNano(), c.text[at:at+c.rng.IntN(len(c.text)-at)])
		}
		if v != Stored {
			return fmt.Errorf("append: %v", v)
		}
	}
	return nil
}

// state is all that a log tells of itself.
type state struct {
	recs      []Record
	agents    []string
	producers map[ProducerKey]ProducerState
	pos       map[ProducerKey]string
}

func (r *rig) state(t testing.TB) state {
	t.Helper()
	s := state{recs: r.all(t), producers: map[ProducerKey]ProducerState{}, pos: map[ProducerKey]string{}}
	for i := range r.Agents() {
		space, id, _ := r.Agent(uint32(i + 1))
		s.agents = append(s.agents, space+"/"+id)
	}
	r.Producers(func(p ProducerState) bool {
		p.Recv = 0 // of a block or of a record, by how it was learned
		s.producers[p.Key] = p
		_, wel, _ := r.w.Producer(p.Key)
		s.pos[p.Key] = string(wel.Pos)
		return true
	})
	return s
}

// differ tells how two states differ, "" for not at all.
func (s state) differ(o state) string {
	if len(s.recs) != len(o.recs) {
		return fmt.Sprintf("%d records, %d expected", len(s.recs), len(o.recs))
	}
	for i := range s.recs {
		if d := differ(&s.recs[i], &o.recs[i]); d != "" {
			return d
		}
	}
	switch {
	case !slices.Equal(s.agents, o.agents):
		return fmt.Sprintf("agents %v, expected %v", s.agents, o.agents)
	case fmt.Sprint(s.producers) != fmt.Sprint(o.producers):
		return fmt.Sprintf("producers %v, expected %v", s.producers, o.producers)
	case fmt.Sprint(s.pos) != fmt.Sprint(o.pos):
		return fmt.Sprintf("positions %v, expected %v", s.pos, o.pos)
	}
	return ""
}

func differ(a, b *Record) string {
	x, y := *a, *b
	x.Payload, y.Payload = nil, nil
	if fmt.Sprint(x) != fmt.Sprint(y) || !bytes.Equal(a.Payload, b.Payload) {
		return fmt.Sprintf("offset %d: %v, expected %v", a.Offset, a, b)
	}
	return ""
}

func backupTo(t testing.TB, r *rig, dir string, keep int) *BackupResult {
	t.Helper()
	res, err := r.Backup(context.Background(), BackupOptions{Dir: dir, Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func restoreOptions(fs vfs.FS, o Options, data string) RestoreOptions {
	o.FS = fs
	return RestoreOptions{From: "backups", Data: data, Log: o}
}

// reopen opens a restored log and holds it to the rules of verify.
func reopen(t testing.TB, o Options, data string) *rig {
	t.Helper()
	o.Dir = data + "/log"
	intact(t, o)
	return mustOpen(t, o)
}

func intact(t testing.TB, o Options) *VerifyResult {
	t.Helper()
	res, err := Verify(context.Background(), VerifyOptions{Log: o})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Damages) > 0 || res.Unopened != nil {
		t.Fatalf("%v; %v", res.Unopened, damages(res))
	}
	return res
}

func damages(r *VerifyResult) (s []string) {
	for i := range r.Damages {
		s = append(s, r.Damages[i].String())
	}
	return s
}

// TestRestoreIsTheLedger takes backups while another goroutine writes, and
// restores each: it must hold exactly what was in the log below its end.
func TestRestoreIsTheLedger(t *testing.T) {
	fs, c := newMem(), newClock()
	o := small(fs)
	o.Now = c.now
	r := mustOpen(t, o)
	load := newCrowd(1, c)
	stop, wrote := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				wrote <- nil
				return
			default:
			}
			if err := errors.Join(load.turn(r.w, 200), r.commit()); err != nil {
				wrote <- err
				return
			}
		}
	}()
	var made []*Backup
	for range 4 {
		acked := r.Next()
		b := backupTo(t, r, "backups", 0).Backup
		if b.Next < acked {
			t.Errorf("the backup ends at %d, %d was acknowledged before it", b.Next, acked)
		}
		made = append(made, b)
		if _, err := r.Follow(b.Next + 1000).Next(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	ledger := r.all(t)
	r.mustClose(t)
	for i, b := range made {
		data := fmt.Sprint("again", i)
		ro := restoreOptions(fs, o, data)
		ro.Backup = b.Name
		res, err := Restore(context.Background(), ro)
		if err != nil {
			t.Fatal(err)
		}
		if res.Next != b.Next || res.Dropped.Records != 0 || res.Epoch < 2 {
			t.Errorf("%+v", res)
		}
		n := reopen(t, o, data)
		got := n.all(t)
		if off, ok := n.Parts(1); !ok || off != b.Next {
			t.Errorf("the histories part at %d, expected %d", off, b.Next)
		}
		for _, e := range []uint32{n.Epoch(), 77} {
			if off, ok := n.Parts(e); ok {
				t.Errorf("epoch %d parts at %d", e, off)
			}
		}
		if uint64(len(got)) != b.Next-1 || n.Epoch() != res.Epoch {
			t.Fatalf("%d records in epoch %d, expected %d in %d", len(got), n.Epoch(), b.Next-1, res.Epoch)
		}
		for j := range got {
			if d := differ(&got[j], &ledger[j]); d != "" {
				t.Fatal(d)
			}
		}
		if err := errors.Join(load.turn(n.w, 100), n.commit()); err != nil {
			t.Fatal(err)
		}
		n.mustClose(t)
		intact(t, func() Options { o := o; o.Dir = data + "/log"; return o }())
	}
}

// TestBackupIsIncremental counts what is copied, and what Keep removes.
func TestBackupIsIncremental(t *testing.T) {
	fs, c := newMem(), newClock()
	o := small(fs)
	// No table is made but by backups.
	o.Now, o.MemtableBytes, o.atRest = c.now, 32<<20, true
	r := mustOpen(t, o)
	load := newCrowd(2, c)
	fill := func(turns int) {
		for range turns {
			if err := errors.Join(load.turn(r.w, 200), r.commit()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(40)
	first := backupTo(t, r, "backups", 0)
	if first.KnownFiles != 0 || first.CopiedBytes != first.Backup.Bytes() {
		t.Errorf("the first: %+v", first)
	}
	again := backupTo(t, r, "backups", 0)
	if tables := len(first.Backup.Files) - 4; again.KnownFiles < tables || again.CopiedBytes > first.CopiedBytes/4 {
		t.Errorf("nothing new: %d files known of %d, %d bytes copied of %d", again.KnownFiles, tables, again.CopiedBytes, first.CopiedBytes)
	}
	fill(2)
	more := backupTo(t, r, "backups", 2)
	if more.KnownFiles == 0 || more.CopiedBytes > first.CopiedBytes/2 {
		t.Errorf("a little new: %d files known, %d bytes copied of %d", more.KnownFiles, more.CopiedBytes, first.CopiedBytes)
	}
	if len(more.Removed) != 1 || more.Removed[0] != first.Backup.Name {
		t.Errorf("removed: %v", more.Removed)
	}
	r.mustClose(t)
	bs, damaged, err := Backups(fs, "backups")
	if err != nil || len(damaged) > 0 || len(bs) != 2 {
		t.Fatal(len(bs), damaged, err)
	}
	// The pool holds what those two name, and nothing else.
	held := map[string]bool{}
	for _, b := range bs {
		for _, f := range b.Files {
			held[f.SHA256] = true
		}
	}
	names, err := fs.List("backups/files")
	if err != nil || len(names) != len(held) {
		t.Errorf("%d files in the pool, %d are held: %v", len(names), len(held), err)
	}
	for i, b := range bs {
		ro := restoreOptions(fs, o, fmt.Sprint("again", i))
		ro.Backup = b.Name
		c.add(time.Second) // an epoch is known by it
		if _, err := Restore(context.Background(), ro); err != nil {
			t.Error(err)
		}
		// A restore's store is another one: its tables are not taken for known.
		n := reopen(t, o, fmt.Sprint("again", i))
		res, err := n.Backup(context.Background(), BackupOptions{Dir: "backups"})
		if err != nil || res.KnownFiles != 0 {
			t.Errorf("%+v %v", res, err)
		}
		n.mustClose(t)
	}
	// Another log has no business there.
	o.Dir = "other"
	r = mustOpen(t, o)
	if _, err := r.Backup(context.Background(), BackupOptions{Dir: "backups"}); !errors.Is(err, ErrOtherLog) {
		t.Error(err)
	}
	r.mustClose(t)
}

// flip changes one bit of a file in place.
func flip(fs vfs.FS, name string, bit int64) error {
	p, err := readFile(fs, name)
	if err != nil {
		return err
	}
	p[bit/8] ^= 1 << (bit % 8)
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(p); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// TestEachDamagedFileOfABackupIsRefused flips a bit of each file in turn.
func TestEachDamagedFileOfABackupIsRefused(t *testing.T) {
	t.Parallel()
	fs, c := newMem(), newClock()
	o := small(fs)
	o.Now = c.now
	r := mustOpen(t, o)
	load := newCrowd(3, c)
	for range 20 {
		if err := errors.Join(load.turn(r.w, 100), r.commit()); err != nil {
			t.Fatal(err)
		}
	}
	key, err := fs.Create("a-key", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = key.Write([]byte("secret")); err != nil {
		t.Fatal(err)
	}
	key.Close()
	res, err := r.Backup(context.Background(), BackupOptions{Dir: "backups", Also: map[string]string{"keys/a": "a-key"}})
	if err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	rng := rand.New(rand.NewPCG(4, 0))
	refused := 0
	try := func(name, is string) {
		t.Helper()
		st, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() == 0 {
			return // there is no bit
		}
		bit := rng.Int64N(8 * st.Size())
		if err := flip(fs, name, bit); err != nil {
			t.Fatal(err)
		}
		_, err = Restore(context.Background(), restoreOptions(fs, o, "again"))
		var bad *BackupDamage
		if !errors.As(err, &bad) || "backups/"+bad.File != name || bad.Is != is {
			t.Errorf("%s, bit %d: %v", name, bit, err)
		}
		refused++
		v, err := Verify(context.Background(), VerifyOptions{Log: o, Backups: "backups"})
		if err != nil || len(v.Damages) == 0 || "backups/"+v.Damages[0].File != name {
			t.Errorf("%s, bit %d: verify: %v %+v", name, bit, err, v)
		}
		if err := flip(fs, name, bit); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range res.Backup.Files {
		try("backups/files/"+f.SHA256, f.Name)
	}
	try("backups/backups/"+res.Backup.Name+".json", "")
	if refused < 8 {
		t.Errorf("%d files were damaged", refused)
	}
	// None left anything behind, so it restores now; and files that are missing
	// are named as well.
	v, err := Verify(context.Background(), VerifyOptions{Log: o, Backups: "backups"})
	if err != nil || len(v.Damages) > 0 || v.Next < res.Backup.Next {
		t.Errorf("%v %v", err, damages(v))
	}
	if _, err := Restore(context.Background(), restoreOptions(fs, o, "again")); err != nil {
		t.Fatal(err)
	}
	if p, err := readFile(fs, "again/keys/a"); err != nil || string(p) != "secret" {
		t.Errorf("%q %v", p, err)
	}
	if _, err := Restore(context.Background(), restoreOptions(fs, o, "again")); !errors.Is(err, ErrNotEmpty) {
		t.Error(err)
	}
	if err := fs.Remove("backups/files/" + res.Backup.Files[0].SHA256); err != nil {
		t.Fatal(err)
	}
	_, err = Restore(context.Background(), restoreOptions(fs, o, "third"))
	if bad := wantErr[*BackupDamage](t, err); !strings.Contains(bad.Msg, "missing") {
		t.Error(bad)
	}
}

// TestRestoreToAPoint restores random logs to random offsets and times and
// compares with the slice of what was appended, cut by hand.
func TestRestoreToAPoint(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		fs, c := newMem(), newClock()
		o := small(fs)
		o.Now = c.now
		o.CheckpointBytes = int64(rapid.SampledFrom([]int{2 << 10, 32 << 10, 1 << 20}).Draw(rt, "checkpoint"))
		sealed := rapid.Bool().Draw(rt, "sealed")
		if o.Seal.Off = true; sealed {
			o = sealing(o)
			o.CheckpointBytes = 1 // what is sealed is not folded again
			o.Seal.Bytes = int64(rapid.SampledFrom([]int{8 << 10, 64 << 10}).Draw(rt, "stretch"))
		}
		r := mustOpen(t, o)
		load := newCrowd(rapid.Uint64().Draw(rt, "seed"), c)
		for range rapid.IntRange(1, 12).Draw(rt, "turns") {
			if err := errors.Join(load.turn(r.w, rapid.IntRange(1, 120).Draw(rt, "records")), r.commit()); err != nil {
				rt.Fatal(err)
			}
			if sealed && rapid.IntRange(0, 3).Draw(rt, "seal") == 0 {
				if err := r.Seal(context.Background()); err != nil {
					rt.Fatal(err)
				}
			}
		}
		b := backupTo(t, r, "backups", 0).Backup
		// What comes behind the backup is not in it.
		if err := errors.Join(load.turn(r.w, 50), r.commit()); err != nil {
			rt.Fatal(err)
		}
		ledger := r.all(t)[:b.Next-1]
		r.mustClose(t)
		ro := restoreOptions(fs, o, "again")
		keep := len(ledger)
		if rapid.Bool().Draw(rt, "by time") {
			ro.ToTime = ledger[rapid.IntRange(0, len(ledger)-1).Draw(rt, "record")].Recv + rapid.Int64Range(-1, 1).Draw(rt, "ns")
			for keep > 0 && ledger[keep-1].Recv > ro.ToTime {
				keep--
			}
		} else {
			keep = rapid.IntRange(1, len(ledger)).Draw(rt, "offset")
			ro.ToOffset = uint64(keep)
		}
		res, err := Restore(context.Background(), ro)
		if err != nil {
			rt.Fatal(err)
		}
		if want := uint64(len(ledger) - keep); res.Dropped.Records != want || want > 0 && (res.Dropped.From != uint64(keep+1) || res.Dropped.To != uint64(len(ledger))) {
			rt.Fatalf("dropped %+v, expected %d", res.Dropped, want)
		}
		got := reopen(t, o, "again")
		defer got.mustClose(t)
		// The tables of a log that was never longer.
		if err := got.digested(ledger[:keep]); err != nil || got.DigestsFrom() != 1 {
			rt.Fatal(got.DigestsFrom(), err)
		}
		plain := foldPlain(t, ledger[:keep])
		if d := got.state(t).differ(plain); d != "" {
			rt.Fatal(d)
		}
		// It goes on like any other, also where its producers say again what the
		// log has forgotten.
		if err := errors.Join(load.turn(got.w, 30), got.commit()); err != nil {
			rt.Fatal(err)
		}
		if sealed {
			if err := got.Seal(context.Background()); err != nil {
				rt.Fatal(err)
			}
			if n := len(got.all(t)); uint64(n) != got.Next()-1 {
				rt.Fatalf("%d records, the log ends at %d", n, got.Next())
			}
		}
	})
}

// foldPlain is what the tables must be, from the plain records.
func foldPlain(t testing.TB, recs []Record) state {
	t.Helper()
	s := state{recs: recs, producers: map[ProducerKey]ProducerState{}, pos: map[ProducerKey]string{}}
	keys := map[uint32]ProducerKey{}
	for i := range recs {
		r := &recs[i]
		k := keys[r.Producer]
		p := s.producers[k]
		switch r.Kind {
		case KindAgentDict:
			space, rest, _ := cutString(r.Payload)
			id, _, _ := cutString(rest)
			s.agents = append(s.agents, string(space)+"/"+string(id))
			continue
		case KindProducerDict:
			k, _ = decodeProducerKey(r.Payload)
			keys[r.Producer] = k
			s.pos[k] = ""
			p = ProducerState{Num: r.Producer, Key: k, Next: 1}
		case KindFence:
			p.Epoch = uint64(r.Payload[0]) | uint64(r.Payload[1])<<8
		case KindEvent, KindLost, KindShed, KindRefused:
			p.Next = r.To() + 1
		case KindPos:
			s.pos[k] = string(r.Payload)
		case KindExpired:
			delete(s.producers, k)
			delete(s.pos, k)
			continue
		default:
			continue
		}
		s.producers[k] = p
	}
	return s
}

// TestKilledBackupLeavesTheEarlierOnes pulls the plug at every operation of a
// backup that writes: what is left restores to one of the backups made whole.
func TestKilledBackupLeavesTheEarlierOnes(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 0))
	ends := 0
	for at := int64(1); ends == 0; at += 1 + rng.Int64N(4) {
		disk, c := newMem(), newClock()
		o := small(disk)
		o.Now = c.now
		r := mustOpen(t, o)
		load := newCrowd(6, c)
		if err := errors.Join(load.turn(r.w, 100), r.commit()); err != nil {
			t.Fatal(err)
		}
		first := backupTo(t, r, "backups", 0).Backup
		if err := errors.Join(load.turn(r.w, 100), r.commit()); err != nil {
			t.Fatal(err)
		}
		ledger := r.all(t)
		pull := &cut{fs: disk, at: at, rng: rand.New(rand.NewPCG(uint64(at), 2)), led: &ledgerless}
		second, err := r.Backup(context.Background(), BackupOptions{FS: errorfs.Wrap(disk, pull), Dir: "backups", Keep: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !pull.pulled() {
			ends++ // it was over before
			pull.pull()
		}
		r.mustClose(t)
		left := pull.clone
		bs, damaged, err := Backups(left, "backups")
		if err != nil || len(damaged) > 0 || len(bs) == 0 {
			t.Fatalf("cut %d: %d backups, %v, %v", at, len(bs), damaged, err)
		}
		for i, b := range bs {
			if b.Name != first.Name && b.Name != second.Backup.Name {
				t.Fatalf("cut %d: %s", at, b.Name)
			}
			ro := restoreOptions(left, o, fmt.Sprint("again", i))
			ro.Backup = b.Name
			if _, err := Restore(context.Background(), ro); err != nil {
				t.Fatalf("cut %d: %v", at, err)
			}
			o := o
			o.FS = left
			n := reopen(t, o, ro.Data)
			if got := n.all(t); uint64(len(got)) != b.Next-1 || differ(&got[len(got)-1], &ledger[len(got)-1]) != "" {
				t.Fatalf("cut %d: %d records, %d expected", at, len(got), b.Next-1)
			}
			// The next backup cleans up after the one that was killed.
			n.mustClose(t)
		}
		o.FS, o.Dir = left, "log"
		n := mustOpen(t, o)
		if _, err := left.Stat("log/" + stageName); err == nil {
			t.Errorf("cut %d: the checkpoint is still there", at)
		}
		backupTo(t, n, "backups", 1)
		n.mustClose(t)
		if names, _ := left.List("backups/files"); slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, partSuffix) }) {
			t.Errorf("cut %d: %v", at, names)
		}
	}
}

var ledgerless ledger

// TestKilledRestoreLeavesNoLog pulls the plug at the operations of a restore:
// either nothing that could be taken for a log is there, or all of it is.
func TestKilledRestoreLeavesNoLog(t *testing.T) {
	disk, c := newMem(), newClock()
	o := small(disk)
	o.Now = c.now
	r := mustOpen(t, o)
	load := newCrowd(8, c)
	if err := errors.Join(load.turn(r.w, 150), r.commit()); err != nil {
		t.Fatal(err)
	}
	b := backupTo(t, r, "backups", 0).Backup
	r.mustClose(t)
	rng := rand.New(rand.NewPCG(9, 0))
	none, whole := 0, 0
	for at := int64(1); ; at += 1 + rng.Int64N(6) {
		fs := disk.CrashClone(vfs.CrashCloneCfg{})
		pull := &cut{fs: fs, at: at, rng: rand.New(rand.NewPCG(uint64(at), 3)), led: &ledgerless}
		ro := restoreOptions(errorfs.Wrap(fs, pull), o, "again")
		ro.ToOffset = b.Next - 40
		if _, err := Restore(context.Background(), ro); err != nil {
			t.Fatal(err)
		}
		over := !pull.pulled()
		pull.pull()
		left := pull.clone
		o := o
		o.FS = left
		if _, err := left.Stat("again/log"); err == nil {
			whole++
			n := reopen(t, o, "again")
			if n.Next() != ro.ToOffset+1 {
				t.Fatalf("cut %d: ends at %d", at, n.Next())
			}
			n.mustClose(t)
		} else {
			none++
			ro := restoreOptions(left, o, "again")
			if _, err := Restore(context.Background(), ro); err != nil {
				t.Fatalf("cut %d: once more: %v", at, err)
			}
		}
		if over {
			break
		}
	}
	if none == 0 || whole == 0 {
		t.Errorf("%d cuts left nothing, %d the whole", none, whole)
	}
}

// TestBackupEnds when it is told to, and leaves nothing that looks whole.
func TestBackupEnds(t *testing.T) {
	fs := newMem()
	r := mustOpen(t, small(fs))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := r.Backup(ctx, BackupOptions{Dir: "backups", Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if bs, _, err := Backups(fs, "backups"); err != nil || len(bs) != 0 {
		t.Error(bs, err)
	}
	if _, err := OpenBackup(fs, "backups", ""); !errors.Is(err, ErrNoBackup) {
		t.Error(err)
	}
	r.mustClose(t)
	if _, err := fs.Stat("log/" + stageName); err == nil {
		t.Error("the checkpoint is still there")
	}
	if err := intactDisk(t); err != nil {
		t.Error(err)
	}
}

// intactDisk takes a backup of a log on the machine's own file system, restores
// it, and looks at the permissions.
func intactDisk(t *testing.T) error {
	dir := t.TempDir()
	o := small(vfs.Default)
	o.Dir = dir + "/data/log"
	r := mustOpen(t, o)
	c := newCrowd(1, newClock())
	if err := errors.Join(c.turn(r.w, 300), r.commit()); err != nil {
		return err
	}
	b := backupTo(t, r, dir+"/backups", 0).Backup
	if _, err := Verify(context.Background(), VerifyOptions{Log: o}); !errors.Is(err, ErrInUse) {
		t.Errorf("verify beside an open log: %v", err)
	}
	r.mustClose(t)
	ro := RestoreOptions{From: dir + "/backups", Data: dir + "/again", Log: o}
	if _, err := Restore(context.Background(), ro); err != nil {
		return err
	}
	for _, f := range b.Files {
		st, err := vfs.Default.Stat(dir + "/backups/files/" + f.SHA256)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Error(f.Name, st.Mode(), err)
		}
	}
	o.Dir = dir + "/again/log"
	intact(t, o)
	v, err := Verify(context.Background(), VerifyOptions{Log: o, Backups: dir + "/backups"})
	if err != nil || len(v.Damages) > 0 {
		t.Error(err, damages(v))
	}
	return nil
}

// TestRestoreOfWhatRetentionLeft restores to points of a log of which most
// sealed records were dropped, the dictionary records among them: agents and
// producers are as they were.
func TestRestoreOfWhatRetentionLeft(t *testing.T) {
	fs, c := newMem(), newClock()
	o := sealing(small(fs))
	o.Now, o.CheckpointBytes = c.now, 1
	o.Retain.Bytes = 1
	r := mustOpen(t, o)
	load := newCrowd(11, c)
	load.stay = true
	fill := func(turns int) {
		t.Helper()
		for range turns {
			if err := errors.Join(load.turn(r.w, 60), r.commit()); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(40)
	ledger := r.all(t)
	if err := r.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill(10)
	ledger = append(ledger, r.all(t)[len(ledger):]...)
	if done, err := r.Retain(t.Context()); err != nil || done.Dropped == 0 {
		t.Fatalf("%+v %v", done, err)
	}
	sealed := r.Sealed()
	if left := r.all(t); len(left) >= len(ledger) {
		t.Fatal("nothing was dropped")
	}
	backupTo(t, r, "backups", 0)
	r.mustClose(t)
	intact(t, o)
	for i, to := range []uint64{0, sealed, sealed + 33, sealed + 200} {
		ro := restoreOptions(fs, o, fmt.Sprint("again", i))
		ro.ToOffset = to
		if _, err := Restore(context.Background(), ro); err != nil {
			t.Fatal(err)
		}
		n := reopen(t, o, ro.Data)
		if to == 0 {
			to = uint64(len(ledger))
		}
		want, got := foldPlain(t, ledger[:to]), n.state(t)
		want.recs, got.recs = nil, nil
		for k, p := range want.producers {
			if got.pos[k] == "" {
				want.pos[k] = "" // may have been in what was dropped
			}
			if g := got.producers[k]; g.Epoch > p.Epoch {
				p.Epoch = g.Epoch
				want.producers[k] = p
			}
		}
		if d := got.differ(want); d != "" || n.Next() != to+1 {
			t.Errorf("to %d: %s", to, d)
		}
		if err := errors.Join(load.turn(n.w, 30), n.commit()); err != nil {
			t.Fatal(err)
		}
		n.mustClose(t)
	}
	ro := restoreOptions(fs, o, "before")
	ro.ToOffset = sealed / 2
	if _, err := Restore(context.Background(), ro); !errors.Is(err, ErrPoint) {
		t.Error(err)
	}
}
