package wal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSealingGivesWay lets a writer wait for the log again and again.
func TestSealingGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Log{}
		l.o.Seal.Bytes, l.o.keptHot = 1<<20, 4<<20
		s := &l.sealer
		s.l, s.yields, s.ctx = l, true, context.Background()
		wait := func() time.Duration {
			begin := time.Now()
			s.giveWay()
			return time.Since(begin)
		}
		if d := wait(); d != 0 {
			t.Fatal("nobody waits, yet sealing waited", d)
		}
		stop := make(chan struct{})
		go func() {
			for range 100 {
				s.pressed.signs.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
			close(stop)
		}()
		synctest.Wait()
		if d := wait(); d < time.Second || d > time.Second+3*sealPause {
			t.Errorf("a writer waited for 1 s, sealing for %v", d)
		}
		<-stop
		s.pressed.signs.Add(1)
		s.hot.Store(l.keptHot() + sealPatience*l.o.Seal.Bytes)
		if d := wait(); d != 0 {
			t.Error("sealing is far behind, yet it waited", d)
		}
		s.hot.Store(0)
		s.yields = false
		s.pressed.signs.Add(1)
		if d := wait(); d != 0 {
			t.Error("asked for by hand, sealing waited", d)
		}
	})
}

// TestSealingWaitsForFollowers has a follower read blocks that have left memory.
func TestSealingWaitsForFollowers(t *testing.T) {
	free := uint64(1 << 40)
	o := sealing(small(newMem()))
	o.DiskFree = func(string) (uint64, error) { return free, nil }
	r := filled(t, o, 4000)
	defer r.mustClose(t)
	s := &r.Log.sealer
	s.yields = true
	read := func(f *Follower) {
		t.Helper()
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.readersFirst() {
		t.Fatal("nobody reads, yet sealing waits")
	}
	if read(r.Follow(1)); s.readersFirst() {
		t.Error("sealing waits for one that does not come before it")
	}
	f := r.Follow(1).BeforeSealing()
	if read(f); !s.readersFirst() {
		t.Error("sealing does not wait for one that reads from the store")
	}
	if s.readersFirst() {
		t.Error("sealing waits, yet nothing was read since")
	}
	if read(r.Follow(r.Next() - 1).BeforeSealing()); s.readersFirst() {
		t.Error("sealing waits for one that reads from memory")
	}
	full, much := ErrDiskFull, r.keptHot()+sealPatience*r.o.Seal.Bytes
	for name, in := range map[string]func(){
		"a full disk":              func() { r.wall.Store(&full) },
		"a large part of the disk": func() { s.hot.Store(much); free = r.o.DiskMin + uint64(much)<<sealSpare - uint64(much) },
		"asked for":                func() { s.yields = false },
	} {
		hot := s.hot.Load()
		in()
		if read(r.Follow(1).BeforeSealing()); s.readersFirst() {
			t.Errorf("%s: sealing waits", name)
		}
		r.wall.Store(nil)
		s.hot.Store(hot)
		free, s.yields = 1<<40, true
	}
}

// TestSealerBegins: Begin is called, once, without anything to seal.
func TestSealerBegins(t *testing.T) {
	o := small(newMem())
	begun := make(chan struct{})
	o.Seal.Begin = func() { close(begun) } // a second time, this panics
	r := mustOpen(t, o)
	defer r.mustClose(t)
	select {
	case <-begun:
	case <-time.After(10 * time.Second):
		t.Error("never begun")
	}
}
