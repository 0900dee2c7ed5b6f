package wire

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// message makes an events message in the codec around events written as JSON.
func message(t testing.TB, c Codec, events ...string) []byte {
	t.Helper()
	text := `{"op":"events","seq":7,"events":[` + strings.Join(events, ",") + `]}`
	if c == JSON {
		return []byte(text)
	}
	packed, e := AppendMsgpackFromJSON(nil, []byte(text))
	if e != nil {
		t.Fatalf("%s: %v", text, e)
	}
	if c == MsgPack {
		return packed
	}
	payloads := make([][]byte, len(events))
	for i, text := range events {
		if payloads[i], e = AppendMsgpackFromJSON(nil, []byte(text)); e != nil {
			t.Fatalf("%s: %v", text, e)
		}
	}
	return AppendEvents(nil, c, 7, nil, payloads...)
}

func eachCodec(t *testing.T, fn func(t *testing.T, c Codec)) {
	for _, c := range []Codec{MsgPack, JSON, Proto} {
		t.Run(c.String(), func(t *testing.T) { fn(t, c) })
	}
}

func TestEventsAreReadAlikeInAllCodecs(t *testing.T) {
	event := `{"type":"tool","phase":"end","agent":"a1","run":"r1","span":"s1","ts":1700000000123.5,"severity":"warn","dur_ms":12,` +
		`"status":"ok","usage":{"model":"m","input_tokens":9007199254740993,"quality":"exact"},"labels":{"k":"v"},"x_mine":[1,{"b":null}]}`
	var payloads [codecCount][]byte
	eachCodec(t, func(t *testing.T, c Codec) {
		var p Parser
		var m Message
		var h Head
		if e := p.Parse(c, message(t, c, event, event), &m); e != nil {
			t.Fatal(e)
		}
		if m.Op != OpEvents || m.Seq != 7 || m.Count != 2 || m.HasPos {
			t.Fatalf("got %+v", m)
		}
		for i := range 2 {
			payload, e, more := p.NextEvent(c, &m, &h)
			if e != nil || !more {
				t.Fatalf("event %d: %v, more %v", i, e, more)
			}
			payloads[c] = bytes.Clone(payload)
		}
		want := Head{TypeTool, PhaseEnd, SeverityWarn, PrioNormal, 1700000000123500000, RunKey([]byte("r1")), false, h.Agent}
		if fmt.Sprint(h) != fmt.Sprint(want) || string(h.Agent) != "a1" {
			t.Fatalf("head %+v, want %+v", h, want)
		}
		if _, _, more := p.NextEvent(c, &m, &h); more {
			t.Fatal("a third event of two")
		}
	})
	if !bytes.Equal(payloads[0], payloads[1]) {
		t.Fatalf("payloads differ:\n%x\n%x", payloads[0], payloads[1])
	}
	back, err := AppendJSONValue(nil, payloads[0])
	if err != nil || !bytes.Contains(back, []byte(`"x_mine":[1,{"b":null}]`)) || !bytes.Contains(back, []byte("9007199254740993")) {
		t.Fatalf("printed %s, %v", back, err)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("x", MaxID+1)
	numbers := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":%d`, i, i)
		}
		return "{" + strings.TrimPrefix(b.String(), ",") + "}"
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, c := range []struct{ event, code, field string }{
		{`{}`, CodeMissing, "events[0].type"},
		{`3`, CodeType, "events[0]"},
		{`null`, CodeType, "events[0]"},
		{`{"type":null}`, CodeMissing, "events[0].type"},
		{`{"type":"tol"}`, CodeEnum, "events[0].type"},
		{`{"type":5}`, CodeType, "events[0].type"},
		{`{"type":"log","type":"log"}`, CodeDuplicate, "events[0].type"},
		{`{"type":"log","phase":"start"}`, CodeEnum, "events[0].phase"},
		{`{"type":"tool","phase":"start"}`, CodeMissing, "events[0].span"},
		{`{"type":"tool","phase":"begin","span":"s"}`, CodeEnum, "events[0].phase"},
		{`{"type":"log","agent":"` + long + `"}`, CodeSize, "events[0].agent"},
		{`{"type":"log","run":7}`, CodeType, "events[0].run"},
		{`{"type":"log","to":["a",1]}`, CodeType, "events[0].to[1]"},
		{`{"type":"log","ts":-1}`, CodeRange, "events[0].ts"},
		{`{"type":"log","ts":-0.5}`, CodeRange, "events[0].ts"},
		{`{"type":"log","ts":4102444800001}`, CodeRange, "events[0].ts"},
		{`{"type":"log","ts":1e300}`, CodeRange, "events[0].ts"},
		{`{"type":"log","ts":"now"}`, CodeType, "events[0].ts"},
		{`{"type":"log","ts_ns":"-1"}`, CodeRange, "events[0].ts_ns"},
		{`{"type":"log","ts_ns":"4102444800000000001"}`, CodeRange, "events[0].ts_ns"},
		{`{"type":"log","ts_ns":"99999999999999999999999999"}`, CodeRange, "events[0].ts_ns"},
		{`{"type":"log","ts_ns":"1.5"}`, CodeType, "events[0].ts_ns"},
		{`{"type":"log","ts_ns":18446744073709551615}`, CodeRange, "events[0].ts_ns"},
		{`{"type":"tool","start":-3}`, CodeRange, "events[0].start"},
		{`{"type":"tool","dur_ms":-3}`, CodeRange, "events[0].dur_ms"},
		{`{"type":"tool","dur_ms":"3"}`, CodeType, "events[0].dur_ms"},
		{`{"type":"llm","usage":{"input_tokens":"5"}}`, CodeType, "events[0].usage.input_tokens"},
		{`{"type":"llm","usage":{"input_tokens":1.5}}`, CodeType, "events[0].usage.input_tokens"},
		{`{"type":"llm","usage":{"input_tokens":-1}}`, CodeRange, "events[0].usage.input_tokens"},
		{`{"type":"llm","usage":{"model":"m","model":"n"}}`, CodeDuplicate, "events[0].usage.model"},
		{`{"type":"llm","usage":{"quality":"good"}}`, CodeEnum, "events[0].usage.quality"},
		{`{"type":"llm","usage":7}`, CodeType, "events[0].usage"},
		{`{"type":"llm","attempt":-1}`, CodeRange, "events[0].attempt"},
		{`{"type":"llm","links":[{"span":"a"},{"span":9}]}`, CodeType, "events[0].links[1].span"},
		{`{"type":"llm","links":{}}`, CodeType, "events[0].links"},
		{`{"type":"llm","error":{"retryable":1}}`, CodeType, "events[0].error.retryable"},
		{`{"type":"llm","error":9}`, CodeType, "events[0].error"},
		{`{"type":"metrics","metrics":{"a":"1"}}`, CodeType, "events[0].metrics.a"},
		{`{"type":"metrics","metrics":{"a":1,"a":2}}`, CodeDuplicate, "events[0].metrics.a"},
		{`{"type":"metrics","metrics":{"":1}}`, CodeSize, "events[0].metrics."},
		{`{"type":"metrics","metrics":` + numbers(65) + `}`, CodeSize, "events[0].metrics"},
		{`{"type":"metrics","metrics":` + numbers(33) + `,"deltas":` + numbers(32) + `}`, CodeSize, "events[0].deltas"},
		{`{"type":"metrics","labels":{"a":1}}`, CodeType, "events[0].labels.a"},
		{`{"type":"metrics","labels":` + numbers(65) + `}`, CodeSize, "events[0].labels"},
		{`{"type":"metrics","unit":4}`, CodeType, "events[0].unit"},
		{`{"type":"state","state":"sleeping"}`, CodeEnum, "events[0].state"},
		{`{"type":"state","state":{"state":"waiting","on":"god"}}`, CodeEnum, "events[0].state.on"},
		{`{"type":"log","attrs":5}`, CodeType, "events[0].attrs"},
		{`{"type":"log","attrs":{"a":` + deep(15) + `}}`, CodeDepth, "events[0].attrs.a" + strings.Repeat("[0]", 14)},
		{`{"type":"agent","ended":"yes"}`, CodeType, "events[0].ended"},
		{`{"type":"agent","heartbeat_ms":-1}`, CodeRange, "events[0].heartbeat_ms"},
		{`{"type":"log","input":"` + strings.Repeat("x", MaxEvent) + `"}`, CodeSize, "events[0]"},
	} {
		eachCodec(t, func(t *testing.T, codec Codec) {
			if codec != JSON && c.code == CodeDepth {
				return // cannot be made from JSON: see TestPackedRefusals, TestProtoRefusals
			}
			if codec == Proto && c.event[0] != '{' {
				return // an Event is always a map
			}
			if codec == Proto && c.event == `{"type":"state","state":"sleeping"}` {
				c.field = "events[0].state.state" // State is always a message
			}
			e := firstError(t, codec, message(t, codec, c.event, `{"type":"log"}`))
			if e == nil || e.Code != c.code || e.Field != c.field {
				t.Errorf("%.80s\n got %v\nwant %s at %s", c.event, e, c.code, c.field)
			}
		})
	}
}

