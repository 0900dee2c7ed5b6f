package forget

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func TestEntry(t *testing.T) {
	e := Entry{What: Run, Space: "main", ID: "r1", Agents: []uint32{3, 70000}, Records: 7, Bytes: 1 << 40, Reason: "asked", By: "k_1", At: -5, Of: 12, Error: "x"}
	p := e.Append(nil)
	got, err := Decode(p)
	if err != nil || !reflect.DeepEqual(got, e) {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := e.Scope(9); s.Run != "r1" || s.Below != 9 || s.Space != "main" || len(s.Agents) != 2 {
		t.Errorf("%+v", s)
	}
	for i := range p {
		if _, err := Decode(p[:i]); err == nil {
			t.Fatalf("%d of %d bytes are an entry", i, len(p))
		}
	}
	e.What = "all"
	if _, err := Decode(e.Append(nil)); err == nil {
		t.Error("an entry of another kind")
	}
}

func TestLinkRest(t *testing.T) {
	p := msgp.AppendMapHeader(nil, 4)
	p = msgp.AppendString(msgp.AppendString(p, "op"), "open")
	p = msgp.AppendString(msgp.AppendString(p, "remote"), "192.0.2.1")
	p = msgp.AppendUint64(msgp.AppendString(p, "link"), 77)
	p = append(msgp.AppendString(p, "agent"), 0x81, 0xa4, 'n', 'a', 'm', 'e', 0xa3, 'B', 'o', 'b')
	rest := LinkRest(p)
	if bytes.Contains(rest, []byte("Bob")) || bytes.Contains(rest, []byte("192")) || !bytes.Contains(rest, []byte("open")) || rest[0] != 0x82 {
		t.Errorf("%q", rest)
	}
	if again := LinkRest(rest); !bytes.Equal(again, rest) {
		t.Errorf("%q is not %q", again, rest)
	}
	if rest := LinkRest(p[:len(p)-2]); len(rest) != 0 {
		t.Errorf("of what cannot be read stays %q", rest)
	}
}
