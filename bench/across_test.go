//go:build linux

package bench

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eyrie/bench/load"
	"eyrie/bench/workload"
)

// waiting is a host of load clients, on a port of loopback.
func waiting(t *testing.T, c Common, token []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- (&load.Listener{Spawn: load.Spawn{Exe: c.Exe, Args: c.Client}, Token: token, Says: t.Logf}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// A server that runs already is loaded from two hosts, told of by its own metrics,
// and runs on.
func TestAcrossHosts(t *testing.T) {
	ctx := patient(t)
	c := common(t)
	srv, err := NewServer(c.Exe, filepath.Join(c.Dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	defer srv.Kill()
	if err := srv.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	token := []byte("the token of this very test")
	c.Hosts = load.Hosts{Addrs: []string{waiting(t, c, token), waiting(t, c, token)}, Token: token}
	c.Target = "http://" + srv.Web
	if c.TargetKey, err = srv.Key("operator"); err != nil {
		t.Fatal(err)
	}
	shape := workload.Shape{Seed: 9, Agents: 120, Connections: 12, Frame: 10, Events: workload.Telemetry, Metrics: 5}
	r, err := Ingest{Common: c, Shape: shape, Window: 1, For: 8 * time.Second, Rates: []float64{1000}}.Run(ctx)
	if r == nil {
		t.Fatal(err)
	}
	if rate, ok := r.Figure("rate at 1,000/s"); err != nil || !ok || rate < 800 || rate > 1200 {
		t.Errorf("%v events/s, %v", rate, err)
	}
	if cpu, ok := r.Figure("server cpu at 1,000/s"); !ok || cpu <= 0 {
		t.Errorf("server cpu %v", cpu)
	}
	said := ""
	for _, s := range r.Settings {
		said += s.Value + "\n"
	}
	for _, want := range append(c.Hosts.Addrs, "2 client process(es)", "an eyrie that ran already", "metrics alone, 5 of each agent") {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not among the settings:\n%s", want, said)
		}
	}
	if err := srv.Ready(ctx); err != nil {
		t.Errorf("the server that ran already does not run on: %v", err)
	}
	if _, err := NewTarget(ctx, "https://"+srv.Web, "x"); err == nil {
		t.Error("https was taken")
	}
	if _, err := NewTarget(ctx, srv.Web, "wrong"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong key: %v", err)
	}
}
