//go:build linux

package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/bench/logbench"
	"eyrie/bench/report"
)

func testLog(t *testing.T) Log {
	return Log{Common: common(t), Child: []string{"bench", "log-child"}, Agents: 650, Seed: 1, JetStream: "peers/jetstream", rep: report.New("log", t.Name(), t.TempDir())}
}

// A generated log is found again, answers what is asked of it, and is not taken
// for another's.
func TestLogQuery(t *testing.T) {
	t.Parallel()
	m := testLog(t)
	m.Parts, m.Events, m.Samples = []string{"query"}, 500_000, 20
	ctx := patient(t)
	r, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"query: newest 100, warm p99", "query: newest 100, cold p99", "query: run, warm slowest", "query: text, absent slowest"} {
		if v, ok := r.Figure(name); !ok || v <= 0 {
			t.Errorf("%s is %v", name, v)
		}
	}
	dir := filepath.Join(m.Dir, "eyrie-bench-log-1-650-500000")
	g, err := m.generated(ctx, dir)
	if err != nil || len(g.Runs) != 1 {
		t.Fatalf("%+v, %v", g, err)
	}
	begin := g.Took
	if g, err = m.generated(ctx, dir); err != nil || g.Took != begin {
		t.Errorf("it was generated again: %v, %v", g, err)
	}
	bytes, a, err := m.killOnce(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	// Of four memtables, what went into them before writes waited.
	if bytes < 3*logbench.SmallMemtable || a.Opened <= 0 || a.Took <= a.Opened {
		t.Errorf("%d bytes were not flushed; opened in %v, first event after %v", bytes, a.Opened, a.Took)
	}
}

// What is sealed is measured, small, and written not much more often than it has
// to be.
func TestLogSeal(t *testing.T) {
	t.Parallel()
	m := testLog(t)
	m.Agents, m.Sealing = 65_000, 2_000_000 // more than what stays, and a stretch
	if err := m.sealing(t.Context(), filepath.Join(t.TempDir(), "log"), "seal", true); err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]float64{"seal: bytes": 60, "seal: amplification": 10} {
		if v, ok := m.rep.Figure(name); !ok || v < 0.5 || v > most {
			t.Errorf("%s is %v, %v", name, v, m.rep.Settings)
		}
	}
}

// Each store that is installed here is loaded and compared.
func TestLogAppend(t *testing.T) {
	t.Parallel()
	m := testLog(t)
	m.Rounds, m.Slice, m.Pool = 2, 100*time.Millisecond, 100_000
	pool, err := logbench.MakePool(m.Seed, m.Agents, m.Pool, time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's own: another user has to pass through it.
	dir, err := os.MkdirTemp("", "eyrie-bench-log-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, start := range map[string]func() ([]*store, error){
		"jetstream": func() ([]*store, error) { return m.jetStore(t.Context(), dir, pool) },
		"redis":     func() ([]*store, error) { return m.redisStore(dir, pool) },
		"postgres":  func() ([]*store, error) { return m.postgresStores(dir, pool) },
		"segment": func() ([]*store, error) {
			s, err := m.ours(t.Context(), filepath.Join(dir, "segment"), logbench.KindSegment, false)
			return []*store{s}, err
		},
		"eyrie": func() ([]*store, error) {
			s, err := m.ours(t.Context(), filepath.Join(dir, "eyrie"), logbench.KindLog, true)
			return []*store{s}, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "jetstream" && os.Getenv("EYRIE_BENCH_PEERS") == "" {
				t.Skip("EYRIE_BENCH_PEERS=1 builds and loads it")
			}
			stores, err := start()
			if err != nil && (name == "segment" || name == "eyrie" || !missing(err)) {
				t.Fatal(err)
			}
			if err != nil {
				t.Skipf("not installed here: %v", err)
			}
			for _, s := range stores {
				defer s.close()
				for range m.Rounds {
					if err := m.load(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				if s.n < 2*logbench.FrameEvents || s.rates[1] <= 0 || s.perS[1] <= 0 || s.bytes < 10*s.n {
					t.Errorf("%s: %v events, rates %v, %v per s of CPU, %v bytes", s.name, s.n, s.rates, s.perS, s.bytes)
				}
			}
		})
	}
}

// missing tells that a program is not there, or a module that cannot be had.
func missing(err error) bool {
	s := err.Error()
	return strings.Contains(s, "executable file not found") || strings.Contains(s, "dial tcp") || strings.Contains(s, "lookup")
}
