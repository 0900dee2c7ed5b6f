package spans

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// A query sees every row once, whatever moment of a save it falls into.
func TestQueriesBesideSaves(t *testing.T) {
	d := &dict{}
	num := d.add("main", "a")
	db := openStore(t)
	defer db.Close()
	v := New(d, db)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for r := range 2 {
		readers.Go(func() {
			before := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := v.List(context.Background(), Query{Name: "n", Asc: r == 0, Limit: 1 << 20})
				if err != nil || p.Total != uint64(len(p.Items)) || p.Total < before {
					t.Errorf("%v: total %d of %d rows, %d before", err, p.Total, len(p.Items), before)
					return
				}
				before = p.Total
				seen := map[string]bool{}
				for _, s := range p.Items {
					if seen[s.Span] {
						t.Errorf("%s twice", s.Span)
						return
					}
					seen[s.Span] = true
				}
				for _, s := range p.Items[:min(3, len(p.Items))] {
					if got, ok, err := v.Get(context.Background(), "main", s.Span); err != nil || !ok || got.StartOffset != s.StartOffset {
						t.Errorf("%s: %v %v %+v", s.Span, err, ok, got)
						return
					}
				}
			}
		})
	}
	next, serial := uint64(1), 0
	for round := range 40 {
		for range 10 {
			b := block.NewBuilder(next, 16, 1<<12)
			for range 20 {
				serial++
				at := t0 + int64(serial)*1e6
				e := wire.Event{Type: wire.TypeTool, Phase: wire.PhaseStart, Span: fmt.Sprint("s", serial), Name: "n", TS: at}
				put(b, num, at, &e)
				if serial > 30 {
					// One that is open ends; one that ended, perhaps long ago, ends again.
					put(b, num, at, &wire.Event{Type: wire.TypeTool, Phase: wire.PhaseEnd, Span: fmt.Sprint("s", serial-30), TS: at})
					put(b, num, at, &wire.Event{Type: wire.TypeTool, Phase: wire.PhaseEnd, Span: fmt.Sprint("s", 1+serial/2), TS: at})
				}
			}
			blk := b.Block()
			next = blk.Next()
			v.Apply(blk, 0, parse(blk))
		}
		save(t, v, db)
		if round%4 != 3 {
			v.Saved()
		}
	}
	close(stop)
	readers.Wait()
	if p, err := v.List(context.Background(), Query{Name: "n"}); err != nil || p.Total != uint64(serial) {
		t.Fatalf("%v: %d rows, want %d", err, p.Total, serial)
	}
}
