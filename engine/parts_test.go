//go:build linux

package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"eyrie/engine/wire"
)

// TestXor compares the fast unmasking with the slow one, at every alignment.
func TestXor(t *testing.T) {
	rnd := newRand(t)
	for n := range 200 {
		for at := range 9 {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			m := rnd.Uint32()
			mask := [4]byte{byte(m), byte(m >> 8), byte(m >> 16), byte(m >> 24)}
			want := bytes.Clone(b)
			for i := range want {
				want[i] ^= mask[(at+i)%4]
			}
			if xor(b, m, at); !bytes.Equal(b, want) {
				t.Fatalf("%d bytes at %d", n, at)
			}
		}
	}
}

// TestValidPrefix compares with utf8.Valid at every cut of strings with every
// kind of rune.
func TestValidPrefix(t *testing.T) {
	for _, s := range []string{"", "abc", "é", "€", "𝄞", "aé€𝄞z", "𝄞𝄞"} {
		for i := range len(s) + 1 {
			n, ok := validPrefix([]byte(s[:i]), false)
			if !ok || !utf8.ValidString(s[:n]) || i-n > 3 {
				t.Errorf("%q: %d %v", s[:i], n, ok)
			}
			if _, ok := validPrefix([]byte(s[:i]), true); ok != utf8.ValidString(s[:i]) {
				t.Errorf("%q as the end: %v", s[:i], ok)
			}
		}
	}
	for _, s := range []string{"\xff", "a\x80", "\xc0", "\xf5", "\xed\xa0", "\xf4\x90", "\xe0\x80", "é\xc3\x28"} {
		if _, ok := validPrefix([]byte(s), false); ok {
			t.Errorf("%q could become valid", s)
		}
	}
}

func TestNames(t *testing.T) {
	var ns names
	refs := map[nameRef]string{}
	for round := range 3 {
		for n := range 129 {
			for k := range 5 {
				s := strings.Repeat(fmt.Sprint((n+k+round)%10), n)
				r := ns.keep([]byte(s))
				if old, ok := refs[r]; ok && n > 0 {
					t.Fatalf("%q lies on %q", s, old)
				}
				refs[r] = s
			}
		}
		for r, s := range refs {
			if string(ns.get(r)) != s {
				t.Fatalf("%q is %q", s, ns.get(r))
			}
			ns.drop(r)
		}
		clear(refs)
	}
	for k, c := range ns.class {
		if int(c.used) != len(c.free) || c.used > 5*129 {
			t.Errorf("class %d: %d slots for %d free", k, c.used, len(c.free))
		}
	}
}

func TestGrantsAreKeptOnce(t *testing.T) {
	var g grants
	a := g.hold(Grant{Space: "s", Owner: "o"})
	if b := g.hold(Grant{Space: "s", Owner: "o"}); a != b {
		t.Error("equal grants kept twice")
	}
	seen := map[uint32]bool{a: true}
	for _, x := range []Grant{{Space: "so"}, {Owner: "so"}, {Space: "s", Owner: "o", Agents: []string{}}, {Space: "s", Owner: "o", Agents: []string{"ab"}},
		{Space: "s", Owner: "o", Agents: []string{"a", "b"}}, {Space: "s", Owner: "o", Role: "r"}} {
		i := g.hold(x)
		if seen[i] {
			t.Errorf("%+v is taken for another", x)
		}
		seen[i] = true
	}
	for i := range seen {
		g.drop(i)
	}
	g.drop(a)
	if len(g.index) != 0 || len(g.free) != len(g.list) {
		t.Errorf("%d held", len(g.index))
	}
}

// TestJoinsAreBounded: messages in parts cannot eat the machine; who comes too
// late is told to try again.
func TestJoinsAreBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.JoinBytes = 1 << 20 })
	part := clientFrame(0x02, make([]byte, 100<<10))
	turned := 0
	for range 20 {
		c := r.agent(wire.MsgPack, "a")
		r.feed(c, part)
		if code, _ := closed(t, c.out); code == 1013 {
			turned++
		} else if code != 0 {
			t.Fatal(code)
		}
		r.items()
	}
	if turned != 12 || r.l.joins.held > 1<<20 {
		t.Errorf("%d of 20 turned away, %d bytes held", turned, r.l.joins.held)
	}
	for _, c := range r.conns {
		if !c.gone {
			r.l.Close(c.h, nil)
			c.gone = true
		}
	}
	if r.l.joins.held != 0 || r.l.joins.kept > joinKeptBytes {
		t.Errorf("%d held, %d kept", r.l.joins.held, r.l.joins.kept)
	}
}

// TestTruncatedItems: no prefix of an item is read beyond its end.
func TestTruncatedItems(t *testing.T) {
	hello := HelloItem{Space: "s", Owner: "o", Agent: "a", Declare: []byte{1}}
	p := AppendHello(nil, &hello)
	for i := range len(p) - 1 {
		var h HelloItem
		if err := DecodeHello(p[:i], &h); err == nil && i < len(p)-1 {
			t.Errorf("a hello of %d bytes", i)
		}
	}
	it := Item{Kind: ItemLost, Link: 7, Seq: 1, To: 5, Agent: []byte("x"), Payload: []byte("why")}
	rec := AppendItem(nil, &it)
	var got Item
	if err := DecodeItem(rec, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(it) {
		t.Errorf("%+v: %v", got, err)
	}
	for i := range itemHead + 1 {
		if DecodeItem(rec[:i], &got) == nil {
			t.Errorf("an item of %d bytes", i)
		}
	}
	for kind := ItemRefused; kind <= ItemResult; kind++ {
		x := Item{Kind: kind, Payload: []byte{9}}
		_, _, _, err1 := x.Refusal()
		_, _, _, err2 := x.Result()
		if err1 == nil || err2 == nil {
			t.Errorf("%v: a payload of one byte is read", kind)
		}
	}
}
