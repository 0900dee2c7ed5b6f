//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// holdViews names a pipe: the views of such a process are loaded when it is written to.
const holdViews = "HOLD_VIEWS"

func init() { prepare = hookViews }

func hookViews() {
	if pipe := os.Getenv(holdViews); pipe != "" {
		beforeViews = func(ctx context.Context) {
			open := make(chan struct{})
			go func() {
				defer close(open)
				if f, err := os.Open(pipe); err == nil { // waits for who writes
					f.Close()
				}
			}()
			select {
			case <-open:
			case <-ctx.Done():
			}
		}
	}
}

// send appends n events of an agent at once, and tells whether they were acknowledged.
func (p *process) send(agent string, n int) bool {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"agent":%q,"type":"metrics","name":"host","metrics":{"cpu":%d}}`+"\n", agent, i)
	}
	q, err := http.NewRequest("POST", "http://"+p.ingest+"/v1/events", &b)
	if err != nil {
		panic(err)
	}
	q.Header.Set("Authorization", "Bearer "+p.key)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return false
	}
	defer a.Body.Close()
	return a.StatusCode == 200
}

// counted returns how many events of an agent the log holds, counted there, or the
// fleet, once it is loaded.
func (p *process) counted(agent string) (n uint64) {
	p.t.Helper()
	var x struct{ Total *uint64 }
	if code := p.get("/v1/events?limit=0&space=main&agent="+agent, &x); code != 200 || x.Total == nil {
		p.t.Fatalf("%d %+v", code, x)
	}
	return *x.Total
}

// TestKilledUnderLoadTakesEventsBeforeViews: after kill -9 under full load a server takes
// and acknowledges events while the load of its views is held open, and says so to who
// needs a view; another kill -9 then loses nothing; and once the views are let go they
// show exactly what the log holds.
func TestKilledUnderLoadTakesEventsBeforeViews(t *testing.T) {
	const frame, agents = 500, 4
	dir := t.TempDir()
	p := serve(t, dir, "--save-every", "10m") // nothing is saved before the end: all is to be folded
	var acked [agents]atomic.Uint64
	var senders sync.WaitGroup
	for i := range agents {
		senders.Go(func() {
			for p.send(fmt.Sprint("a", i), frame) {
				acked[i].Add(frame)
			}
		})
	}
	for sum := uint64(0); sum < 40*frame; {
		time.Sleep(time.Millisecond)
		sum = 0
		for i := range acked {
			sum += acked[i].Load()
		}
	}
	p.kill()
	senders.Wait()

	pipe := filepath.Join(t.TempDir(), "hold")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for life := range 2 {
		p = greeted(t, dir, []string{holdViews + "=" + pipe})
		if !p.send("a0", 1) {
			t.Fatalf("no event is taken while views are loaded:\n%s", p)
		}
		acked[0].Add(1)
		var refused struct {
			Code    string
			Loading *struct{ Phase string }
		}
		if code := p.get("/v1/agents", &refused); code != 503 || refused.Code != "views_loading" || refused.Loading == nil {
			t.Errorf("%d %+v", code, refused)
		}
		if !p.loading() {
			t.Error("it does not say that views are loaded")
		}
		for i := range agents {
			if n := p.counted(fmt.Sprint("a", i)); n < acked[i].Load() || n > acked[i].Load()+frame {
				t.Errorf("life %d: the log holds %d events of a%d, %d were acknowledged", life, n, i, acked[i].Load())
			}
		}
		if life == 0 {
			p.kill() // while views are loaded
		}
	}
	// A verb that needs the views waits for them.
	verb := p.clientCmd("forget", "--list", "--json")
	out := &safeBuffer{}
	verb.Stdout, verb.Stderr = out, out
	if err := verb.Start(); err != nil {
		t.Fatal(err)
	}
	defer verb.Process.Kill()
	for end := time.Now().Add(15 * time.Second); !strings.Contains(out.String(), "views"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the verb never said what it waits for: %s", out)
		}
	}
	f, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := verb.Wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for end := time.Now().Add(20 * time.Second); p.loading(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the views were never loaded:\n%s", p)
		}
	}
	for i := range agents {
		agent := fmt.Sprint("a", i)
		var stored int
		for after := ""; ; { // as the log has them, not as the fleet counts them
			var page struct {
				Items []json.RawMessage
				Next  string
			}
			p.get("/v1/events?space=main&type=metrics&order=asc&limit=1000&agent="+agent+"&after="+after, &page)
			stored += len(page.Items)
			if after = page.Next; after == "" {
				break
			}
		}
		if n := p.counted(agent); n != uint64(stored) || n < acked[i].Load() {
			t.Errorf("the fleet counts %d events of %s, the log holds %d, %d were acknowledged", n, agent, stored, acked[i].Load())
		}
	}
	if code, took := p.terminate(); code != 0 {
		t.Errorf("exit code %d after %v", code, took)
	}
}

// TestStopsWhileViewsLoad: SIGTERM ends a server that still loads its views, in order.
func TestStopsWhileViewsLoad(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "hold")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := greeted(t, dir, []string{holdViews + "=" + pipe})
	if !p.send("a", 3) {
		t.Fatal("no event is taken")
	}
	if code, took := p.terminate(); code != 0 {
		t.Errorf("exit code %d after %v:\n%s", code, took, p)
	}
	if n := serve(t, dir).counted("a"); n != 3 {
		t.Errorf("%d events", n)
	}
}
