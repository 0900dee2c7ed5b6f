package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// seeds are events that between them take every branch of the checks; fuzzing starts from them.
func seeds() [][]byte {
	e := fullEvent()
	all := [][]byte{e.AppendMsgpack(nil), []byte("\x81\xa4type\xa3log"), []byte("\xdd\xff\xff\xff\xff"), []byte("\xdf\xff\xff\xff\xff"), []byte("\xc1"), {}}
	for _, text := range seedTexts {
		if b, e := AppendMsgpackFromJSON(nil, []byte(text)); e == nil {
			all = append(all, b)
		}
	}
	return all
}

var seedTexts = []string{
	`{"type":"tool","input":{"$blob":"` + blobSum + `","size":3},"attrs":{"a":[{"$blob":"` + blobSum + `"}]},"x":{"$blob":1}}`,
	`{"type":"log","ts":1.5,"msg":"\ud83d\ude00\u0000\u2028","attrs":{"__proto__":[1,-1,1e3,0.5,true,false,null,{"a":[]}]}}`,
	`{"type":"tool","phase":"start","span":"s","to":["a","b"],"links":[{"span":"x","kind":"retry"}]}`,
	`{"type":"run","phase":"end","run":"r","status":"ok","error":{"code":"c","retryable":false},"usage":{"input_tokens":3.0,"quality":"exact"}}`,
	`{"type":"state","state":{"state":"waiting","on":"person","by":"x"},"unit":{"a":"b"},"labels":{"k":"v"}}`,
	`{"type":"metrics","metrics":{"a":1},"counters":{"b":2.5},"deltas":{"c":-3},"unit":"s","ts_ns":"1700000000000000000"}`,
	`{"agentId":"a","timestamp":"2023-11-14T22:13:20Z","metrics":{"cpu":1,"tasksCompleted":2}}`,
	`{"type":"log","a":18446744073709551616}`, `{"type":"log","a":"\ud800"}`, `[1,2`, `-`, `1.`, `"\u12"`, "\"\xff\"", ` { } `,
}

func sameRefusal(e *FieldError) bool {
	return e.Code == CodeDuplicate || e.Code == CodeType && strings.Contains(e.Msg, "names are strings")
}

// Each event in turn is judged as the naive reading judges it, found where it lies, and readable by a View.
func FuzzParseMsgpack(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
		f.Add(AppendEvents(nil, MsgPack, 1, []byte("p"), s, s))
	}
	for _, b := range goldenMessages(MsgPack) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		if h, e := CheckPayload(in); e == nil || !sameRefusal(e) {
			if want := naiveCheck(bytes.Clone(in)); want != (e == nil) && !repeats(in) {
				t.Fatalf("%q: got %v, naive says %v", in, e, want)
			}
			if e == nil {
				checkHead(t, in, h)
			} else {
				checkError(t, e)
			}
		}
		checkFast(t, in, 0)
		checkFast(t, append(bytes.Clone(in), make([]byte, 40)...), 0)
		drain(t, MsgPack, in)
		var s ServerMessage
		if err := ParseServer(MsgPack, in, &s); err == nil && s.OpName == "" {
			t.Fatalf("%q: a message without op", in)
		}
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
	})
}

// drain parses a message and checks what holds for all: as many events as promised, good payloads, named errors.
func drain(t testing.TB, c Codec, in []byte) {
	var p Parser
	var m Message
	for _, parse := range []func(Codec, []byte, *Message) *FieldError{p.Parse, p.ParseBatch} {
		if e := parse(c, in, &m); e != nil {
			checkError(t, e)
			continue
		}
		if m.Count > MaxFrameEvents {
			t.Fatalf("%d events", m.Count)
		}
		var h Head
		n := 0
		for {
			payload, e, more := p.NextEvent(c, &m, &h)
			if !more {
				break
			}
			if n++; e != nil {
				checkError(t, e)
				continue
			}
			if again, e := CheckPayload(payload); e != nil || !reflect.DeepEqual(again, h) {
				t.Fatalf("%q: %+v, %v, first %+v", payload, again, e, h)
			}
		}
		if n != m.Count {
			t.Fatalf("%d events of %d", n, m.Count)
		}
	}
}

func checkError(t testing.TB, e *FieldError) {
	if e.Code == "" || e.Msg == "" || !utf8.ValidString(e.Field) || len(e.Field) > 2*pathMax || strings.ContainsAny(e.Field, "\x00\x1b\n") {
		t.Fatalf("error %+q", e)
	}
}

func checkHead(t testing.TB, payload []byte, h Head) {
	var v View
	if err := v.Reset(payload); err != nil {
		t.Fatal(err)
	}
	if v.Type() != h.Type || v.Phase() != h.Phase || v.Severity() != h.Severity || v.TS() != h.TS || RunKey(v.Str(FRun)) != h.Key || !bytes.Equal(v.Str(FAgent), h.Agent) {
		t.Fatalf("%q: head %+v", payload, h)
	}
	if h.Prio == 0 || h.Severity == 0 || HeadFromFlags(h.Flags()).Prio != h.Prio {
		t.Fatalf("%q: head %+v", payload, h)
	}
	var e Event
	if err := DecodeEvent(payload, &e); err != nil {
		t.Fatal(err)
	}
	e.AppendJSON(nil)
	if text, err := AppendEventJSON(nil, payload); err != nil || !json.Valid(text) {
		t.Fatalf("%q: printed %s, %v", payload, text, err)
	}
}

