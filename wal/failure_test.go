package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"eyrie/wal/block"
)

func TestInUse(t *testing.T) {
	for name, o := range map[string]Options{"memory": small(newMem()), "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			r := mustOpen(t, o)
			if _, err := open(o); !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
			r.mustClose(t)
			mustOpen(t, o).mustClose(t)
		})
	}
}

func TestNewerFormat(t *testing.T) {
	fs := newMem()
	mustOpen(t, small(fs)).mustClose(t)
	write := func(fs vfs.FS, name string, p []byte) {
		t.Helper()
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	clone := func() *vfs.MemFS {
		return fs.CrashClone(vfs.CrashCloneCfg{})
	}
	// a newer mark
	c := clone()
	var p [markBytes]byte
	(&mark{generation: 8, next: 1, epoch: 1}).encode(&p)
	p[4] = markVersion + 1
	crc := crcOf(p[:56])
	copy(p[56:], []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)})
	write(c, "log/mark", p[:])
	_, err := open(small(c))
	if e := wantErr[*NewerFormatError](t, err); e.What != "mark" || e.Got != markVersion+1 {
		t.Error(e)
	}
	// a newer store
	c = clone()
	names, err := c.List("log/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasPrefix(n, "marker.format-version.") {
			if err := c.Remove("log/store/" + n); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(c, fmt.Sprintf("log/store/marker.format-version.000099.%03d", storeFormat+1), nil)
	_, err = open(small(c))
	if e := wantErr[*NewerFormatError](t, err); e.What != "store" {
		t.Error(e)
	}
}

// TestStoreFormatIsTheNewest fails when a new release of the store has a newer
// format: raise storeFormat on purpose, not by upgrade.
func TestStoreFormatIsTheNewest(t *testing.T) {
	if uint64(storeFormat) != 24 {
		t.Errorf("the store's format has changed to %d", storeFormat)
	}
}

// fails makes operations on files whose path holds part fail from a moment on.
type fails struct {
	part string
	kind errorfs.OpKind
	err  error
	on   atomic.Bool
}

func (f *fails) String() string { return "fails" }

func (f *fails) MaybeError(op errorfs.Op) error {
	if f.on.Load() && op.Kind == f.kind && strings.Contains(op.Path, f.part) {
		return f.err
	}
	return nil
}

// TestFailedSyncIsNeverAcknowledged fails writes and syncs of log and mark: the
// commit must be told so, loudly, and the next open must not miss anything that
// was acknowledged before.
func TestFailedSyncIsNeverAcknowledged(t *testing.T) {
	f := func(part string, kind errorfs.OpKind, cause error) {
		t.Helper()
		fs := newMem()
		inj := &fails{part: part, kind: kind, err: cause}
		o := small(errorfs.Wrap(fs, inj))
		var loud atomic.Int64
		o.Events.Failed = func(error) { loud.Add(1) }
		r := mustOpen(t, o)
		p, _ := r.mustFence(t, 1, 1, 1)
		r.w.Append(p, 1, 1, 1, 0, 0, 1, []byte("kept"))
		r.mustCommit(t)
		acked := r.Next() - 1
		inj.on.Store(true)
		r.w.Append(p, 2, 1, 1, 0, 0, 1, []byte("not acknowledged"))
		if err := r.commit(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", part, err)
		}
		if r.Next()-1 != acked {
			t.Errorf("%s: offset %d is shown as durable", part, r.Next()-1)
		}
		if err := r.w.Wall(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", part, err)
		}
		if v := r.w.Append(p, 3, 1, 1, 0, 0, 1, nil); v != Refuse {
			t.Errorf("%s: %v", part, v)
		}
		if err := r.commit(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", part, err)
		}
		if err := r.Close(); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", part, err)
		}
		if loud.Load() != 1 {
			t.Errorf("%s: told %d times", part, loud.Load())
		}
		after := mustOpen(t, small(fs.CrashClone(vfs.CrashCloneCfg{})))
		if rs := after.all(t); uint64(len(rs)) < acked || string(rs[acked-1].Payload) != "kept" {
			t.Errorf("%s: %d records", part, len(rs))
		}
		after.mustClose(t)
	}
	f(".log", errorfs.OpFileWrite, syscall.ENOSPC)
	f(".log", errorfs.OpFileSyncData, syscall.EIO)
	f("mark", errorfs.OpFileWriteAt, syscall.EIO)
	f("mark", errorfs.OpFileSyncData, syscall.EIO)
}