// firstError parses two events, of which the first is bad and the second good.
func firstError(t *testing.T, c Codec, b []byte) *FieldError {
	t.Helper()
	var p Parser
	var m Message
	var h Head
	if e := p.Parse(c, b, &m); e != nil {
		t.Fatalf("%.80q: %v", b, e)
	}
	_, bad, _ := p.NextEvent(c, &m, &h)
	payload, e, more := p.NextEvent(c, &m, &h)
	if e != nil || !more || string(payload) != "\x81\xa4type\xa3log" {
		t.Errorf("the good event behind a bad one: %q, %v, more %v", payload, e, more)
	}
	return bad
}

func TestBrokenJSONEvents(t *testing.T) {
	for _, c := range []struct{ event, code, field string }{
		{``, CodeSyntax, "events[0]"},
		{`{"type":"log","a":01}`, CodeSyntax, "events[0].a"},
		{`{"type":"log","a":1.}`, CodeSyntax, "events[0].a"},
		{`{"type":"log","a":tru}`, CodeSyntax, "events[0].a"},
		{`{"type":"log","a":{"b":[1,2,+3]}}`, CodeSyntax, "events[0].a.b[2]"},
		{`{"type":"log",}`, CodeSyntax, "events[0]"},
		{`{"type" "log"}`, CodeSyntax, "events[0].type"},
		{`{"type":"log"} {}`, CodeSyntax, "events[0]"},
		{`{"type":"log","a":"\x"}`, CodeSyntax, "events[0].a"},
		{`{"type":"log","a":"\u12g4"}`, CodeSyntax, "events[0].a"},
		{"{\"type\":\"log\",\"a\":\"\n\"}", CodeSyntax, "events[0].a"},
		{`{"type":"log","a":123456789012345678901}`, CodeRange, "events[0].a"},
		{`{"type":"log","a":-9223372036854775809}`, CodeRange, "events[0].a"},
		{`{"type":"log","a":1e999}`, CodeRange, "events[0].a"},
		{`{"type":"log","msg":"` + "\xff" + `"}`, CodeUTF8, "events[0].msg"},
		{`{"type":"log","msg":"\ud83d"}`, CodeUTF8, "events[0].msg"},
		{`{"type":"log","msg":"\ude00\ud83d"}`, CodeUTF8, "events[0].msg"},
		{`{"type":"log","attrs":{"k":["` + "\xc3\x28" + `"]}}`, CodeUTF8, "events[0].attrs.k[0]"},
		{`{"type":"log","attrs":{"a":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}}`, CodeDepth, "events[0].attrs.a" + strings.Repeat("[0]", 14)},
	} {
		e := firstError(t, JSON, message(t, JSON, c.event, `{"type":"log"}`))
		if e == nil || e.Code != c.code || e.Field != c.field {
			t.Errorf("%.80s\n got %v\nwant %s at %s", c.event, e, c.code, c.field)
		}
	}
}

