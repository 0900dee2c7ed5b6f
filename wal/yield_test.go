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
				s.pressed.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
			close(stop)
		}()
		synctest.Wait()
		if d := wait(); d < time.Second || d > time.Second+3*sealPause {
			t.Errorf("a writer waited for 1 s, sealing for %v", d)
		}
		<-stop
		s.pressed.Add(1)
		s.hot.Store(l.keptHot() + sealPatience*l.o.Seal.Bytes)
		if d := wait(); d != 0 {
			t.Error("sealing is far behind, yet it waited", d)
		}
		s.hot.Store(0)
		s.yields = false
		if d := wait(); d != 0 {
			t.Error("asked for by hand, sealing waited", d)
		}
	})
}
