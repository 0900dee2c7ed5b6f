package spans

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"eyrie/appliance/views"
	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// all returns every row by its offset.
func all(t interface{ Fatal(...any) }, v *View) map[uint64]Span {
	p, err := v.List(context.Background(), Query{Limit: 1 << 20})
	if err != nil || p.Total != uint64(len(p.Items)) {
		t.Fatal(err, p.Total, len(p.Items))
	}
	rows := map[uint64]Span{}
	for _, s := range p.Items {
		rows[s.StartOffset] = s
	}
	return rows
}

type id struct{ space, span string }

func idOf(s Span) id { return id{s.Space, s.Span} }

// A view that drops eras has of the rows that it keeps what one has that keeps all, counts
// those that it has, keeps what is too young to go and what is held, and leaves nothing
// behind of the others.
func TestRetentionProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict{}
		for _, x := range [][2]string{{"main", "a0"}, {"main", "a1"}, {"other", "a0"}, {"other", "a2"}} {
			d.add(x[0], x[1])
		}
		empty, db := openStore(t), openStore(t)
		defer empty.Close()
		defer db.Close()
		whole, from, held := New(d, empty), uint64(0), map[RunID]bool{}
		rows := rapid.SampledFrom([]uint64{1, 5, 20}).Draw(t, "rows of an era")
		fresh := func() *View {
			v := New(d, db)
			v.openMax, v.tallyMax, v.eraRows = 3, 1, rows
			v.Retain(Retention{From: func() uint64 { return from }, Held: func() (out []RunID) {
				for r := range held {
					out = append(out, r)
				}
				return out
			}})
			return v
		}
		part := fresh()
		said, gone := map[id]uint64{}, map[id]bool{} // where the block begins that changed a span last; those that were dropped
		var agents []uint32                          // of spans, by number
		now, next := t0, uint64(1)
		step := func(n int) {
			b := block.NewBuilder(next, 16, 1<<12)
			for range n {
				now += rapid.SampledFrom([]int64{1e6, 1e9, 20e9}).Draw(t, "step")
				e := drawEvent(t, now)
				k := rapid.IntRange(0, len(agents)).Draw(t, "span")
				if k == len(agents) {
					agents = append(agents, uint32(rapid.IntRange(1, 4).Draw(t, "agent")))
				}
				e.Span = fmt.Sprint("s", k)
				put(b, agents[k], now, &e)
			}
			blk := b.Block()
			before := all(t, whole)
			whole.Apply(blk, 0, parse(blk))
			for off, s := range all(t, whole) {
				if !cmp.Equal(s, before[off]) {
					said[idOf(s)] = next
				}
			}
			next = blk.Next()
			part.Apply(blk, 0, parse(blk))
		}
		check := func() {
			have, want := all(t, part), all(t, whole)
			for off, s := range want {
				of := idOf(s)
				got, ok := have[off]
				switch {
				case gone[of]:
				case ok:
					if diff := cmp.Diff(s, got); diff != "" {
						t.Fatalf("%s (-whole +part):\n%s", s.Span, diff)
					}
				case said[of] >= from:
					t.Fatalf("%s of %s changed at %d and is gone, kept is from %d", s.Span, s.Space, said[of], from)
				case held[RunID{s.Space, s.Run}]:
					t.Fatalf("%s of the held run %s of %s is gone", s.Span, s.Run, s.Space)
				default:
					gone[of] = true
				}
			}
			for off, s := range have {
				if _, ok := want[off]; !ok && !gone[idOf(s)] {
					t.Fatalf("row of nowhere: %+v", s)
				}
			}
		}
		for range rapid.IntRange(2, 12).Draw(t, "rounds") {
			step(rapid.IntRange(1, 12).Draw(t, "records"))
			switch rapid.IntRange(0, 5).Draw(t, "then") {
			case 0:
				from = rapid.Uint64Range(from, next).Draw(t, "from")
			case 1:
				r := RunID{rapid.SampledFrom([]string{"main", "other"}).Draw(t, "space"), rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "run")}
				held[r] = true
			}
			check()
			save(t, part, db)
			check()
			if rapid.Bool().Draw(t, "load") {
				part = fresh()
				if err := part.Load(db); err != nil {
					t.Fatal(err)
				}
			} else {
				part.Saved()
			}
			check()
			answers(t, part) // pages and totals agree
		}
		clear(held)
		for range 2 * len(part.eras) {
			from = next
			step(1)
			check()
			save(t, part, db)
			part.Saved()
			check()
		}
		answers(t, part)
		if n := len(part.eras); n > erasDropped {
			t.Fatalf("%d eras are left", n)
		}
		nothingBehind(t, part, db)
	})
}

