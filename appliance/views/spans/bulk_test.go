package spans

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/google/go-cmp/cmp"
)

// Saves large enough for several pages, packs and layers of the filter answer
// as memory does, at every moment of a save.
func TestBulk(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	d := &dict{}
	for i := range 40 {
		d.add("main", fmt.Sprint("a", i))
	}
	db, empty := openStore(t), openStore(t)
	defer db.Close()
	defer empty.Close()
	whole, part := New(d, empty), New(d, db)
	part.eraRows = 6000 // two saves
	next, now, serial := uint64(1), t0, 0
	var open []wire.Event
	for round := range 5 {
		for range 8 {
			b := block.NewBuilder(next, 16, 1<<12)
			for range 1000 {
				now += rng.Int64N(2e6)
				agent := 1 + rng.Uint32N(40)
				switch n := rng.IntN(10); {
				case n < 5 || len(open) == 0:
					serial++
					e := wire.Event{Type: wire.TypeTool, Phase: wire.PhaseStart, Span: fmt.Sprint("s", serial), Run: fmt.Sprint("r", serial/500), TS: now}
					if serial%50 == 0 {
						e.Type = wire.TypeTask
					}
					if k := rng.IntN(serial); k > 0 && len(open) > 0 {
						e.Parent = open[rng.IntN(len(open))].Span
					}
					put(b, agent, now, &e)
					e.Agent = fmt.Sprint(agent)
					open = append(open, e)
				case n == 9 && rng.IntN(20) == 0: // the end of one that ended, or never began
					put(b, agent, now, &wire.Event{Type: wire.TypeTool, Phase: wire.PhaseEnd, Span: fmt.Sprint("s", 1+rng.IntN(serial)), TS: now})
				default:
					i := rng.IntN(len(open))
					e := open[i]
					open[i] = open[len(open)-1]
					open = open[:len(open)-1]
					var num uint32
					fmt.Sscan(e.Agent, &num)
					put(b, num, now, &wire.Event{Type: e.Type, Phase: wire.PhaseEnd, Span: e.Span, Status: wire.Status(1 + rng.IntN(3)), TS: now})
				}
			}
			blk := b.Block()
			next = blk.Next()
			whole.Apply(blk, 0, parse(blk))
			part.Apply(blk, 0, parse(blk))
		}
		same(t, whole, part, serial)
		save(t, part, db)
		same(t, whole, part, serial)
		if round%2 == 0 {
			part.Saved()
			same(t, whole, part, serial)
		}
		if round == 3 {
			part = New(d, db)
			part.eraRows = 6000
			if err := part.Load(db); err != nil {
				t.Fatal(err)
			}
			same(t, whole, part, serial)
		}
	}
	if len(part.filter.layers) == 0 || part.pages < 300 || len(part.eras) < 2 {
		t.Fatalf("%d layers, %d pages, %d eras: too few to tell", len(part.filter.layers), part.pages, len(part.eras))
	}
}

func same(t *testing.T, whole, part *View, serial int) {
	t.Helper()
	for name, q := range map[string]Query{
		"all": {}, "asc": {Asc: true}, "agent": {Agent: "a7"}, "run": {Run: "r3"}, "task": {Type: "task"}, "error": {Status: "error"},
		"parent": {Parent: "s50"}, "parent 2": {Parent: fmt.Sprint("s", serial/2)}, "time": {From: t0 + 20e9, To: t0 + 21e9},
	} {
		q.Limit = 200
		for range 3 {
			a, err := whole.List(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			b, err := part.List(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s (-whole +part):\n%s", name, diff[:min(len(diff), 4000)])
			}
			if q.After = a.Next; q.After == "" {
				break
			}
		}
	}
	for i := 1; i <= serial; i += 397 {
		id := fmt.Sprint("s", i)
		a, _, _ := whole.Get(context.Background(), "main", id)
		b, _, err := part.Get(context.Background(), "main", id)
		if diff := cmp.Diff(a, b); err != nil || diff != "" {
			t.Fatalf("%s: %v (-whole +part):\n%s", id, err, diff)
		}
	}
}