func TestPackedRefusals(t *testing.T) {
	logWith := func(name string, value ...byte) []byte {
		b := AppendStr(AppendStr([]byte{0x82}, "type"), "log")
		return append(AppendStr(b, name), value...)
	}
	for _, c := range []struct {
		event       []byte
		code, field string
	}{
		{logWith("msg", 0xa1, 0xff), CodeUTF8, "events[0].msg"},
		{logWith("agent", 0xa1, 0xff), CodeUTF8, "events[0].agent"},
		{logWith("x\xffy", 1), CodeUTF8, "events[0].x?y"},
		{logWith("attrs", 0x81, 0xa1, 'k', 0x91, 0xa1, 0xff), CodeUTF8, "events[0].attrs.k[0]"},
		{logWith("labels", 0x81, 0xa1, 0xff, 0xa1, 'v'), CodeUTF8, "events[0].labels.?"},
		{logWith("attrs", 0x81, 0x05, 0x06), CodeType, "events[0].attrs"},
		{logWith("x_t", 0xd6, 0xff, 0, 0, 0, 0), CodeType, "events[0].x_t"},
		{logWith("msg", 0xc4, 1, 'x'), CodeType, "events[0].msg"},
		{logWith("ts", 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0), CodeRange, "events[0].ts"},
		{logWith("attrs", append([]byte{0x81, 0xa1, 'a'}, append(bytes.Repeat([]byte{0x91}, 14), 0x90)...)...), CodeDepth, "events[0].attrs.a" + strings.Repeat("[0]", 14)},
		{[]byte{0x81, 0x01, 0x02}, CodeType, "events[0]"},
	} {
		b := append([]byte("\x83\xa2op\xa6events\xa3seq\x07\xa6events\x92"), c.event...)
		b = append(b, "\x81\xa4type\xa3log"...)
		e := firstError(t, MsgPack, b)
		if e == nil || e.Code != c.code || e.Field != c.field {
			t.Errorf("%q\n got %v\nwant %s at %s", c.event, e, c.code, c.field)
		}
	}
	// What nests exactly 16 deep is kept.
	ok := logWith("attrs", append([]byte{0x81, 0xa1, 'a'}, append(bytes.Repeat([]byte{0x91}, 13), 0x90)...)...)
	if _, e := CheckPayload(ok); e != nil {
		t.Errorf("depth 16: %v", e)
	}
}

