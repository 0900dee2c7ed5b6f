package client

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/gobwas/ws"
)

// server is a small eyrie: one producer table, strict about numbers, with faults on request.
type server struct {
	t  *testing.T
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex
	next   uint64 // first number not settled
	epoch  uint64
	past   uint64 // epochs of the log before this one
	pos    []byte
	stored [][]byte // payload of number i+1, nil when refused or lost
	lost   [][2]uint64
	hellos []wire.Hello
	frames int
	pings  int
	pongs  int
	result []byte
	conns  map[net.Conn]bool
	faults []string

	// faults on request, called under mu with the running number of the frame
	onFrame func(n int, m *wire.Message) fault
	reject  func() error                   // of an upgrade
	bye     func() (ws.StatusCode, string) // right after a welcome; 0 for none
	refuse  func(payload []byte) *wire.FieldError
	say     func() []func(c wire.Codec) []byte // messages right after a welcome
	mute    bool                               // answers nothing after the welcome
}

type fault int

const (
	fine      fault = iota
	cutBefore       // the frame is not stored, the socket goes
	cutAfter        // the frame is stored, its ack is never sent
	hold            // stored later: no ack for now
)

func newServer(t *testing.T) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, ln: ln, next: 1, conns: map[net.Conn]bool{}}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *server) url() string { return "http://" + s.ln.Addr().String() }

func (s *server) stop() {
	s.ln.Close()
	s.cut()
	s.wg.Wait()
	for _, f := range s.faults {
		s.t.Error(f)
	}
}

func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *server) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	var codec wire.Codec
	key := ""
	up := ws.Upgrader{
		Protocol: func(p []byte) bool { c, ok := wire.ParseSubprotocol(string(p)); codec = c; return ok },
		OnHeader: func(k, v []byte) error {
			if string(k) == "Authorization" {
				key = string(v)
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if key != "Bearer sesame" {
				return nil, ws.RejectConnectionError(ws.RejectionStatus(401), ws.RejectionReason("no such key"))
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.reject != nil {
				return nil, s.reject()
			}
			return nil, nil
		},
	}
	if _, err := up.Upgrade(conn); err != nil {
		return
	}
	s.mu.Lock()
	s.conns[conn] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	var p wire.Parser
	for {
		h, err := ws.ReadHeader(conn)
		if err != nil || h.Length > wire.MaxFrame {
			return
		}
		f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
		if _, err := io.ReadFull(conn, f.Payload); err != nil {
			return
		}
		if !f.Header.Masked {
			s.fault("an unmasked frame")
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpClose:
			return
		case ws.OpPing:
			s.mu.Lock()
			s.pings++
			mute := s.mute
			s.mu.Unlock()
			if !mute {
				ws.WriteFrame(conn, ws.NewPongFrame(f.Payload))
			}
			continue
		case ws.OpPong:
			s.mu.Lock()
			s.pongs++
			s.mu.Unlock()
			continue
		}
		if want := map[wire.Codec]ws.OpCode{wire.MsgPack: ws.OpBinary, wire.JSON: ws.OpText, wire.Proto: ws.OpBinary}[codec]; f.Header.OpCode != want {
			s.fault("opcode %v on a %v link", f.Header.OpCode, codec)
		}
		if !s.message(conn, codec, &p, f.Payload) {
			return
		}
	}
}

func write(conn net.Conn, c wire.Codec, p []byte) {
	op := ws.OpBinary
	if c == wire.JSON {
		op = ws.OpText
	}
	ws.WriteFrame(conn, ws.NewFrame(op, true, p))
}

func (s *server) message(conn net.Conn, c wire.Codec, p *wire.Parser, b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m wire.Message
	if e := p.Parse(c, b, &m); e != nil {
		s.fault("message: %v", e)
		return false
	}
	switch m.Op {
	case wire.OpHello:
		return s.hello(conn, c, &m)
	case wire.OpLost:
		s.lost = append(s.lost, [2]uint64{m.From, m.To})
		for s.next <= m.To {
			s.stored = append(s.stored, nil)
			s.next++
		}
		write(conn, c, wire.AppendAck(nil, c, s.next-1))
	case wire.OpResult:
		s.result = bytes.Clone(m.Data)
	case wire.OpEvents:
		return s.events(conn, c, p, &m)
	}
	return true
}

func (s *server) hello(conn net.Conn, c wire.Codec, m *wire.Message) bool {
	h := m.Hello
	h.Agent = bytes.Clone(h.Agent)
	s.hellos = append(s.hellos, h)
	if h.Epoch < s.epoch {
		ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "epoch too low")))
		return false
	}
	if h.Epoch > s.epoch {
		for other := range s.conns {
			if other != conn {
				ws.WriteFrame(other, ws.NewCloseFrame(ws.NewCloseFrameBody(4000, "fenced")))
			}
		}
	}
	s.epoch = h.Epoch
	write(conn, c, wire.AppendWelcome(nil, c, &wire.Welcome{Epoch: 1 + s.past, Next: s.next, Pos: s.pos}))
	if s.say != nil {
		for _, build := range s.say() {
			write(conn, c, build(c))
		}
	}
	if s.bye != nil {
		if code, reason := s.bye(); code != 0 {
			ws.WriteFrame(conn, ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
			return false
		}
	}
	return true
}

