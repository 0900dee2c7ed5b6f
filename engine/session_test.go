//go:build linux

package engine

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"eyrie/engine/wire"

	"github.com/google/go-cmp/cmp"
)

// line is an item as a test reads it.
func line(it Item) string {
	switch it.Kind {
	case ItemEvent:
		return fmt.Sprintf("event %d %s %s", it.Seq, it.Agent, wire.Type(it.Class))
	case ItemRefused:
		code, field, _, err := it.Refusal()
		return fmt.Sprintf("refused %d %s %s%s", it.Seq, code, field, errText(err))
	case ItemPos:
		return fmt.Sprintf("pos %d %s", it.Seq, it.Payload)
	case ItemLost:
		return fmt.Sprintf("lost %d..%d %s", it.Seq, it.To, it.Payload)
	case ItemShed:
		s := fmt.Sprintf("shed %d..%d %s:", it.Seq, it.To, wire.Prio(it.Class))
		for p, rest, ok := CutShedPart(it.Payload); ok; p, rest, ok = CutShedPart(rest) {
			s += fmt.Sprintf(" %d %s of %s", p.Count, p.Class, p.Agent)
		}
		return s
	case ItemResult:
		id, ok, data, err := it.Result()
		return fmt.Sprintf("result %s %v %x%s", id, ok, data, errText(err))
	case ItemClosed:
		return fmt.Sprintf("closed %d %s", it.Seq, it.Payload)
	}
	return fmt.Sprintf("%s %d", it.Kind, it.Seq)
}

func errText(err error) string {
	if err != nil {
		return " " + err.Error()
	}
	return ""
}

func lines(its []Item) []string {
	all := []string{}
	for _, it := range its {
		all = append(all, line(it))
	}
	return all
}

func (r *rig) want(want ...string) {
	r.t.Helper()
	if d := cmp.Diff(append([]string{}, want...), lines(r.items())); d != "" {
		r.t.Errorf("items (-want +got):\n%s", d)
	}
}

// told reads what the server told an agent, as op and its main fields.
func (r *rig) told(c *rigConn, codec wire.Codec) (all []string) {
	r.t.Helper()
	for _, f := range readServer(r.t, c.out) {
		if f.op.IsControl() {
			all = append(all, fmt.Sprintf("control %d", f.op))
			continue
		}
		if (f.op == 1) != (codec == wire.JSON) {
			r.t.Errorf("opcode %d with %v", f.op, codec)
		}
		var m wire.ServerMessage
		if err := wire.ParseServer(codec, f.payload, &m); err != nil {
			r.t.Fatal(err)
		}
		switch m.Op {
		case wire.OpAck:
			all = append(all, fmt.Sprintf("ack %d", m.Seq))
		case wire.OpNack:
			all = append(all, fmt.Sprintf("nack %d..%d %s %s", m.From, m.To, m.Code, m.Field))
		case wire.OpShed:
			all = append(all, fmt.Sprintf("shed %d..%d %s", m.From, m.To, m.Class))
		case wire.OpWelcome:
			all = append(all, fmt.Sprintf("welcome next=%d pos=%s idle=%d", m.Welcome.Next, m.Welcome.Pos, m.Welcome.Limits.IdleMs))
		case wire.OpSlow:
			all = append(all, fmt.Sprintf("slow %v", m.Rate))
		case wire.OpCommand:
			all = append(all, fmt.Sprintf("command %s %s", m.Command.ID, m.Command.Name))
		case wire.OpGoaway:
			all = append(all, fmt.Sprintf("goaway %s %v", m.URL, m.After))
		default:
			all = append(all, "op "+m.OpName)
		}
	}
	c.out = nil
	return all
}

func allCodecs(t *testing.T, fn func(t *testing.T, c wire.Codec)) {
	for _, c := range []wire.Codec{wire.MsgPack, wire.JSON, wire.Proto} {
		t.Run(c.String(), func(t *testing.T) { fn(t, c) })
	}
}

