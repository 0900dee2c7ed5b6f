package wal

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestSealingLeavesUnread has a reader get on with a log bit by bit: no further is
// sealed than that, but for blocks that take much of the disk, a full disk, and one who asks by hand.
func TestSealingLeavesUnread(t *testing.T) {
	var read atomic.Uint64
	o := sealing(small(vfs.NewMem()))
	o.Seal.Unread = read.Load
	free := uint64(1 << 40)
	o.DiskFree = func(string) (uint64, error) { return free, nil }
	r := filled(t, o, 4000)
	defer r.mustClose(t)
	s := &sealer{l: r.Log, ctx: context.Background(), yields: true}
	all := func() {
		t.Helper()
		for {
			sealed, err := s.next(1)
			if err != nil {
				t.Fatal(err)
			}
			if !sealed {
				return
			}
		}
	}
	for _, at := range []uint64{0, 1} {
		read.Store(at)
		if all(); r.Sealed() > 1 || !s.held {
			t.Fatalf("read up to %d, sealed up to %d, held %v", at, r.Sealed(), s.held)
		}
	}
	for at := uint64(1000); at <= 3000; at += 1000 {
		read.Store(at)
		if all(); !s.held {
			t.Errorf("read up to %d: the sealer does not know that it waits", at)
		}
		b, err := r.blockFrom(at, &reading{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Sealed() < b.Base() || r.Sealed() > b.Next() {
			t.Errorf("read up to %d, whose block is [%d,%d): sealed up to %d", at, b.Base(), b.Next(), r.Sealed())
		}
	}
	before := r.Sealed()
	full := ErrDiskFull
	for name, in := range map[string]func(){
		"a full disk": func() { r.wall.Store(&full) },
		"a large part of the disk": func() {
			s.hot.Store(r.keptHot() + sealPatience*r.o.Seal.Bytes)
			free = r.o.DiskMin + uint64(s.hot.Load())<<sealSpare - uint64(s.hot.Load())
		},
		"a large part of what retention leaves": func() {
			s.hot.Store(r.keptHot() + sealPatience*r.o.Seal.Bytes)
			r.o.Retain.Bytes = uint64(s.hot.Load()) << sealSpare
		},
		"asked for": func() { s.yields = false },
	} {
		in()
		end, err := s.limit()
		if err != nil || end <= before || s.held {
			t.Errorf("%s: up to %d, held %v, %v; sealed up to %d", name, end, s.held, err, before)
		}
		r.wall.Store(nil)
		s.hot.Store(0)
		free, r.o.Retain.Bytes = 1<<40, 0
		s.yields = true
	}
	read.Store(math.MaxUint64)
	if all(); r.Sealed() <= before || s.held {
		t.Errorf("all was read: sealed up to %d, held %v", r.Sealed(), s.held)
	}
}

// TestSealingGoesOnOnceRead lets nothing happen but that a reader gets to the end.
func TestSealingGoesOnOnceRead(t *testing.T) {
	var read atomic.Uint64
	var asked atomic.Int32
	o := sealing(small(vfs.NewMem()))
	o.Seal.Off = false
	o.Seal.Unread = func() uint64 { asked.Add(1); return read.Load() }
	r := filled(t, o, 2000)
	defer r.mustClose(t)
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	until("the sealer asks nobody", func() bool { return asked.Load() > 0 })
	if r.Sealed() > 1 {
		t.Fatalf("sealed up to %d, and nothing was read", r.Sealed())
	}
	read.Store(r.Next())
	until("all was read, and nothing is sealed", func() bool { return r.Sealed() > 1 })
}