func TestStructuralBreakRefusesTheRest(t *testing.T) {
	good := []byte("\x81\xa4type\xa3log")
	b := append([]byte("\x83\xa2op\xa6events\xa3seq\x07\xa6events\x94"), good...)
	b = append(b, "\x82\xa4type\xa3log\xc1\xc1\xc1\xc1\xc1"...)
	var p Parser
	var m Message
	var h Head
	if e := p.Parse(MsgPack, b, &m); e != nil || m.Count != 4 {
		t.Fatalf("%v, count %d", e, m.Count)
	}
	if _, e, _ := p.NextEvent(MsgPack, &m, &h); e != nil {
		t.Fatal(e)
	}
	for i := 1; i < 4; i++ {
		_, e, more := p.NextEvent(MsgPack, &m, &h)
		if !more || e == nil || e.Code != CodeSyntax || !strings.HasPrefix(e.Field, fmt.Sprintf("events[%d]", i)) {
			t.Fatalf("event %d: %v, more %v", i, e, more)
		}
	}
	if _, _, more := p.NextEvent(MsgPack, &m, &h); more {
		t.Fatal("more than the header said")
	}
}

func TestMoreBehindTheLastEvent(t *testing.T) {
	b := append(message(t, MsgPack, `{"type":"log"}`), 0xc0)
	var p Parser
	var m Message
	var h Head
	if e := p.Parse(MsgPack, b, &m); e != nil {
		t.Fatal(e)
	}
	if _, e, more := p.NextEvent(MsgPack, &m, &h); e == nil || e.Code != CodeSyntax || !more {
		t.Fatalf("got %v", e)
	}
}

