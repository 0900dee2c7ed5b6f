package bench

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Every store takes the same samples and gives the same answers. With
// EYRIE_BENCH_PEERS the peers take part, where they are installed or can be built.
func TestSeries(t *testing.T) {
	t.Parallel()
	m := Series{Common: common(t), Child: []string{"bench", "series-child"}, Seed: 1, Hosts: 20, Hours: 1, Rounds: 2, Server: time.Second, NAB: "../tsdb/chunk/testdata/nab", Only: []string{"none"}}
	limit := time.Minute
	if os.Getenv("EYRIE_BENCH_PEERS") != "" {
		m.Only, m.Prometheus, limit = nil, "peers/prometheus", 10*time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eyrie: new series", "eyrie: samples", "eyrie: samples per cpu", "eyrie: bytes", "eyrie: memory", "eyrie: lastpoint", "eyrie: single-groupby-1-1-1", "eyrie: double-groupby-1", "eyrie: bytes of nab", "server: samples", "server: cpu"} {
		if v, ok := r.Figure(name); !ok || v <= 0 {
			t.Errorf("%s: %v", name, v)
		}
	}
	if v, _ := r.Figure("eyrie: bytes of nab"); v > 8 {
		t.Errorf("%v bytes for a sample of real series: that is more than it is in memory", v)
	}
	for _, s := range r.Settings {
		if (s.Name == "prometheus" || s.Name == "victoriametrics") && m.Only != nil && !strings.HasPrefix(s.Value, "left out: ") {
			t.Errorf("%s: %s", s.Name, s.Value)
		}
	}
}