func TestHello(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		r := newRig(t, nil)
		c := r.open("good", codec.Subprotocol())
		r.feed(c, frameOf(codec, wire.AppendHello(nil, codec, &wire.HelloOut{
			Producer: [16]byte{9, 8}, Epoch: 7, First: 5, Now: 1700000000 * 1e9,
			Agent: &wire.Event{Agent: "a1", Name: "me@host"}, Sheddable: []wire.Prio{wire.PrioLow},
		})))
		its := r.items()
		if len(its) != 1 || its[0].Kind != ItemHello || its[0].Link != c.h || its[0].Seq != 5 {
			t.Fatalf("%v", its)
		}
		var h HelloItem
		if err := DecodeHello(its[0].Payload, &h); err != nil {
			t.Fatal(err)
		}
		var v wire.View
		if err := v.Reset(h.Declare); err != nil || string(v.Str(wire.FName)) != "me@host" || string(v.Str(wire.FType)) != "agent" {
			t.Errorf("declaration % x: %v", h.Declare, err)
		}
		h.Declare = nil
		want := HelloItem{
			Space: "main", Owner: "k1", Producer: [16]byte{9, 8}, Epoch: 7, First: 5, Now: 1700000000 * 1e9,
			Agent: "a1", Shed: 1 << wire.PrioLow, Codec: codec, Remote: h.Remote, Listener: 3,
		}
		if h.Remote.String() != "192.0.2.7:4242" || fmt.Sprint(h) != fmt.Sprint(want) {
			t.Errorf("got %+v\nwant %+v", h, want)
		}
	})
}

func TestEventsBecomeItems(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		r := newRig(t, nil)
		c := r.agent(codec, "own")
		r.feed(c, frameOf(codec, wire.AppendEvents(nil, codec, 11, []byte("p1"),
			event("ts_ns", int64(1700000000000000001), "severity", "error", "run", "r1"),
			event("agent", "other", "type", "metrics", "metrics", map[string]any{"cpu": 1.5}),
			event("type", 5),
			event("type", "tool", "phase", "start", "span", "s", "name", "grep"),
		)))
		its := r.items()
		if d := cmp.Diff([]string{
			"event 11 own log", "event 12 other metrics", "refused 13 type events[2].type", "event 14 own tool",
			"pos 14 p1", "frame_end 14",
		}, lines(its)); d != "" {
			t.Fatal(d)
		}
		it := its[0]
		h := wire.HeadFromFlags(it.Flags)
		if it.Link != c.h || it.TS != 1700000000000000001 || it.Key != wire.RunKey([]byte("r1")) || h.Severity != wire.SeverityError {
			t.Errorf("%+v %+v", it, h)
		}
		var v wire.View
		if err := v.Reset(it.Payload); err != nil || string(v.Str(wire.FMsg)) != "hello" {
			t.Errorf("payload % x: %v", it.Payload, err)
		}
		if len(c.out) != 0 {
			t.Errorf("told %q", c.out)
		}
		if st := r.l.stat(r.l.links.at(c.h)); st.Events != 4 || st.Next != 15 || st.Agent != "own" || st.Space != "main" || st.BytesIn == 0 || st.Listener != 3 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFragmentedMessage(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	m := wire.AppendEvents(nil, wire.MsgPack, 1, nil, event(), event())
	r.feed(c, clientFrame(0x02, m[:7]), clientFrame(0x89, nil), clientFrame(0x00, m[7:20]), clientFrame(0x80, m[20:]))
	r.want("event 1 a log", "event 2 a log", "frame_end 2")
	if r.l.joins.held != 0 {
		t.Errorf("%d bytes still joined", r.l.joins.held)
	}
}

func TestLargeFrameInPieces(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	var ps [][]byte
	for range 5 {
		ps = append(ps, event("output", strings.Repeat("x", 180<<10)))
	}
	f := frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, ps...))
	for len(f) > 0 {
		n := min(50_001, len(f))
		r.feed(c, f[:n])
		f = f[n:]
	}
	r.want("event 1 a log", "event 2 a log", "event 3 a log", "event 4 a log", "event 5 a log", "frame_end 5")
}

func TestOtherOps(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		r := newRig(t, nil)
		c := r.agent(codec, "a")
		r.feed(c, frameOf(codec, wire.AppendLost(nil, codec, 3, 9, "disk died")))
		r.feed(c, frameOf(codec, wire.AppendResult(nil, codec, "cmd1", true, []byte{0x2a})))
		r.want("lost 3..9 disk died", "frame_end 9", "result cmd1 true 2a")

		unknown := wire.AppendValue(nil, map[string]any{"op": "dance", "x": 1})
		switch codec {
		case wire.JSON:
			unknown = []byte(`{"op":"dance","x":1}`)
		case wire.Proto:
			unknown = []byte{9<<3 | 2, 2, 8, 1} // field 9 of AgentMessage, a message with its field 1
		}
		r.feed(c, frameOf(codec, unknown))
		if d := cmp.Diff([]string{"nack 0..0 unknown_op op"}, r.told(c, codec)); d != "" {
			t.Error(d)
		}
		r.feed(c, frameOf(codec, wire.AppendEvents(nil, codec, 1, nil, event())))
		r.want("event 1 a log", "frame_end 1")
	})
}

