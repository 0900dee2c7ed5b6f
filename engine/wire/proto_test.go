package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// schemaFile is eyrie.proto as protoc understands it.
func schemaFile(t testing.TB) protoreflect.FileDescriptor {
	t.Helper()
	raw, err := os.ReadFile("testdata/eyrie.desc")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	f, err := protodesc.NewFile(set.File[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func dynamic(t testing.TB, message string) *dynamicpb.Message {
	t.Helper()
	return dynamicpb.NewMessage(schemaFile(t).Messages().ByName(protoreflect.Name(message)))
}

// What protoc made of the schema is what the schema says; if the schema was changed on purpose, in engine/wire:
// protoc --descriptor_set_out=testdata/eyrie.desc eyrie.proto
func TestDescriptorIsOfTheSchema(t *testing.T) {
	line := regexp.MustCompile(`^\s*(?:optional |repeated )?([\w.]+(?:<[^>]+>)?) (\w+) = (\d+);`)
	begin := regexp.MustCompile(`^message (\w+) \{`)
	got := map[string]bool{}
	var message string
	for text := range strings.Lines(Schema) {
		if m := begin.FindStringSubmatch(text); m != nil {
			message = m[1]
		}
		if m := line.FindStringSubmatch(text); m != nil {
			got[fmt.Sprintf("%s.%s = %s", message, m[2], m[3])] = true
		}
	}
	n := 0
	messages := schemaFile(t).Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			n++
			if key := fmt.Sprintf("%s.%s = %d", messages.Get(i).Name(), f.Name(), f.Number()); !got[key] {
				t.Errorf("the descriptor has %s, the schema not", key)
			}
		}
	}
	if n != len(got) || n < 100 {
		t.Errorf("%d fields in the descriptor, %d in the schema", n, len(got))
	}
}

// The tables read and write what the schema says.
func TestTablesAreTheSchema(t *testing.T) {
	file := schemaFile(t)
	seen := map[string]bool{}
	var check func(s *protoSchema)
	check = func(s *protoSchema) {
		if seen[s.name] {
			return
		}
		seen[s.name] = true
		d := file.Messages().ByName(protoreflect.Name(s.name))
		n := 0
		for num, f := range s.fields {
			if f.kind == pNone {
				continue
			}
			n++
			fd := d.Fields().ByNumber(protoreflect.FieldNumber(num))
			if fd == nil {
				t.Errorf("%s: the schema has no %d", s.name, num)
				continue
			}
			name := f.name
			switch {
			case f.kind == pExtra:
				name = "extra"
			case f.kind == pPayload:
				name = "payload"
			case name == "unit" && f.kind == pLabels:
				name = "units"
			}
			if string(fd.Name()) != name || kindText(fd) != wantText[f.kind] {
				t.Errorf("%s.%d: the table has %s %s, the schema %s %s", s.name, num, wantText[f.kind], name, kindText(fd), fd.Name())
			}
			if f.sub != nil {
				check(f.sub)
			}
		}
		if n != d.Fields().Len() {
			t.Errorf("%s: %d fields in the table, %d in the schema", s.name, n, d.Fields().Len())
		}
	}
	for holder, of := range map[string]struct {
		schemas []*protoSchema
		ops     []Op
	}{"AgentMessage": {protoAgent[:], protoAgentOps[:]}, "ServerMessage": {protoServer[:], protoServerOps[:]}} {
		d := file.Messages().ByName(protoreflect.Name(holder))
		if d.Fields().Len() != len(of.schemas)-1 || len(of.ops) != len(of.schemas) {
			t.Errorf("%s: %d messages in the table", holder, len(of.schemas)-1)
		}
		for num, s := range of.schemas[1:] {
			fd := d.Fields().ByNumber(protoreflect.FieldNumber(num + 1))
			if string(fd.Message().Name()) != s.name || string(fd.Name()) != of.ops[num+1].String() {
				t.Errorf("%s.%d: %s, the table has %s for %v", holder, num+1, fd.Message().Name(), s.name, of.ops[num+1])
			}
			check(s)
		}
	}
	for f := FType; f < fieldCount; f++ {
		if protoEvent.find([]byte(f.String())) == 0 {
			t.Errorf("Event has no %v", f)
		}
	}
}

var wantText = map[protoKind]string{
	pText: "string", pBytes: "bytes", pInt: "int64", pUint: "uint64", pMs: "double", pBool: "bool", pValue: "Value", pMessage: "message",
	pTexts: "[string]", pOneText: "[string]", pMessages: "[message]", pEvents: "[message]", pNumbers: "<double>", pLabels: "<string>",
	pValues: "<Value>", pExtra: "<Value>", pTS: "int64", pType: "string", pPayload: "bytes",
}

func kindText(fd protoreflect.FieldDescriptor) string {
	scalar := func(fd protoreflect.FieldDescriptor) string {
		if fd.Kind() == protoreflect.MessageKind && fd.Message().Name() == "Value" {
			return "Value"
		}
		return fd.Kind().String()
	}
	switch {
	case fd.IsMap():
		return "<" + scalar(fd.MapValue()) + ">"
	case fd.IsList():
		return "[" + scalar(fd) + "]"
	}
	return scalar(fd)
}

// What we write the real Protobuf reads to the last field, and what it writes of that we read as the same.
func TestProtobufReadsAndWritesTheSame(t *testing.T) {
	for name, b := range goldenMessages(Proto) {
		holder := "ServerMessage"
		switch name {
		case "hello", "events", "lost", "result":
			holder = "AgentMessage"
		}
		msg := dynamic(t, holder)
		if err := proto.Unmarshal(b, msg); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hasUnknown(t, name, msg)
		again, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := packedMessage(t, holder, again), packedMessage(t, holder, b); got != want {
			t.Errorf("%s: of what Protobuf wrote we read\n%s, of what we wrote\n%s", name, got, want)
		}
	}
}

func hasUnknown(t *testing.T, name string, msg protoreflect.Message) {
	t.Helper()
	if len(msg.GetUnknown()) > 0 {
		t.Errorf("%s: Protobuf knows not %x", name, msg.GetUnknown())
	}
	msg.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() && fd.MapValue().Kind() == protoreflect.MessageKind:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				hasUnknown(t, name, v.Message())
				return true
			})
		case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			for i := range v.List().Len() {
				hasUnknown(t, name, v.List().Get(i).Message())
			}
		case !fd.IsMap() && !fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			hasUnknown(t, name, v.Message())
		}
		return true
	})
}

