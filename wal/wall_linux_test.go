package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// TestFullDisk fills a small file system under a log that is written to, sealed,
// trimmed and read, and makes room again: EYRIE_FILLS times, 10 unless told. The
// log must go on by itself, lose nothing and answer reads throughout.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fills := 10
	if s := os.Getenv("EYRIE_FILLS"); s != "" {
		var err error
		if fills, err = strconv.Atoi(s); err != nil {
			t.Fatal("EYRIE_FILLS: ", err)
		}
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	begin := time.Now()
	var acked, walls atomic.Uint64
	o := Options{
		FS: vfs.Default, Dir: filepath.Join(dir, "log"), DiskMin: 12 << 20, BallastBytes: 4 << 20,
		MemtableBytes: 512 << 10, GroupBytes: 128 << 10, CheckpointBytes: 64 << 10, StoreCacheBytes: 1 << 20, CacheBytes: 64 << 10,
		Now:    func() time.Time { return begin.Add(100 * time.Since(begin)) }, // the disk is asked every 10 ms
		Seal:   SealOptions{Bytes: 512 << 10},
		Retain: RetainOptions{Bytes: 6 << 20},
		Committed: func(_ any, _, last uint64, err error) {
			if err == nil {
				acked.Store(last)
			}
		},
	}
	o.Events.Wall = func(full bool, _, _ uint64) {
		if full {
			walls.Add(1)
		}
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	body := func(dst []byte, seq uint64) []byte { // what the event with this number says
		dst = binary.LittleEndian.AppendUint64(dst[:0], seq)
		rng := rand.New(rand.NewPCG(seq, 1))
		for range 60 {
			dst = binary.LittleEndian.AppendUint64(dst, rng.Uint64())
		}
		return dst
	}
	running.Go(func() { // the writer
		w := l.Writer()
		p, wel, err := w.Fence(key(1), 1, 0)
		if err != nil {
			t.Error(err)
			return
		}
		var buf []byte
		for seq := wel.Next; ctx.Err() == nil; {
			if w.Wall() != nil {
				time.Sleep(time.Millisecond)
			}
			for range 40 {
				buf = body(buf, seq)
				switch v := w.Append(p, seq, 0, 0, uint32(seq%7), uint32(seq%5), l.o.Now().UnixNano(), buf); v {
				case Stored:
					seq++
				case Refuse: // held, and sent again
				default:
					t.Errorf("number %d: %v", seq, v)
					return
				}
			}
			w.Commit(nil)
			time.Sleep(100 * time.Microsecond)
		}
	})
	running.Go(func() { // retention
		for ctx.Err() == nil {
			if _, err := l.Retain(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	check := func(r *Record) {
		if r.Kind == KindEvent && !bytes.Equal(r.Payload, body(nil, r.Seq)) {
			t.Errorf("offset %d does not hold number %d", r.Offset, r.Seq)
		}
	}
	var reads atomic.Int64
	running.Go(func() { // a reader
		rng := rand.New(rand.NewPCG(1, 1))
		for ctx.Err() == nil {
			from, to := l.First(), acked.Load()
			if to < from {
				continue
			}
			off := from + rng.Uint64N(to-from+1)
			recs, _, err := l.Find(ctx, Query{FromOffset: off, Limit: 50, Reverse: rng.IntN(2) == 0, Agents: []uint32{uint32(rng.IntN(7))}})
			if err != nil && ctx.Err() == nil {
				t.Errorf("offset %d: %v", off, err)
				return
			}
			for i := range recs {
				check(&recs[i])
			}
			reads.Add(1)
			time.Sleep(time.Millisecond)
		}
	})
	wait := func(what string, ok func() bool) bool {
		t.Helper()
		for until := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if err := l.Err(); err != nil {
				t.Errorf("%s: %v", what, err)
				return false
			}
			if t.Failed() || time.Now().After(until) {
				t.Errorf("%s: not within 30 s; wall %v, acknowledged %d, sealed %d, first %d", what, l.Wall(), acked.Load(), l.Sealed(), l.First())
				return false
			}
		}
		return true
	}
	for i := range fills {
		had := acked.Load()
		if !wait("events before it is full", func() bool { return acked.Load() > had+2000 }) {
			break
		}
		fillDisk(t, filepath.Join(dir, "filler"))
		had, read := acked.Load(), reads.Load()
		if !wait("the wall", func() bool { return l.Wall() != nil }) || !wait("reads at the wall", func() bool { return reads.Load() > read+3 }) {
			break
		}
		if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
			t.Fatal(err)
		}
		if !wait("room again", func() bool { return l.Wall() == nil && acked.Load() > had+100 }) {
			t.Logf("after %d fills", i)
			break
		}
	}
	stop()
	running.Wait()
	t.Logf("%d fills, %d walls, %d reads, %d records acknowledged, sealed to %d, kept from %d, the ballast given up %d times",
		fills, walls.Load(), reads.Load(), acked.Load(), l.Sealed(), l.First(), l.metrics.diskFull.Get())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(o); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Next() <= acked.Load() {
		t.Errorf("%d were acknowledged, the log ends at %d", acked.Load(), l.Next())
	}
	// Not First: retention may have been stopped before it forgot what it dropped.
	want := l.KeptFrom(0)
	if fills >= 100 && want == 1 { // fewer may be over before there is enough to drop
		t.Error("nothing was dropped")
	}
	for f := l.Follow(want); f.Offset() < l.Next(); {
		b, err := f.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b.Base() > want {
			t.Fatalf("offset %d follows %d", b.Base(), want-1)
		}
		for i := range b.Len() {
			r := b.Record(i)
			check(&r)
		}
		want = b.Next()
	}
}

// fillDisk writes to the file until there is no room for another page.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for size := 1 << 20; size >= 4<<10 && err == nil; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size, err = size/2, nil
		}
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