func TestMessagesRefused(t *testing.T) {
	id := `"producer":"11111111-2222-3333-4444-555555555555","epoch":1`
	for _, c := range []struct{ text, code, field string }{
		{`[]`, CodeSyntax, ""},
		{`{}`, CodeMissing, "op"},
		{`{"op":5}`, CodeType, "op"},
		{`{"op":"dance"}`, CodeUnknownOp, "op"},
		{`{"op":"ack","seq":1}`, CodeUnknownOp, "op"},
		{`{"op":"events","events":[]}`, CodeMissing, "seq"},
		{`{"op":"events","seq":0,"events":[]}`, CodeRange, "seq"},
		{`{"op":"events","seq":9007199254740992,"events":[]}`, CodeRange, "seq"},
		{`{"op":"events","seq":9007199254740991,"events":[{}]}`, CodeRange, "seq"},
		{`{"op":"events","seq":1}`, CodeMissing, "events"},
		{`{"op":"events","seq":1,"events":{}}`, CodeType, "events"},
		{`{"op":"events","seq":1,"seq":1,"events":[]}`, CodeDuplicate, "seq"},
		{`{"op":"events","seq":1,"pos":7,"events":[]}`, CodeType, "pos"},
		{`{"op":"events","seq":1,"events":[` + strings.Repeat("1,", MaxFrameEvents) + `1]}`, CodeSize, "events"},
		{`{"op":"hello","epoch":1,"first":1}`, CodeMissing, "producer"},
		{`{"op":"hello","producer":"no","epoch":1,"first":1}`, CodeType, "producer"},
		{`{"op":"hello",` + id + `}`, CodeMissing, "first"},
		{`{"op":"hello",` + id + `,"first":0}`, CodeRange, "first"},
		{`{"op":"hello",` + id + `,"first":1,"now":-5}`, CodeRange, "now"},
		{`{"op":"hello",` + id + `,"first":1,"sheddable":["critical"]}`, CodeEnum, "sheddable[0]"},
		{`{"op":"hello",` + id + `,"first":1,"agent":{"id":"a","manager":5}}`, CodeType, "agent.manager"},
		{`{"op":"hello",` + id + `,"first":1,"agent":{"type":"log"}}`, CodeEnum, "agent.type"},
		{`{"op":"hello",` + id + `,"first":1,"agent":7}`, CodeType, "agent"},
		{`{"op":"lost","from":3}`, CodeMissing, "to"},
		{`{"op":"lost","from":3,"to":2}`, CodeRange, "to"},
		{`{"op":"result","id":"c1"}`, CodeMissing, "ok"},
	} {
		eachCodec(t, func(t *testing.T, codec Codec) {
			b := []byte(c.text)
			switch codec {
			case MsgPack:
				b, _ = AppendMsgpackFromJSON(nil, b)
			case Proto:
				return // see TestProtoMessagesRefused
			}
			var p Parser
			var m Message
			e := p.Parse(codec, b, &m)
			code := c.code
			if c.text == `[]` && codec == MsgPack {
				code = CodeType
			}
			if e == nil || e.Code != code || e.Field != c.field {
				t.Errorf("%.80s: got %v, want %s at %s", c.text, e, code, c.field)
			}
		})
	}
}

