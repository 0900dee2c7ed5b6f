package wire

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tinylib/msgp/msgp"
)

func TestEventRoundTrip(t *testing.T) {
	e := fullEvent()
	payload := e.AppendMsgpack(nil)
	if _, err := CheckPayload(payload); err != nil {
		t.Fatal(err)
	}
	var back Event
	if err := DecodeEvent(payload, &back); err != nil {
		t.Fatal(err)
	}
	want := e
	want.Unit = map[string]any{"cpu": "1"}
	if d := cmp.Diff(want, back, cmpopts.EquateEmpty()); d != "" {
		t.Fatal(d)
	}
	if !bytes.Equal(back.AppendMsgpack(nil), payload) {
		t.Fatal("the same event gave other bytes")
	}
	if _, rest, err := msgp.ReadIntfBytes(payload); err != nil || len(rest) > 0 {
		t.Fatalf("another decoder: %v, %d bytes left", err, len(rest))
	}
	var inJSON map[string]any
	if err := json.Unmarshal(e.AppendJSON(nil), &inJSON); err != nil || inJSON["ts_ns"] != "1700000000123456789" {
		t.Fatalf("%v %v", inJSON["ts_ns"], err)
	}
	var p Parser
	var m Message
	var h Head
	if err := p.Parse(JSON, AppendEvents(nil, JSON, 1, nil, payload), &m); err != nil {
		t.Fatal(err)
	}
	got, ferr, _ := p.NextEvent(JSON, &m, &h)
	if ferr != nil || h.TS != e.TS {
		t.Fatalf("%v, ts %d", ferr, h.TS)
	}
	if err := DecodeEvent(got, &back); err != nil {
		t.Fatal(err)
	}
	want.Output = "AP8=" // bytes have no form of their own in JSON
	if d := cmp.Diff(want, back, cmpopts.EquateEmpty()); d != "" {
		t.Fatal(d)
	}
}

func TestDefaultPrio(t *testing.T) {
	for _, c := range []struct {
		t    Type
		p    Phase
		s    Severity
		want Prio
	}{
		{TypeLog, PhaseWhole, SeverityFatal, PrioCritical},
		{TypeSpan, PhaseUpdate, SeverityFatal, PrioCritical},
		{TypeSpan, PhaseUpdate, SeverityError, PrioLow},
		{TypeAsk, PhaseUpdate, SeverityInfo, PrioLow},
		{TypeAsk, PhaseStart, SeverityInfo, PrioCritical},
		{TypeAsk, PhaseEnd, SeverityInfo, PrioCritical},
		{TypeMetrics, PhaseWhole, SeverityError, PrioHigh},
		{TypeRun, PhaseEnd, SeverityInfo, PrioHigh},
		{TypeTask, PhaseStart, SeverityInfo, PrioHigh},
		{TypeAgent, PhaseWhole, SeverityDebug, PrioHigh},
		{TypeState, PhaseWhole, SeverityInfo, PrioHigh},
		{TypeNote, PhaseWhole, SeverityInfo, PrioHigh},
		{TypeBoard, PhaseWhole, SeverityInfo, PrioHigh},
		{TypeLog, PhaseWhole, SeverityDebug, PrioLow},
		{TypeTool, PhaseStart, SeverityDebug, PrioLow},
		{TypeMetrics, PhaseWhole, SeverityInfo, PrioLow},
		{TypeTool, PhaseEnd, SeverityInfo, PrioNormal},
		{TypeLLM, PhaseWhole, SeverityInfo, PrioNormal},
		{TypeMessage, PhaseWhole, SeverityWarn, PrioNormal},
	} {
		if got := DefaultPrio(c.t, c.p, c.s); got != c.want {
			t.Errorf("%v %v %v: got %v, want %v", c.t, c.p, c.s, got, c.want)
		}
	}
}

func TestFlagsKeepEveryCombination(t *testing.T) {
	for p := PhaseWhole; p <= PhaseEnd; p++ {
		for s := SeverityDebug; s <= SeverityFatal; s++ {
			for q := PrioLow; q <= PrioCritical; q++ {
				h := Head{Phase: p, Severity: s, Prio: q}
				if got := HeadFromFlags(h.Flags()); got.Phase != p || got.Severity != s || got.Prio != q {
					t.Fatalf("%v %v %v became %+v", p, s, q, got)
				}
			}
		}
	}
}

func TestNamesAndNumbersAgree(t *testing.T) {
	for i := 1; i < len(typeNames); i++ {
		if got, ok := ParseType(typeNames[i]); !ok || got != Type(i) {
			t.Errorf("type %d %q is %v", i, typeNames[i], got)
		}
	}
	for f := FUnknown + 1; f < fieldCount; f++ {
		if FieldOf(f.String()) != f || fieldNames[f] == "" {
			t.Errorf("field %d %q is %v", f, f, FieldOf(f.String()))
		}
	}
	if fieldCount > 64 {
		t.Error("View.seen has 64 bits")
	}
}