// What is taken is what encoding/json takes, with the same values; what only we refuse has a stated reason.
func FuzzParseJSON(f *testing.F) {
	for _, text := range seedTexts {
		f.Add([]byte(text))
		f.Add([]byte(`{"op":"events","seq":1,"events":[` + text + `,{"type":"log"}]}`))
	}
	for _, b := range goldenMessages(JSON) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		packed, e := AppendMsgpackFromJSON([]byte("head"), in)
		switch {
		case e != nil:
			checkError(t, e)
			if json.Valid(in) && e.Code != CodeUTF8 && e.Code != CodeDepth && e.Code != CodeRange {
				t.Fatalf("%q is valid JSON: %v", in, e)
			}
			if string(packed) != "head" {
				t.Fatalf("%q left %q", in, packed)
			}
		case !json.Valid(in):
			t.Fatalf("%q is no JSON", in)
		default:
			d := json.NewDecoder(bytes.NewReader(in))
			d.UseNumber()
			var want any
			if err := d.Decode(&want); err != nil {
				t.Fatal(err)
			}
			got, err := ReadValue(packed[4:])
			if err != nil || !sameJSON(got, want) {
				t.Fatalf("%q: got %#v, want %#v, %v", in, got, want, err)
			}
			if text, err := AppendJSONValue(nil, packed[4:]); err != nil || !json.Valid(text) {
				t.Fatalf("%q printed as %s, %v", in, text, err)
			}
		}
		drain(t, JSON, in)
		var s ServerMessage
		ParseServer(JSON, in, &s)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
	})
}

