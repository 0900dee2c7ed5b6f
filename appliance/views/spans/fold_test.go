package spans

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"eyrie/appliance/query"
	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// dict is the log's dictionary.
type dict struct{ list [][2]string }

func (d *dict) add(space, id string) uint32 {
	d.list = append(d.list, [2]string{space, id})
	return uint32(len(d.list))
}

func (d *dict) Agent(n uint32) (space, id string, ok bool) {
	if n == 0 || int(n) > len(d.list) {
		return "", "", false
	}
	return d.list[n-1][0], d.list[n-1][1], true
}

func (d *dict) AgentNum(space, id string) (uint32, bool) {
	i := slices.Index(d.list, [2]string{space, id})
	return uint32(i + 1), i >= 0
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func openStore(t interface{ Fatal(...any) }) *pebble.DB {
	db, err := pebble.Open("views", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func put(bb *block.Builder, num uint32, recv int64, e *wire.Event) {
	h := wire.Head{Phase: e.Phase, Severity: max(e.Severity, wire.SeverityInfo)}
	bb.Append(&block.Record{Kind: block.KindEvent, Class: uint8(e.Type), Flags: h.Flags(), Agent: num, Recv: recv, Payload: e.AppendMsgpack(nil)}, -1)
}

func parse(b *block.Block) []wire.View {
	vs := make([]wire.View, b.Len())
	for i := range vs {
		if err := vs[i].Reset(b.Record(i).Payload); err != nil {
			panic(err)
		}
	}
	return vs
}

const t0 = int64(1_700_000_000e9)

func apply(v *View, next uint64, num uint32, es ...wire.Event) uint64 {
	b := block.NewBuilder(next, 16, 1<<12)
	for i := range es {
		put(b, num, t0+int64(next+uint64(i))*1e6, &es[i])
	}
	blk := b.Block()
	v.Apply(blk, 0, parse(blk))
	return blk.Next()
}

func ev(ph wire.Phase, mod func(*wire.Event)) wire.Event {
	e := wire.Event{Type: wire.TypeTool, Phase: ph, Span: "s"}
	if mod != nil {
		mod(&e)
	}
	return e
}

func at(ns int64) func(*wire.Event) { return func(e *wire.Event) { e.TS = t0 + ns*1e6 } }

func TestRules(t *testing.T) {
	ok := func(e *wire.Event) { e.Status = wire.StatusOK }
	ten := 10.0
	for name, c := range map[string]struct {
		events []wire.Event
		want   func(s Span) bool
	}{
		"open":                    {[]wire.Event{ev(wire.PhaseStart, nil)}, func(s Span) bool { return s.Open && s.Status == "open" && s.End == nil && s.EndOffset == 0 }},
		"start, end":              {[]wire.Event{ev(wire.PhaseStart, at(10)), ev(wire.PhaseEnd, at(35))}, func(s Span) bool { return !s.Open && *s.Dur == 25 && s.StartOffset == 1 && s.EndOffset == 2 }},
		"an end is not a success": {[]wire.Event{ev(wire.PhaseStart, nil), ev(wire.PhaseEnd, nil)}, func(s Span) bool { return s.Status == "unknown" }},
		"an error alone":          {[]wire.Event{ev(wire.PhaseStart, nil), ev(wire.PhaseEnd, func(e *wire.Event) { e.Error = &wire.Error{Code: "E", Msg: "m"} })}, func(s Span) bool { return s.Status == "error" && s.Error.Code == "E" && s.Error.Msg == "m" }},
		"the first end stays":     {[]wire.Event{ev(wire.PhaseStart, nil), ev(wire.PhaseEnd, ok), ev(wire.PhaseEnd, func(e *wire.Event) { e.Status = wire.StatusError })}, func(s Span) bool { return s.Status == "ok" && s.Ends == 2 && s.EndOffset == 2 }},
		"end without start":       {[]wire.Event{ev(wire.PhaseEnd, ok)}, func(s Span) bool { return s.NoStart && s.Status == "ok" && !s.Open && *s.Dur == 0 }},
		"start after the end": {[]wire.Event{ev(wire.PhaseEnd, at(50)), ev(wire.PhaseStart, func(e *wire.Event) { e.TS, e.Name = t0+20e6, "Bash" })}, func(s Span) bool {
			return !s.NoStart && !s.Open && *s.Dur == 30 && s.Name == "Bash" && s.StartOffset == 2
		}},
		"update without start": {[]wire.Event{ev(wire.PhaseUpdate, nil)}, func(s Span) bool { return s.NoStart && s.Open }},
		"update, start":        {[]wire.Event{ev(wire.PhaseUpdate, nil), ev(wire.PhaseStart, at(7))}, func(s Span) bool { return !s.NoStart && s.Open && s.Start == 1_700_000_000_007 }},
		"update after the end": {[]wire.Event{ev(wire.PhaseStart, nil), ev(wire.PhaseEnd, ok), ev(wire.PhaseUpdate, func(e *wire.Event) { e.Name = "late" })}, func(s Span) bool { return s.Name == "" && s.Ends == 0 }},
		"updates replace":      {[]wire.Event{ev(wire.PhaseStart, func(e *wire.Event) { e.Msg = "a" }), ev(wire.PhaseUpdate, func(e *wire.Event) { e.Msg = "b" })}, func(s Span) bool { return s.Msg == "b" }},
		"whole":                {[]wire.Event{ev(wire.PhaseWhole, func(e *wire.Event) { e.TS, e.DurMs, e.Status = t0+30e6, &ten, wire.StatusOK })}, func(s Span) bool { return *s.Dur == 10 && s.Start == 1_700_000_000_020 && !s.NoStart && s.Ends == 0 }},
		"whole with start":     {[]wire.Event{ev(wire.PhaseWhole, func(e *wire.Event) { e.TS, e.Start, e.DurMs = t0+90e6, t0+30e6, &ten })}, func(s Span) bool { return *s.Dur == 10 && s.Start == 1_700_000_000_030 }},
		"whole twice":          {[]wire.Event{ev(wire.PhaseWhole, ok), ev(wire.PhaseWhole, ok)}, func(s Span) bool { return s.Ends == 2 && s.EndOffset == 1 }},
		"second start":         {[]wire.Event{ev(wire.PhaseStart, func(e *wire.Event) { e.Name = "a" }), ev(wire.PhaseStart, func(e *wire.Event) { e.Name = "b" })}, func(s Span) bool { return s.Name == "a" && s.Open }},
		"usage replaces":       {[]wire.Event{ev(wire.PhaseUpdate, func(e *wire.Event) { e.Usage = &wire.Usage{Input: 5} }), ev(wire.PhaseEnd, func(e *wire.Event) { e.Usage = &wire.Usage{Input: 7, Quality: wire.QualityLowerBound} })}, func(s Span) bool { return s.Usage.Input == 7 && s.Usage.Quality == "lower_bound" }},
	} {
		d := &dict{}
		db := openStore(t)
		v := New(d, db)
		apply(v, 1, d.add("main", "a"), c.events...)
		s, found, err := v.Get(t.Context(), "main", "s")
		if err != nil || !found || !c.want(s) {
			t.Errorf("%s: %v %v %+v", name, err, found, s)
		}
		if p, _ := v.List(t.Context(), Query{}); p.Total != 1 {
			t.Errorf("%s: total %d", name, p.Total)
		}
		db.Close()
	}
}

func TestRunsAddUp(t *testing.T) {
	d := &dict{}
	db := openStore(t)
	defer db.Close()
	v := New(d, db)
	m, w := d.add("main", "m"), d.add("main", "w")
	in := func(typ wire.Type, ph wire.Phase, id string, st wire.Status, tok int64) wire.Event {
		e := wire.Event{Type: typ, Phase: ph, Span: id, Run: "r", Status: st, Parent: "r"}
		if tok > 0 {
			e.Usage = &wire.Usage{Input: tok}
		}
		return e
	}
	next := apply(v, 1, m, wire.Event{Type: wire.TypeRun, Phase: wire.PhaseStart, Span: "r", Run: "r", Name: "goal"},
		in(wire.TypeTool, wire.PhaseWhole, "t1", wire.StatusError, 0), in(wire.TypeLLM, wire.PhaseUpdate, "l1", 0, 3), in(wire.TypeLLM, wire.PhaseEnd, "l1", wire.StatusOK, 9))
	apply(v, next, w, in(wire.TypeTool, wire.PhaseWhole, "t2", wire.StatusOK, 4))
	for range 2 {
		r, ok, err := v.Run(t.Context(), "main", "r")
		if err != nil || !ok || r.Agents != 2 || r.Spans != 3 || r.Tools != 2 || r.Errors != 1 || r.Totals.Input != 13 || r.Name != "goal" || !r.Open {
			t.Fatalf("%v %v %+v", err, ok, r)
		}
		s, _, _ := v.Get(t.Context(), "main", "r")
		if s.Children == nil || *s.Children != 3 {
			t.Fatalf("children of the run: %+v", s.Children)
		}
		if p, err := v.Runs(t.Context(), Query{Limit: 5}); err != nil || p.Total != 1 || p.Items[0].Tools != 2 {
			t.Fatalf("%v %+v", err, p)
		}
		save(t, v, db)
		v = New(d, db)
		if err := v.Load(db); err != nil {
			t.Fatal(err)
		}
	}
}

func save(t interface{ Fatal(...any) }, v *View, db *pebble.DB) {
	if err := saveApart(t, v, db).Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
}

// saveApart puts the pages that lie apart into the store, and returns the batch
// that leads to them.
func saveApart(t interface{ Fatal(...any) }, v *View, db *pebble.DB) *pebble.Batch {
	b := db.NewBatch()
	pages, err := v.SaveApart(b)
	if err != nil {
		t.Fatal(err)
	}
	if pages != nil {
		if err := pages(func(k, val []byte) error { return db.Set(k, val, pebble.NoSync) }); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// pagesFrom counts the pages of the store from one on.
func pagesFrom(t interface{ Fatal(...any) }, db *pebble.DB, from uint64) (n int) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: pageKey(nil, from), UpperBound: prefixed(nil, kPage+1)})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

// Pages whose batch a crash has lost are gone with the next save, and lead nobody astray.
func TestStrayPages(t *testing.T) {
	d := &dict{}
	num := d.add("main", "a")
	db := openStore(t)
	defer db.Close()
	v := New(d, db)
	next := uint64(1)
	say := func(n int) {
		for i := range n {
			next = apply(v, next, num, ev(wire.PhaseWhole, func(e *wire.Event) { e.Span, e.Type, e.TS = fmt.Sprint("s", next), wire.TypeTool, t0+int64(i)*1e9 }))
		}
	}
	say(100)
	save(t, v, db)
	v.Saved()
	say(300)
	if b := saveApart(t, v, db); b.Len() == 0 || pagesFrom(t, db, 4) != 10 {
		t.Fatalf("%d pages were put apart", pagesFrom(t, db, 4))
	}
	for crash := range 2 { // after the crash, and after one that lost what made good for it
		v, next = New(d, db), 101
		if err := v.Load(db); err != nil {
			t.Fatal(err)
		}
		say(50)
		b := saveApart(t, v, db)
		if crash == 1 {
			if err := b.Commit(pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			v.Saved()
		}
	}
	if n := pagesFrom(t, db, 0); n != 4+2 {
		t.Errorf("%d pages, want 4 of the first save and 2 of the last", n)
	}
	p, err := v.List(context.Background(), Query{Limit: 1000})
	if err != nil || len(p.Items) != 150 {
		t.Fatalf("%d rows, %v", len(p.Items), err)
	}
	if say(40); pagesFrom(t, db, 0) != 6 {
		t.Fatal("a page was written before its save")
	}
	b := saveApart(t, v, db)
	if pagesFrom(t, db, 0) != 8 {
		t.Error("a save without pages to delete keeps its own in the batch")
	}
	b.Close()
}

func drawEvent(t *rapid.T, now int64) wire.Event {
	e := wire.Event{
		Type: wire.Type(rapid.IntRange(1, 6).Draw(t, "type")), Phase: wire.Phase(rapid.IntRange(0, 3).Draw(t, "phase")),
		Span:   fmt.Sprint("s", rapid.IntRange(0, 30).Draw(t, "span")),
		TS:     now - rapid.SampledFrom([]int64{0, 1e9, 1000e9}).Draw(t, "age"),
		Status: wire.Status(rapid.IntRange(0, 7).Draw(t, "status")),
		Name:   rapid.SampledFrom([]string{"", "Bash", "Read"}).Draw(t, "name"),
		Run:    rapid.SampledFrom([]string{"", "r1", "r2", "s3"}).Draw(t, "run"),
		Parent: rapid.SampledFrom([]string{"", "s1", "s2", "none"}).Draw(t, "parent"),
	}
	if rapid.Bool().Draw(t, "use") {
		e.Usage = &wire.Usage{Input: int64(rapid.IntRange(0, 9).Draw(t, "tok")), Quality: wire.Quality(rapid.IntRange(0, 3).Draw(t, "q"))}
	}
	return e
}

// answers asks everything there is to ask, paging by three.
func answers(t *rapid.T, v *View) map[string]any {
	out := map[string]any{}
	q, err := query.Parse("name:bash OR status:error")
	if err != nil {
		t.Fatal(err)
	}
	one := func(s string) bool { return s == "main" }
	queries := map[string]Query{
		"all": {}, "asc": {Asc: true}, "tool": {Type: "tool"}, "rare": {Type: "run,ask"}, "err": {Status: "error,timeout"},
		"open": {Open: true}, "open agent": {Open: true, Agent: "a1"}, "agent": {Agent: "a0"}, "agent type": {Agent: "a1", Type: "llm,task"},
		"space": {Space: "other"}, "spaces": {Spaces: one, Type: "task"}, "run": {Run: "r1"}, "run asc": {Run: "s3", Asc: true}, "run agent": {Run: "r2", Agent: "a1"},
		"parent": {Parent: "s1"}, "parent none": {Parent: "none", Asc: true}, "parent agent": {Parent: "s2", Agent: "a0"}, "name": {Name: "Read"},
		"time": {From: t0 + 5e9, To: t0 + 40e9}, "filter": {Filter: q}, "run type": {Run: "r1", Type: "tool", Status: "ok"},
	}
	for name, q := range queries {
		var all []Span
		totals := map[uint64]bool{}
		q.Limit = 3
		for {
			p, err := v.List(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p.Items...)
			totals[p.Total] = true
			if q.After = p.Next; q.After == "" {
				break
			}
		}
		if !totals[uint64(len(all))] || len(totals) != 1 {
			t.Fatalf("%s: %d rows paged, totals %v", name, len(all), totals)
		}
		q.Limit = 0
		if p, _ := v.List(context.Background(), q); p.Total != uint64(len(all)) {
			t.Fatalf("%s: %d rows, total alone %d", name, len(all), p.Total)
		}
		out[name] = all
	}
	for i := range 31 {
		s, ok, err := v.Get(context.Background(), "main", fmt.Sprint("s", i))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			out["get "+s.Span] = s
		}
	}
	runs, err := v.Runs(context.Background(), Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	out["runs"] = runs
	st := v.Stats()
	out["stats"] = []any{st.Rows, st.Open, st.Offset}
	return out
}

// A view that keeps everything in memory, one that spills, saves and loads on
// the way, and one that was reset answer the same.
func TestSaveLoadResetProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &dict{}
		for _, x := range [][2]string{{"main", "a0"}, {"main", "a1"}, {"other", "a0"}, {"other", "a2"}} {
			d.add(x[0], x[1])
		}
		now, next := t0, uint64(1)
		var blocks []*block.Block
		for range rapid.IntRange(1, 10).Draw(t, "blocks") {
			b := block.NewBuilder(next, 16, 1<<12)
			for range rapid.IntRange(1, 10).Draw(t, "records") {
				now += rapid.SampledFrom([]int64{1e6, 1e9}).Draw(t, "step")
				e := drawEvent(t, now)
				put(b, uint32(rapid.IntRange(1, 4).Draw(t, "agent")), now, &e)
			}
			blocks = append(blocks, b.Block())
			next = blocks[len(blocks)-1].Next()
		}
		empty := openStore(t)
		defer empty.Close()
		whole := New(d, empty)
		for _, b := range blocks {
			whole.Apply(b, 0, parse(b))
		}
		want := answers(t, whole)
		db := openStore(t)
		defer db.Close()
		rows := rapid.SampledFrom([]uint64{1, 5, eraRows}).Draw(t, "rows of an era")
		fresh := func() *View {
			v := New(d, db)
			v.openMax, v.tallyMax, v.eraRows = 3, 1, rows
			return v
		}
		part := fresh()
		for _, b := range blocks {
			part.Apply(b, 0, parse(b))
			switch rapid.IntRange(0, 4).Draw(t, "then") {
			case 0:
				save(t, part, db)
			case 4:
				save(t, part, db)
				part.Saved()
			case 1:
				save(t, part, db)
				part = fresh()
				if err := part.Load(db); err != nil {
					t.Fatal(err)
				}
			}
		}
		if diff := cmp.Diff(want, answers(t, part)); diff != "" {
			t.Fatalf("saved and loaded (-whole +part):\n%s", diff)
		}
		save(t, part, db)
		part.Reset()
		for _, b := range blocks {
			part.Apply(b, 0, parse(b))
		}
		if diff := cmp.Diff(want, answers(t, part)); diff != "" {
			t.Fatalf("reset (-whole +part):\n%s", diff)
		}
		save(t, part, db)
		if diff := cmp.Diff(want, answers(t, part)); diff != "" {
			t.Fatalf("reset and saved (-whole +part):\n%s", diff)
		}
	})
}