// packedMessage returns what a message says, in an order of its own: of an agent's events, what DecodeEvent reads.
func packedMessage(t *testing.T, holder string, b []byte) string {
	t.Helper()
	if holder == "ServerMessage" {
		var s ServerMessage
		if err := ParseServer(Proto, b, &s); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v", s)
	}
	var p Parser
	var m Message
	var h Head
	if e := p.Parse(Proto, b, &m); e != nil {
		t.Fatal(e)
	}
	text := fmt.Sprintf("%v %d %d %q %v %d %d %q %q %v %q", m.Op, m.Seq, m.Count, m.Pos, m.HasPos, m.From, m.To, m.Reason, m.ID, m.OK, m.Data)
	if m.Op == OpHello {
		a := m.Hello
		var e Event
		if err := DecodeEvent(a.Agent, &e); err != nil {
			t.Fatal(err)
		}
		a.Agent = nil
		text += fmt.Sprintf("%+v %s", a, e.AppendJSON(nil))
	}
	for {
		payload, e, more := p.NextEvent(Proto, &m, &h)
		if !more {
			return text
		}
		if e != nil {
			t.Fatal(e)
		}
		var ev Event
		if err := DecodeEvent(payload, &ev); err != nil {
			t.Fatal(err)
		}
		text += "\n" + string(ev.AppendJSON(nil))
	}
}