func TestDiskWall(t *testing.T) {
	c := newClock()
	var free atomic.Uint64
	free.Store(1 << 40)
	o := small(newMem())
	o.Now, o.DiskMin = c.now, 1<<20
	o.DiskFree = func(string) (uint64, error) { return free.Load(), nil }
	var told []bool
	o.Events.Wall = func(full bool, _, _ uint64) { told = append(told, full) }
	r := mustOpen(t, o)
	defer r.mustClose(t)
	p, _ := r.mustFence(t, 1, 1, 1)
	put := func(want Verdict) {
		t.Helper()
		if v := r.w.Append(p, r.w.NextSeq(p), 1, 1, 0, 0, 1, []byte("x")); v != want {
			t.Errorf("%v, want %v", v, want)
		}
	}
	put(Stored)
	r.mustCommit(t)
	free.Store(1<<20 - 1)
	put(Stored) // not asked yet
	if r.w.Wall() != nil {
		t.Error("asked twice within a second")
	}
	c.add(time.Second)
	if err := r.w.Wall(); !errors.Is(err, ErrDiskFull) {
		t.Error(err)
	}
	put(Refuse)
	if v := r.w.Append(p, 1, 1, 1, 0, 0, 1, []byte("x")); v != Duplicate {
		t.Error(v) // what is settled stays so
	}
	if v := r.w.Lost(p, r.w.NextSeq(p), 9, nil); v != Refuse {
		t.Error(v)
	}
	if _, _, err := r.w.Fence(key(2), 1, 1); !errors.Is(err, ErrDiskFull) {
		t.Error(err)
	}
	if r.w.System(KindTick, 0, 0, nil) != 0 || r.w.Pos(p, nil) != Refuse {
		t.Error("taken at the wall")
	}
	r.mustCommit(t) // what was taken before is made durable
	if n := len(r.all(t)); uint64(n) != r.Next()-1 || r.Wall() == nil {
		t.Error(n, r.Wall())
	}
	free.Store(1 << 30)
	c.add(time.Second)
	if err := r.w.Wall(); err != nil {
		t.Error(err)
	}
	put(Stored)
	r.mustCommit(t)
	if fmt.Sprint(told) != "[true false]" {
		t.Error(told)
	}
}

