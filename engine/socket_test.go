//go:build linux

package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func socketRig(t *testing.T) (*rig, *recorder, *rigConn) {
	t.Helper()
	rec := &recorder{}
	r := newRig(t, func(cfg *Config) { cfg.Sockets = Sockets{"/v1/live": rec} })
	c := r.dial()
	r.feed(c, upgradeRequest("/v1/live?x=1", "Cookie: eyrie_session=s", "Origin: http://h", "Sec-WebSocket-Protocol: eyrie.live.v1, eyrie.key.good"))
	if rec.opened != 1 || !strings.Contains(string(c.out), "Sec-WebSocket-Protocol: eyrie.live.v1\r\n") {
		t.Fatalf("%q", c.out)
	}
	c.out = nil
	return r, rec, c
}

func TestSocketOpen(t *testing.T) {
	_, rec, _ := socketRig(t)
	q := rec.request
	if q.Path != "/v1/live" || q.Query != "x=1" || q.Cookie != "eyrie_session=s" || q.Origin != "http://h" || q.Key != "good" ||
		q.Host != "h" || q.Listener != 3 || q.Remote.String() != "192.0.2.7:4242" || len(q.Protocols) != 1 || rec.grant.Space != "main" {
		t.Errorf("%+v %+v", q, rec.grant)
	}
}

func TestSocketSend(t *testing.T) {
	r, rec, c := socketRig(t)
	s := rec.socket
	p := []byte("one")
	if err := errors.Join(s.Send(ws.OpText, p), s.Send(ws.OpBinary, []byte("two"))); err != nil {
		t.Fatal(err)
	}
	copy(p, "XXX")
	if s.Buffered() == 0 {
		t.Error("nothing buffered before the loop's turn")
	}
	r.wake()
	fs := readServer(t, c.out)
	if len(fs) != 2 || fs[0].op != ws.OpText || string(fs[0].payload) != "one" || string(fs[1].payload) != "two" || s.Buffered() != 0 {
		t.Fatalf("%v, %d buffered", fs, s.Buffered())
	}
	c.out = nil
	s.Close(ws.StatusGoingAway, "later")
	if err := s.Send(ws.OpText, p); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	r.wake()
	if code, why := closed(t, c.out); code != 1001 || why != "later" || rec.ended != 1 {
		t.Errorf("close %d %q, ended %d", code, why, rec.ended)
	}
}

func TestSocketBacklog(t *testing.T) {
	r, rec, c := socketRig(t)
	c.blocked = true
	s, p, sent := rec.socket, make([]byte, 10_000), 0
	for {
		err := s.Send(ws.OpBinary, p)
		if errors.Is(err, ErrBacklog) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent++; sent%7 == 0 {
			r.wake()
		}
		if sent > 1000 {
			t.Fatal("no bound")
		}
	}
	r.wake()
	if s.Buffered() > 1<<20 || s.Buffered() < 1<<19 || c.gone {
		t.Errorf("%d buffered, gone %v", s.Buffered(), c.gone)
	}
	r.unblock(c)
	if s.Buffered() != 0 || rec.drained != 1 {
		t.Errorf("%d buffered, drained %d times", s.Buffered(), rec.drained)
	}
	if err := s.Send(ws.OpBinary, p); err != nil {
		t.Error(err)
	}
	r.wake()
	if n := len(readServer(t, c.out)); n != sent+1 {
		t.Errorf("%d messages arrived of %d", n, sent+1)
	}
}

func TestSocketRefusedByGate(t *testing.T) {
	rec := &recorder{}
	r := newRig(t, func(cfg *Config) { cfg.Sockets = Sockets{"/v1/live": rec} })
	c := r.dial()
	r.feed(c, upgradeRequest("/v1/live"))
	if !strings.HasPrefix(string(c.out), "HTTP/1.1 401 ") || rec.opened+rec.ended != 0 {
		t.Errorf("%q", c.out)
	}
}

// TestAnswer: what answers one read goes out in one write.
func TestAnswer(t *testing.T) {
	r, rec, c := socketRig(t)
	rec.then = func(s Socket, op ws.OpCode, p []byte) { s.Answer(op, p) }
	c.writes = 0
	var in []byte
	for range 32 {
		in = append(in, clientFrame(0x81, []byte("ping-pong"))...)
	}
	r.feed(c, in)
	if n := len(readServer(t, c.out)); n != 32 || c.writes != 1 {
		t.Errorf("%d answers in %d writes", n, c.writes)
	}
}
