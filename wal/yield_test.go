package wal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestSealingGivesWay lets a writer wait for the log again and again, and a reader be
// behind what is in memory.
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
		most := l.keptHot() + sealPatience*l.o.Seal.Bytes
		s.spare = 4 * most
		for name, c := range map[string]struct {
			p    *pressure
			most int64
		}{"a writer": {&s.pressed, most}, "a reader in order": {&s.trailed, s.spare}} {
			s.hot.Store(c.most - 1)
			stop := make(chan struct{})
			go func() {
				for range 100 {
					c.p.signs.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
				close(stop)
			}()
			synctest.Wait()
			if d := wait(); d < time.Second || d > time.Second+3*sealPause {
				t.Errorf("%s waited for 1 s, sealing for %v", name, d)
			}
			<-stop
			c.p.signs.Add(1)
			s.hot.Store(c.most)
			if d := wait(); d != 0 {
				t.Errorf("sealing is far behind, yet it waited %v for %s", d, name)
			}
		}
		s.hot.Store(0)
		s.yields = false
		s.pressed.signs.Add(1)
		s.trailed.signs.Add(1)
		if d := wait(); d != 0 {
			t.Error("asked for by hand, sealing waited", d)
		}
	})
}
