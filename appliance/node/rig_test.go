//go:build linux

package node_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"eyrie/appliance/config"
	"eyrie/appliance/node"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// rig is a whole node on loopback ports, with its data in a temporary folder.
type rig struct {
	*node.Node
	ingest, web     string
	operator, agent string // the standing keys
}

func newRig(t *testing.T, dir string, change ...func(*config.Config)) *rig {
	t.Helper()
	return newRigWith(t, node.Options{
		Config:   rigConfig(dir, change...),
		Settings: func([]config.Tuned) []config.Value { return nil }, Logger: slog.New(slog.DiscardHandler),
	})
}

func rigConfig(dir string, change ...func(*config.Config)) *config.Config {
	seconds := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }
	c := &config.Config{
		Data: dir, Ingest: "127.0.0.1:0", Web: "127.0.0.1:0", Loops: 2, RingMiB: 4, CacheMiB: 16, DiskMin: 1,
		Save: seconds(1), IdleTimeout: seconds(90), Ping: seconds(30), Drain: seconds(4), SelfEvery: seconds(5),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func newRigWith(t *testing.T, o node.Options) *rig {
	t.Helper()
	n, err := node.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	<-n.Loaded()
	t.Cleanup(func() { end(t, n) })
	return serveRig(t, n)
}

// serveRig is a rig of a node that was started.
func serveRig(t *testing.T, n *node.Node) *rig {
	t.Helper()
	r := &rig{Node: n}
	open, refused := n.Listeners()
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	for _, l := range open {
		switch l.Name {
		case "ingest":
			r.ingest = l.Addr
		case "web":
			r.web = l.Addr
		}
	}
	keys, _ := n.Keys()
	var err error
	if r.operator, err = keys.Standing("operator"); err != nil {
		t.Fatal(err)
	}
	if r.agent, err = keys.Standing("agent"); err != nil {
		t.Fatal(err)
	}
	return r
}

// rawLink is an agent's end of a link that may say anything.
type rawLink struct {
	c      net.Conn
	r      *bufio.Reader
	codec  wire.Codec
	status int    // of the answer to the upgrade
	body   string // where it was refused
}

// upgrade is a request for an agent's link. A protocol or key of "" is left out.
func upgrade(key, protocol string) string {
	s := "GET /v1/agent HTTP/1.1\r\nHost: eyrie\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	if key != "" {
		s += "Authorization: Bearer " + key + "\r\n"
	}
	if protocol != "" {
		s += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	return s + "\r\n"
}

const (
	packed = wire.SubprotocolMsgPack
	texts  = wire.SubprotocolJSON
)

// dialRaw sends the upgrade and the first bytes behind it in one write.
func dialRaw(addr, request string, first []byte) (*rawLink, error) {
	return dialRawFrom(nil, addr, request, first)
}

// dialRawFrom is dialRaw from an address of this machine; nil is any.
func dialRawFrom(from net.IP, addr, request string, first []byte) (*rawLink, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != nil {
		d.LocalAddr = &net.TCPAddr{IP: from}
	}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	// A reset instead of TIME_WAIT: thousands of links come from one address.
	c.(*net.TCPConn).SetLinger(0)
	c.SetDeadline(time.Now().Add(30 * time.Second))
	l := &rawLink{c: c, r: bufio.NewReaderSize(c, 4096), codec: wire.MsgPack}
	if strings.Contains(request, texts) {
		l.codec = wire.JSON
	}
	if _, err := c.Write(append([]byte(request), first...)); err != nil {
		c.Close()
		return nil, err
	}
	if err := l.answer(); err != nil {
		c.Close()
		return nil, fmt.Errorf("the answer to the upgrade: %w", err)
	}
	return l, nil
}

func (l *rawLink) answer() error {
	resp, err := http.ReadResponse(l.r, nil)
	if err != nil {
		return err
	}
	if l.status = resp.StatusCode; l.status != http.StatusSwitchingProtocols {
		b, err := io.ReadAll(resp.Body)
		l.body = string(b)
		return err
	}
	return nil
}

// reply is one thing that the server said: a message, or a close code.
type reply struct {
	wire.ServerMessage
	closed ws.StatusCode
	reason string
}

// next reads the server's next message or close; pings are passed over.
func (l *rawLink) next() (r reply, err error) {
	for {
		h, err := ws.ReadHeader(l.r)
		if err != nil {
			return r, err
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(l.r, p); err != nil {
			return r, err
		}
		switch h.OpCode {
		case ws.OpClose:
			if len(p) >= 2 {
				r.closed, r.reason = ws.StatusCode(binary.BigEndian.Uint16(p)), string(p[2:])
			} else {
				r.closed = ws.StatusNoStatusRcvd
			}
			return r, nil
		case ws.OpText, ws.OpBinary:
			return r, wire.ParseServer(l.codec, p, &r.ServerMessage)
		}
	}
}

func (l *rawLink) close() { l.c.Close() }

// frame is one whole masked frame of the link's codec.
func frame(c wire.Codec, payload []byte) []byte {
	op := ws.OpBinary
	if c == wire.JSON {
		op = ws.OpText
	}
	return frameOf(op, payload)
}

func frameOf(op ws.OpCode, payload []byte) []byte {
	f := ws.MaskFrameWith(ws.NewFrame(op, true, payload), [4]byte{1, 2, 3, 4})
	b, err := ws.CompileFrame(f)
	if err != nil {
		panic(err)
	}
	return b
}

// helloOf introduces producer n.
func helloOf(c wire.Codec, n byte, epoch uint64, agent string) []byte {
	h := &wire.HelloOut{Producer: [16]byte{0xee, 15: n}, Epoch: epoch, First: 1}
	if agent != "" {
		h.Agent = &wire.Event{Agent: agent}
	}
	return frame(c, wire.AppendHello(nil, c, h))
}

func eventsOf(c wire.Codec, seq uint64, events ...wire.Event) []byte {
	var ps [][]byte
	for i := range events {
		ps = append(ps, events[i].AppendMsgpack(nil))
	}
	return frame(c, wire.AppendEvents(nil, c, seq, nil, ps...))
}

func message(text string) wire.Event { return wire.Event{Type: wire.TypeMessage, Msg: text} }

// eventually waits for a state that others bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never came: ", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