// TestDamagedTailIsNoticed cuts and flips the newest WAL of a log that was left
// without a close: each loss must be noticed, by the mark if not by the store.
func TestDamagedTailIsNoticed(t *testing.T) {
	fs := newMem()
	o := small(fs)
	r := mustOpen(t, o)
	p, _ := r.mustFence(t, 1, 1, 1)
	for i := range uint64(20) {
		r.w.Append(p, i+1, 1, 1, 0, 0, 1, bytes.Repeat([]byte{byte(i)}, 300))
		r.mustCommit(t)
	}
	acked := r.Next() - 1
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	r.mustClose(t)
	name := newest(left, "log/store", ".log")
	f, err := left.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(data, "\x00"))
	byMark := 0
	try := func(what string, p []byte) {
		t.Helper()
		c := left.CrashClone(vfs.CrashCloneCfg{})
		w, err := c.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(p); err == nil {
			err = errors.Join(w.Sync(), w.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := open(small(c))
		if err == nil {
			rs, err := r.readAll()
			if err != nil || uint64(len(rs)) < acked {
				t.Errorf("%s: %d of %d records, unnoticed (%v)", what, len(rs), acked, err)
			}
			r.mustClose(t)
			return
		}
		var lost *LostError
		if errors.As(err, &lost) {
			byMark++
			if lost.From == 0 || lost.To != acked {
				t.Errorf("%s: %v", what, lost)
			}
		}
	}
	for at := 0; at < used; at += 1 + used/40 {
		try(fmt.Sprintf("cut at %d", at), data[:at])
		p := bytes.Clone(data)
		p[at] ^= 4
		try(fmt.Sprintf("flip at %d", at), p)
	}
	if byMark == 0 {
		t.Error("the mark was never needed")
	}
}

// TestAnotherHistoryIsNoticed puts the mark of one log on a copy that went
// another way: as long, and not what was acknowledged.
func TestAnotherHistoryIsNoticed(t *testing.T) {
	fs := newMem()
	r := mustOpen(t, small(fs))
	p, _ := r.mustFence(t, 1, 1, 1)
	r.mustCommit(t)
	r.mustClose(t)
	other := fs.CrashClone(vfs.CrashCloneCfg{})
	for i, fs := range []*vfs.MemFS{fs, other} {
		r := mustOpen(t, small(fs))
		if v := r.w.Append(p, 1, 1, 1, 0, 0, 1, []byte{byte(i)}); v != Stored {
			t.Fatal(v)
		}
		r.mustCommit(t)
		r.mustClose(t)
	}
	if _, err := vfs.Clone(fs, other, "log/mark", "log/mark"); err != nil {
		t.Fatal(err)
	}
	_, err := open(small(other))
	if e := wantErr[*LostError](t, err); e.From != 3 || e.To != 3 {
		t.Error(e)
	}
}

// TestAcceptedLoss damages a block in the middle: what is behind it still
// reads, the hole is named, and numbers go on.
func TestAcceptedLoss(t *testing.T) {
	fs := newMem()
	r := mustOpen(t, small(fs))
	p, _ := r.mustFence(t, 1, 1, 1)
	for i := range uint64(6) {
		r.w.Append(p, i+1, 1, 1, r.w.Agent([]byte("main"), []byte{'a', byte(i)}), 0, 1, []byte{byte(i)})
		r.mustCommit(t)
	}
	before := r.all(t)
	r.SetCursor("mirror", 1000)
	// the fourth event with its dictionary record: offsets 9 and 10
	if err := errors.Join(r.db.Delete(key8(prefixBody, 9), pebble.Sync), r.db.Delete(key8(prefixHeader, 9), pebble.Sync)); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	_, err := open(small(fs))
	if e := wantErr[*LostError](t, err); e.From != 9 || e.To != 10 || e.Epoch != 1 {
		t.Error(e)
	}
	o := small(fs)
	o.AcceptLoss = true
	r = mustOpen(t, o)
	for range 2 {
		if h := r.Holes(); len(h) != 1 || h[0].From != 9 || h[0].To != 10 || h[0].Epoch != 1 {
			t.Error(h)
		}
		if e := r.Epochs(); len(e) != 2 || r.Epoch() != 2 || e[1].First != uint64(len(before))+1 {
			t.Error(e)
		}
		rs := r.all(t)
		want := append(append([]Record{}, before[:8]...), before[10:]...)
		if len(rs) != len(want)+1 {
			t.Fatalf("%d records", len(rs))
		}
		for i := range want {
			if fmt.Sprint(rs[i]) != fmt.Sprint(want[i]) {
				t.Errorf("%v, want %v", rs[i], want[i])
			}
		}
		if h, ok := DecodeHole(&rs[len(want)]); !ok || h.From != 9 || h.To != 10 {
			t.Error(rs[len(want)])
		}
		if _, err := r.Read(9); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		recs, next, err := r.Find(context.Background(), Query{Kinds: KindEvent.Mask()})
		if len(recs) != 5 || next != 0 || err != nil {
			t.Error(recs, next, err)
		}
		if c, _ := r.Cursor("mirror"); c != uint64(len(before))+1 {
			t.Error("cursor ", c)
		}
		if n := r.w.NextSeq(p); n != 7 {
			t.Error("number ", n)
		}
		r.mustClose(t)
		r = mustOpen(t, small(fs))
	}
	if v := r.w.Append(p, 7, 1, 1, r.w.Agent([]byte("main"), []byte("new")), 0, 1, nil); v != Stored {
		t.Error(v)
	}
	r.mustCommit(t)
	r.mustClose(t)
}

// TestSealingBehindALoss seals what follows a hole at the very beginning, and one that lies right behind what is
// sealed: no stretch says that it holds what is lost, and all of it reads.
func TestSealingBehindALoss(t *testing.T) {
	fs := newMem()
	o := sealing(small(fs))
	lose := func(r *rig) {
		t.Helper()
		it, err := r.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixHeader}, UpperBound: []byte{prefixHeader + 1}})
		if err != nil || !it.First() {
			t.Fatal("no block is left to damage ", err)
		}
		base := baseIn(it.Key())
		if err := errors.Join(it.Close(), r.db.Delete(key8(prefixHeader, base), pebble.Sync), r.db.Delete(key8(prefixBody, base), pebble.Sync)); err != nil {
			t.Fatal(err)
		}
		r.mustClose(t)
	}
	reopen := func() *rig {
		t.Helper()
		if _, err := open(o); err == nil {
			t.Fatal("the loss was not noticed")
		}
		o := o
		o.AcceptLoss = true
		return mustOpen(t, o)
	}
	off := o
	off.Seal.Off = true
	r := filled(t, off, 500)
	lose(r)
	r = reopen()
	for round := range 2 {
		before := r.all(t)
		fill(t, r, 800)
		if err := r.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := r.all(t)
		if len(r.Stretches()) == 0 || len(after) < len(before) {
			t.Fatalf("%d stretches, %d records of %d and more", len(r.Stretches()), len(after), len(before))
		}
		for i := range before {
			if d := differ(&after[i], &before[i]); d != "" {
				t.Fatal(d)
			}
		}
		if round == 0 {
			lose(r)
			r = reopen()
		}
	}
	r.mustClose(t)
	res, err := Verify(t.Context(), VerifyOptions{Log: o})
	if err != nil || len(res.Damages) > 0 {
		t.Errorf("%v %v", err, damages(res))
	}
}

