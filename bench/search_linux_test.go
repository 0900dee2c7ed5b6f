package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
)

// serveFolder runs a node on a data folder and returns how to ask it.
func serveFolder(t *testing.T, dir string) (ask func(path string, out any) time.Duration) {
	t.Helper()
	s := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }
	c := &config.Config{
		Data: dir, Ingest: "127.0.0.1:0", Web: "127.0.0.1:0", RingMiB: 4, DiskMin: 1,
		Save: s(20), IdleTimeout: s(90), Ping: s(30), Drain: s(4), SelfEvery: s(5),
	}
	n, err := node.Open(node.Options{
		Config: c, Logger: slog.New(slog.DiscardHandler),
		Settings: func(tuned []config.Tuned) []config.Value { return config.Values(c, nil, nil, tuned) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	<-n.Loaded()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	keys, _ := n.Keys()
	key, err := keys.Standing("operator")
	if err != nil {
		t.Fatal(err)
	}
	web := ""
	open, _ := n.Listeners()
	for _, l := range open {
		if l.Name == "web" {
			web = l.Addr
		}
	}
	return func(path string, out any) time.Duration {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+web+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		begin := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		took := time.Since(begin)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("GET %s: %d %s %v", path, resp.StatusCode, b, err)
		}
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatal(err)
		}
		return took
	}
}

// TestLookUp serves a log of EYRIE_LOG_MILLIONS million events (0.05 unless told),
// made as makeLog says, and asks over HTTP for events by text and for the fleet
// at random moments of the past. It reports times, CPU and how much was searched.
func TestLookUp(t *testing.T) {
	t.Parallel()
	n, dir := millions(t, 0.05), t.TempDir()
	l := makeLog(t, filepath.Join(dir, "log"), n)
	records := l.Next() - 1
	first, err := l.Read(l.First())
	if err != nil {
		t.Fatal(err)
	}
	last, err := l.Read(records)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records, sealed up to %d in %d stretches", records, l.Sealed(), len(l.Stretches()))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ask := serveFolder(t, dir)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var st struct{ Views []struct{ Cursor uint64 } }
		ask("/v1/status", &st)
		if len(st.Views) > 0 && !slices.ContainsFunc(st.Views, func(v struct{ Cursor uint64 }) bool { return v.Cursor <= records }) {
			break
		}
		if time.Since(begin) > 20*time.Minute {
			t.Fatal("the views do not catch up")
		}
	}
	hour := max(first.Recv/1e6, last.Recv/1e6-3600_000)
	var page struct {
		Items   []json.RawMessage
		Next    string
		Partial bool
		Total   *uint64
	}
	searched := float64(last.Recv/1e6-hour) / 1e3 * logRate
	for _, q := range []string{"zebra", "zebra crossing", "name:zebra", "input.command:*zebra*", "parser customer", "4711", "-type:tool zebra", "run:0123456789abcdef"} {
		var took, cpu []float64
		for range 3 {
			used := cpuNow(process)
			d := ask(fmt.Sprintf("/v1/events?from_ms=%d&limit=100&q=%s", hour, url.QueryEscape(q)), &page)
			took, cpu = append(took, d.Seconds()), append(cpu, float64(cpuNow(process)-used)/1e9)
		}
		slices.Sort(took)
		slices.Sort(cpu)
		t.Logf("%-24s %4d found, partial %-5v %7.0f ms, CPU %7.0f ms: %5.1f M events/s, of CPU %5.1f M events/s, %5.0f MB/s", q,
			len(page.Items), page.Partial, took[1]*1e3, cpu[1]*1e3, searched/took[1]/1e6, searched/cpu[1]/1e6, searched*132/cpu[1]/1e6)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	var took, cpu []float64
	for range min(100, max(5, n/100_000)) {
		var st struct {
			At      float64
			Partial bool
		}
		at := first.Recv + rng.Int64N(last.Recv-first.Recv)
		used := cpuNow(process)
		d := ask(fmt.Sprintf("/v1/state?at=%f", float64(at/1e3)/1e3), &st)
		if st.Partial || st.At*1e6 > float64(at)+1e6 {
			t.Errorf("asked for %d: %+v", at, st)
		}
		took, cpu = append(took, d.Seconds()*1e3), append(cpu, float64(cpuNow(process)-used)/1e6)
	}
	slices.Sort(took)
	slices.Sort(cpu)
	at := func(s []float64, q float64) float64 { return s[int(q*float64(len(s)-1))] }
	t.Logf("state at a random moment: p50 %.0f ms, p99 %.0f ms, most %.0f ms; CPU p50 %.0f ms, p99 %.0f ms", at(took, .5), at(took, .99), took[len(took)-1], at(cpu, .5), at(cpu, .99))
	if n >= 1e6 && at(took, .99) > 2000 {
		t.Errorf("p99 is %.0f ms, want less than 2,000", at(took, .99))
	}
}
