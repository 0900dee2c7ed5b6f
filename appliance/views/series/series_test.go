package series

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"eyrie/engine/wire"
	"eyrie/tsdb"
	"eyrie/wal/block"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// names is a dictionary: agent n is a<n> in space main.
type names struct{}

func (names) Agent(n uint32) (string, string, bool) {
	return "main", fmt.Sprint("a", n), n < 1000
}

func testStore(t testing.TB) *pebble.DB {
	t.Helper()
	p, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), DisableWAL: true, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func load(t testing.TB, p *pebble.DB) *View {
	t.Helper()
	db, err := tsdb.Open(p, DBPrefix, tsdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := New(db, names{})
	if err := v.Load(p); err != nil {
		t.Fatal(err)
	}
	return v
}

func save(t testing.TB, v *View, p *pebble.DB) {
	t.Helper()
	b := p.NewBatch()
	if err := v.Save(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	b.Close()
	v.Saved()
}

const base = int64(1_700_000_000_000) // ms

// rec is an event of an agent that the log received at recv ms.
type rec struct {
	agent uint32
	recv  int64
	e     wire.Event
}

func makeBlock(at uint64, rs []rec) (*block.Block, []wire.View) {
	b := block.NewBuilder(at, len(rs), 0)
	for i := range rs {
		e := &rs[i].e
		h := wire.Head{Type: e.Type, Phase: e.Phase}
		b.Append(&block.Record{Recv: rs[i].recv * 1e6, Kind: block.KindEvent, Class: uint8(e.Type), Flags: h.Flags(), Agent: rs[i].agent, Payload: e.AppendMsgpack(nil)}, -1)
	}
	blk := b.Block()
	vs := make([]wire.View, blk.Len())
	for i := range vs {
		if err := vs[i].Reset(blk.Record(i).Payload); err != nil {
			panic(err)
		}
	}
	return blk, vs
}

func apply(v *View, rs ...rec) {
	b, vs := makeBlock(1, rs)
	v.Apply(b, 0, vs)
}

func metrics(m map[string]float64) wire.Event { return wire.Event{Type: wire.TypeMetrics, Metrics: m} }

func samples(t *testing.T, v *View, pairs ...string) (ts []int64, vs []float64) {
	t.Helper()
	ref, ok := v.db.Find(tsdb.NewLabels(pairs...))
	if !ok {
		t.Fatalf("no series %v", pairs)
	}
	ts, vs, err := v.db.Range(ref, math.MinInt64, math.MaxInt64, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ts, vs
}

func check(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestInstants(t *testing.T) {
	v := load(t, testStore(t))
	put := func(ts int64, x float64) {
		e := metrics(map[string]float64{"m": x})
		e.TS = ts
		apply(v, rec{1, base, e})
	}
	put(0, 1)                       // none: recv
	put((base-5000)*1e6+999_999, 2) // its own, whole ms
	put((base+300_000)*1e6, 3)      // as far ahead as is borne
	put((base+300_000)*1e6+1, 4)    // ahead: recv, where it replaces the first
	put(-5, 5)                      // before 1970: recv
	ts, vs := samples(t, v, "__name__", "m", "space", "main", "agent", "a1")
	check(t, ts, []int64{base - 5000, base, base + 300_000})
	check(t, vs, []float64{2, 5, 3})
}

func TestKindsOfNumbers(t *testing.T) {
	p := testStore(t)
	v := load(t, p)
	for i := range int64(5) {
		apply(v, rec{2, base + i*1000, wire.Event{Type: wire.TypeMetrics, Name: "proc", Unit: map[string]string{"cpu": "percent"},
			Labels:  map[string]string{"host": "h", "agent": "claimed"},
			Metrics: map[string]float64{"cpu": float64(i) / 10}, Counters: map[string]float64{"calls": float64(100 + i)}, Deltas: map[string]float64{"bytes": 7}}})
		if i == 2 { // a break: the sum goes on
			save(t, v, p)
			v = load(t, p)
		}
	}
	l := []string{"space", "main", "agent", "a2", "set", "proc", "host", "h", "exported_agent", "claimed"}
	_, vs := samples(t, v, append(l, "__name__", "cpu")...)
	check(t, vs, []float64{0, 0.1, 0.2, 0.3, 0.4})
	_, vs = samples(t, v, append(l, "__name__", "calls")...)
	check(t, vs, []float64{100, 101, 102, 103, 104})
	_, vs = samples(t, v, append(l, "__name__", "bytes")...)
	check(t, vs, []float64{7, 14, 21, 28, 35})
	// A late increment is counted, at the newest sample's time.
	apply(v, rec{2, base + 6000, wire.Event{Type: wire.TypeMetrics, TS: (base - 1000) * 1e6, Name: "proc",
		Labels: map[string]string{"host": "h", "agent": "claimed"}, Deltas: map[string]float64{"bytes": 1}}})
	ts, vs := samples(t, v, append(l, "__name__", "bytes")...)
	check(t, vs[4], 36.0)
	check(t, ts[4], base+4000)

	items := v.List("main", "a2")
	got, err := json.Marshal(items[2:])
	if err != nil {
		t.Fatal(err)
	}
	check(t, string(got), `[{"metric":"cpu","labels":{"exported_agent":"claimed","host":"h","set":"proc"},"unit":"percent","last":0.4,"last_ms":1700000004000,"samples":5}]`)
	check(t, v.List("other", "a2"), []Item{})
}

func TestUsageCountsOnce(t *testing.T) {
	v := load(t, testStore(t))
	ev := func(ph wire.Phase, ty wire.Type, in int64) wire.Event {
		return wire.Event{Type: ty, Phase: ph, Name: "claude", Usage: &wire.Usage{Input: in, Output: 1, CostNanoUSD: 5}}
	}
	apply(v, rec{1, base, ev(wire.PhaseStart, wire.TypeLLM, 10)}, rec{1, base + 1, ev(wire.PhaseUpdate, wire.TypeLLM, 20)},
		rec{1, base + 2, ev(wire.PhaseEnd, wire.TypeLLM, 30)}, rec{1, base + 3, ev(wire.PhaseWhole, wire.TypeLLM, 4)},
		rec{1, base + 4, ev(wire.PhaseEnd, wire.TypeTask, 1000)})
	l := []string{"space", "main", "agent", "a1", "model", "claude"}
	ts, vs := samples(t, v, append(l, "__name__", TokensMetric, "kind", "input")...)
	check(t, ts, []int64{base + 2, base + 3})
	check(t, vs, []float64{30, 34})
	_, vs = samples(t, v, append(l, "__name__", CostMetric)...)
	check(t, vs, []float64{5, 10})
	check(t, len(v.List("main", "a1")), 3) // no series of kinds that were never used
}

func TestRangeTellsNoDataFromZero(t *testing.T) {
	v := load(t, testStore(t))
	for i := range int64(60) {
		if i < 20 || i >= 40 {
			apply(v, rec{1, base + i*10_000, metrics(map[string]float64{"zero": 0, "n": math.NaN()})})
		}
	}
	got, err := v.Range("main", "a1", "zero", base, base+600_000, 61)
	if err != nil || len(got.Series) != 1 {
		t.Fatal(got, err)
	}
	l := got.Series[0]
	nulls := 0
	for _, x := range l.Avg {
		if x != x {
			nulls++
		} else if x != 0 {
			t.Errorf("average %v of zeros", x)
		}
	}
	if nulls != 1 || len(l.T) != 41 {
		t.Errorf("%d nulls in %d entries", nulls, len(l.T))
	}
	b, err := json.Marshal(Line{T: []int64{1, 2}, Avg: Column{0, math.NaN()}, Min: Column{}, Max: nil})
	check(t, string(b), `{"metric":"","labels":null,"t":[1,2],"avg":[0,null],"min":[],"max":[]}`)
	check(t, err, nil)
	got, err = v.Range("main", "a1", "n", base, base+600_000, 61)
	check(t, len(got.Series), 0) // nothing but NaN is no data
	check(t, err, nil)
	got, err = v.Range("main", "a1", "nosuch", base, base+1, 0)
	b, _ = json.Marshal(got)
	check(t, string(b), `{"series":[],"step_ms":1}`)
	check(t, err, nil)
}

func TestBoundOfAnAgent(t *testing.T) {
	p := testStore(t)
	v := load(t, p)
	fill := func() {
		for i := range agentSeriesMax + 100 {
			apply(v, rec{1, base, metrics(map[string]float64{fmt.Sprint("m", i): 1})})
		}
	}
	fill()
	check(t, len(v.List("main", "a1")), agentSeriesMax)
	save(t, v, p)
	v = load(t, p)
	fill() // a restart does not give it room for more
	apply(v, rec{2, base, metrics(map[string]float64{"m": 1})})
	check(t, len(v.List("main", "a1")), agentSeriesMax)
	check(t, len(v.List("main", "a2")), 1)
}

// mixed makes blocks of the kind a fleet sends.
func mixed(rng *rand.Rand, blocks, agents int) (bs []*block.Block, vs [][]wire.View) {
	at := uint64(1)
	now := base
	for range blocks {
		var rs []rec
		for range 1 + rng.IntN(100) {
			now += rng.Int64N(2000)
			r := rec{agent: uint32(1 + rng.IntN(agents)), recv: now}
			switch rng.IntN(4) {
			case 0:
				r.e = metrics(map[string]float64{"cpu": float64(rng.IntN(1000)) / 10, "mem": float64(rng.IntN(1 << 30))})
				r.e.TS = (now - rng.Int64N(5000)) * 1e6
			case 1:
				r.e = wire.Event{Type: wire.TypeMetrics, Deltas: map[string]float64{"done": float64(rng.IntN(5))}}
			case 2:
				r.e = wire.Event{Type: wire.TypeLLM, Name: "m", Usage: &wire.Usage{Input: rng.Int64N(1000), Output: rng.Int64N(100)}}
			default:
				r.e = wire.Event{Type: wire.TypeLog, Msg: "hello"}
			}
			rs = append(rs, r)
		}
		b, v := makeBlock(at, rs)
		bs, vs = append(bs, b), append(vs, v)
		at = b.Next()
	}
	return bs, vs
}

// dump is everything that can be asked of a view.
func dump(t *testing.T, v *View) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := v.db.Select(nil, math.MinInt64, math.MaxInt64, func(ls tsdb.Labels, it *tsdb.Iter) error {
		ts, vs := it.Samples()
		ref, _ := v.db.Find(ls)
		_, _, n, _ := v.db.Last(ref)
		out[fmt.Sprint(ls)] = fmt.Sprint(n, ts, vs)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReplayEqualsFoldFromZero loses what was not saved at random and replays.
func TestReplayEqualsFoldFromZero(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 5))
		bs, vs := mixed(rng, 60, 7)
		p := testStore(t)
		v := load(t, p)
		cursor := 0
		for i := 0; i < len(bs); i++ {
			v.Apply(bs[i], 0, vs[i])
			switch rng.IntN(8) {
			case 0:
				save(t, v, p)
				cursor = i + 1
			case 1:
				v = load(t, p)
				i = cursor - 1
			}
		}
		want := load(t, testStore(t))
		for i := range bs {
			want.Apply(bs[i], 0, vs[i])
		}
		if got, want := dump(t, v), dump(t, want); len(want) < 20 || !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: %d series, want %d, or their samples differ", seed, len(got), len(want))
		}
	}
}

func TestQueriesBesideTheFold(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	bs, vs := mixed(rng, 200, 5)
	p := testStore(t)
	v := load(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				v.List("main", "a1")
				if _, err := v.Range("main", "a2", "", base, base+1e9, 100); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range bs {
		v.Apply(bs[i], 0, vs[i])
		if i%20 == 0 {
			save(t, v, p)
		}
		if i == 150 {
			v.Reset() // queries must bear a rebuild
		}
	}
	cancel()
	wg.Wait()
}

// TestApplyDoesNotAllocate holds the hot path once series are known. The chunks
// that close allocate: one in hundreds of samples.
func TestApplyDoesNotAllocate(t *testing.T) {
	v := load(t, testStore(t))
	var rs []rec
	for a := range uint32(50) {
		rs = append(rs, rec{a + 1, base, wire.Event{Type: wire.TypeMetrics, Labels: map[string]string{"host": "h"}, Unit: "ms",
			Metrics: map[string]float64{"a": 1, "b": 2.5, "c": 3}, Deltas: map[string]float64{"d": 1}}},
			rec{a + 1, base, wire.Event{Type: wire.TypeLLM, Name: "m", Usage: &wire.Usage{Input: 5, Output: 3}}})
	}
	b, vs := makeBlock(1, rs)
	v.Apply(b, 0, vs)
	if n := testing.AllocsPerRun(20, func() { v.Apply(b, 0, vs) }); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(rs))
	}
}
