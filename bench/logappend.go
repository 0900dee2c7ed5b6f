package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/logbench"
	"eyrie/bench/stats"
)

// poolEvents are made in advance unless told: more than a sealed stretch holds, so that none
// has the same event twice.
const poolEvents = 2_000_000

func (m *Log) pool() int { return cmp.Or(m.Pool, poolEvents) }

// store is one of those compared.
type store struct {
	name, note string
	asked      float64 // how many times its rate eyrie's is to be; 0 = nothing is asked
	run        func(ctx context.Context, d time.Duration) (events int, took, whole time.Duration, err error)
	look       func() (logbench.Usage, error)
	close      func()

	last  logbench.Usage
	rates []float64 // events a second until durable, by round
	whole []float64 // the same until all that was put off was done too
	perS  []float64 // events per second of CPU
	bytes float64   // written to the device, all rounds
	n     float64   // events
}

// append compares stores, each loaded in turn in each round.
func (m *Log) append(ctx context.Context, dir string) error {
	m.say("append: making %d events", m.pool())
	pool, err := logbench.MakePool(m.Seed, m.Agents, m.pool(), time.Now().UnixMilli())
	if err != nil {
		return err
	}
	m.rep.Set("append", "%d rounds; in each, every store is loaded for %v in a new random order, all rounds with the same %d events over and over; every store acknowledges what is durable; ratios are of pairs within a round, 95 %% intervals by Student's t on their logarithms", m.Rounds, m.Slice, m.pool())
	stores, err := m.stores(ctx, dir, pool)
	defer func() {
		for _, s := range stores {
			s.close()
		}
	}()
	if err != nil {
		return err
	}
	for _, s := range stores {
		m.rep.Set(s.name, "%s", s.note)
		m.say("append: warming up %s", s.name)
		if _, _, _, err := s.run(ctx, m.Slice); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.last, err = s.look(); err != nil {
			return err
		}
	}
	for r := range m.Rounds {
		for _, i := range rand.Perm(len(stores)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			m.say("append: round %d of %d, %s", r+1, m.Rounds, stores[i].name)
			if err := m.load(ctx, stores[i]); err != nil {
				return fmt.Errorf("%s: %w", stores[i].name, err)
			}
		}
	}
	m.tellStores(stores)
	return nil
}

// load is one store's turn in a round. What it uses until its next turn, for what
// it has put off, is part of it.
func (m *Log) load(ctx context.Context, s *store) error {
	n, took, whole, err := s.run(ctx, m.Slice)
	if err != nil {
		return err
	}
	now, err := s.look()
	if err != nil {
		return err
	}
	u := now.Sub(s.last)
	s.last = now
	m.cpu += u.CPU
	s.rates = append(s.rates, float64(n)/took.Seconds())
	s.whole = append(s.whole, float64(n)/whole.Seconds())
	s.perS = append(s.perS, float64(n)/max(u.CPU, time.Millisecond).Seconds())
	s.bytes += float64(u.Written)
	s.n += float64(n)
	return nil
}

