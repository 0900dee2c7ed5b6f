package links

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/workload"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// server is the other end: it upgrades each connection and has serve do the rest.
func server(t *testing.T, serve func(n int, c net.Conn, r *bufio.Reader)) (addr string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				req, err := http.ReadRequest(r)
				if err != nil || req.URL.Path != "/path" || req.Header.Get("Sec-WebSocket-Protocol") != "protocol" || req.Header.Get("Authorization") != "Bearer key" {
					t.Errorf("request %v, %v", req, err)
					return
				}
				serve(n, c, r)
			}()
		}
	}()
	return l.Addr().String()
}

const accepted = "HTTP/1.1 101 Switching Protocols\r\n\r\n"

// told is a handler that writes down what it is told, and has each link say something.
type told struct {
	*Loop
	out   io.Writer
	all   []*Link
	said  []string
	lost  int
	again bool // those that are lost come back
	most  int  // handshakes under way
}

func (h *told) Upgraded(c *Link) {
	h.Put(c, h.Framer.Frame(nil, fmt.Appendf(nil, "link %d", c.Index)))
}
func (h *told) Message(c *Link, p []byte) {
	h.Opened(c)
	h.said = append(h.said, fmt.Sprintf("%d: %.20s of %d", c.Index, p, len(p)))
}
func (h *told) Read(int)      {}
func (h *told) Written(*Link) {}
func (h *told) Lost(c *Link, why string) {
	h.said = append(h.said, fmt.Sprintf("%d lost: %s", c.Index, why))
	if h.lost++; h.again {
		h.Open(c, 0)
	}
}
func (h *told) Turn() time.Duration { h.most = max(h.most, h.busy); return -1 }

// Take is what the test orders: links to open, or what was said so far.
func (h *told) Take(o order) {
	for i := range o.Open {
		h.all = append(h.all, &Link{Index: i})
		h.Open(h.all[i], 0)
	}
	if o.Drop {
		h.Reset(h.all[0], "asked for")
	}
	if o.Tell {
		_, _ = h.out.Write(child.Line(answer{Said: h.said, Busy: h.busy, Most: h.most}))
	}
}

type order struct {
	Open int
	Drop bool
	Tell bool
}

type answer struct {
	Said  []string
	Busy  int
	Most  int
	Error string
}

// lives runs a loop and returns what orders it, and what it answers within a time
// where that is so.
func lives(t *testing.T, cfg Config, again bool) (tell func(order), said func(ok func(answer) bool) answer) {
	cfg.Path, cfg.Protocol, cfg.Key, cfg.Source, cfg.Sources = "/path", "protocol", "key", [4]byte{127, 0, 0, 9}, 3
	in, orders := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Life[Config, order]{
			Name:   "links",
			Failed: func(err error) any { return answer{Error: err.Error()} },
			Begin: func(cfg Config) (*Loop, Actor[order], error) {
				l, err := New(cfg, workload.NewFramer(wire.JSON, 1))
				return l, &told{Loop: l, out: out, again: again}, err
			},
		}.Serve(in, out)
		out.Close()
	}()
	p := &child.Process{In: orders, Out: bufio.NewReader(answers)}
	tell = func(o order) { _, _ = orders.Write(child.Line(o)) }
	_, _ = orders.Write(child.Line(cfg))
	t.Cleanup(func() {
		p.In.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tell, func(ok func(answer) bool) (a answer) {
		for end := time.Now().Add(10 * time.Second); !ok(a); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("it said %+v", a)
			}
			tell(order{Tell: true})
			b, err := p.Out.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			a = answer{}
			if err := json.Unmarshal(b, &a); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
}

// A link is upgraded, sends masked frames, gets whole messages however they are cut,
// and answers pings.
func TestMessages(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	got := make(chan []string, 1)
	addr := server(t, func(_ int, c net.Conn, r *bufio.Reader) {
		if !c.RemoteAddr().(*net.TCPAddr).IP.Equal(net.IPv4(127, 0, 0, 9)) {
			t.Errorf("it came from %v", c.RemoteAddr())
		}
		var b bytes.Buffer
		b.WriteString(accepted)
		for _, f := range []ws.Frame{ws.NewTextFrame([]byte("short")), ws.NewPingFrame([]byte("there?")), ws.NewTextFrame([]byte(long)), ws.NewPongFrame(nil), ws.NewTextFrame(nil)} {
			if err := ws.WriteFrame(&b, f); err != nil {
				t.Error(err)
			}
		}
		for at, p := 0, b.Bytes(); len(p) > 0; at++ { // the head byte for byte, then larger and larger parts
			n := min(1+at*at/20, len(p))
			if _, err := c.Write(p[:n]); err != nil {
				t.Error(err)
				return
			}
			p = p[n:]
		}
		var said []string
		for len(said) < 2 {
			h, err := ws.ReadHeader(r)
			p := make([]byte, min(h.Length, 100))
			if _, e := io.ReadFull(r, p); err != nil || e != nil || !h.Masked {
				t.Errorf("frame %v, %v, %v", h, err, e)
				break
			}
			ws.Cipher(p, h.Mask, 0)
			said = append(said, fmt.Sprintf("%d %s", h.OpCode, p))
		}
		got <- said
		_ = ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "going")))
		_, _ = io.Copy(io.Discard, r)
	})
	tell, said := lives(t, Config{Addr: addr, ReadBytes: 256 << 10}, false)
	tell(order{Open: 1})
	want := []string{"0: short of 5", "0: " + long[:20] + " of 100000", "0:  of 0", "0 lost: closed by the server: 1001 going"}
	if a := said(func(a answer) bool { return len(a.Said) == len(want) }); !slices.Equal(a.Said, want) || a.Busy != 0 {
		t.Errorf("%+v, want %q", a, want)
	}
	if all := <-got; !slices.Equal(all, []string{"1 link 0", "10 there?"}) && !slices.Equal(all, []string{"2 link 0", "10 there?"}) {
		t.Errorf("the server got %q", all)
	}
}

