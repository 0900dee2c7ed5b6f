//go:build linux

package conform

import (
	"fmt"
	"strings"
)

func framingCases() (cs []conformance) {
	add := func(code int, name string, steps ...step) {
		cs = append(cs, conformance{name: name, code: code, steps: steps})
	}
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536} {
		s := strings.Repeat("*", n)
		add(0, fmt.Sprintf("1/text of %d", n), say(frame(fin|text, s)).echo(txt(s)))
		add(0, fmt.Sprintf("1/binary of %d", n), say(frame(fin|binry, s)).echo(bin(s)))
		add(0, fmt.Sprintf("1/binary of %d, chopped", n), say(frame(fin|binry, s)).by(997).echo(bin(s)))
		add(0, fmt.Sprintf("1/text of %d, chopped", n), say(frame(fin|text, s)).by(1+n/50).echo(txt(s)))
	}
	add(1002, "1/unmasked", say([]byte{fin | text, 2, 'h', 'i'}))
	add(1002, "1/length 125 in 2 bytes", say(append([]byte{fin | binry, 0x80 | 126, 0, 125}, make([]byte, 129)...)))
	add(1002, "1/length 65535 in 8 bytes", say([]byte{fin | binry, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}))
	add(1009, "1/length 2^63", say([]byte{fin | binry, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0}))
	add(1009, "1/length above 64 MiB", say(header(fin|binry, 64<<20+1)))

	add(0, "2/ping", say(frame(fin|ping, "")).echo(pongs("")))
	add(0, "2/ping with text", say(frame(fin|ping, "Hello")).echo(pongs("Hello")))
	add(0, "2/ping with bytes", say(frame(fin|ping, "\x00\xff\xfe\xfd\x00")).echo(pongs("\x00\xff\xfe\xfd\x00")))
	p125 := strings.Repeat("\xfe", 125)
	add(0, "2/ping of 125", say(frame(fin|ping, p125)).echo(pongs(p125)))
	add(0, "2/ping of 125, byte by byte", say(frame(fin|ping, p125)).by(1).echo(pongs(p125)))
	add(1002, "2/ping of 126", say(frame(fin|ping, p125+"x")))
	add(0, "2/pong nobody asked for", say(frame(fin|pong, ""), frame(fin|pong, "x"), frame(fin|ping, "y")).echo(pongs("y")))
	ten, all := []byte{}, []got{}
	for i := range 10 {
		s := fmt.Sprint("payload-", i)
		ten, all = append(ten, frame(fin|ping, s)...), append(all, pongs(s))
	}
	add(0, "2/ten pings", say(ten).echo(all...))
	add(0, "2/ten pings, byte by byte", say(ten).by(1).echo(all...))
	add(1002, "2/pong of 126", say(frame(fin|pong, p125+"x")))

	for rsv := byte(1); rsv < 8; rsv++ {
		bits := rsv << 4
		for _, op := range []byte{text, binry, ping, pong, closes} {
			add(1002, fmt.Sprintf("3/bits %d on opcode %d", rsv, op), say(frame(fin|text, "before")).echo(txt("before")), say(frame(fin|bits|op, "")))
		}
		add(1002, fmt.Sprintf("3/bits %d between", rsv), say(frame(fin|text, "one"), frame(fin|bits|text, "two"), frame(fin|ping, "")).echo(txt("one")))
		add(1002, fmt.Sprintf("3/bits %d, byte by byte", rsv), say(frame(fin|text, "one"), frame(fin|bits|text, "two")).by(1).echo(txt("one")))
		add(1002, fmt.Sprintf("3/bits %d on a continuation", rsv), say(frame(text, "one"), frame(fin|bits|more, "two")))
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(1002, fmt.Sprintf("4/opcode %d", op), say(frame(fin|op, "")))
		add(1002, fmt.Sprintf("4/opcode %d with payload", op), say(frame(fin|op, "payload")))
		add(1002, fmt.Sprintf("4/opcode %d between", op), say(frame(fin|text, "one"), frame(fin|op, ""), frame(fin|ping, "")).echo(txt("one")))
		add(1002, fmt.Sprintf("4/opcode %d, byte by byte", op), say(frame(fin|text, "one"), frame(fin|op, "x")).by(1).echo(txt("one")))
	}
	return append(cs, fragmentCases()...)
}

func fragmentCases() (cs []conformance) {
	add := func(code int, name string, steps ...step) {
		cs = append(cs, conformance{name: "5/" + name, code: code, steps: steps})
	}
	add(1002, "ping in parts", say(frame(ping, "a"), frame(fin|more, "b")))
	add(1002, "pong in parts", say(frame(pong, "a"), frame(fin|more, "b")))
	add(1002, "close in parts", say(frame(closes, "\x03\xe8"), frame(fin|more, "b")))
	for _, by := range []int{0, 1} {
		how := fmt.Sprintf(", chop %d", by)
		add(0, "two parts"+how, say(frame(text, "fragment1"), frame(fin|more, "fragment2")).by(by).echo(txt("fragment1fragment2")))
		add(0, "two parts, ping between"+how, say(frame(text, "fragment1"), frame(fin|ping, "p"), frame(fin|more, "fragment2")).by(by).
			echo(pongs("p"), txt("fragment1fragment2")))
		add(0, "five parts, pings between"+how, say(frame(binry, "1"), frame(more, "2"), frame(fin|ping, "p"), frame(more, "3"), frame(more, "4"),
			frame(fin|ping, "q"), frame(fin|more, "5")).by(by).echo(pongs("p"), pongs("q"), bin("12345")))
		add(0, "empty parts"+how, say(frame(text, ""), frame(more, ""), frame(fin|more, "")).by(by).echo(txt("")))
		add(0, "an empty first part"+how, say(frame(text, ""), frame(more, "x"), frame(more, ""), frame(fin|more, "")).by(by).echo(txt("x")))
		add(1002, "continuation of nothing"+how, say(frame(fin|more, "non-continuation"), frame(fin|text, "Hello")).by(by))
		add(1002, "open continuation of nothing"+how, say(frame(more, "non-continuation"), frame(fin|text, "Hello")).by(by))
		add(1002, "continuation behind a whole message"+how, say(frame(fin|text, "x"), frame(more, "y"), frame(fin|more, "z")).by(by).echo(txt("x")))
		add(1002, "text within text"+how, say(frame(text, "fragment1"), frame(fin|text, "fragment2")).by(by))
		add(1002, "binary within text"+how, say(frame(text, "fragment1"), frame(binry, "fragment2")).by(by))
		add(0, "two messages in parts"+how, say(parts(text, "message one", 3), parts(binry, "message two", 2)).by(by).echo(txt("message one"), bin("message two")))
	}
	add(0, "alive between parts", say(frame(text, "a"), frame(fin|ping, "1")).echo(pongs("1")), say(frame(more, "b"), frame(fin|ping, "2")).echo(pongs("2")),
		say(frame(fin|more, "c")).echo(txt("abc")))
	add(0, "one byte a part", say(parts(binry, strings.Repeat("x", 5000), 1)).echo(bin(strings.Repeat("x", 5000))))
	var between []byte
	var want []got
	between = append(between, frame(text, "a")...)
	for i := range 60 {
		s := fmt.Sprint(i)
		between, want = append(append(between, frame(fin|ping, s)...), frame(more, "b")...), append(want, pongs(s))
	}
	add(0, "sixty pings between", say(between, frame(fin|more, "c")).echo(append(want, txt("a"+strings.Repeat("b", 60)+"c"))...))
	return cs
}