// tellStores reports; the first is eyrie's log, the second the same without
// sealing.
func (m *Log) tellStores(stores []*store) {
	for _, s := range stores {
		m.rep.Add(s.name, stats.Geometric(s.rates), "events/s", "durable and acknowledged, while it was loaded")
		m.rep.Add(s.name+": cpu", 1e6/stats.Geometric(s.perS), "µs/event", "CPU of the store; of eyrie and the segment file that of making calls into them is in it, of the others their client's is not")
		m.rep.Add(s.name+": device", s.bytes/s.n, "B/event", "written to the disk")
	}
	log, bare := stores[0], stores[1]
	m.rep.Add("eyrie: with sealing done", stats.Geometric(log.whole), "events/s", "until all that may be sealed was sealed too: what it keeps up for ever if nothing else runs")
	m.rep.Add("eyrie: of this sealing", 1e6/stats.Geometric(log.perS)-1e6/stats.Geometric(bare.perS), "µs/event", "CPU with sealing less CPU without")
	for _, s := range stores[1:] {
		r, says := stats.Ratios(log.rates, s.rates), ""
		if s.asked > 0 {
			says = fmt.Sprintf("at least %g asked: ", s.asked)
			if r.Mean >= s.asked {
				says += "kept; "
			} else {
				says += "NOT KEPT; "
			}
		}
		interval := func(r stats.Ratio) string {
			return fmt.Sprintf("95 %% interval %.2f to %.2f over %d pairs, single pairs %.2f to %.2f", r.Low, r.High, r.Pairs, r.Smallest, r.Largest)
		}
		m.rep.Add("eyrie/"+s.name, r.Mean, "times", "of events/s; "+says+interval(r))
		c := stats.Ratios(log.perS, s.perS)
		m.rep.Add("eyrie/"+s.name+": per cpu", c.Mean, "times", "of events per second of CPU, sealing included; "+interval(c))
	}
}

// stores starts what is compared. What is not there is left out, and said.
func (m *Log) stores(ctx context.Context, dir string, pool *logbench.Pool) (out []*store, err error) {
	begin := func(name, kind string, off bool, asked float64, note string) error {
		s, err := m.ours(ctx, filepath.Join(dir, name), kind, off)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.name, s.asked, s.note = name, asked, note
		out = append(out, s)
		return nil
	}
	m.say("append: filling a log until it seals")
	if err := begin("eyrie", logbench.KindLog, false, 0, "wal.Open with the server's options, group commit, dictionary, digest and mark; it was filled before until its oldest blocks were being sealed, and each measurement waits for the sealing of what it wrote"); err != nil {
		return out, err
	}
	if err := begin("eyrie-unsealed", logbench.KindLog, true, 0, "the same without sealing"); err != nil {
		return out, err
	}
	if err := begin("segment", logbench.KindSegment, false, 0.75, "one preallocated file of 256 MiB, overwritten from its beginning: blocks as large as eyrie's in S2, length and CRC, fdatasync of all that came while the one before it ran, one in flight; no dictionary, index, digest or mark"); err != nil {
		return out, err
	}
	for _, p := range []struct {
		name  string
		start func() ([]*store, error)
	}{
		{"jetstream", func() ([]*store, error) { return m.jetStore(ctx, dir, pool) }},
		{"redis", func() ([]*store, error) { return m.redisStore(dir, pool) }},
		{"postgres", func() ([]*store, error) { return m.postgresStores(dir, pool) }},
	} {
		m.say("append: starting %s", p.name)
		s, err := p.start()
		if err != nil {
			m.rep.Set(p.name, "left out: %v", err)
			continue
		}
		out = append(out, s...)
	}
	return out, nil
}

// ours is a store that runs in a child.
func (m *Log) ours(ctx context.Context, dir, kind string, off bool) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c, err := m.child(ctx)
	if err != nil {
		return nil, err
	}
	var used logbench.Usage
	do := func(o logbench.Order) (logbench.Answer, error) {
		a, err := c.do(o)
		used = a.Used
		return a, err
	}
	s := &store{look: func() (logbench.Usage, error) { return used, nil }, close: c.Kill}
	s.run = func(_ context.Context, d time.Duration) (int, time.Duration, time.Duration, error) {
		a, err := do(logbench.Order{Do: "run", For: d})
		return a.Events, a.Took, a.Whole, err
	}
	if _, err := do(logbench.Order{Do: "open", Kind: kind, Dir: dir, Seed: m.Seed, Agents: m.Agents, Events: m.pool(), Off: off}); err != nil {
		c.Kill()
		return nil, err
	}
	for filled := kind == logbench.KindSegment || off; !filled; {
		a, err := do(logbench.Order{Do: "run", For: time.Second})
		if err != nil {
			c.Kill()
			return nil, err
		}
		filled = a.Sealed.Stretches > 0
	}
	return s, nil
}

