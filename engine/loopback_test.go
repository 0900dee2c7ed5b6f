//go:build linux

package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestLoopback(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		var mu sync.Mutex
		var got []string
		gone := make(chan struct{})
		h := newHouse(t, nil, func(it *Item) {
			mu.Lock()
			got = append(got, line(*it))
			mu.Unlock()
			if it.Kind == ItemClosed {
				close(gone)
			}
		})
		c := h.agent(codec, "a1")
		c.send(wire.AppendEvents(nil, codec, 1, nil, event(), event("type", 9)))
		c.acked(2)
		c.send(wire.AppendEvents(nil, codec, 3, []byte("here"), event("output", strings.Repeat("ab", 100_000))))
		c.acked(3)
		links := h.srv.Links()
		if len(links) != 1 || links[0].Agent != "a1" || links[0].Next != 4 || links[0].Codec != codec || links[0].Events != 3 ||
			links[0].Remote.String() != c.LocalAddr().String() || links[0].Listener != 5 || time.Since(links[0].Opened) > time.Minute {
			t.Errorf("%+v", links)
		}
		h.srv.Cut(links[0].Link, ws.StatusPolicyViolation, "cut")
		_, _, err := wsutil.ReadServerData(c)
		var ce wsutil.ClosedError
		if !errors.As(err, &ce) || ce.Code != 1008 || ce.Reason != "cut" {
			t.Errorf("%v", err)
		}
		<-gone
		mu.Lock()
		defer mu.Unlock()
		want := "hello 1|event 1 a1 log|refused 2 type events[1].type|frame_end 2|event 3 a1 log|pos 3 here|frame_end 3|closed 1008 cut"
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
	})
}