// So many handshakes are under way at once, one that fails makes room, and a link that
// is lost comes back where it is opened again.
func TestHandshakes(t *testing.T) {
	addr := server(t, func(n int, c net.Conn, r *bufio.Reader) {
		switch n {
		case 0:
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
			return
		case 1:
			return // closed at once
		}
		_, _ = io.WriteString(c, accepted)
		_ = ws.WriteFrame(c, ws.NewTextFrame([]byte("welcome")))
		_, _ = io.Copy(io.Discard, r)
	})
	tell, said := lives(t, Config{Addr: addr, ReadBytes: 4096, Handshakes: 3}, true)
	tell(order{Open: 20})
	welcome := func(a answer) (n int) {
		for _, s := range a.Said {
			if strings.Contains(s, "welcome") {
				n++
			}
		}
		return n
	}
	a := said(func(a answer) bool { return welcome(a) == 20 })
	if a.Busy != 0 || a.Most > 3 || len(a.Said) != 22 {
		t.Errorf("%d handshakes at once, %d left, said %q", a.Most, a.Busy, a.Said)
	}
	tell(order{Drop: true})
	a = said(func(a answer) bool { return welcome(a) == 21 })
	if !slices.Contains(a.Said, "0 lost: asked for") || a.Busy != 0 {
		t.Errorf("said %q", a.Said)
	}
}

// A message longer than the buffer ends the link, and an address where nobody listens
// is told after the tries.
func TestLost(t *testing.T) {
	addr := server(t, func(_ int, c net.Conn, r *bufio.Reader) {
		_, _ = io.WriteString(c, accepted)
		_ = ws.WriteFrame(c, ws.NewTextFrame(make([]byte, 5000)))
		_, _ = io.Copy(io.Discard, r)
	})
	tell, said := lives(t, Config{Addr: addr, ReadBytes: 4096}, false)
	tell(order{Open: 1})
	a := said(func(a answer) bool { return len(a.Said) > 0 })
	if !strings.Contains(a.Said[0], "longer than any") || a.Busy != 0 {
		t.Errorf("%+v", a)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	tell, said = lives(t, Config{Addr: l.Addr().String(), ReadBytes: 4096, Tries: 2}, false)
	tell(order{Open: 1})
	a = said(func(a answer) bool { return len(a.Said) > 0 })
	if !strings.Contains(a.Said[0], "refused") || a.Busy != 0 {
		t.Errorf("%+v", a)
	}
	if _, err := New(Config{Addr: "[::1]:80"}, nil); err == nil {
		t.Error("an address that is not IPv4 is taken")
	}
}
