//go:build linux

package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eyrie/appliance/access"
	"eyrie/engine/client"
	"eyrie/engine/wire"

	"github.com/gobwas/ws"
	"github.com/tinylib/msgp/msgp"
)

// Bad input costs its sender only: each kind is repeated, told exactly what is
// wrong, takes no memory, and a neighbour's link never notices.

// refused is a bad request for a link: the answer's status and code.
type refused struct {
	name, request string
	first         []byte // behind the request
	status        int
	code          string
}

// ended is a link that is opened, and closed for what comes behind the upgrade.
type ended struct {
	name, protocol string
	first          []byte
	code           ws.StatusCode
	hello          bool // first is said twice, as a hello: the second is one too many
}

// nacked is a message on an open link that is nacked and keeps the link.
type nacked struct {
	name        string
	codec       wire.Codec
	say         func(seq uint64) []byte // seq: the next number
	code, field string
	ack         ackWanted
	inRow       int // messages on one link; 0: any number
}

type ackWanted uint8

const (
	noAck   ackWanted = iota
	ackThis           // the number is settled by its refusal
	ackPast           // only what was settled before
)

// malformedRow is how many messages beyond parsing a link may send in a row.
const malformedRow = 15

// with is a message whose one event has one more field.
func with(field string, value []byte) func(uint64) []byte {
	return func(seq uint64) []byte {
		b := msgp.AppendMapHeader(nil, 3)
		b = msgp.AppendString(msgp.AppendString(b, "type"), "tool")
		b = msgp.AppendString(msgp.AppendString(b, "name"), "Bash")
		b = append(msgp.AppendString(b, field), value...)
		return frame(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, seq, nil, b))
	}
}

// badUsage has a count that is a text.
func badUsage() []byte {
	b := msgp.AppendMapHeader(nil, 2)
	b = msgp.AppendString(msgp.AppendString(b, "model"), "m")
	return msgp.AppendString(msgp.AppendString(b, "input_tokens"), "many")
}

// claims is the start of a message whose array of events claims n elements.
func claims(seq uint64, n uint32) []byte {
	b := msgp.AppendMapHeader(nil, 3)
	b = msgp.AppendString(msgp.AppendString(b, "op"), "events")
	b = msgp.AppendUint64(msgp.AppendString(b, "seq"), seq)
	b = append(msgp.AppendString(b, "events"), 0xdd, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(b, 0x81, 0xa4, 't', 'y', 'p', 'e', 0xa3, 'l', 'o', 'g')
}

func text(s string) []byte { return frame(wire.JSON, []byte(s)) }

// header is a frame's header alone, with a length of 8 bytes.
func header(length uint64) []byte {
	b := []byte{0x82, 0x80 | 127}
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(length>>shift))
	}
	return append(b, 1, 2, 3, 4)
}

func refusedCases(r *rig, viewer string) []refused {
	hello := helloOf(wire.MsgPack, 1, 1, "a")
	return []refused{
		{"no key", upgrade("", packed), hello, 401, "key_missing"},
		{"a wrong key", upgrade("eyrie_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", packed), hello, 401, "key_unknown"},
		{"a viewer's key", upgrade(viewer, packed), hello, 403, "role"},
		{"a wrong subprotocol", upgrade(r.agent, "eyrie.v9.cbor"), hello, 400, "subprotocol"},
		{"another page's origin", strings.Replace(upgrade(r.agent, packed), "Upgrade: ", "Origin: http://evil.example\r\nUpgrade: ", 1), hello, 403, "origin"},
		{"another WebSocket version", strings.Replace(upgrade(r.agent, packed), "Version: 13", "Version: 8", 1), hello, 426, "websocket_version"},
		{"a short nonce", strings.Replace(upgrade(r.agent, packed), "AAAAAAAAAAAAAAAAAAAAAA==", "AAAA", 1), hello, 400, "websocket_key"},
	}
}