// TestBadMessages holds that what cannot be read is named and costs the link
// nothing, unless it goes on and on.
func TestBadMessages(t *testing.T) {
	pack := func(kv ...any) []byte {
		m := wire.AppendMapHeader(nil, len(kv)/2)
		for _, v := range kv {
			m = wire.AppendValue(m, v)
		}
		return m
	}
	for _, c := range []struct {
		name  string
		in    []byte
		told  []string
		items []string
	}{
		{"not a map", []byte{0x93, 1, 2, 3}, []string{"nack 0..0 type "}, nil},
		{"no seq", pack("op", "events", "events", []any{}), []string{"nack 0..0 missing seq"}, nil},
		{"seq 0", pack("op", "events", "seq", 0, "events", []any{}), []string{"nack 0..0 range seq"}, nil},
		{"a map of four billion", []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, []string{"nack 0..0 syntax "}, nil},
		{"an array of four billion", append(pack("op", "events", "seq", 4, "events", wire.Raw{0xc0})[:23], 0xdd, 0xff, 0xff, 0xff, 0xff), nil, nil},
		{"pos too large", pack("op", "events", "seq", 4, "events", []any{wire.Raw(event()), wire.Raw(event())}, "pos", make([]byte, 65537)), nil,
			[]string{"refused 4 size pos", "refused 5 size pos", "frame_end 5"}},
		{"a broken event", append(wire.AppendEvents(nil, wire.MsgPack, 8, nil, event(), event(), event())[:40], 0xc1), nil, nil},
		{"a time before 1970", wire.AppendEvents(nil, wire.MsgPack, 8, nil, event("ts", -5)), nil, []string{"refused 8 range events[0].ts", "frame_end 8"}},
		{"a time after 2100", wire.AppendEvents(nil, wire.MsgPack, 8, nil, event("ts", int64(5e12))), nil, []string{"refused 8 range events[0].ts", "frame_end 8"}},
		{"a metric that is text", wire.AppendEvents(nil, wire.MsgPack, 8, nil, event("metrics", map[string]any{"cpu": "hot"})), nil, []string{"refused 8 type events[0].metrics.cpu", "frame_end 8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			k := r.agent(wire.MsgPack, "a")
			r.feed(k, frameOf(wire.MsgPack, c.in))
			told, its := r.told(k, wire.MsgPack), lines(r.items())
			if c.told == nil && c.items == nil { // either way, as long as it is answered by name
				if len(told)+len(its) == 0 || !strings.Contains(strings.Join(append(told, its...), " "), "events") {
					t.Errorf("told %v, items %v", told, its)
				}
			} else if d := cmp.Diff([]any{append([]string{}, c.told...), append([]string{}, c.items...)}, []any{append([]string{}, told...), its}); d != "" {
				t.Error(d)
			}
			r.feed(k, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 20, nil, event())))
			r.want("event 20 a log", "frame_end 20")
		})
	}
	r := newRig(t, nil)
	k := r.agent(wire.MsgPack, "a")
	for range faultsMax {
		r.feed(k, frameOf(wire.MsgPack, []byte{0xc1}))
	}
	if code, _ := closed(t, k.out); code != 1008 {
		t.Errorf("close %d after %d unreadable messages", code, faultsMax)
	}
}

func TestGrantCoversAgents(t *testing.T) {
	r := newRig(t, nil)
	c := r.open("narrow", "")
	r.feed(c, frameOf(wire.MsgPack, helloMessage(wire.MsgPack, "team-1")))
	r.items()
	r.feed(c, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil,
		event(), event("agent", "bot:x"), event("agent", "team-12"), event("agent", "stranger"))))
	r.want("event 1 team-1 log", "event 2 bot:x log", "refused 3 forbidden events[2].agent",
		"refused 4 forbidden events[3].agent", "frame_end 4")

	c = r.open("narrow", "")
	r.feed(c, frameOf(wire.MsgPack, helloMessage(wire.MsgPack, "stranger")))
	if code, why := closed(t, c.out); code != 1008 || !strings.Contains(why, "agent") {
		t.Errorf("close %d %q", code, why)
	}
	r.want()

	c = r.agent(wire.MsgPack, "")
	r.feed(c, frameOf(wire.MsgPack, wire.AppendEvents(nil, wire.MsgPack, 1, nil, event(), event("agent", "x"))))
	r.want("refused 1 missing events[0].agent", "event 2 x log", "frame_end 2")
}

