//go:build linux

package echo

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// serve runs a server for the length of a test.
func serve(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at, ended := make(chan netip.AddrPort, 1), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Config{Listen: "localhost:0", Loops: 2}, func(a netip.AddrPort) { at <- a })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-at:
		return a.String()
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return ""
}

func dial(t *testing.T, addr, path string) net.Conn {
	t.Helper()
	c, _, _, err := ws.Dial(t.Context(), "ws://"+addr+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func TestEcho(t *testing.T) {
	c := dial(t, serve(t), "/echo")
	big := make([]byte, messageMax)
	rand.Read(big)
	for _, m := range []struct {
		op ws.OpCode
		p  []byte
	}{{ws.OpText, []byte("čau")}, {ws.OpBinary, nil}, {ws.OpBinary, big[:70_000]}, {ws.OpBinary, big}, {ws.OpText, []byte("end")}} {
		sent := make(chan error, 1)
		go func() { sent <- wsutil.WriteClientMessage(c, m.op, bytes.Clone(m.p)) }()
		got, op, err := wsutil.ReadServerData(c)
		if err != nil || <-sent != nil || op != m.op || !bytes.Equal(got, m.p) {
			t.Fatalf("%d bytes with opcode %d came back as %d with %d: %v", len(m.p), m.op, len(got), op, err)
		}
	}
	frame := ws.MaskFrameInPlace(ws.NewBinaryFrame(make([]byte, messageMax+1)))
	go ws.WriteFrame(c, frame)
	h, payload := readFrame(t, c)
	if h.OpCode != ws.OpClose {
		t.Fatalf("a message above the bound: %v", h)
	}
	if code, _ := ws.ParseCloseFrameData(payload); code != ws.StatusMessageTooBig {
		t.Errorf("a message above the bound: close %d", code)
	}
}

// TestSink sends several rings full: the pong behind them says that every
// message found its place, none waits for ever.
func TestSink(t *testing.T) {
	c := dial(t, serve(t), "/sink")
	var chunk []byte
	for range 64 {
		frame := bytes.NewBuffer(nil)
		ws.WriteFrame(frame, ws.MaskFrameInPlace(ws.NewBinaryFrame(make([]byte, 1000))))
		chunk = append(chunk, frame.Bytes()...)
	}
	for range 400 {
		if _, err := c.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := wsutil.WriteClientMessage(c, ws.OpPing, []byte("done")); err != nil {
		t.Fatal(err)
	}
	if h, payload := readFrame(t, c); h.OpCode != ws.OpPong || string(payload) != "done" {
		t.Errorf("%v %q", h, payload)
	}
}

// readFrame reads a control frame.
func readFrame(t *testing.T, c io.Reader) (ws.Header, []byte) {
	t.Helper()
	h, err := ws.ReadHeader(c)
	if err != nil || !h.OpCode.IsControl() || h.Length > ws.MaxControlFramePayloadSize {
		t.Fatalf("want a control frame: %v, %v", h, err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c, payload); err != nil {
		t.Fatal(err)
	}
	return h, payload
}

func TestNotFoundElsewhere(t *testing.T) {
	addr := serve(t)
	for _, path := range []string{"/", "/v1/agent"} {
		if _, _, _, err := ws.Dial(t.Context(), "ws://"+addr+path); err == nil || !strings.Contains(err.Error(), "404") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, a := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "[::]:0", "[::ffff:192.0.2.1]:1", "127.0.0.1"} {
		err := Serve(t.Context(), Config{Listen: a}, func(netip.AddrPort) { t.Errorf("%s: listens", a) })
		if err == nil {
			t.Errorf("%s: no error", a)
		}
	}
	for _, a := range []string{"127.0.0.1:0", "[::1]:9", "127.8.9.10:1"} {
		if got, err := loopback(a); err != nil || got != a {
			t.Errorf("%s: %q, %v", a, got, err)
		}
	}
}