// A header that claims four billion elements costs nothing, at whatever place it stands.
func TestHugeClaims(t *testing.T) {
	heads := []string{"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff\x01", "\xdd\x7f\xff\xff\xff", "\xdf\x80\x00\x00\x00"}
	for _, head := range heads {
		for _, b := range []string{
			head,
			"\x81" + head,
			"\x83\xa2op\xa6events\xa3seq\x01\xa6events" + head,
			"\x83\xa6events" + head + "\xa2op\xa6events\xa3seq\x01",
			"\x83\xa2op\xa6events\xa3seq\x01\xa6events\x91" + head,
			"\x83\xa2op\xa6events\xa3seq\x01\xa6events\x91\x82\xa4type\xa3log\xa5attrs" + head,
			"\x83\xa2op\xa6events\xa3seq\x01\xa6events\x91\x82\xa4type\xa3log\xa7metrics" + head,
			"\x83\xa2op\xa6events\xa3seq\x01\xa6events\x91\x82\xa4type\xa3log\xa6labels" + head,
			"\x85\xa2op\xa5hello\xa5agent" + head,
			"\x85\xa2op\xa5hello\xa8features" + head,
			"\x85\xa2op\xa5hello\xa9sheddable" + head,
		} {
			in := []byte(b)
			var p Parser
			var m Message
			var h Head
			refused := func() bool {
				if p.Parse(MsgPack, in, &m) != nil {
					return true
				}
				for {
					_, e, more := p.NextEvent(MsgPack, &m, &h)
					if e != nil || !more {
						return e != nil
					}
				}
			}
			if !refused() {
				t.Errorf("%q was taken", b)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range 50 {
				refused()
			}
			runtime.ReadMemStats(&after)
			if n := (after.TotalAlloc - before.TotalAlloc) / 50; n > 4096 {
				t.Errorf("%q cost %d bytes", b, n)
			}
			var v View
			if v.Reset(in) == nil {
				t.Errorf("View took %q", b)
			}
		}
	}
}

func TestHello(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		out := HelloOut{Producer: [16]byte{1, 2, 255}, Epoch: 3, First: 9, Now: 1700000000000 * 1e6, Sheddable: []Prio{PrioLow, PrioNormal}, Features: []string{"deflate"},
			Agent: &Event{Agent: "a1", Name: "n", Role: "reviewer", HeartbeatMs: 5000}}
		var p Parser
		var m Message
		if e := p.Parse(c, AppendHello(nil, c, &out), &m); e != nil {
			t.Fatal(e)
		}
		h := m.Hello
		if m.Op != OpHello || h.Producer != out.Producer || h.Epoch != 3 || h.First != 9 || h.Now != out.Now || string(h.AgentID) != "a1" || fmt.Sprint(h.Features) != "[deflate]" {
			t.Fatalf("got %+v", h)
		}
		if !h.MayShed(PrioLow) || !h.MayShed(PrioNormal) || h.MayShed(PrioHigh) || h.MayShed(PrioCritical) {
			t.Fatalf("sheddable %b", h.Sheddable)
		}
		head, e := CheckPayload(h.Agent)
		if e != nil || head.Type != TypeAgent {
			t.Fatalf("declaration %q: %v", h.Agent, e)
		}
		var ev Event
		if err := DecodeEvent(h.Agent, &ev); err != nil || ev.Role != "reviewer" || ev.HeartbeatMs != 5000 {
			t.Fatalf("declaration %+v, %v", ev, err)
		}
	})
	for _, agent := range []string{`"a1"`, `{"id":"a1"}`, `{"agent":"a1"}`} {
		var p Parser
		var m Message
		e := p.Parse(JSON, []byte(`{"op":"hello","producer":"11111111222233334444555555555555","epoch":1,"first":1,"agent":`+agent+`}`), &m)
		if e != nil || string(m.Hello.AgentID) != "a1" {
			t.Fatalf("%s: %q, %v", agent, m.Hello.AgentID, e)
		}
		if h, e := CheckPayload(m.Hello.Agent); e != nil || h.Type != TypeAgent || string(h.Agent) != "a1" {
			t.Fatalf("%s: %q, %v", agent, m.Hello.Agent, e)
		}
	}
}