func TestReplies(t *testing.T) {
	allCodecs(t, func(t *testing.T, codec wire.Codec) {
		r := newRig(t, nil)
		c, other := r.agent(codec, "a"), r.agent(codec, "b")
		pos := []byte("pos")
		rs := []Reply{
			{Link: c.h, Kind: ReplyWelcome, Welcome: &wire.Welcome{Next: 4, Pos: pos}},
			{Link: c.h, Kind: ReplyAck, To: 5},
			{Link: other.h, Kind: ReplyAck, To: 50},
			{Link: c.h, Kind: ReplyNack, From: 6, To: 7, Code: "gap", Field: "seq", Msg: "m"},
			{Link: c.h, Kind: ReplyShed, From: 8, To: 9, Class: wire.PrioLow},
			{Link: c.h, Kind: ReplyAck, To: 9},
			{Link: c.h, Kind: ReplySlow, Rate: 10},
			{Link: c.h, Kind: ReplyCommand, Command: &wire.Command{ID: "i", Name: "stop"}},
			{Link: c.h, Kind: ReplyGoaway, Msg: "ws://x", After: time.Second},
			{Link: c.h + 1<<32, Kind: ReplyAck, To: 99}, // a stale handle
			{Link: 77, Kind: ReplyAck, To: 99},
		}
		r.srv.Reply(rs)
		copy(pos, "XXX")
		rs[3] = Reply{}
		if !r.woken {
			t.Error("not woken")
		}
		r.wake()
		if d := cmp.Diff([]string{
			"welcome next=4 pos=pos idle=90000", "nack 6..7 gap seq", "shed 8..9 low", "slow 10", "command i stop",
			"goaway ws://x 1s", "ack 9",
		}, r.told(c, codec)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"ack 50"}, r.told(other, codec)); d != "" {
			t.Error(d)
		}
		r.srv.Reply([]Reply{{Link: c.h, Kind: ReplyAck, To: 12}, {Link: c.h, Kind: ReplyClose, Close: 4000, Msg: "fenced"}, {Link: c.h, Kind: ReplyAck, To: 13}})
		r.wake()
		out := c.out
		if code, why := closed(t, out); code != 4000 || why != "fenced" || !c.gone {
			t.Errorf("close %d %q", code, why)
		}
		if fs := readServer(t, out); len(fs) != 2 {
			t.Errorf("%d frames, want the ack and the close", len(fs))
		}
		r.want("closed 4000 fenced")
	})
}

// TestAcksWaitForSlowReaders: a link that does not read is owed one number, not
// a queue of them.
func TestAcksWaitForSlowReaders(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	c.blocked, c.queued = true, []byte{0x89, 0}
	for i := range 1000 {
		r.srv.Reply([]Reply{{Link: c.h, Kind: ReplyAck, To: uint64(i + 1)}})
		r.wake()
	}
	if len(c.queued) > 2 {
		t.Errorf("%d bytes queued", len(c.queued))
	}
	r.unblock(c)
	if d := cmp.Diff([]string{"control 9", "ack 1000"}, r.told(c, wire.MsgPack)); d != "" {
		t.Error(d)
	}
}

// TestPingFlood: who does not read the pongs is not read either, and of a flood
// only the first pings of each turn and the last are answered.
func TestPingFlood(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	c.blocked = true
	ping := make([]byte, 125)
	for i := range 20 {
		var flood []byte
		for j := range 1000 {
			binary.BigEndian.PutUint32(ping, uint32(i*1000+j))
			flood = append(flood, clientFrame(0x89, ping)...)
		}
		r.feed(c, flood)
	}
	if len(c.queued) > 2*outHigh || !c.paused || c.gone {
		t.Fatalf("%d bytes queued, paused %v, gone %v", len(c.queued), c.paused, c.gone)
	}
	for c.paused {
		r.unblock(c)
		c.blocked = len(c.tail) > 0
	}
	pongs := readServer(t, c.out)
	last := pongs[len(pongs)-1].payload
	if n := binary.BigEndian.Uint32(last); n != 19_999 || len(pongs) > 20*(pingsMax+1) || len(pongs) < 2*pingsMax {
		t.Errorf("%d pongs, the last for ping %d", len(pongs), n)
	}
	for i, p := range pongs[:pingsMax] {
		if n := binary.BigEndian.Uint32(p.payload); n != uint32(i) {
			t.Errorf("pong %d for ping %d", i, n)
		}
	}
}

func TestClosedItems(t *testing.T) {
	r := newRig(t, nil)
	c := r.agent(wire.MsgPack, "a")
	r.feed(c, clientFrame(0x88, closeBody(1000, "done")))
	r.want("closed 1000 done")
	c = r.agent(wire.MsgPack, "a")
	r.l.Close(c.h, fmt.Errorf("reset"))
	c.gone = true
	r.want("closed 1006 reset")
	c = r.open("good", "") // no hello, no item
	r.feed(c, clientFrame(0x88, nil))
	r.want()
	if len(r.l.grants.index) != 0 || r.l.names.get(r.l.links.slot(0).agent) != nil {
		t.Error("something is held for links that are gone")
	}
}
