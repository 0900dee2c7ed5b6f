//go:build linux

package conform

import (
	"fmt"
	"strings"
)

// firstBad is the index of the first byte at which s can no longer become valid
// UTF-8 (Unicode, table 3-7), len(s) if s only lacks its end, -1 if it is valid.
func firstBad(s string) int {
	for i := 0; i < len(s); {
		c, n, lo, hi := s[i], 0, byte(0x80), byte(0xbf)
		switch {
		case c < 0x80:
		case c >= 0xc2 && c <= 0xdf:
			n = 1
		case c >= 0xe0 && c <= 0xef:
			n = 2
			if c == 0xe0 {
				lo = 0xa0
			} else if c == 0xed {
				hi = 0x9f
			}
		case c >= 0xf0 && c <= 0xf4:
			n = 3
			if c == 0xf0 {
				lo = 0x90
			} else if c == 0xf4 {
				hi = 0x8f
			}
		default:
			return i
		}
		for i++; n > 0; n-- {
			if i == len(s) {
				return i
			}
			if s[i] < lo || s[i] > hi {
				return i
			}
			lo, hi = 0x80, 0xbf
			i++
		}
	}
	return -1
}

// sequences are texts at the borders of UTF-8, valid and not.
func sequences() []string {
	kosme := "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
	all := []string{
		"", "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!", kosme, kosme + "\xed\xa0\x80edited", kosme + "\xf4\x90\x80\x80edited",
		// First and last of each length, and what lies beyond.
		"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80",
		"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf",
		"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf3\xbf\xbf\xbf",
		// Impossible bytes, overlong forms.
		"\xfe", "\xff", "\xfe\xfe\xff\xff", "\xc0", "\xc1", "\xf5", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf",
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf",
		"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80",
		// Surrogates, alone and in pairs.
		"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
		"\xed\xa0\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
		// Noncharacters are valid.
		"\xef\xbf\xbe", "\xf0\x9f\xbf\xbe", "\xf0\x9f\xbf\xbf", "\xf4\x8f\xbf\xbe", "\xef\xb7\x90", "\xef\xb7\xaf",
		// Ends missing.
		"\xc2", "\xdf", "\xe0\xa0", "\xef\xbf", "\xf0\x90\x80", "\xf0\x90", "\xf4\x8f\xbf", "a\xe2\x82",
		"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80",
	}
	for n := 1; n <= 7; n++ { // continuation bytes nobody asked for
		all = append(all, strings.Repeat("\x80", n), strings.Repeat("\xbf", n))
	}
	for c := 0x80; c < 0x100; c++ { // each start alone, before a space
		all = append(all, string([]byte{byte(c), ' '}))
	}
	return all
}

func textCases() (cs []conformance) {
	add := func(full bool, code int, name string, steps ...step) {
		cs = append(cs, conformance{name: "6/" + name, code: code, steps: steps, full: full})
	}
	for _, s := range sequences() {
		whole, single, chopped := say(frame(fin|text, s)), say(parts(text, s, 1)), say(frame(fin|text, s)).by(1)
		bad := firstBad(s)
		if bad < 0 {
			add(false, 0, fmt.Sprintf("%q", s), whole.echo(txt(s)))
			add(false, 0, fmt.Sprintf("%q, a part a byte", s), single.echo(txt(s)))
			add(false, 0, fmt.Sprintf("%q, byte by byte", s), chopped.echo(txt(s)))
			continue
		}
		add(false, 1007, fmt.Sprintf("%q", s), whole)
		add(true, 1007, fmt.Sprintf("%q, a part a byte", s), single)
		add(true, 1007, fmt.Sprintf("%q, byte by byte", s), chopped)
		add(false, 0, fmt.Sprintf("%q is binary", s), say(frame(fin|binry, s)).echo(bin(s)))
		if bad == len(s) {
			add(false, 1007, fmt.Sprintf("%q, ended by an empty part", s), say(frame(text, s), frame(fin|ping, "")).echo(pongs("")), say(frame(fin|more, "")))
			continue
		}
		// Up to the byte before, all is well; with that byte it is over, though
		// neither frame nor message has come to an end.
		rest := "and much that is never sent"
		upTo := say(frame(text, s[:bad]), frame(fin|ping, "?")).echo(pongs("?"))
		add(false, 1007, fmt.Sprintf("%q, at once within a message", s), upTo, say(frame(more, s[bad:bad+1])))
		add(false, 1007, fmt.Sprintf("%q, at once within a frame", s), say(append(header(fin|text, uint64(len(s+rest))), masked(s + rest)[:bad+1]...)))
		add(true, 1007, fmt.Sprintf("%q, at once within a later frame", s), upTo,
			say(append(header(fin|more, uint64(len(s)-bad+len(rest))), masked(s[bad:] + rest)[:1]...)))
		long := strings.Repeat("\xe2\x82\xac", 30_000)
		b := append(header(fin|text, uint64(len(long+s+rest))), masked(long + s + rest)[:len(long)+bad+1]...)
		add(true, 1007, fmt.Sprintf("%q, at once within a long frame", s), say(b))
	}
	return cs
}