func TestPosTravelsExactly(t *testing.T) {
	for _, pos := range [][]byte{{}, []byte("file:3"), {0xff, 0, 1}, []byte("\u2028<")} {
		eachCodec(t, func(t *testing.T, c Codec) {
			var p Parser
			var m Message
			if e := p.Parse(c, AppendEvents(nil, c, 1, pos), &m); e != nil || !m.HasPos || !bytes.Equal(m.Pos, pos) || m.Count != 0 {
				t.Fatalf("%q: got %q, %v", pos, m.Pos, e)
			}
			var s ServerMessage
			if err := ParseServer(c, AppendWelcome(nil, c, &Welcome{Next: 1, Pos: pos}), &s); err != nil || !bytes.Equal(s.Welcome.Pos, pos) || s.Welcome.Pos == nil {
				t.Fatalf("%q: got %q, %v", pos, s.Welcome.Pos, err)
			}
		})
	}
	var p Parser
	var m Message
	if e := p.Parse(MsgPack, AppendEvents(nil, MsgPack, 1, make([]byte, MaxPos+1)), &m); e == nil || e.Code != CodeSize || e.Field != "pos" {
		t.Fatalf("got %v", e)
	}
}

func TestSeedEvents(t *testing.T) {
	for _, ts := range []string{`1700000000000`, `"2023-11-14T22:13:20Z"`} {
		eachCodec(t, func(t *testing.T, c Codec) {
			b := message(t, c, `{"agentId":"a9","timestamp":`+ts+`,"metrics":{"cpu":0.5,"memory":12,"tasksCompleted":3},"zone":"eu"}`)
			var p Parser
			var m Message
			var h Head
			if e := p.Parse(c, b, &m); e != nil {
				t.Fatal(e)
			}
			payload, e, _ := p.NextEvent(c, &m, &h)
			if e != nil || h.Type != TypeMetrics || string(h.Agent) != "a9" || h.TS != 1700000000000000000 {
				t.Fatalf("%+v, %v", h, e)
			}
			got, _ := AppendJSONValue(nil, payload)
			want := `{"type":"metrics","agent":"a9","ts":1700000000000,"metrics":{"cpu":0.5,"memory":12},"counters":{"tasks_completed":3},"zone":"eu"}`
			if string(got) != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		})
	}
	for _, c := range []struct{ event, code, field string }{
		{`{"agentId":5}`, CodeType, "events[0].agentId"},
		{`{"agentId":"a","timestamp":"x"}`, CodeType, "events[0].timestamp"},
		{`{"agentId":"a","timestamp":-4}`, CodeRange, "events[0].timestamp"},
		{`{"agentId":"a","metrics":4}`, CodeType, "events[0].metrics"},
		{`{"agentId":"a","metrics":{"cpu":"x"}}`, CodeType, "events[0].metrics.cpu"},
		{`{"agentId":"a","metrics":{"cpu":1},"counters":{}}`, CodeDuplicate, "events[0].counters"},
	} {
		e := firstError(t, JSON, message(t, JSON, c.event, `{"type":"log"}`))
		if e == nil || e.Code != c.code || e.Field != c.field {
			t.Errorf("%s: got %v, want %s at %s", c.event, e, c.code, c.field)
		}
	}
}

func TestBatches(t *testing.T) {
	one := `{"type":"log"}`
	for text, want := range map[string]int{
		one: 1, `[` + one + `,` + one + `]`: 2, `[]`: 0, `{"events":[` + one + `]}`: 1, one + "\n" + one + "\r\n\n" + one + "\n": 3,
		"{\n \"type\":\n\"log\"}\n": 1, one + "\n{bad\n" + one: 3,
	} {
		var p Parser
		var m Message
		var h Head
		if e := p.ParseBatch(JSON, []byte(text), &m); e != nil {
			t.Errorf("%s: %v", text, e)
			continue
		}
		good, n := 0, 0
		for {
			_, e, more := p.NextEvent(JSON, &m, &h)
			if !more {
				break
			}
			n++
			if e == nil {
				good++
			}
		}
		bad := strings.Count(text, "bad")
		if n != want || good != want-bad {
			t.Errorf("%q: %d events, %d good, want %d", text, n, good, want)
		}
	}
	for _, text := range []string{``, `3`, `[`, `[1]x`, `{"events":[}`} {
		var p Parser
		var m Message
		if e := p.ParseBatch(JSON, []byte(text), &m); e == nil {
			t.Errorf("%q was taken as %d events", text, m.Count)
		}
	}
	packed, _ := AppendMsgpackFromJSON(nil, []byte(`{"events":[{"type":"log"}]}`))
	array, _ := AppendMsgpackFromJSON(nil, []byte(`[{"type":"log"}]`))
	single, _ := AppendMsgpackFromJSON(nil, []byte(`{"type":"log"}`))
	for _, b := range [][]byte{packed, array, single} {
		var p Parser
		var m Message
		var h Head
		if e := p.ParseBatch(MsgPack, b, &m); e != nil || m.Count != 1 {
			t.Fatalf("%q: %v", b, e)
		}
		if _, e, more := p.NextEvent(MsgPack, &m, &h); e != nil || !more {
			t.Fatalf("%q: %v", b, e)
		}
	}
}

