//go:build linux

package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/engine/client"
	"eyrie/engine/wire"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills the small file system under a whole server that agents send
// to and people read from, and makes room again: EYRIE_FILLS times, 2 unless
// told. It must say that it is full, answer reads throughout, go on by itself,
// and hold everything once that it acknowledged.
func TestFullDisk(t *testing.T) {
	fills := 2
	if s := os.Getenv("EYRIE_FILLS"); s != "" {
		var err error
		if fills, err = strconv.Atoi(s); err != nil {
			t.Fatal("EYRIE_FILLS: ", err)
		}
	} else if testing.Short() {
		t.Skip("takes seconds a fill")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=640m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { // behind the node's
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	small := func(c *config.Config) { c.DiskMin, c.CacheMiB = 96, 16 }
	r := newRig(t, filepath.Join(dir, "data"), small)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	const agents = 4
	var sent [agents]atomic.Uint64
	clients := make([]*client.Client, agents)
	for i := range clients {
		name := "agent-" + strconv.Itoa(i)
		c, err := client.Dial(ctx, client.Options{URL: r.ingest, Key: r.agent, Agent: &wire.Event{Agent: name}, MaxEvents: 4096,
			OnNack: func(n client.Nack) { t.Errorf("%s: numbers %d to %d were refused for good: %v", name, n.From, n.To, n) }})
		if err != nil {
			t.Fatal(err)
		}
		clients[i] = c
		running.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			text := make([]byte, 160)
			for n := uint64(1); ctx.Err() == nil; n++ {
				for j := range text {
					text[j] = "0123456789abcdef"[rng.IntN(16)]
				}
				if _, err := c.Send(ctx, message(fmt.Sprintf("%d %s", n, text))); err != nil {
					if ctx.Err() == nil {
						t.Errorf("%s: %v", name, err)
					}
					return
				}
				sent[i].Store(n)
				if n%16 == 0 {
					time.Sleep(4 * time.Millisecond)
				}
			}
		})
	}
	var reads atomic.Int64
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			path := []string{"/v1/agents?limit=10", "/v1/events?limit=20&agent=agent-1", "/v1/spans?limit=5", "/v1/fleet"}[i%4]
			if _, err := r.read(ctx, path); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			reads.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	})
	settled := func() (n uint64) {
		for _, c := range clients {
			n += c.Stats().Settled
		}
		return n
	}
	wait := func(what string, ok func() bool) bool {
		t.Helper()
		for until := time.Now().Add(60 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			select {
			case err := <-r.Failed():
				t.Fatalf("%s: the server failed: %v", what, err)
			default:
			}
			if t.Failed() || time.Now().After(until) {
				ready, why := r.Ready()
				t.Errorf("%s: not within 60 s; ready %v, %v", what, ready, why)
				return false
			}
		}
		return true
	}
	full := func() bool {
		ok, why := r.Ready()
		return !ok && strings.Contains(strings.Join(why, " "), "disk")
	}
	filler := filepath.Join(dir, "filler")
	for range fills {
		had := settled()
		if !wait("events", func() bool { return settled() > had+1000 }) {
			break
		}
		fillUp(t, filler)
		if !wait("the wall", full) {
			break
		}
		read := reads.Load()
		if !wait("reads at the wall", func() bool { return reads.Load() > read+8 }) {
			break
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		had = settled()
		if !wait("events after the wall", func() bool { return settled() > had+100 && !full() }) {
			break
		}
	}
	stop()
	running.Wait()
	end, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	links := 0
	for i, c := range clients {
		if err := c.Close(end); err != nil {
			t.Errorf("agent %d: %v", i, err)
		}
		links += int(c.Stats().Links)
	}
	t.Logf("%d fills, %d events acknowledged, %d reads, %d links", fills, settled(), reads.Load(), links)
	for i := range clients {
		r.eachOnce(t, "agent-"+strconv.Itoa(i), sent[i].Load())
	}
}

// eachOnce reads what an agent has said, newest first, and wants the numbers
// from n, or the one after it that Send was not sure of, down to 1.
func (r *rig) eachOnce(t *testing.T, agent string, n uint64) {
	t.Helper()
	want, first := n, true
	for next := "/v1/events?limit=1000&type=message&agent=" + agent; next != ""; {
		b, err := r.read(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Items []struct{ Msg string }
			Next  string
		}
		if err := json.Unmarshal(b, &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			got, err := strconv.ParseUint(e.Msg[:strings.IndexByte(e.Msg, ' ')], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if first && got == n+1 {
				want = got
			}
			if first = false; got != want {
				t.Fatalf("%s: number %d where %d is expected", agent, got, want)
			}
			want--
		}
		if next = ""; page.Next != "" {
			next = "/v1/events?limit=1000&type=message&agent=" + agent + "&after=" + page.Next
		}
	}
	if want != 0 {
		t.Errorf("%s: numbers 1 to %d are missing", agent, want)
	}
}

// read gets a path of the API.
func (r *rig) read(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.web+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+r.operator)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, b)
	}
	return b, err
}

// fillUp writes to the file until there is no room for another page.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	for size := 1 << 20; size >= 4<<10 && err == nil; {
		if _, err = f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size, err = size/2, nil
		}
	}
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
