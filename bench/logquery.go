package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"eyrie/appliance/query"
	"eyrie/appliance/views/live"
	"eyrie/bench/host"
	"eyrie/bench/logbench"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// LogEventsMin is how many events a log needs for its look-ups to mean something.
const LogEventsMin = 1_000_000

// What is asked of look-ups, in ms.
const (
	newestWarmMax = 20
	newestColdMax = 100
	runMax        = 150
	textMax       = 1000
	firstMax      = 500
)

// The events of the generated log were received over a day.
const logSpan = 24 * time.Hour

var logBegin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// generated describes a log that was made before. Change its version when what
// makes it changes.
type generated struct {
	Version int      `json:"version"`
	Seed    uint64   `json:"seed"`
	Agents  int      `json:"agents"`
	Events  int      `json:"events"`
	Runs    []string `json:"runs"`
	Took    float64  `json:"took_seconds"`
	CPU     float64  `json:"cpu_seconds"`
}

const generatedVersion = 1

// query looks things up in a large log.
func (m *Log) query(ctx context.Context, dir string) error {
	if m.Dir != "" {
		dir = filepath.Join(m.Dir, fmt.Sprintf("eyrie-bench-log-%d-%d-%d", m.Seed, m.Agents, m.Events))
	} else {
		dir = filepath.Join(dir, "generated")
	}
	g, err := m.generated(ctx, dir)
	if err != nil {
		return err
	}
	rate := float64(m.Events) / logSpan.Hours()
	m.rep.Set("query", "a log of %d events of %d agents, received over %.0f h, so %s in an hour; %d runs of %d events among them: while one lasts, every 20th frame is of its 12 agents. Generated in %.0f s (%.2f µs of CPU an event, sealing included), sizes as the server's", m.Events, m.Agents, logSpan.Hours(), report.Thousands(fmt.Sprintf("%.0f", rate)), len(g.Runs), logbench.RunEvents, g.Took, g.CPU*1e6/float64(m.Events))
	if err := m.openAfterKill(ctx, dir); err != nil {
		return err
	}
	q := lookups{Log: m, dir: dir, g: g, rng: rand.New(rand.NewPCG(m.Seed, uint64(m.Events)))}
	return q.run(ctx)
}

// generated returns what is in dir, made now if it is not there.
func (m *Log) generated(ctx context.Context, dir string) (*generated, error) {
	note := filepath.Join(dir, "generated.json")
	want := generated{Version: generatedVersion, Seed: m.Seed, Agents: m.Agents, Events: m.Events}
	if b, err := os.ReadFile(note); err == nil {
		var g generated
		if err := json.Unmarshal(b, &g); err != nil {
			return nil, fmt.Errorf("%s: %w", note, err)
		}
		if g.Version == want.Version && g.Seed == want.Seed && g.Agents == want.Agents && g.Events == want.Events {
			return &g, nil
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	begin, cpu := time.Now(), selfCPU()
	if err := m.generate(ctx, filepath.Join(dir, "log"), &want); err != nil {
		return nil, err
	}
	want.Took, want.CPU = time.Since(begin).Seconds(), (selfCPU() - cpu).Seconds()
	b, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		return nil, err
	}
	return &want, os.WriteFile(note, b, 0o600)
}

func (m *Log) generate(ctx context.Context, dir string, g *generated) error {
	opts := logbench.Options(dir, false)
	var clock atomic.Int64 // the log's time is that of the events
	clock.Store(logBegin.UnixNano())
	opts.Now = func() time.Time { return time.Unix(0, clock.Load()) }
	f, err := logbench.OpenFeeder(opts)
	if err != nil {
		return err
	}
	src := logbench.NewSource(m.Seed, m.Agents)
	src.WithRuns(func(id string) { g.Runs = append(g.Runs, id) })
	frames := m.Events / logbench.FrameEvents
	step := logSpan / time.Duration(frames)
	for n := range frames {
		recv := clock.Add(int64(step))
		items, conn, err := src.Frame(recv / 1e6)
		if err == nil {
			err = f.Feed(items, conn, recv)
		}
		if err != nil {
			return errors.Join(err, f.Log.Close())
		}
		if n%1000 == 0 {
			m.say("query: generating, %d of %d events", n*logbench.FrameEvents, m.Events)
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), f.Log.Close())
			}
		}
	}
	return errors.Join(f.Settle(), f.Sealed(), f.Log.Close())
}

