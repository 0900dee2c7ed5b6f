//go:build linux

package engine

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a server on loopback with a consumer that acknowledges every frame,
// as intake does after its commit.
type house struct {
	t      testing.TB
	srv    *Server
	addr   netip.AddrPort
	bell   chan struct{}
	done   chan struct{}
	events atomic.Int64
	onItem func(it *Item) // in the consumer, before the reply; may be nil
	hold   atomic.Bool    // the consumer leaves the rings alone
}

func newHouse(t testing.TB, change func(*Config), onItem func(*Item)) *house {
	t.Helper()
	h := &house{t: t, bell: make(chan struct{}, 1), done: make(chan struct{}), onItem: onItem}
	cfg := Config{
		RingBytes: 4 << 20,
		Gate: GateFunc(func(q *Request) (Grant, *Refusal) {
			if q.Key != "good" {
				return Grant{}, &Refusal{401, "key_unknown", "no such key"}
			}
			return Grant{Space: "main", Owner: "k1"}, nil
		}),
		Notify: func() {
			select {
			case h.bell <- struct{}{}:
			default:
			}
		},
	}
	cfg.Poll.Loops = 2
	if change != nil {
		change(&cfg)
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.srv = srv
	if h.addr, err = srv.Listen("127.0.0.1:0", 5); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go h.consume(stop)
	srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		close(stop)
		<-h.done
	})
	return h
}

func (h *house) consume(stop chan struct{}) {
	defer close(h.done)
	var it Item
	var rs []Reply
	for {
		rs = rs[:0]
		for i, r := range h.srv.Rings() {
			n := 0
			for !h.hold.Load() {
				rec, ok := r.Next()
				if !ok {
					break
				}
				n++
				if err := DecodeItem(rec, &it); err != nil {
					h.t.Errorf("item: %v", err)
				}
				switch it.Kind {
				case ItemHello:
					rs = append(rs, Reply{Link: it.Link, Kind: ReplyWelcome, Welcome: &wire.Welcome{Next: 1}})
				case ItemEvent, ItemRefused:
					h.events.Add(1)
				case ItemFrameEnd:
					rs = append(rs, Reply{Link: it.Link, Kind: ReplyAck, To: it.Seq})
				}
				if h.onItem != nil {
					h.onItem(&it)
				}
			}
			if n > 0 {
				r.Release()
				h.srv.Freed(i)
			}
		}
		if len(rs) > 0 {
			h.srv.Reply(rs)
		}
		select {
		case <-h.bell:
		case <-stop:
			return
		}
	}
}

// ring rings the consumer's bell.
func (h *house) ring() {
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// client is gobwas/ws on the other end.
type client struct {
	net.Conn
	t     testing.TB
	r     io.Reader
	codec wire.Codec
}

func (h *house) dial(codec wire.Codec, path, key string, protocols ...string) (*client, error) {
	d := ws.Dialer{
		Timeout:   5 * time.Second,
		Protocols: protocols,
		Header:    ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + key}}),
	}
	c, br, _, err := d.Dial(context.Background(), "ws://"+h.addr.String()+path)
	if err != nil {
		return nil, err
	}
	k := &client{Conn: c, t: h.t, r: c, codec: codec}
	if br != nil {
		k.r = br
	}
	h.t.Cleanup(func() { c.Close() })
	return k, nil
}

func (h *house) agent(codec wire.Codec, id string) *client {
	h.t.Helper()
	return h.hello(codec, helloMessage(codec, id))
}

func (h *house) hello(codec wire.Codec, hello []byte) *client {
	h.t.Helper()
	c, err := h.dial(codec, AgentPath, "good", codec.Subprotocol())
	if err != nil {
		h.t.Fatal(err)
	}
	c.send(hello)
	if m := c.next(); m.Op != wire.OpWelcome || m.Welcome.Next != 1 || m.Welcome.Limits.Frame != wire.MaxFrame {
		h.t.Fatalf("%+v", m)
	}
	return c
}

func (c *client) send(p []byte) {
	op := ws.OpBinary
	if c.codec == wire.JSON {
		op = ws.OpText
	}
	if err := wsutil.WriteClientMessage(c, op, bytes.Clone(p)); err != nil {
		c.t.Errorf("send: %v", err)
	}
}

func (c *client) next() (m wire.ServerMessage) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	p, _, err := wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{c.r, c})
	if err != nil {
		c.t.Fatalf("next: %v", err)
	}
	if err := wire.ParseServer(c.codec, p, &m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// acked waits for the acknowledgement of seq.
func (c *client) acked(seq uint64) {
	c.t.Helper()
	for {
		m := c.next()
		if m.Op != wire.OpAck {
			c.t.Fatalf("%+v", m)
		}
		if m.Seq >= seq {
			return
		}
	}
}