func TestViewTimes(t *testing.T) {
	for _, c := range []struct {
		event            string
		ts, start, began int64
		dur              int64
		hasDur           bool
	}{
		{`{"type":"log"}`, 0, 0, 0, 0, false},
		{`{"type":"log","ts":1.25}`, 1250000, 0, 1250000, 0, false},
		{`{"type":"log","ts":5,"ts_ns":"7"}`, 7, 0, 7, 0, false},
		{`{"type":"tool","phase":"end","span":"s","ts":100,"dur_ms":30}`, 100e6, 0, 70e6, 30e6, true},
		{`{"type":"tool","phase":"end","span":"s","ts":100,"start":60,"dur_ms":30}`, 100e6, 60e6, 60e6, 30e6, true},
		{`{"type":"tool","phase":"end","span":"s","ts":100}`, 100e6, 0, 0, 0, false},
		{`{"type":"tool","phase":"start","span":"s","ts":100}`, 100e6, 0, 100e6, 0, false},
		{`{"type":"log","ts":1700000000000.5}`, 1700000000000500000, 0, 1700000000000500000, 0, false},
	} {
		b, e := AppendMsgpackFromJSON(nil, []byte(c.event))
		if e != nil {
			t.Fatal(e)
		}
		var v View
		if err := v.Reset(b); err != nil {
			t.Fatal(err)
		}
		dur, has := v.Dur()
		if v.TS() != c.ts || v.Start() != c.start || v.Began() != c.began || dur != c.dur || has != c.hasDur {
			t.Errorf("%s: ts %d start %d began %d dur %d %v", c.event, v.TS(), v.Start(), v.Began(), dur, has)
		}
		if h, e := CheckPayload(b); e != nil || h.TS != c.ts {
			t.Errorf("%s: head's ts %d, %v", c.event, h.TS, e)
		}
	}
}

func TestViewStates(t *testing.T) {
	for _, c := range []struct{ event, state, on, by string }{
		{`{"type":"state","state":"idle"}`, "idle", "", ""},
		{`{"type":"state","state":"waiting","on":"person","by":"hook"}`, "waiting", "person", "hook"},
		{`{"type":"state","state":{"state":"waiting","on":"quota","by":"fold"}}`, "waiting", "quota", "fold"},
		{`{"type":"state","state":{"state":"waiting"},"on":"tool"}`, "waiting", "tool", ""},
		{`{"type":"state","state":null}`, "", "", ""},
	} {
		b, _ := AppendMsgpackFromJSON(nil, []byte(c.event))
		if _, e := CheckPayload(b); e != nil {
			t.Fatal(e)
		}
		var v View
		v.Reset(b)
		state, on, by, ok := v.State()
		if string(state) != c.state || string(on) != c.on || string(by) != c.by || ok != (c.state != "") {
			t.Errorf("%s: %q %q %q %v", c.event, state, on, by, ok)
		}
	}
}

// Numbers travel exactly: every integer of 64 bits, every float.
func TestNumbersAreExact(t *testing.T) {
	for _, text := range []string{"0", "-1", "127", "128", "255", "256", "65535", "65536", "-32", "-33", "-128", "-129", "-32768", "-32769", "2147483648", "-2147483649",
		"9007199254740993", "9223372036854775807", "-9223372036854775808", "18446744073709551615"} {
		b, e := AppendMsgpackFromJSON(nil, []byte(text))
		if e != nil {
			t.Fatal(e)
		}
		if got, err := AppendJSONValue(nil, b); err != nil || string(got) != text {
			t.Errorf("%s came back as %s, %v", text, got, err)
		}
	}
	for _, f := range []float64{0.1, 1.5e300, -5e-324, math.MaxFloat64, 1e21, 123456789.125, math.Copysign(0, -1)} {
		got, err := AppendJSONValue(nil, AppendFloat(nil, f))
		if err != nil {
			t.Fatal(err)
		}
		var back float64
		if err := json.Unmarshal(got, &back); err != nil || math.Float64bits(back) != math.Float64bits(f) {
			t.Errorf("%v came back as %s", f, got)
		}
		if x, ok := readFloat(AppendNumber(nil, f), 0); !ok || math.Float64bits(x) != math.Float64bits(f) {
			t.Errorf("%v packed as %v", f, x)
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, _ := AppendJSONValue(nil, AppendFloat(nil, f)); string(got) != "null" {
			t.Errorf("%v printed as %s", f, got)
		}
	}
}

// Agents choose strings: none comes out able to do anything.
func TestHostileStringsAreInert(t *testing.T) {
	for in, want := range map[string]string{
		"__proto__":         `"\u005f_proto__"`,
		"\x00\x1b[31m\x7f":  `"\u0000\u001b[31m\u007f"`,
		"</script>&":        `"\u003c/script\u003e\u0026"`,
		"a\u2028b\u2029":    `"a\u2028b\u2029"`,
		"\u202eevil\u2066":  `"\u202eevil\u2066"`,
		"\u009b31m\u200b":   `"\u009b31m\u200b"`,
		"\xff\xfeok":        `"\ufffd\ufffdok"`,
		"\U000e0041":        `"\udb40\udc41"`,
		"quote\" back\\ \n": `"quote\" back\\ \n"`,
		"äö 漢字 😀":           `"äö 漢字 😀"`,
	} {
		got := string(AppendJSONString(nil, in))
		if got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != valid(in) && !bytes.Contains([]byte(in), []byte{0xff}) {
			t.Errorf("%q reads back as %q, %v", in, back, err)
		}
	}
	m := AppendMapHeader(nil, 3)
	m = AppendInt(AppendStr(m, "__proto__"), 1)
	m = AppendBin(AppendInt(m, 5), []byte{0, 255})
	m = append(AppendStr(m, "e"), 0xd4, 7, 9)
	got, err := AppendJSONValue(nil, m)
	if want := `{"\u005f_proto__":1,"5":"AP8=","e":{"$ext":7,"data":"CQ=="}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := AppendJSONValue(nil, append(bytes.Repeat([]byte{0x91}, printDepthMax+1), 0xc0)); err == nil {
		t.Error("endless depth was printed")
	}
}