// lookups are the look-ups under way.
type lookups struct {
	*Log
	dir string
	g   *generated
	rng *rand.Rand
	log *wal.Log
}

func (q *lookups) open() (err error) {
	q.log, err = wal.Open(logbench.Options(filepath.Join(q.dir, "log"), false))
	return err
}

func (q *lookups) run(ctx context.Context) error {
	began := time.Now()
	if err := q.open(); err != nil {
		return err
	}
	defer func() { q.log.Close() }()
	s := logbench.SealedOf(q.log)
	q.rep.Add("query: sealed", 100*float64(s.Records)/float64(q.log.Next()-1), "%", fmt.Sprintf("of the log's events, in %d stretches; the rest is in blocks; opened in %.0f ms", s.Stretches, ms(time.Since(began))))
	if n := float64(s.Records); n > 0 {
		q.must("query: bytes", float64(s.Bytes+s.IndexBytes)/n, "B/event", sealedBytesMax, "of what is sealed, indexes included, where events are as far apart in time as in a fleet's day")
	}
	if err := q.newest(ctx); err != nil {
		return err
	}
	if err := q.wholeRuns(ctx); err != nil {
		return err
	}
	return q.texts(ctx)
}

// times are how long look-ups took, by the clock, and the CPU of all.
type times struct {
	took []time.Duration
	cpu  time.Duration
}

func (t *times) time(fn func() error) error {
	cpu, begin := selfCPU(), time.Now()
	err := fn()
	t.took = append(t.took, time.Since(begin))
	t.cpu += selfCPU() - cpu
	return err
}

func (t *times) at(quantile float64) float64 {
	slices.Sort(t.took)
	return ms(t.took[min(int(quantile*float64(len(t.took))), len(t.took)-1)])
}

// tell reports the median and the quantile that something is asked of.
func (q *lookups) tell(name string, t *times, quantile float64, most float64, says string) {
	cpu := ms(t.cpu) / float64(len(t.took))
	word := fmt.Sprintf("p%g", 100*quantile)
	if quantile == 1 {
		word = "slowest"
	}
	q.rep.Add(name+" p50", t.at(0.5), "ms", fmt.Sprintf("%s; %d times, %.2f ms of CPU each", says, len(t.took), cpu))
	q.must(name+" "+word, t.at(quantile), "ms", most, fmt.Sprintf("the slowest took %.1f ms", t.at(1)))
}

func (q *lookups) ofAgent(ctx context.Context) error {
	id := workload.AgentID(q.rng.IntN(q.Agents))
	num, ok := q.log.AgentNum(logbench.Space, id)
	if !ok {
		return fmt.Errorf("the log does not know the agent %s", id)
	}
	const want = 100
	recs, _, err := q.log.Find(ctx, wal.Query{Agents: []uint32{num}, Kinds: wal.KindEvent.Mask(), Reverse: true, Limit: want})
	if err != nil {
		return err
	}
	if len(recs) == 0 || len(recs) < want && q.Events > 4*want*q.Agents {
		return fmt.Errorf("only %d events of agent %s were found", len(recs), id)
	}
	return nil
}

// newest reads the newest events of random agents, warm and cold.
func (q *lookups) newest(ctx context.Context) error {
	q.say("query: newest events, warm")
	for range q.Samples / 4 {
		if err := q.ofAgent(ctx); err != nil {
			return err
		}
	}
	var warm, cold times
	for range q.Samples {
		if err := warm.time(func() error { return q.ofAgent(ctx) }); err != nil {
			return err
		}
	}
	q.tell("query: newest 100, warm", &warm, 0.99, newestWarmMax, "of a random agent, files in the page cache")
	left := 0.0
	for i := range max(q.Samples/10, 20) {
		q.say("query: newest events, cold, %d", i+1)
		if err := q.reopen(&left); err != nil {
			return err
		}
		if err := cold.time(func() error { return q.ofAgent(ctx) }); err != nil {
			return err
		}
	}
	q.tell("query: newest 100, cold", &cold, 0.99, newestColdMax, fmt.Sprintf("of a random agent, the log opened anew for each and its files then dropped from the page cache by posix_fadvise (at most %.1f %% stayed)", 100*left))
	return nil
}