func sameJSON(got, want any) bool {
	switch want := want.(type) {
	case json.Number:
		switch got := got.(type) {
		case int64, uint64:
			w, ok := new(big.Int).SetString(want.String(), 10)
			g, _ := new(big.Int).SetString(strings.TrimSpace(string(mustJSON(got))), 10)
			return ok && w.Cmp(g) == 0
		case float64:
			w, err := want.Float64()
			return err == nil && math.Float64bits(w) == math.Float64bits(got)
		}
		return false
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range list {
			if !sameJSON(list[i], want[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok || len(m) != len(want) {
			return false
		}
		for k := range m {
			if w, ok := want[k]; !ok || !sameJSON(m[k], w) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// A View of anything does not panic; of a map that another library reads too, it says the same.
func FuzzView(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v View
		err := v.Reset(in)
		for fl := FUnknown; fl < fieldCount; fl++ {
			v.Str(fl)
			v.Int(fl)
			v.Float(fl)
			v.Raw(fl)
			v.Bool(fl)
			v.Numbers(fl, func([]byte, float64) {})
			v.Strings(fl, func(_, _ []byte) {})
		}
		v.TS()
		v.Began()
		v.Dur()
		v.Usage()
		v.State()
		v.Error()
		v.SpanID()
		v.To(func([]byte) {})
		v.Links(func(_, _ []byte) {})
		v.Attr("a")
		if err != nil {
			if v.Count() != 0 || v.Payload() != nil {
				t.Fatal("a failed Reset left fields")
			}
			return
		}
		var e Event
		if err := DecodeEvent(in, &e); err != nil {
			t.Fatal(err)
		}
		compareView(t, &v, in)
	})
}

func compareView(t *testing.T, v *View, in []byte) {
	if _, err := msgp.Skip(in); err != nil {
		t.Fatalf("%q: a View took it, another library does not: %v", in, err)
	}
	got, rest, err := msgp.ReadIntfBytes(in)
	m, ok := got.(map[string]any)
	if _, n, _ := token(in, 0); err != nil || !ok || len(rest) > 0 || len(m) != n {
		return // names twice, or keys that one of the two does not take
	}
	for fl := FType; fl < fieldCount; fl++ {
		want, has := m[fl.String()]
		if has = has && want != nil; has != v.Has(fl) {
			if _, isExt := want.(msgp.RawExtension); !isExt {
				t.Fatalf("%q: %v: has %v, want %v", in, fl, v.Has(fl), has)
			}
			continue
		}
		if s, ok := want.(string); ok && string(v.Str(fl)) != s {
			t.Fatalf("%q: %v: %q, want %q", in, fl, v.Str(fl), s)
		}
		if x, ok := naiveNumber(want); ok {
			if got, ok := v.Float(fl); !ok || math.Float64bits(got) != math.Float64bits(x) && !math.IsNaN(x) {
				t.Fatalf("%q: %v: %v, want %v", in, fl, got, x)
			}
		}
		if x, ok := want.(int64); ok {
			if got, ok := v.Int(fl); !ok || got != x {
				t.Fatalf("%q: %v: %v, want %v", in, fl, got, x)
			}
		}
		if inner, ok := want.(map[string]any); ok {
			sum, wantSum := 0, 0
			v.Numbers(fl, func([]byte, float64) { sum++ })
			v.Strings(fl, func(_, _ []byte) { sum += 1000 })
			for _, x := range inner {
				if _, ok := naiveNumber(x); ok {
					wantSum++
				} else if isText(x) {
					wantSum += 1000
				}
			}
			if sum < wantSum {
				t.Fatalf("%q: %v: %d numbers and texts, want %d", in, fl, sum, wantSum)
			}
		}
	}
}

// Whatever is printed is JSON of inert ASCII controls, and strings read back as they were.
func FuzzAppendJSONValue(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Add([]byte("\xa9__proto__"))
	f.Add([]byte("\xa9</script>"))
	f.Fuzz(func(t *testing.T, in []byte) {
		checkPrinted := func(text []byte) {
			if !json.Valid(text) || !utf8.Valid(text) {
				t.Fatalf("%q printed as %q", in, text)
			}
			for _, r := range string(text) {
				if r < 0x20 || r == 0x7f || inertRune(r) || strings.ContainsRune("<>&", r) {
					t.Fatalf("%q printed as %q, which has %U", in, text, r)
				}
			}
			if bytes.Contains(text, []byte(`"__proto__"`)) {
				t.Fatalf("%q printed as %q", in, text)
			}
		}
		if text, err := AppendJSONValue([]byte("[1,"), in); err == nil {
			checkPrinted(append(text, ']'))
		} else if string(text) != "[1," {
			t.Fatalf("an error left %q", text)
		}
		if text, err := AppendEventJSON(nil, in); err == nil {
			checkPrinted(text)
		}
		text := AppendJSONString(nil, in)
		checkPrinted(text)
		var back string
		if err := json.Unmarshal(text, &back); err != nil || utf8.Valid(in) && back != string(in) {
			t.Fatalf("%q read back as %q, %v", in, back, err)
		}
	})
}

// JSON that is taken prints as JSON that is taken, and prints the same again.
func FuzzRoundTrip(f *testing.F) {
	for _, text := range append(seedTexts, `[-0,-0.0,1e20,1e15,9007199254740993,0.1,1e-7]`) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, e := AppendMsgpackFromJSON(nil, in)
		if e != nil {
			return
		}
		text, err := AppendJSONValue(nil, once)
		if err != nil {
			t.Fatal(err)
		}
		twice, e := AppendMsgpackFromJSON(nil, text)
		if e != nil {
			t.Fatalf("%q printed as %s: %v", in, text, e)
		}
		again, err := AppendJSONValue(nil, twice)
		if err != nil || !bytes.Equal(text, again) {
			t.Fatalf("%q printed as %s, then as %s", in, text, again)
		}
	})
}

// Protobuf that is taken is canonical MessagePack, and what is written of that says the same again.
func FuzzParseProto(f *testing.F) {
	for _, b := range protoSeeds() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		checkProto(t, in)
		if !bytes.Equal(in, before) {
			t.Fatal("the input was changed")
		}
	})
}

func protoSeeds() (all [][]byte) {
	for _, b := range goldenMessages(Proto) {
		all = append(all, b)
	}
	for _, s := range seeds() {
		if b, err := AppendEventProto(nil, s); err == nil {
			all = append(all, b, eventOf(b))
		}
	}
	for _, p := range []string{`{"cpu":0.5,"metrics":{"a":1}}`, "text", "\xff", "\x0a\x05\x0a\x01a\x12\x00"} {
		for n := range uint64(5) {
			all = append(all, old{appendProtoUint(nil, 2, 1700000000000), appendProtoUint(nil, 3, n), []byte(p)}.bytes())
		}
	}
	return all
}

func checkProto(t testing.TB, in []byte) {
	drain(t, Proto, in)
	var s ServerMessage
	if err := ParseServer(Proto, in, &s); err == nil && s.OpName == "" {
		t.Fatalf("%q: a message without op", in)
	}
	var r protoReader
	if !r.message(in, protoEvent, 0) {
		checkError(t, r.fault(""))
		return
	}
	if _, e := CheckPayload(r.dst); e != nil {
		return
	}
	once, err := AppendEventProto(nil, r.dst)
	if err != nil {
		t.Fatalf("%q: %v", r.dst, err)
	}
	again := protoReader{}
	if !again.message(once, protoEvent, 0) {
		t.Fatalf("%q: written as %x: %v", r.dst, once, again.fault(""))
	}
	if _, e := CheckPayload(again.dst); e != nil {
		t.Fatalf("%q: written as %x: %v", r.dst, once, e)
	}
	twice, err := AppendEventProto(nil, again.dst)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%q: written as %x, then as %x", r.dst, once, twice)
	}
}