// TestAcceptedBody: a body that no opening looks at any more keeps the log from being sealed, until its loss is
// accepted; without that nothing changes.
func TestAcceptedBody(t *testing.T) {
	fs := newMem()
	o := sealing(small(fs))
	off := o
	off.Seal.Off = true
	r := filled(t, off, 800)
	it, err := r.headers(0, 0)
	if err != nil || !it.First() {
		t.Fatal("no block to damage ", err)
	}
	var h block.Header
	if err := errors.Join(headerAt(it, &h), it.Close()); err != nil {
		t.Fatal(err)
	}
	at, lost, before := h.Base, h.Next()-h.Base, r.Next()
	var body []byte
	err = r.get(key8(prefixBody, at), func(v []byte) error {
		body = bytes.Clone(v)
		return nil
	})
	body[len(body)/2] ^= 4
	if err := errors.Join(err, r.db.Set(key8(prefixBody, at), body, pebble.Sync)); err != nil {
		t.Fatal(err)
	}
	r.mustClose(t)
	r = mustOpen(t, off) // nobody looks
	if err := r.Seal(t.Context()); err == nil || len(r.Stretches()) > 0 || r.Epoch() != 1 {
		t.Fatalf("%v, %d stretches, epoch %d", err, len(r.Stretches()), r.Epoch())
	}
	r.mustClose(t)
	off.AcceptLoss = true
	r = mustOpen(t, off)
	if h := r.Holes(); len(h) != 1 || h[0].From != at || h[0].To != at+lost-1 || r.Epoch() != 2 {
		t.Fatalf("%+v, want %d to %d; epoch %d", h, at, at+lost-1, r.Epoch())
	}
	if err := r.Seal(t.Context()); err != nil || len(r.Stretches()) == 0 {
		t.Fatalf("%v, %d stretches", err, len(r.Stretches()))
	}
	if n := uint64(len(r.all(t))); n != before-1-lost+1 { // and one that tells of the hole
		t.Errorf("%d records are left of %d, of which %d were lost", n, before-1, lost)
	}
	r.mustClose(t)
	if r = mustOpen(t, off); r.Epoch() != 2 {
		t.Error("accepted again: epoch ", r.Epoch())
	}
	r.mustClose(t)
}

func TestMarkIsNeeded(t *testing.T) {
	fs := newMem()
	mustOpen(t, small(fs)).mustClose(t)
	if err := fs.Remove("log/mark"); err != nil {
		t.Fatal(err)
	}
	_, err := open(small(fs))
	wantErr[*LostError](t, err)
	o := small(fs)
	o.AcceptLoss = true
	r := mustOpen(t, o)
	if r.Epoch() != 2 {
		t.Error("epoch ", r.Epoch())
	}
	r.mustClose(t)
	mustOpen(t, small(fs)).mustClose(t)
}

func TestAppendDoesNotAllocate(t *testing.T) {
	r := mustOpen(t, small(newMem()))
	defer r.mustClose(t)
	p, _ := r.mustFence(t, 1, 1, 1)
	space, id, text := []byte("main"), []byte("agent-1"), make([]byte, 132)
	r.w.Agent(space, id)
	if n := testing.AllocsPerRun(5000, func() {
		a := r.w.Agent(space, id)
		if v := r.w.Append(p, r.w.NextSeq(p), 1, 1, a, 7, 1, text); v != Stored {
			t.Fatal(v)
		}
	}); n != 0 {
		t.Errorf("%v allocations per record", n)
	}
}