// reopen opens the log anew and has the kernel forget its files. left is the
// share of them that it kept, at most.
func (q *lookups) reopen(left *float64) error {
	if err := q.log.Close(); err != nil {
		return err
	}
	if err := q.open(); err != nil {
		return err
	}
	runtime.GC()
	share, err := host.DropCache(filepath.Join(q.dir, "log"))
	*left = max(*left, share)
	return err
}

// wholeRuns reads runs of 10,000 events.
func (q *lookups) wholeRuns(ctx context.Context) error {
	one := func() error {
		id := q.g.Runs[q.rng.IntN(len(q.g.Runs))]
		var v wire.View
		recs, _, err := q.log.Find(ctx, wal.Query{Key: wire.RunKey([]byte(id)), Kinds: wal.KindEvent.Mask(), Limit: logbench.RunEvents, Match: func(r *wal.Record) bool {
			return v.Reset(r.Payload) == nil && string(v.Str(wire.FRun)) == id
		}})
		if err == nil && len(recs) < logbench.RunEvents {
			err = fmt.Errorf("of the run %s %d events were found", id, len(recs))
		}
		return err
	}
	q.say("query: runs")
	var warm, cold times
	for range 30 {
		if err := warm.time(one); err != nil {
			return err
		}
	}
	left := 0.0
	for range 10 {
		if err := q.reopen(&left); err != nil {
			return err
		}
		if err := cold.time(one); err != nil {
			return err
		}
	}
	says := fmt.Sprintf("%d events by their run, without bounds of time or agent", logbench.RunEvents)
	q.tell("query: run, warm", &warm, 1, runMax, says)
	q.tell("query: run, cold", &cold, 1, runMax, says)
	return nil
}

// texts searches random hours for words as the API does: for one that is
// nowhere, and for one that is in many messages.
func (q *lookups) texts(ctx context.Context) error {
	end := logBegin.Add(logSpan)
	for _, s := range []struct{ name, text, says string }{
		{"query: text, absent", "zyzzyva", "a word that no event holds, so all of the hour is looked at"},
		{"query: text, frequent", "customer", "the newest 100 with a word of every tenth message"},
	} {
		filter, err := query.Parse(s.text)
		if err != nil {
			return err
		}
		var t times
		var seen uint64
		for i := range 10 {
			q.say("%s, %d", s.name, i+1)
			from := logBegin.Add(time.Duration(q.rng.Int64N(int64(end.Sub(logBegin) - time.Hour))))
			found := 0
			err := t.time(func() error {
				recs, err := q.text(ctx, filter, from, &seen)
				found = len(recs)
				return err
			})
			if err != nil {
				return err
			}
			if absent := strings.HasSuffix(s.name, "absent"); absent != (found == 0) {
				return fmt.Errorf("%d events with %q were found", found, s.text)
			}
		}
		q.tell(s.name, &t, 1, textMax, fmt.Sprintf("%s; by the API's own filter on one processor; %s events were looked into, the others of the hour skipped by the bytes of their block", s.says, report.Thousands(fmt.Sprint(seen/10))))
	}
	return nil
}

// text searches an hour for the newest 100 events as the API does, which besides
// has a goroutine for each processor.
func (q *lookups) text(ctx context.Context, filter *query.Query, from time.Time, seen *uint64) ([]wal.Record, error) {
	words := filter.Words(live.RawField)
	block := words.Without(func(found func(string) bool) {
		for n := uint32(1); n <= uint32(q.log.Agents()); n++ {
			if _, id, ok := q.log.Agent(n); ok && found(id) {
				return
			}
		}
	})
	var v wire.View
	recs, _, err := q.log.Find(ctx, wal.Query{
		FromRecv: from.UnixNano(), ToRecv: from.Add(time.Hour).UnixNano(), Kinds: wal.KindEvent.Mask(), Reverse: true, Limit: 100,
		Skip: wal.Skip{
			Texts:    func(may func([]byte) bool) bool { return !block.May(may) },
			Payloads: func(payloads [][]byte) bool { return !block.Among(payloads) },
		},
		Match: func(r *wal.Record) bool {
			*seen++
			space, id, _ := q.log.Agent(r.Agent)
			return words.InEither(r.Payload, id) && v.Reset(r.Payload) == nil && filter.Match(live.NewEventRow(r, &v, space, id))
		},
	})
	return recs, err
}