func (s *server) events(conn net.Conn, c wire.Codec, p *wire.Parser, m *wire.Message) bool {
	s.frames++
	f := fine
	if s.onFrame != nil {
		f = s.onFrame(s.frames, m)
	}
	if f == cutBefore {
		return false
	}
	if m.Seq > s.next {
		s.fault("gap: frame starts at %d, next is %d", m.Seq, s.next)
		write(conn, c, wire.AppendNack(nil, c, m.Seq, m.Seq, "gap", "seq", ""))
		return true
	}
	var h wire.Head
	for seq := m.Seq; ; seq++ {
		payload, e, more := p.NextEvent(c, m, &h)
		if !more {
			break
		}
		if e == nil && s.refuse != nil {
			e = s.refuse(payload)
		}
		switch {
		case seq < s.next:
			if old := s.stored[seq-1]; old != nil && !bytes.Equal(old, payload) {
				if s.past == 0 {
					s.fault("number %d came with other content", seq)
				}
				write(conn, c, wire.AppendNack(nil, c, seq, seq, "conflict", "seq", ""))
			}
		case e != nil:
			write(conn, c, wire.AppendNack(nil, c, seq, seq, e.Code, e.Field, e.Msg))
			s.stored = append(s.stored, nil)
			s.next++
		default:
			s.stored = append(s.stored, bytes.Clone(payload))
			s.next++
		}
	}
	if m.HasPos {
		s.pos = bytes.Clone(m.Pos)
	}
	if f == cutAfter {
		return false
	}
	if f != hold && !s.mute {
		write(conn, c, wire.AppendAck(nil, c, s.next-1))
	}
	return true
}

// ackAll tells every link what is settled.
func (s *server) ackAll(c wire.Codec) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		write(conn, c, wire.AppendAck(nil, c, s.next-1))
	}
}

// msgs returns the msg of each stored event, "" for a number without one.
func (s *server) msgs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, p := range s.stored {
		var e wire.Event
		if p != nil {
			if err := wire.DecodeEvent(p, &e); err != nil {
				s.fault("stored: %v", err)
			}
		}
		all = append(all, e.Msg)
	}
	return all
}

func (s *server) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		yes := ok()
		s.mu.Unlock()
		if yes {
			return
		}
	}
	s.t.Fatalf("never came: %s", what)
}

func wantMsgs(t *testing.T, got []string, n int) {
	t.Helper()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("m", i))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("stored %d events, want %d in order; first difference: %v", len(got), n, firstDifference(got, want))
	}
}

func firstDifference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("number %d: got %q, want %q", i+1, g, w)
		}
	}
	return "none"
}