func TestEventsPathDoesNotAllocate(t *testing.T) {
	events := []string{
		`{"type":"tool","phase":"end","agent":"agent-0001","run":"run-77","span":"s-123","parent":"s-1","ts":1700000000123.25,"dur_ms":12.5,"status":"ok","name":"Read"}`,
		`{"type":"metrics","agent":"agent-0001","ts":1700000000123,"metrics":{"cpu":0.25,"memory":1024,"queue":3},"labels":{"zone":"eu"}}`,
		`{"type":"llm","agent":"agent-0001","span":"x","usage":{"model":"m","input_tokens":12,"output_tokens":9,"quality":"exact"},"attrs":{"a":[1,2,{"b":"c"}]}}`,
		`{"type":"message","msg":"two\nlines \ud83d\ude00","agent":"agent-0001"}`,
	}
	eachCodec(t, func(t *testing.T, c Codec) {
		b := message(t, c, events...)
		var p Parser
		var m Message
		var h Head
		n := testing.AllocsPerRun(200, func() {
			if e := p.Parse(c, b, &m); e != nil {
				t.Fatal(e)
			}
			for {
				_, e, more := p.NextEvent(c, &m, &h)
				if e != nil {
					t.Fatal(e)
				}
				if !more {
					return
				}
			}
		})
		if n != 0 {
			t.Errorf("%v allocations a message, want 0", n)
		}
	})
}

func TestViewDoesNotAllocate(t *testing.T) {
	payload, _ := AppendMsgpackFromJSON(nil, []byte(`{"type":"llm","agent":"a","span":"x","ts_ns":"1700000000123000001","state":{"state":"waiting","on":"tool"},"error":{"code":"E"},`+
		`"usage":{"model":"m","input_tokens":12},"metrics":{"a":1,"b":2.5},"labels":{"k":"v"},"to":["p","q"]}`))
	var v View
	sum := 0.0
	n := testing.AllocsPerRun(200, func() {
		if err := v.Reset(payload); err != nil {
			t.Fatal(err)
		}
		v.Numbers(FMetrics, func(_ []byte, x float64) { sum += x })
		v.Strings(FLabels, func(k, _ []byte) { sum += float64(len(k)) })
		v.To(func(id []byte) { sum += float64(len(id)) })
		u, _ := v.Usage()
		_, on, _, _ := v.State()
		code, _, _ := v.Error()
		sum += float64(u.Input) + float64(len(on)+len(code)) + float64(v.TS()&1)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if each := 3.5 + 1 + 2 + 12 + 4 + 1 + 1; sum != each*201 {
		t.Errorf("sum %v, want %v", sum, each*201)
	}
}

func TestUnknownNamesAreIgnoredInMessages(t *testing.T) {
	var p Parser
	var m Message
	if e := p.Parse(JSON, []byte(`{"op":"events","x_trace":{"a":[1]},"events":[{"type":"log"}],"seq":3,"later":null}`), &m); e != nil || m.Seq != 3 || m.Count != 1 {
		t.Fatalf("%v %+v", e, m)
	}
}