func TestRefusedByStatus(t *testing.T) {
	h := newHouse(t, nil, nil)
	for _, c := range []struct {
		key, protocol string
		status        int
	}{{"bad", "", 401}, {"good", "graphql-ws", 400}} {
		var ps []string
		if c.protocol != "" {
			ps = []string{c.protocol}
		}
		_, err := h.dial(wire.MsgPack, AgentPath, c.key, ps...)
		var se ws.StatusError
		if !errors.As(err, &se) || int(se) != c.status {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestHTTPIsHandedOn: the bytes read by the loop come first, keep-alive works,
// and the listener is named.
func TestHTTPIsHandedOn(t *testing.T) {
	var tags atomic.Int64
	conns := make(chan net.Conn, 16)
	h := newHouse(t, func(cfg *Config) {
		cfg.HTTP = func(c net.Conn, listener int) {
			tags.Add(int64(listener))
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				body, err := io.ReadAll(req.Body)
				if err != nil {
					return
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s %s", len(req.URL.Path)+1+len(body), req.URL.Path, body)
			}
		}
	}, nil)
	close(conns)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	cl := &http.Client{Transport: tr, Timeout: 5 * time.Second}
	big := strings.Repeat("z", 1<<20)
	for range 3 {
		resp, err := cl.Post("http://"+h.addr.String()+"/v1/x", "text/plain", strings.NewReader(big))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(b) != "/v1/x "+big {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	if tags.Load() != 5 {
		t.Errorf("tags add up to %d, want one connection on listener 5", tags.Load())
	}
}

// TestHTTPMax: who is idle makes room, longest first; who is not keeps its
// place, and more than that are told so, not left hanging.
func TestHTTPMax(t *testing.T) {
	hold := make(chan struct{})
	h := newHouse(t, func(cfg *Config) {
		cfg.HTTP = func(c net.Conn, _ int) {
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				req, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				if req.URL.Path == "/hold" {
					<-hold
				}
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
		cfg.HTTPMax = 2
	}, nil)
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", h.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		return c, bufio.NewReader(c)
	}
	ask := func(c net.Conn, r *bufio.Reader, path string) int {
		t.Helper()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	idle := func(n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			k := 0
			h.srv.waiting.mu.Lock()
			for c := h.srv.waiting.first; c != nil; c = c.after {
				k++
			}
			h.srv.waiting.mu.Unlock()
			if k == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d connections are idle, want %d", k, n)
			}
		}
	}
	first, fr := dial()
	second, sr := dial()
	for i, c := range []struct {
		net.Conn
		r *bufio.Reader
	}{{first, fr}, {second, sr}, {first, fr}} {
		if s := ask(c, c.r, "/"); s != 200 {
			t.Fatalf("request %d: %d", i, s)
		}
		idle(min(i+1, 2))
	}
	third, tr := dial() // the second has been idle for longer than the first
	if s := ask(third, tr, "/"); s != 200 {
		t.Errorf("got %d, want 200: two others are idle", s)
	}
	if _, err := sr.ReadByte(); err != io.EOF {
		t.Errorf("the connection idle the longest: %v, want its end", err)
	}
	idle(2)
	if s := ask(first, fr, "/"); s != 200 {
		t.Errorf("the other: %d", s)
	}
	idle(2)
	for _, c := range []net.Conn{first, third} {
		fmt.Fprint(c, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
	}
	idle(0)
	more, mr := dial()
	if s := ask(more, mr, "/"); s != 503 {
		t.Errorf("with both at work: %d, want 503", s)
	}
	close(hold)
	idle(2)
	if n := h.srv.detached.Load(); n != 2 {
		t.Errorf("%d connections are counted, want 2", n)
	}
}

func TestSocketOverLoopback(t *testing.T) {
	rec := &recorder{then: func(s Socket, op ws.OpCode, p []byte) {
		if err := s.Send(op, p); err != nil {
			t.Error(err)
		}
	}}
	h := newHouse(t, func(cfg *Config) { cfg.Sockets = Sockets{"/v1/live": rec} }, nil)
	c, err := h.dial(wire.JSON, "/v1/live", "good", "eyrie.live.v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 5, 200, 60_000} {
		want := strings.Repeat("é", n/2)
		c.send([]byte(want))
		got, op, err := wsutil.ReadServerData(c)
		if err != nil || op != ws.OpText || string(got) != want {
			t.Fatalf("%d bytes: %d %v %v", n, len(got), op, err)
		}
	}
}

// TestRingFullOverLoopback: senders stop, nothing is lost, all go on.
func TestRingFullOverLoopback(t *testing.T) {
	var bad atomic.Int64
	last := map[string]uint64{}
	h := newHouse(t, nil, func(it *Item) {
		if it.Kind == ItemEvent {
			k := string(it.Agent)
			if it.Seq != last[k]+1 {
				bad.Add(1)
			}
			last[k] = it.Seq
		}
	})
	const links, frames, each = 8, 60, 4
	var cs []*client
	for i := range links {
		cs = append(cs, h.agent(wire.Codec(i%2), fmt.Sprint("a", i)))
	}
	h.hold.Store(true)
	var wg sync.WaitGroup
	for _, c := range cs {
		wg.Go(func() {
			big := event("output", strings.Repeat("x", 20<<10))
			for f := range frames {
				c.send(wire.AppendEvents(nil, c.codec, uint64(1+f*each), nil, big, big, big, big))
			}
		})
	}
	paused := func() (n int) {
		for _, l := range h.srv.Links() {
			if l.Paused {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(30 * time.Second); paused() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no link was paused")
		}
	}
	h.hold.Store(false)
	h.ring()
	wg.Wait()
	for _, c := range cs {
		c.acked(frames * each)
	}
	if bad.Load() > 0 || h.events.Load() != links*frames*each {
		t.Errorf("%d events of %d, %d out of order", h.events.Load(), links*frames*each, bad.Load())
	}
}

// TestShutdown: every kind of link hears 1001 and the loops end.
func TestShutdown(t *testing.T) {
	rec := &recorder{}
	h := newHouse(t, func(cfg *Config) {
		cfg.Sockets = Sockets{"/v1/live": rec}
		cfg.Poll.Linger = time.Minute
	}, nil)
	a := h.agent(wire.MsgPack, "a")
	s, err := h.dial(wire.JSON, "/v1/live", "good")
	if err != nil {
		t.Fatal(err)
	}
	half, err := net.Dial("tcp", h.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range []*client{a, s} {
		wg.Go(func() {
			_, _, err := wsutil.ReadServerData(c)
			var ce wsutil.ClosedError
			if !errors.As(err, &ce) || ce.Code != ws.StatusGoingAway {
				t.Errorf("%v", err)
			}
			c.Close()
		})
	}
	start := time.Now()
	h.srv.Quiesce(ctx)
	a.send(wire.AppendEvents(nil, wire.MsgPack, 1, nil, event()))
	if err := h.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if d := time.Since(start); d > 20*time.Second { // nobody lingers
		t.Errorf("took %v", d)
	}
	if h.events.Load() != 0 {
		t.Error("an event was taken after Quiesce")
	}
	if _, err := net.Dial("tcp", h.addr.String()); err == nil {
		t.Error("still accepting")
	}
	if got := h.srv.Links(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	h.srv.Reply([]Reply{{Link: 1 << 32, Kind: ReplyAck, To: 1}})
}
