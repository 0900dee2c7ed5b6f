package fleet

import (
	"fmt"
	"testing"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func openStore(t interface{ Fatal(...any) }) *pebble.DB {
	db, err := pebble.Open("views", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// all is everything a view answers.
func all(v *View) map[string]any {
	p, err := v.List(Query{Ended: "all", Sort: "name", Asc: true, Limit: 1000})
	if err != nil {
		panic(err)
	}
	off, clock := v.Offset()
	return map[string]any{"agents": p.Items, "fleet": v.Fleet(""), "main": v.Fleet("main"), "other": v.Fleet("other"), "attention": v.Attention("", 1000), "offset": off, "clock": clock}
}

func drawRecord(t *rapid.T, d *dict, now *int64) block.Record {
	*now += rapid.SampledFrom([]int64{0, 1e6, 1e9, 20e9, 90e9}).Draw(t, "step")
	agent := uint32(rapid.IntRange(1, len(d.list)).Draw(t, "agent"))
	r := block.Record{Recv: *now, Agent: agent, Producer: uint32(rapid.IntRange(1, 3).Draw(t, "producer"))}
	switch rapid.IntRange(0, 19).Draw(t, "kind") {
	case 0, 1:
		return block.Record{Kind: block.KindTick, Recv: *now}
	case 2:
		l := linkRecord(uint8(rapid.IntRange(1, 2).Draw(t, "class")), agent, uint64(rapid.IntRange(1, 2).Draw(t, "link")))
		l.Recv, l.Producer = *now, r.Producer
		return l
	case 3:
		r.Kind, r.Agent = rapid.SampledFrom([]block.Kind{block.KindLost, block.KindShed}).Draw(t, "gap"), 0
		r.Seq, r.Payload = 5, block.AppendTo(nil, 9)
		return r
	}
	e := wire.Event{TS: *now, Type: wire.Type(rapid.IntRange(1, 13).Draw(t, "type")), Phase: wire.Phase(rapid.IntRange(0, 3).Draw(t, "phase"))}
	if e.Type.SpanLike() {
		e.Span = fmt.Sprint("s", rapid.IntRange(0, 12).Draw(t, "span"))
		e.Name = rapid.SampledFrom([]string{"", "Bash", "Read"}).Draw(t, "name")
		e.Status = wire.Status(rapid.IntRange(0, 7).Draw(t, "status"))
		if rapid.Bool().Draw(t, "input") {
			e.Input = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "in")
		}
		if rapid.Bool().Draw(t, "use") {
			e.Usage = &wire.Usage{Input: int64(rapid.IntRange(0, 9).Draw(t, "tok")), CostNanoUSD: int64(rapid.IntRange(0, 9e9).Draw(t, "cost")), Quality: wire.Quality(rapid.IntRange(0, 3).Draw(t, "q"))}
		}
		if e.Type == wire.TypeTask && rapid.Bool().Draw(t, "to") {
			e.To = []string{fmt.Sprint("a", rapid.IntRange(0, 5).Draw(t, "whom"))}
		}
	} else {
		e.Phase = 0
	}
	switch e.Type {
	case wire.TypeState:
		e.State = &wire.State{State: rapid.SampledFrom(stateNames[1:]).Draw(t, "state"), On: rapid.SampledFrom(onNames[:]).Draw(t, "on")}
	case wire.TypeAgent:
		e.Ended = rapid.IntRange(0, 3).Draw(t, "ended") == 0
		e.HeartbeatMs = float64(rapid.SampledFrom([]int{0, 500, 30000}).Draw(t, "hb"))
		e.Manager = rapid.SampledFrom([]string{"", "a0", "a1", "zz"}).Draw(t, "manager")
		e.Labels = map[string]string{"budget_nanousd": "5000000000"}
	}
	r.Kind, r.Class, r.Flags, r.Payload = block.KindEvent, uint8(e.Type), uint8(e.Phase)|uint8(wire.SeverityInfo)<<2, e.AppendMsgpack(nil)
	return r
}

// A fold of everything, one that was saved and loaded on the way, and one that
// was reset and began again answer the same.
func TestSaveLoadResetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict{}
		for i := range 5 {
			d.add([]string{"main", "main", "other"}[i%3], fmt.Sprint("a", i))
		}
		now := t0
		var blocks []*block.Block
		next := uint64(1)
		for range rapid.IntRange(1, 12).Draw(t, "blocks") {
			b := block.NewBuilder(next, 16, 1<<12)
			for range rapid.IntRange(1, 12).Draw(t, "records") {
				r := drawRecord(t, d, &now)
				b.Append(&r, -1)
			}
			blocks = append(blocks, b.Block())
			next = blocks[len(blocks)-1].Next()
		}
		whole := New(d)
		for _, b := range blocks {
			whole.Apply(b, 0, parse(b))
		}
		db := openStore(t)
		defer db.Close()
		part := New(d)
		save := func() {
			w := db.NewBatch()
			if err := part.Save(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Commit(pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range blocks {
			part.Apply(b, 0, parse(b))
			for _, space := range []string{"", "main", "other"} {
				f := part.Fleet(space)
				by, ended, attention := scanned(part, space)
				if a := part.Attention(space, 0); !cmp.Equal(f.ByShow, by) || f.Ended != ended || f.Attention != attention || a.Total != attention {
					t.Fatalf("space %q: %+v and %d wants, counted %v, %d ended, %d wants", space, f, a.Total, by, ended, attention)
				}
			}
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				save()
			case 1:
				save()
				part = New(d)
				if err := part.Load(db); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(all(whole), all(part)); diff != "" {
			t.Fatalf("saved and loaded (-whole +part):\n%s", diff)
		}
		save()
		part.Reset()
		for _, b := range blocks {
			part.Apply(b, 0, parse(b))
		}
		save()
		part = New(d)
		if err := part.Load(db); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all(whole), all(part)); diff != "" {
			t.Fatalf("reset (-whole +part):\n%s", diff)
		}
	})
}

func TestLoadRefusesDamage(t *testing.T) {
	w := newWorld(t, "a")
	w.say("a", start(wire.TypeRun, "r", "x"))
	db := openStore(t)
	defer db.Close()
	b := db.NewBatch()
	if err := w.v.Save(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	key := agentKey(nil, 1)
	val, closer, err := db.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	good := append([]byte(nil), val...)
	closer.Close()
	for i := range good {
		if err := db.Set(key, good[:i], pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		v := New(w.d)
		if err := v.Load(db); err == nil {
			t.Fatalf("a value cut at %d of %d loads", i, len(good))
		}
		if v.Len() != 0 {
			t.Fatal("a failed load left agents behind")
		}
	}
}