// An event that a program with the schema makes arrives with every field.
func TestEventOfProtobuf(t *testing.T) {
	msg := dynamic(t, "AgentMessage")
	err := protojson.Unmarshal([]byte(`{"events":{"seq":"7","pos":"cA==","events":[
		{"agent":"a1","ts":"1700000000123","type":"llm","phase":"end","span":"s1","run":"r1","to":["b"],"durMs":0,"severity":"warn",
		 "usage":{"inputTokens":"9007199254740993","model":"m","extra":{"cached":{"flag":true}}},"metrics":{"a":1,"b":0.5},
		 "units":{"a":"s"},"labels":{"k":"v"},"attrs":{"x":{"int":"-5"},"y":{"list":{"values":[{"null":0},{"text":"t"},{}]}},"z":{"map":{"fields":{"q":{"uint":"18446744073709551615"}}}},"w":{"bytes":"AP8="}},
		 "error":{"code":"E","retryable":false},"state":{"state":"waiting","on":"tool"},"links":[{"span":"x","kind":"retry"},{"span":"y"}],"extra":{"x_mine":{"number":2.5}}},
		{"type":"log","msg":"second"}]}}`), msg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	var p Parser
	var m Message
	var h Head
	if e := p.Parse(Proto, b, &m); e != nil || m.Seq != 7 || string(m.Pos) != "p" || m.Count != 2 {
		t.Fatalf("%v %+v", e, m)
	}
	payload, e, _ := p.NextEvent(Proto, &m, &h)
	if e != nil || h.Type != TypeLLM || h.Phase != PhaseEnd || h.Severity != SeverityWarn || h.TS != 1700000000123e6 || h.Key != RunKey([]byte("r1")) || string(h.Agent) != "a1" {
		t.Fatalf("%v %+v", e, h)
	}
	got, _ := AppendJSONValue(nil, payload)
	want := `{"agent":"a1","ts":1700000000123,"type":"llm","phase":"end","span":"s1","run":"r1","to":"b","dur_ms":0,"severity":"warn",` +
		`"error":{"code":"E","retryable":false},"usage":{"model":"m","input_tokens":9007199254740993,"cached":true},"links":[{"span":"x","kind":"retry"},{"span":"y"}],` +
		`"metrics":{"a":1,"b":0.5},"unit":{"a":"s"},"labels":{"k":"v"},` +
		`"attrs":{"w":"AP8=","x":-5,"y":[null,"t",null],"z":{"q":18446744073709551615}},"state":{"state":"waiting","on":"tool"},"x_mine":2.5}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if payload, e, _ := p.NextEvent(Proto, &m, &h); e != nil || string(payload) != "\x82\xa4type\xa3log\xa3msg\xa6second" {
		t.Errorf("%q %v", payload, e)
	}
}

// old makes an AgentEvent of the first version.
type old struct {
	ts   []byte // the field timestamp
	typ  []byte // the field type
	body []byte
}

func (o old) bytes() []byte {
	b := appendProtoBytes(nil, 1, []byte("a9"))
	b = append(append(b, o.ts...), o.typ...)
	if o.body != nil {
		b = appendProtoBytes(b, 4, o.body)
	}
	return b
}

// The first version's events are taken in each form that they may have.
func TestFirstVersionsProtobuf(t *testing.T) {
	ms := appendProtoUint(nil, 2, 1700000000000)
	stamp, _ := proto.Marshal(&timestamppb.Timestamp{Seconds: 1700000000, Nanos: 5})
	object, _ := structpb.NewStruct(map[string]any{"cpu": 0.5})
	st, _ := proto.Marshal(object)
	text := func(s string) []byte { return appendProtoBytes(nil, 3, []byte(s)) }
	number := func(n uint64) []byte { return appendProtoUint(nil, 3, n) }
	for _, c := range []struct {
		in   old
		want string
	}{
		{old{ms, text("METRICS"), []byte(`{"cpu":0.5,"memory":12,"tasksCompleted":3,"zone":"eu","metrics":{"q":1}}`)},
			`{"agent":"a9","ts":1700000000000,"type":"metrics","metrics":{"cpu":0.5,"memory":12,"q":1},"counters":{"tasks_completed":3},"attrs":{"zone":"eu"}}`},
		{old{ms, number(3), st}, `{"agent":"a9","ts":1700000000000,"type":"metrics","metrics":{"cpu":0.5}}`},
		{old{appendProtoBytes(nil, 2, stamp), number(0), []byte("running")}, `{"agent":"a9","ts_ns":1700000000000000005,"type":"state","state":"running"}`},
		{old{binary.LittleEndian.AppendUint64(appendKey(nil, 2, wireFixed64), 1700000000000), nil, []byte(`{"status":"paused","state":"idle","n":1}`)},
			`{"agent":"a9","ts":1700000000000,"type":"state","state":"paused","attrs":{"state":"idle","n":1}}`},
		{old{ms, text("STATUS_UPDATE"), []byte(`{"status":"odd"}`)}, `{"agent":"a9","ts":1700000000000,"type":"state","attrs":{"status":"odd"}}`},
		{old{ms, number(1), []byte(`{"taskId":"t1","result":{"ok":true},"note":1}`)},
			`{"agent":"a9","ts":1700000000000,"type":"task","status":"ok","task":"t1","phase":"end","output":{"ok":true},"attrs":{"note":1}}`},
		{old{ms, text("TASK_COMPLETE"), []byte("all done")}, `{"agent":"a9","ts":1700000000000,"type":"task","status":"ok","msg":"all done"}`},
		{old{ms, number(2), []byte(`{"code":"E7","message":"no disk","at":"x"}`)},
			`{"agent":"a9","ts":1700000000000,"type":"log","severity":"error","error":{"code":"E7"},"msg":"no disk","attrs":{"at":"x"}}`},
		{old{ms, text("ERROR"), []byte("it broke {")}, `{"agent":"a9","ts":1700000000000,"type":"log","severity":"error","msg":"it broke {"}`},
		{old{ms, text("ERROR"), []byte("{no json")}, `{"agent":"a9","ts":1700000000000,"type":"log","severity":"error","msg":"{no json"}`},
		{old{ms, text("ERROR"), []byte{0xff, 0}}, `{"agent":"a9","ts":1700000000000,"type":"log","severity":"error","attrs":{"payload":"/wA="}}`},
		{old{ms, text("ERROR"), nil}, `{"agent":"a9","ts":1700000000000,"type":"log","severity":"error"}`},
		{old{ms, text("message"), []byte("hello")}, `{"agent":"a9","ts":1700000000000,"type":"message","msg":"hello"}`},
		{old{ms, text("log"), []byte(`{"a":{"b":1}}`)}, `{"agent":"a9","ts":1700000000000,"type":"log","attrs":{"a":{"b":1}}}`},
	} {
		var p Parser
		var m Message
		var h Head
		for _, parse := range []func() *FieldError{
			func() *FieldError {
				b, body := openProto(nil, 2)
				return p.Parse(Proto, closeProto(appendProtoBytes(appendProtoUint(b, 1, 1), 3, c.in.bytes()), body), &m)
			},
			func() *FieldError { return p.ParseBatch(Proto, c.in.bytes(), &m) },
			func() *FieldError {
				return p.ParseBatch(Proto, appendProtoBytes(appendProtoBytes(nil, 3, c.in.bytes()), 3, c.in.bytes()), &m)
			},
		} {
			if e := parse(); e != nil {
				t.Fatal(e)
			}
			for range m.Count {
				payload, e, _ := p.NextEvent(Proto, &m, &h)
				if got, _ := AppendJSONValue(nil, payload); e != nil || string(got) != c.want || string(h.Agent) != "a9" {
					t.Errorf("%q: %v\n got %s\nwant %s", c.in.body, e, got, c.want)
				}
			}
		}
	}
}

// eventOf wraps an Event into a message.
func eventOf(event []byte) []byte {
	b, body := openProto(nil, 2)
	return closeProto(appendProtoBytes(appendProtoUint(b, 1, 1), 3, event), body)
}

func TestProtoRefusals(t *testing.T) {
	typ := appendProtoBytes(nil, 3, []byte("log"))
	with := func(b []byte) []byte { return append(bytes.Clone(typ), b...) }
	deep := func(n int) []byte { // attrs: {"a": n lists, one in the other}
		v := []byte{}
		for range n {
			v = appendProtoBytes(nil, 6, appendProtoBytes(nil, 1, v))
		}
		return with(appendProtoBytes(nil, 35, appendProtoBytes(appendProtoBytes(nil, 1, []byte("a")), 2, v)))
	}
	for _, c := range []struct {
		event       []byte
		code, field string
	}{
		{[]byte{0x0a}, CodeSyntax, "events[0]"},
		{[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, CodeSyntax, "events[0]"},
		{[]byte{0x08}, CodeSyntax, "events[0]"},
		{[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0}, CodeSyntax, "events[0]"},
		{[]byte{0x02, 0}, CodeSyntax, "events[0]"},    // field 0
		{[]byte{0x0b, 0x0c}, CodeSyntax, "events[0]"}, // a group
		{[]byte{}, CodeMissing, "events[0].type"},
		{with(typ), CodeDuplicate, "events[0].type"},
		{with(appendProtoUint(nil, 13, 5)), CodeType, "events[0].msg"},
		{with(appendProtoBytes(nil, 13, []byte{0xff})), CodeUTF8, "events[0].msg"},
		{with(appendProtoDouble(nil, 18, -1)), CodeRange, "events[0].dur_ms"},
		{with(appendProtoDouble(nil, 18, math.NaN())), CodeRange, "events[0].dur_ms"},
		{with(appendProtoUint(nil, 2, 1<<63)), CodeRange, "events[0].ts"},
		{with(appendProtoBytes(nil, 2, appendProtoUint(nil, 1, 1<<40))), CodeRange, "events[0].ts"},
		{with(appendProtoBytes(nil, 2, []byte("x"))), CodeType, "events[0].ts"},
		{with(append(appendKey(nil, 2, wireFixed32), 0, 0, 0, 0)), CodeType, "events[0].ts"},
		{appendProtoUint(nil, 3, 4), CodeEnum, "events[0].type"},
		{appendProtoDouble(nil, 3, 4), CodeType, "events[0].type"},
		{appendProtoUint(with(nil), 4, 4), CodeType, "events[0].payload"},
		{with(appendProtoBytes(nil, 25, appendProtoUint(nil, 2, math.MaxUint64))), CodeRange, "events[0].usage.input_tokens"},
		{with(appendProtoBytes(nil, 25, appendProtoBytes(nil, 2, nil))), CodeType, "events[0].usage.input_tokens"},
		{with(appendProtoBytes(nil, 29, appendProtoBytes(appendProtoBytes(nil, 1, []byte("cpu")), 2, nil))), CodeType, "events[0].metrics.cpu"},
		{with(appendProtoBytes(nil, 29, nil)), CodeSize, "events[0].metrics."},
		{with(appendProtoBytes(appendProtoBytes(nil, 32, []byte("s")), 33, nil)), CodeDuplicate, "events[0].unit"},
		{with(appendProtoBytes(nil, 47, appendProtoBytes(nil, 1, []byte("x_none")))), "", ""},
		{with(appendProtoBytes(nil, 47, appendProtoBytes(appendProtoBytes(nil, 1, []byte("type")), 2, appendProtoUint(nil, 7, 1)))), CodeDuplicate, "events[0].type"},
		{deep(14), "", ""},
		{deep(15), CodeDepth, "events[0].attrs.a"},
		{deep(1000), CodeDepth, "events[0].attrs.a"},
		{with(appendProtoUint(nil, 4000, 1)), "", ""}, // of a later version
	} {
		var p Parser
		var m Message
		var h Head
		if e := p.Parse(Proto, eventOf(c.event), &m); e != nil {
			t.Errorf("%.60x: %v", c.event, e)
			continue
		}
		_, e, more := p.NextEvent(Proto, &m, &h)
		if !more || (e == nil) != (c.code == "") || e != nil && (e.Code != c.code || e.Field != c.field) {
			t.Errorf("%.60x\n got %v\nwant %s at %s", c.event, e, c.code, c.field)
		}
	}
}

func TestProtoMessagesRefused(t *testing.T) {
	wrap := func(num int, fields ...[]byte) []byte { return appendProtoBytes(nil, num, bytes.Join(fields, nil)) }
	id := appendProtoBytes(nil, 1, make([]byte, 16))
	one, two := appendProtoUint(nil, 2, 1), appendProtoUint(nil, 3, 1)
	for _, c := range []struct {
		b           []byte
		code, field string
	}{
		{nil, CodeMissing, "op"},
		{[]byte("{}"), CodeSyntax, ""},
		{wrap(9), CodeUnknownOp, "op"},
		{append(wrap(2), wrap(2)...), CodeDuplicate, ""},
		{wrap(2), CodeMissing, "seq"},
		{wrap(2, appendProtoUint(nil, 1, 1<<53)), CodeRange, "seq"},
		{wrap(2, appendProtoUint(nil, 1, 1), appendProtoUint(nil, 1, 1)), CodeDuplicate, "seq"},
		{wrap(2, appendProtoUint(nil, 1, 1), appendProtoUint(nil, 2, 7)), CodeType, "pos"},
		{wrap(2, appendProtoUint(nil, 1, 1), appendProtoUint(nil, 3, 7)), CodeType, "events"},
		{wrap(2, appendProtoUint(nil, 1, 1), bytes.Repeat([]byte{0x1a, 0}, MaxFrameEvents+1)), CodeSize, "events"},
		{wrap(2, appendProtoUint(nil, 1, 1), []byte{0x1a, 9}), CodeSyntax, "events"},
		{wrap(1, one, two), CodeMissing, "producer"},
		{wrap(1, appendProtoBytes(nil, 1, []byte("no")), one, two), CodeType, "producer"},
		{wrap(1, id, one), CodeMissing, "first"},
		{wrap(1, id, one, two, appendProtoDouble(nil, 4, -5)), CodeRange, "now"},
		{wrap(1, id, one, two, appendProtoBytes(nil, 6, []byte("critical"))), CodeEnum, "sheddable[0]"},
		{wrap(1, id, one, two, appendProtoBytes(nil, 5, appendProtoBytes(nil, 3, []byte("log")))), CodeEnum, "agent.type"},
		{wrap(3, appendProtoUint(nil, 1, 3)), CodeMissing, "to"},
		{wrap(3, appendProtoUint(nil, 1, 3), appendProtoUint(nil, 2, 2)), CodeRange, "to"},
		{wrap(4, appendProtoBytes(nil, 1, []byte("c1"))), CodeMissing, "ok"},
	} {
		var p Parser
		var m Message
		if e := p.Parse(Proto, c.b, &m); e == nil || e.Code != c.code || e.Field != c.field {
			t.Errorf("%.60x: got %v, want %s at %s", c.b, e, c.code, c.field)
		}
	}
	var s ServerMessage
	if err := ParseServer(Proto, wrap(9), &s); err != nil || s.Op != OpUnknown || s.OpName != "9" {
		t.Errorf("a message of a later server: %v %+v", err, s)
	}
}