// served is a store that is a server of its own, with our client.
func served(name, note string, asked float64, s *logbench.Server, pool *logbench.Pool) *store {
	return &store{
		name: name, note: note, asked: asked, close: s.Close,
		run: func(ctx context.Context, d time.Duration) (int, time.Duration, time.Duration, error) {
			n, took, err := s.Run(ctx, pool, d)
			return n, took, took, err
		},
		look: func() (logbench.Usage, error) { return logbench.OfServer(s.PID()) },
	}
}

func (m *Log) redisStore(dir string, pool *logbench.Pool) ([]*store, error) {
	s, version, err := logbench.StartRedis(filepath.Join(dir, "r"))
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("%s; %s; else its defaults, over a unix socket; one stream, an XADD an event, %d connections with pipelines of %d, up to %d of them unanswered on each", version, strings.Join(logbench.RedisSettings, ", "), logbench.RedisConnections, logbench.FrameEvents, logbench.RedisFlight)
	return []*store{served("redis", note, 4, s, pool)}, nil
}

func (m *Log) postgresStores(dir string, pool *logbench.Pool) ([]*store, error) {
	g, version, err := logbench.StartPostgres(filepath.Join(dir, "p"))
	if err != nil {
		return nil, err
	}
	var out []*store
	for _, t := range []struct{ name, table, says string }{
		{"postgres", "events", "with an index by agent and time, as a look-up of an agent needs one"},
		{"postgres-bare", "bare", "the same without any index"},
	} {
		s, err := g.Table(t.table)
		if err != nil {
			g.Close()
			return nil, err
		}
		note := fmt.Sprintf("%s; %s; else its defaults, over a unix socket; COPY in binary format of %d events each over %d connections into a table with a partition an hour, %s", version, strings.Join(logbench.PostgresSettings, ", "), logbench.CopyFrames*logbench.FrameEvents, logbench.CopyConnections, t.says)
		out = append(out, served(t.name, note, 3, s, pool))
	}
	last := out[len(out)-1]
	links := last.close
	last.close = func() { links(); g.Close() }
	return out, nil
}

// jetStore is NATS JetStream, with its own client as a process for each turn.
func (m *Log) jetStore(ctx context.Context, dir string, pool *logbench.Pool) ([]*store, error) {
	exe := filepath.Join(dir, "jetstream")
	if err := buildAdapter(ctx, m.JetStream, exe); err != nil {
		return nil, err
	}
	frames := filepath.Join(dir, "frames")
	var b, one []byte
	for n := range min(pool.Frames(), 4*logbench.Connections) {
		one = pool.Wire(one[:0], n)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(one))), one...)
	}
	if err := os.WriteFile(frames, b, 0o600); err != nil {
		return nil, err
	}
	server, url, err := startAdapter(ctx, exe, "serve", filepath.Join(dir, "j"), "always")
	if err != nil {
		return nil, err
	}
	job := publishing{URL: url, Frames: frames, Events: jetEvents, Connections: jetConnections, Pending: jetPending}
	return []*store{{
		name: "jetstream", asked: 7, close: func() { server.End(adapterGrace) },
		note: fmt.Sprintf("nats-server and nats.go as in %s, file storage, sync always, one stream over loopback; messages of %d events in S2, PublishAsync over %d connections, %d unacknowledged", filepath.Join(m.JetStream, "go.mod"), jetEvents, jetConnections, jetPending),
		run: func(ctx context.Context, d time.Duration) (int, time.Duration, time.Duration, error) {
			job.Seconds = d.Seconds()
			r, _, err := jetPublish(ctx, exe, job)
			if err != nil {
				return 0, 0, 0, err
			}
			took := time.Duration(r.Seconds * 1e9)
			return int(r.Events), took, took, nil
		},
		look: func() (logbench.Usage, error) {
			p, err := host.Look(server.Pid())
			return logbench.Usage{CPU: p.CPU, Written: p.Written}, err
		},
	}}, nil
}
