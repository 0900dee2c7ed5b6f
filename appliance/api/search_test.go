package api

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// searchLog is a log of n varied events of 20 agents, of which two thirds are sealed.
func searchLog(t *testing.T, rng *rand.Rand, n int) *wal.Log {
	t.Helper()
	begin := time.Unix(1_700_000_000, 0)
	var steps atomic.Int64 // the clock is asked by several
	clock := func() time.Time { return begin.Add(time.Duration(steps.Add(1)) * time.Millisecond) }
	done, ready := make(chan error, 1024), make(chan struct{}, 1)
	l, err := wal.Open(wal.Options{
		Dir: t.TempDir(), DiskMin: 1, CheckpointBytes: 8 << 10, MemtableBytes: 8 << 10, GroupBytes: 8 << 10, Now: clock,
		Seal:      wal.SealOptions{Off: true, Bytes: 16 << 10},
		Committed: func(_ any, _, _ uint64, err error) { done <- err },
		Ready: func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w := l.Writer()
	p, _, err := w.Fence(wal.ProducerKey{Space: "main", Owner: "test"}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{"retry", "RETRY", "Größe", "GRÖSSE", "größe", "日本", "k\u212aelvin", "timeout", "w07", "500", "b"}
	word := func() string { return words[rng.IntN(len(words))] }
	commit := func() {
		for !w.Commit(nil) {
			<-ready
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		e := wire.Event{Type: wire.TypeTool, TS: clock().UnixNano(), Span: fmt.Sprint("s", i), Name: word(), Severity: wire.SeverityInfo}
		switch rng.IntN(5) {
		case 0:
			e.Input = map[string]any{"command": word() + " " + word(), "port": rng.IntN(600), "list": []any{word(), 1.5}}
		case 1:
			e.Attrs = map[string]any{"http.status": rng.IntN(600), "deep": map[string]any{word(): word()}}
		case 2:
			e.Type, e.Msg, e.Severity, e.Name = wire.TypeMessage, strings.Repeat("x", rng.IntN(30))+word(), wire.SeverityWarn, ""
		case 3:
			e.Type, e.Phase, e.Task = wire.TypeTask, wire.PhaseStart, fmt.Sprint("t", i%7)
		case 4:
			e.Run, e.Status, e.Labels = fmt.Sprint("r", i%5), wire.StatusError, map[string]string{"team": word()}
		}
		payload := e.AppendMsgpack(nil)
		h, err := wire.CheckPayload(payload)
		if err != nil {
			t.Fatal(err)
		}
		a := w.Agent([]byte([]string{"main", "other"}[i%2]), fmt.Appendf(nil, "w%02d", rng.IntN(10)))
		if v := w.Append(p, uint64(i+1), uint8(h.Type), h.Flags(), a, h.Key, clock().UnixNano(), payload); v != wal.Stored {
			t.Fatal(v)
		}
		if i%100 == 99 {
			commit()
		}
		if i == n*2/3 {
			commit()
			if err := l.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit()
	return l
}

// Every page of a search holds what a look at each record finds, in both
// directions, over sealed stretches and blocks, whatever words let it skip.
func TestSearchEqualsScan(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	l := searchLog(t, rng, 6000)
	if len(l.Stretches()) < 3 || l.Next()-l.Sealed() < 1000 {
		t.Fatalf("%d stretches, sealed up to %d of %d", len(l.Stretches()), l.Sealed(), l.Next())
	}
	all, _, err := l.Find(context.Background(), wal.Query{Limit: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{turns: make(chan struct{}, 2), p: Parts{Log: l, Now: time.Now}}
	queries := []string{
		"retry", "RETRY timeout", "größe", "grö", "日", "kelvin", "\u212a", "500", "1.5", "w07", "w07 retry", "nothing-of-it", "-retry", "retry OR 日本",
		"name:retry", "name:*ETR*", "input.command:*timeout*", "input.port:>300", "input.list:1.5", "input.list:retry", "input.list.0:b", "attrs.http.status:500", "http.status:500..510",
		"labels.team:größe", "team:größe", "status:error", "deep.retry:*", "attrs.deep.b:timeout", "agent:w07 name:b", "severity:warn xx", "(name:b OR msg:*x) 500", `"retry b"`, "type:task",
	}
	hits := 0
	for n := range 150 {
		x := newSearch(s)
		x.first, x.most = 200, 700
		wq := wal.Query{Kinds: wal.KindEvent.Mask(), Reverse: n%2 == 0, Limit: 1 + rng.IntN(60), Budget: eventBudget}
		text := queries[n%len(queries)]
		if n >= 2*len(queries) && rng.IntN(4) == 0 {
			text = ""
		}
		if x.filter, err = query.Parse(text); err != nil {
			t.Fatal(err)
		}
		switch rng.IntN(8) {
		case 0:
			x.space = "other"
		case 1:
			x.task = fmt.Sprint("t", rng.IntN(7))
		case 2:
			x.values[0] = fmt.Sprint("r", rng.IntN(5))
		case 3:
			x.least = wire.SeverityWarn
		case 4:
			wq.FromOffset, wq.ToOffset = rng.Uint64N(l.Next()), rng.Uint64N(l.Next())
		case 5:
			wq.FromRecv = all[rng.IntN(len(all))].Recv
		}
		x.prepare()
		var want []uint64
		var v wire.View
		for i := range all {
			r := &all[i]
			space, id, _ := l.Agent(r.Agent)
			if r.Kind != wal.KindEvent || x.space != "" && x.space != space || r.Offset < wq.FromOffset || wq.ToOffset != 0 && r.Offset >= wq.ToOffset || r.Recv < wq.FromRecv {
				continue
			}
			if err := v.Reset(r.Payload); err != nil {
				t.Fatal(err)
			}
			if x.task != "" && string(v.Str(wire.FTask)) != x.task || x.values[0] != "" && string(v.Str(wire.FRun)) != x.values[0] || x.least > wire.HeadFromFlags(r.Flags).Severity {
				continue
			}
			if x.filter.Match(live.NewEventRow(r, &v, space, id)) {
				want = append(want, r.Offset)
			}
		}
		hits += len(want)
		if wq.Reverse {
			slices.Reverse(want)
		}
		count := wq
		if _, n, next, err := x.find(context.Background(), count, true); err != nil || next != 0 || n != uint64(len(want)) {
			t.Fatalf("%q: counted %d (next %d, %v), want %d", text, n, next, err, len(want))
		}
		var got []uint64
		for pages := 0; ; pages++ {
			recs, _, next, err := x.find(context.Background(), wq, false)
			if err != nil {
				t.Fatal(err)
			}
			for i := range recs {
				got = append(got, recs[i].Offset)
			}
			if next == 0 {
				break
			}
			if pages > len(all) || len(recs) < wq.Limit {
				t.Fatalf("%q: page %d of %d records, %d asked for, goes on at %d", text, pages, len(recs), wq.Limit, next)
			}
			if wq.Reverse {
				wq.ToOffset = next
			} else {
				wq.FromOffset = next
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q %+v: %d found, want %d", text, wq, len(got), len(want))
		}
	}
	if hits < 5_000 {
		t.Errorf("only %d hits in all: the queries select too little", hits)
	}
}

// A search whose time is up says so, and where to go on: all is found in the end.
func TestSearchBudget(t *testing.T) {
	l := searchLog(t, rand.New(rand.NewPCG(1, 9)), 3000)
	var steps atomic.Int64
	s := &Server{turns: make(chan struct{}, 2), p: Parts{Log: l, Now: func() time.Time { return time.Unix(0, 200e6*steps.Add(1)) }}}
	for _, reverse := range []bool{false, true} {
		x := newSearch(s)
		x.first, x.most = 100, 100
		var err error
		if x.filter, err = query.Parse("name:retry"); err != nil {
			t.Fatal(err)
		}
		x.prepare()
		wq := wal.Query{Kinds: wal.KindEvent.Mask(), Reverse: reverse, Limit: 1000, Budget: eventBudget}
		_, want, _, err := newUnbound(x).find(context.Background(), wq, true)
		if err != nil {
			t.Fatal(err)
		}
		got, stops := 0, 0
		for {
			recs, _, next, err := x.find(context.Background(), wq, false)
			if err != nil {
				t.Fatal(err)
			}
			if got += len(recs); next == 0 {
				break
			}
			if stops++; stops > 1000 {
				t.Fatal("it never ends")
			}
			if wq.Reverse {
				wq.ToOffset = next
			} else {
				wq.FromOffset = next
			}
		}
		if got != int(want) || stops < 2 {
			t.Errorf("%d found in %d pages, want %d", got, stops+1, want)
		}
	}
}

// newUnbound is the search with a clock that stands still.
func newUnbound(x *search) *search {
	y := *x
	y.s = &Server{turns: make(chan struct{}, 2), p: Parts{Log: x.s.p.Log, Now: func() time.Time { return time.Unix(0, 0) }}}
	return &y
}