// nothingBehind looks for keys of eras that are gone.
func nothingBehind(t *rapid.T, v *View, db *pebble.DB) {
	for _, kind := range eraKinds {
		if err := scan(db, kind, func(k, _ []byte) error {
			if no := binary.BigEndian.Uint32(k[2:]); no < v.eras[0].no {
				t.Fatalf("key %x of era %d, the first one is %d", k, no, v.eras[0].no)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := pagesFrom(t, db, 0) - pagesFrom(t, db, v.eras[0].first); n != 0 {
		t.Fatalf("%d pages of eras that are gone", n)
	}
	if err := scan(db, kTally, func(k, _ []byte) error {
		if x, err := v.readTally(db, binary.BigEndian.Uint64(k[2:])); err != nil || x.era < v.eras[0].no {
			t.Fatalf("%v, totals of run %+v", err, x)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	spilled := 0
	if err := scan(db, kSpilled, func(k, val []byte) error {
		bucket, _ := tailOf(k)
		items, ok := unpack(nil, kSpilled, 0, bucket, 0, val)
		if spilled++; !ok || len(items) != 1 || items[0].page < v.eras[0].first {
			t.Fatalf("an open row of an era that is gone: %+v", items)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if spilled != v.spilled {
		t.Fatalf("%d open rows are in the store, %d were counted", spilled, v.spilled)
	}
}

// The totals of a run are kept for as long as one of its rows is, or it is open: whatever
// happened in the eras that are gone.
func TestRetentionKeepsTotals(t *testing.T) {
	d := &dict{}
	ada, bob := d.add("main", "ada"), d.add("main", "bob")
	db := openStore(t)
	defer db.Close()
	from := uint64(0)
	fresh := func() *View {
		v := New(d, db)
		v.eraRows = 50
		v.Retain(Retention{From: func() uint64 { return from }})
		return v
	}
	v := fresh()
	run := func(ph wire.Phase) wire.Event {
		return ev(ph, func(e *wire.Event) { e.Type, e.Span, e.Run, e.TS = wire.TypeRun, "r1", "r1", t0 })
	}
	next := apply(v, 1, ada, run(wire.PhaseStart),
		ev(wire.PhaseWhole, func(e *wire.Event) { e.Span, e.Run, e.TS = "t1", "r1", t0 }),
		ev(wire.PhaseStart, func(e *wire.Event) { e.Span, e.Run, e.TS = "t2", "r1", t0 }))
	others := func() {
		for range 4 {
			for range 50 {
				next = apply(v, next, bob, ev(wire.PhaseWhole, func(e *wire.Event) { e.Span, e.TS = fmt.Sprint("b", next), t0+int64(next)*1e9 }))
			}
			save(t, v, db)
			v.Saved()
		}
	}
	look := func(when string) {
		t.Helper()
		v = fresh()
		if err := v.Load(db); err != nil {
			t.Fatal(err)
		}
		r, ok, err := v.Run(t.Context(), "main", "r1")
		if err != nil || !ok || r.Spans != 2 || r.Tools != 2 {
			t.Errorf("%s: %v, %v, %d spans, %d tools, want 2 of each", when, ok, err, r.Spans, r.Tools)
		}
	}
	others()
	look("before anything is dropped")
	from = next - 60
	others()
	if v.eras[0].first == 1 {
		t.Fatal("no era was dropped")
	}
	look("open, its first era dropped")
	next = apply(v, next, ada, ev(wire.PhaseEnd, func(e *wire.Event) { e.Span, e.Run, e.TS = "t2", "r1", t0+int64(next)*1e9 }), run(wire.PhaseEnd))
	others()
	from = next - 260
	others()
	look("ended in an era that is kept")
}

// The newest rows of an agent are found without a look into older eras.
func TestNewestOpensFewEras(t *testing.T) {
	d := &dict{}
	num := d.add("main", "a")
	db := openStore(t)
	defer db.Close()
	v := New(d, db)
	v.eraRows = 100
	next := uint64(1)
	for range 20 {
		for range 100 {
			next = apply(v, next, num, ev(wire.PhaseWhole, func(e *wire.Event) { e.Span, e.TS = fmt.Sprint("s", next), t0+int64(next)*1e9 }))
		}
		save(t, v, db)
		v.Saved()
	}
	for _, asc := range []bool{false, true} {
		q := Query{Agent: "a", Limit: 50, Asc: asc}
		p, err := v.plan(&q)
		if err != nil || !p.resolve() {
			t.Fatal(err)
		}
		stored, err := p.stored(true)
		if err != nil || len(stored.rest) != 20 {
			t.Fatalf("%v, %d streams", err, len(stored.rest))
		}
		total := uint64(2000)
		rows, more, err := p.merge(t.Context(), stored, nil, nil, &total, true)
		if err != nil || len(rows) != 50 || !more || len(stored.rest) < 18 {
			t.Errorf("asc %v: %v, %d rows, more %v, %d of 20 streams not opened", asc, err, len(rows), more, len(stored.rest))
		}
		stored.close()
	}
}

// What is dropped gives its space back to the disk, with no more than the next flush.
func TestDroppedErasGiveSpaceBack(t *testing.T) {
	d := &dict{}
	for i := range 200 {
		d.add("main", fmt.Sprint("a", i))
	}
	fs := vfs.NewMem()
	db, err := views.OpenStore(fs, "views")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, from := New(d, db), uint64(0)
	v.eraRows = 20_000
	v.Retain(Retention{From: func() uint64 { return from }})
	next, now := uint64(1), t0
	fill := func(saves int) {
		for range saves {
			b := block.NewBuilder(next, 16, 1<<20)
			for i := range 20_000 {
				now += 1e6
				put(b, uint32(i%200)+1, now, &wire.Event{Type: wire.TypeTool, Phase: wire.PhaseWhole, Span: fmt.Sprintf("span %x", now*7919), Run: fmt.Sprint("r", i%50), TS: now, Name: "Bash"})
			}
			blk := b.Block()
			next = blk.Next()
			v.Apply(blk, 0, parse(blk))
			save(t, v, db)
			v.Saved()
			if err := db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	used := func() uint64 {
		before := db.Metrics().Total().TablesSize
		n, err := v.DiskUsage(db, 0)
		if err != nil {
			t.Fatal(err)
		}
		// A merge may end in between.
		if total := uint64(max(before, db.Metrics().Total().TablesSize)); n > total {
			t.Fatalf("%d bytes of %d are the view's", n, total)
		}
		return n
	}
	fill(20)
	full := used()
	if half, err := v.DiskUsage(db, next/2); err != nil || half > full*7/10 || half < full*3/10 {
		t.Errorf("%d of %d bytes for the newer half: %v", half, full, err)
	}
	from = next
	fill(12) // two go with each save
	left := uint64(0)
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		m := db.Metrics()
		if left = uint64(m.Total().TablesSize); left < full*3/4 {
			break
		}
	}
	if left >= full*3/4 {
		t.Errorf("%d bytes of tables after 20 of 32 eras went, %d before: %s", left, full, db.Metrics())
	}
	if n := len(v.eras); n != 12 || v.eras[0].no != 21 {
		t.Errorf("%d eras from no. %d, want 12 from no. 21", n, v.eras[0].no)
	}
}
