//go:build linux

package node_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/engine/client"
	"eyrie/engine/wire"
)

// TestOwnTables: stores, HTTP, links and collections share a process whose loops
// have descriptor tables of their own. Events are acknowledged, requests are
// answered, and the server's ends of the links are not among the process' own
// descriptors.
func TestOwnTables(t *testing.T) {
	r := newRig(t, t.TempDir(), func(c *config.Config) {
		c.OwnTables, c.Connections, c.Loops = true, 2_000_000, 3 // more than any limit
	})
	own := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	const links, rounds, each = 60, 5, 20
	before := own()
	all := make([]*client.Client, links)
	for i := range all {
		c, err := client.Dial(ctx, client.Options{URL: r.ingest, Key: r.agent, Agent: &wire.Event{Agent: "a" + strconv.Itoa(i)}, FailFast: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		all[i] = c
	}
	if n := own() - before; n > links+links/2 {
		t.Errorf("%d descriptors more in the process' own table with %d links, want little beyond the clients' ends", n, links)
	}
	events := make([]wire.Event, each)
	for i := range events {
		events[i] = wire.Event{Type: wire.TypeLog, Msg: "line " + strconv.Itoa(i)}
	}
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for range rounds {
		for _, c := range all {
			if _, err := c.Send(ctx, events...); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		for range 20 { // each leaves its loop's table
			resp, err := hc.Get("http://" + r.web + "/ready")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 {
				t.Errorf("/ready answers %d", resp.StatusCode)
			}
		}
	}
	for i, c := range all {
		if err := c.Flush(ctx); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if s := c.Stats(); s.Settled != rounds*each || s.Nacked > 0 {
			t.Errorf("client %d: %d events acknowledged and %d refused, want %d", i, s.Settled, s.Nacked, rounds*each)
		}
	}
}
