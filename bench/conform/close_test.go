//go:build linux

package conform

import (
	"fmt"
	"strings"
)

func closeCases() (cs []conformance) {
	add := func(code int, name string, steps ...step) {
		cs = append(cs, conformance{name: "7/" + name, code: code, steps: steps})
	}
	add(0, "behind a message", say(frame(fin|text, "Hello")).echo(txt("Hello")))
	add(1000, "twice", say(closing(1000, ""), closing(1000, "")))
	add(1000, "ping behind it", say(closing(1000, ""), frame(fin|ping, "x")))
	add(1000, "text behind it", say(closing(1000, ""), frame(fin|text, "x")))
	add(1000, "in the midst of a message", say(frame(text, "fragment1"), closing(1000, ""), frame(fin|more, "fragment2")))
	add(1000, "behind 256 KiB", say(frame(fin|text, strings.Repeat("*", 256<<10)), closing(1000, "")).echo(txt(strings.Repeat("*", 256<<10))))
	add(1005, "without a code", say(frame(fin|closes, "")))
	add(1002, "of one byte", say(frame(fin|closes, "a")))
	add(1000, "with a reason", say(closing(1000, "Hello World!")))
	add(1000, "of 125 bytes", say(closing(1000, strings.Repeat("*", 123))))
	add(1002, "of 126 bytes", say(closing(1000, strings.Repeat("*", 124))))
	add(1000, "byte by byte", say(closing(1000, "bye")).by(1))
	add(1007, "with a reason that is not UTF-8", say(closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")))
	add(1007, "with a reason cut within a rune", say(closing(1000, "\xe2\x82")))
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		add(int(code), fmt.Sprintf("code %d", code), say(closing(code, "why")))
		add(int(code), fmt.Sprintf("code %d behind a message", code), say(frame(fin|text, "x"), closing(code, "")).echo(txt("x")))
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add(1002, fmt.Sprintf("code %d, which is none", code), say(closing(code, "")))
		add(1002, fmt.Sprintf("code %d, which is none, with a reason", code), say(closing(code, "why")))
	}
	return cs
}