func endedCases() []ended {
	hello := helloOf(wire.MsgPack, 2, 1, "a")
	unmasked := ws.MustCompileFrame(ws.NewBinaryFrame(wire.AppendAck(nil, wire.MsgPack, 1)))
	return []ended{
		{"text where binary was agreed", packed, text(`{"op":"hello"}`), ws.StatusUnsupportedData, false},
		{"binary where text was agreed", texts, hello, ws.StatusUnsupportedData, false},
		{"invalid UTF-8", texts, frameOf(ws.OpText, []byte("{\"op\":\"\xff\xfe\"}")), ws.StatusInvalidFramePayloadData, false},
		{"unmasked", packed, unmasked, ws.StatusProtocolError, false},
		{"a length of 2^31", packed, header(1 << 31), ws.StatusMessageTooBig, false},
		{"a length of 2^63", packed, header(1 << 63), ws.StatusMessageTooBig, false},
		{"a length just above the limit", packed, header(wire.MaxFrame + 1), ws.StatusMessageTooBig, false},
		{"a reserved opcode", packed, []byte{0x83, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, false},
		{"a compressed frame nobody agreed on", packed, []byte{0xc2, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, false},
		{"a ping in parts", packed, []byte{0x09, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, false},
		{"a continuation of nothing", packed, []byte{0x80, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, false},
		{"missing hello", packed, eventsOf(wire.MsgPack, 1, message("x")), ws.StatusPolicyViolation, false},
		{"hello without a producer", texts, text(`{"op":"hello","epoch":1,"first":1}`), ws.StatusPolicyViolation, false},
		{"no message at all", packed, frame(wire.MsgPack, []byte{0xc1}), ws.StatusPolicyViolation, false},
		{"hello twice", packed, nil, ws.StatusPolicyViolation, true},
		{"hello twice, in JSON", texts, nil, ws.StatusPolicyViolation, true},
	}
}

func nackedCases() []nacked {
	old, late := int64(-1), int64(4102444800001)
	return []nacked{
		{"an array that claims four billion events", wire.MsgPack, func(seq uint64) []byte {
			return frame(wire.MsgPack, claims(seq, 1<<32-1))
		}, wire.CodeSyntax, "events", noAck, malformedRow},
		{"more events than a message may have", wire.MsgPack, func(seq uint64) []byte {
			return frame(wire.MsgPack, append(claims(seq, wire.MaxFrameEvents+1), make([]byte, wire.MaxFrameEvents)...))
		}, wire.CodeSize, "events", noAck, malformedRow},
		{"labels that claim four billion entries", wire.MsgPack, with("labels", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}), wire.CodeSyntax, "events[0].labels", ackThis, 0},
		{"an unknown op", wire.MsgPack, func(uint64) []byte {
			return frame(wire.MsgPack, msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "op"), "dance"))
		}, wire.CodeUnknownOp, "op", noAck, 0},
		{"an unknown op, in JSON", wire.JSON, func(uint64) []byte { return text(`{"op":"dance"}`) }, wire.CodeUnknownOp, "op", noAck, 0},
		{"not JSON", wire.JSON, func(uint64) []byte { return text(`{"op":"events","seq":`) }, wire.CodeSyntax, "seq", noAck, malformedRow},
		{"a gap", wire.MsgPack, func(seq uint64) []byte { return eventsOf(wire.MsgPack, seq+5, message("far")) }, "gap", "seq", ackPast, 0},
		{"the same number with other content", wire.MsgPack, func(uint64) []byte { return eventsOf(wire.MsgPack, 1, message("other")) }, "conflict", "seq", ackPast, 0},
		{"no sequence", wire.JSON, func(uint64) []byte { return text(`{"op":"events","events":[]}`) }, wire.CodeMissing, "seq", noAck, malformedRow},
		{"a wrong type", wire.MsgPack, with("usage", badUsage()), wire.CodeType, "events[0].usage.input_tokens", ackThis, 0},
		{"a wrong type of event", wire.JSON, func(seq uint64) []byte {
			return text(fmt.Sprintf(`{"op":"events","seq":%d,"events":[{"type":"dance"}]}`, seq))
		}, wire.CodeEnum, "events[0].type", ackThis, 0},
		{"no type of event", wire.JSON, func(seq uint64) []byte {
			return text(fmt.Sprintf(`{"op":"events","seq":%d,"events":[{"msg":"x"}]}`, seq))
		}, wire.CodeMissing, "events[0].type", ackThis, 0},
		{"before 1970", wire.MsgPack, with("ts", msgp.AppendInt64(nil, old)), wire.CodeRange, "events[0].ts", ackThis, 0},
		{"after 2100", wire.MsgPack, with("ts", msgp.AppendInt64(nil, late)), wire.CodeRange, "events[0].ts", ackThis, 0},
		{"after 2100, in ns", wire.MsgPack, with("ts_ns", msgp.AppendString(nil, "4102444800000000001")), wire.CodeRange, "events[0].ts_ns", ackThis, 0},
		{"invalid UTF-8 in a string", wire.MsgPack, with("msg", []byte{0xa2, 0xff, 0xfe}), wire.CodeUTF8, "events[0].msg", ackThis, 0},
		{"too long an id", wire.MsgPack, with("run", msgp.AppendString(nil, strings.Repeat("x", wire.MaxID+1))), wire.CodeSize, "events[0].run", ackThis, 0},
		{"nested too deep", wire.MsgPack, with("attrs", append(nest(wire.MaxDepth), 0xc0)), wire.CodeDepth, "events[0].attrs" + strings.Repeat(".k", wire.MaxDepth-1), ackThis, 0},
		{"another agent than the key's", wire.MsgPack, with("agent", msgp.AppendString(nil, "b")), "forbidden", "events[0].agent", ackThis, 0},
	}
}

// nest is n maps, one in the other.
func nest(n int) (b []byte) {
	for range n {
		b = append(b, 0x81, 0xa1, 'k')
	}
	return b
}

// attempts is how often each kind is tried.
func attempts() int {
	if testing.Short() {
		return 100
	}
	return 1000
}

func TestBadInput(t *testing.T) {
	r := newRig(t, t.TempDir())
	keys, _ := r.Keys()
	viewer, _, err := keys.Create(access.Token{Name: "looks", Role: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := keys.Create(access.Token{Name: "own", Role: access.Agent, Agents: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	n := newNeighbour(t, r)
	for _, c := range refusedCases(r, viewer) {
		t.Run(c.name, func(t *testing.T) {
			n.watch(t, func() { c.repeat(t, r) })
		})
	}
	for i, c := range endedCases() {
		t.Run(c.name, func(t *testing.T) {
			n.watch(t, func() { c.repeat(t, r, byte(1+i)) })
		})
	}
	for i, c := range nackedCases() {
		t.Run(c.name, func(t *testing.T) {
			n.watch(t, func() { c.repeat(t, r, own, byte(100+i)) })
		})
	}
	t.Run("a lower epoch", func(t *testing.T) {
		n.watch(t, func() { lowerEpochs(t, r) })
	})
	t.Run("an agent outside the key's patterns", func(t *testing.T) {
		n.watch(t, func() { strangers(t, r, own) })
	})
}

// lanes is how many links misbehave at a time.
const lanes = 32

// crowd runs fn attempts() times, lanes at a time; the first error ends it.
func crowd(t *testing.T, fn func(lane byte) error) {
	t.Helper()
	var next atomic.Int64
	var once sync.Once
	var wg sync.WaitGroup
	for lane := range byte(lanes) {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(attempts()) {
					return
				}
				if err := fn(lane); err != nil {
					once.Do(func() { t.Errorf("attempt %d: %v", i, err) })
					return
				}
			}
		})
	}
	wg.Wait()
}

func (c *refused) repeat(t *testing.T, r *rig) {
	crowd(t, func(byte) error {
		l, err := dialRaw(r.ingest, c.request, c.first)
		if err != nil {
			return err
		}
		defer l.close()
		var p struct {
			Type, Title, Code, Detail string
			Status                    int
		}
		if err := json.Unmarshal([]byte(l.body), &p); err != nil {
			return fmt.Errorf("%d %q: %w", l.status, l.body, err)
		}
		if l.status != c.status || p.Status != c.status || p.Code != c.code || p.Detail == "" || p.Title == "" {
			return fmt.Errorf("got %d %s, want %d %q", l.status, l.body, c.status, c.code)
		}
		return nil
	})
}

// repeat comes from an address of net 127.n.0.0 each time: who abuses a link is
// kept out for a while.
func (c *ended) repeat(t *testing.T, r *rig, n byte) {
	var tried atomic.Int32
	crowd(t, func(lane byte) error {
		first := c.first
		if c.hello {
			codec := wire.MsgPack
			if c.protocol == texts {
				codec = wire.JSON
			}
			h := helloOf(codec, lane, 1, "a")
			first = append(h, h...)
		}
		i := tried.Add(1)
		l, err := dialRawFrom(net.IPv4(127, n, byte(i>>8), byte(i)), r.ingest, upgrade(r.agent, c.protocol), first)
		if err != nil {
			return err
		}
		defer l.close()
		if l.status != 101 {
			return fmt.Errorf("the upgrade: %d %s", l.status, l.body)
		}
		got, err := l.next()
		if err != nil {
			return err
		}
		if got.closed != c.code || got.reason == "" {
			return fmt.Errorf("got %v %d %q, want close %d", got.Op, got.closed, got.reason, c.code)
		}
		if _, err := l.r.ReadByte(); err == nil {
			return fmt.Errorf("more behind the close")
		}
		return nil
	})
}

func (c *nacked) repeat(t *testing.T, r *rig, key string, n byte) {
	var once sync.Once
	var wg sync.WaitGroup
	for lane := range byte(lanes) {
		wg.Go(func() {
			left := attempts()/lanes + 1
			for epoch := uint64(1); left > 0; epoch++ {
				row := left
				if c.inRow > 0 {
					row = min(row, c.inRow)
				}
				left -= row
				if err := c.row(r, key, n, lane, epoch, row); err != nil {
					once.Do(func() { t.Errorf("lane %d, link %d: %v", lane, epoch, err) })
					return
				}
			}
		})
	}
	wg.Wait()
}

// row says the bad thing a number of times on one link.
func (c *nacked) row(r *rig, key string, n, lane byte, epoch uint64, times int) error {
	l, err := openLane(r, key, c.codec, n, lane, epoch)
	if err != nil {
		return err
	}
	defer l.close()
	next := uint64(2)
	for i := range times {
		msg := c.say(next)
		if _, err := l.c.Write(msg); err != nil {
			return err
		}
		got, err := l.next()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if got.Op != wire.OpNack || got.Code != c.code || got.Field != c.field || got.Msg == "" {
			return fmt.Errorf("message %d got %v %d, code %q, field %q, %q; want code %q, field %q", i, got.Op, got.closed, got.Code, got.Field, got.Msg, c.code, c.field)
		}
		if c.ack == noAck {
			continue
		}
		want := uint64(1)
		if c.ack == ackThis {
			if got.From != next || got.To != next {
				return fmt.Errorf("message %d: nack of %d to %d, want %d", i, got.From, got.To, next)
			}
			want = next
			next++
		}
		if got, err = l.next(); err != nil || got.Op != wire.OpAck || got.Seq != want {
			return fmt.Errorf("message %d: behind the nack %v %d, %v; want ack %d", i, got.Op, got.Seq, err, want)
		}
	}
	return nil
}

// openLane opens a link of a lane's own producer, with number 1 stored.
func openLane(r *rig, key string, c wire.Codec, n, lane byte, epoch uint64) (*rawLink, error) {
	protocol := packed
	if c == wire.JSON {
		protocol = texts
	}
	h := &wire.HelloOut{Producer: [16]byte{0xee, 14: lane, 15: n}, Epoch: epoch, First: 1, Agent: &wire.Event{Agent: "a"}}
	l, err := dialRaw(r.ingest, upgrade(key, protocol), append(frame(c, wire.AppendHello(nil, c, h)), eventsOf(c, 1, message("good"))...))
	if err != nil {
		return nil, err
	}
	for _, want := range []wire.Op{wire.OpWelcome, wire.OpAck} {
		if got, err := l.next(); err != nil || got.Op != want {
			l.close()
			return nil, fmt.Errorf("a good start got %v %d %s %s, %v; want %v", got.Op, got.closed, got.reason, got.Msg, err, want)
		}
	}
	return l, nil
}

func lowerEpochs(t *testing.T, r *rig) {
	l, err := openLane(r, r.agent, wire.MsgPack, 90, 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	low := frame(wire.MsgPack, wire.AppendHello(nil, wire.MsgPack, &wire.HelloOut{Producer: [16]byte{0xee, 15: 90}, Epoch: 6, First: 1}))
	crowd(t, func(byte) error { return wantClose(r, r.agent, low, 4001, "") })
	// The holder of the higher epoch was not disturbed.
	if _, err := l.c.Write(eventsOf(wire.MsgPack, 2, message("still here"))); err != nil {
		t.Fatal(err)
	}
	if got, err := l.next(); err != nil || got.Op != wire.OpAck || got.Seq != 2 {
		t.Errorf("the holder got %v %d, %v", got.Op, got.closed, err)
	}
}

func strangers(t *testing.T, r *rig, key string) {
	crowd(t, func(byte) error {
		return wantClose(r, key, helloOf(wire.MsgPack, 91, 1, "b"), ws.StatusPolicyViolation, "agent")
	})
}

// wantClose expects the close code for a first message, and in front of it a
// nack of the field if one is named.
func wantClose(r *rig, key string, first []byte, code ws.StatusCode, field string) error {
	l, err := dialRaw(r.ingest, upgrade(key, packed), first)
	if err != nil {
		return err
	}
	defer l.close()
	got, err := l.next()
	if err == nil && field != "" {
		if got.Op != wire.OpNack || got.Code != "forbidden" || got.Field != field {
			return fmt.Errorf("got %v %d, code %q, field %q; want a nack of %q", got.Op, got.closed, got.Code, got.Field, field)
		}
		got, err = l.next()
	}
	if err != nil {
		return err
	}
	if got.closed != code || got.reason == "" {
		return fmt.Errorf("got %v %d %q, want close %d", got.Op, got.closed, got.reason, code)
	}
	return nil
}

// neighbour sends events all the while over a link that must not notice.
type neighbour struct {
	c     *client.Client
	nacks atomic.Int64
}

func newNeighbour(t *testing.T, r *rig) *neighbour {
	t.Helper()
	n := &neighbour{}
	ctx, cancel := context.WithCancel(context.Background())
	c, err := client.Dial(ctx, client.Options{
		URL: r.ingest, Key: r.agent, Agent: &wire.Event{Agent: "neighbour"}, FailFast: true,
		OnNack: func(client.Nack) { n.nacks.Add(1) },
	})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	n.c = c
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := c.Send(ctx, message("all is well")); err != nil && ctx.Err() == nil {
					t.Error("neighbour: ", err)
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := c.Close(end); err != nil {
			t.Error("neighbour: ", err)
		}
	})
	return n
}

// Memory that one kind of bad input may leave behind, and take for an attempt.
// The newest blocks of the log, bounded, are kept in memory.
const (
	keptMax  = 4 << 20
	takenMax = 128 << 10
)

// watch runs fn and holds what it did to memory and to the neighbour.
func (n *neighbour) watch(t *testing.T, fn func()) {
	t.Helper()
	before, was, goroutines := n.c.Stats(), heap(), runtime.NumGoroutine()
	fn()
	if t.Failed() {
		return
	}
	settled := before.Settled
	eventually(t, "an acknowledgement for the neighbour", func() bool { return n.c.Stats().Settled > settled })
	after := n.c.Stats()
	if after.Links != before.Links || after.Resent != 0 || after.Lost != 0 || n.nacks.Load() != 0 {
		t.Errorf("the neighbour noticed: %+v", after)
	}
	is := heap()
	kept := func() int64 { return int64(is.HeapAlloc+is.StackInuse) - int64(was.HeapAlloc+was.StackInuse) }
	taken := (is.TotalAlloc - was.TotalAlloc) / uint64(attempts())
	for end := time.Now().Add(20 * time.Second); kept() > keptMax && time.Now().Before(end); is = heap() {
		time.Sleep(100 * time.Millisecond) // a save or a merge is done soon, and what is left behind stays
	}
	if kept() > keptMax {
		t.Errorf("%d attempts left %d KiB behind", attempts(), kept()>>10)
	}
	if taken > takenMax {
		t.Errorf("an attempt took %d KiB", taken>>10)
	}
	eventually(t, "the end of every goroutine", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
}

func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}
