//go:build linux

package conform

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// offers that a server with RFC 7692 agrees to.
var offers = []string{
	"permessage-deflate",
	"permessage-deflate; client_no_context_takeover; client_max_window_bits",
	"permessage-deflate; server_no_context_takeover",
	"permessage-deflate; server_max_window_bits=9",
	"permessage-deflate; server_max_window_bits=15",
	"permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
	"permessage-deflate; server_no_context_takeover; server_max_window_bits=8; client_max_window_bits=8",
	"permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_no_context_takeover, permessage-deflate",
}

// sample is n bytes of a kind: JSON-like text, or bytes that do not shrink.
func sample(n int, random bool) string {
	rnd := rand.New(rand.NewPCG(uint64(n), 7))
	var b strings.Builder
	for b.Len() < n {
		if random {
			b.WriteByte(byte(rnd.Uint32()))
		} else {
			fmt.Fprintf(&b, `{"id":%d,"name":"agent-%d","state":"running","load":0.%d},`, rnd.IntN(1e6), rnd.IntN(300), rnd.IntN(1000))
		}
	}
	return b.String()[:n]
}

func packedCases() (cs []conformance) {
	for i, offer := range offers {
		for _, n := range []int{0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072, 1 << 20} {
			add := func(full bool, name string, make func() step) {
				cs = append(cs, conformance{name: fmt.Sprintf("%d/%s, %d bytes, %q", 12+i&1, name, n, offer), offer: offer, build: func() []step { return []step{make()} }, full: full || n > 1<<17 || i > 1 && n%16384 != 0})
			}
			level := 1 + n%9
			t := sync.OnceValue(func() string { return sample(n, false) })
			b := sync.OnceValue(func() string { return sample(n, true) })
			zt := sync.OnceValue(func() string { return deflate(t(), level) })
			z := sync.OnceValue(func() []byte { return parts(rsv1|text, zt(), 1+len(zt())/5) })
			add(false, "text", func() step { return say(frame(fin|rsv1|text, zt())).echo(txt(t())) })
			add(false, "binary that does not shrink", func() step { return say(frame(fin|rsv1|binry, deflate(b(), -2))).echo(bin(b())) })
			add(false, "in parts", func() step { return say(z()).echo(txt(t())) })
			add(true, "in parts of 64, chopped", func() step { return say(parts(rsv1|binry, deflate(b(), -2), 64)).by(997).echo(bin(b())) })
			add(false, "among others", func() step {
				return say(frame(fin|text, t()), frame(fin|ping, "p"), frame(fin|rsv1|text, zt()), z()).echo(txt(t()), pongs("p"), txt(t()), txt(t()))
			})
			add(true, "stored", func() step { return say(frame(fin|rsv1|binry, deflate(b(), 0))).echo(bin(b())) })
			times := min(1000, 1+16<<20/max(n, 1))
			add(n != 1024, fmt.Sprintf("%d times", times), func() (crowd step) {
				for range times {
					crowd.send = append(crowd.send, frame(fin|rsv1|text, zt())...)
					crowd.want = append(crowd.want, txt(t()))
				}
				return crowd
			})
		}
	}
	return append(cs, packedRules()...)
}

func packedRules() (cs []conformance) {
	add := func(code int, name string, steps ...step) {
		cs = append(cs, conformance{name: "13/" + name, offer: offers[0], code: code, steps: steps})
	}
	hello := deflate("Hello", 6)
	add(1002, "a compressed ping", say(frame(fin|rsv1|ping, hello)))
	add(1002, "a compressed close", say(frame(fin|rsv1|closes, "")))
	add(1002, "RSV1 on the second part", say(frame(rsv1|text, hello[:2]), frame(fin|rsv1|more, hello[2:])))
	add(1002, "RSV1 on the second part only", say(frame(text, "a"), frame(fin|rsv1|more, hello)))
	add(1002, "RSV2", say(frame(fin|0x20|text, hello)))
	add(1002, "RSV1 and RSV2", say(frame(fin|rsv1|0x20|text, hello)))
	add(1007, "no DEFLATE", say(frame(fin|rsv1|text, "\xff\xff\xff\xff")))
	add(1007, "cut off", say(frame(fin|rsv1|text, deflate(sample(300, false), 6)[:100])))
	add(1007, "not UTF-8", say(frame(fin|rsv1|text, deflate("abc\xed\xa0\x80def", 6))))
	add(1007, "ends within a rune", say(frame(fin|rsv1|text, deflate("abc\xe2\x82", 6))))
	add(0, "a ping between parts", say(frame(rsv1|text, hello[:2]), frame(fin|ping, "p"), frame(more, ""), frame(fin|more, hello[2:])).echo(pongs("p"), txt("Hello")))
	add(0, "parts, byte by byte", say(parts(rsv1|text, hello, 1)).by(1).echo(txt("Hello")))
	add(0, "a last block", say(frame(fin|rsv1|text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00")).echo(txt("Hello")))
	add(0, "two blocks", say(frame(fin|rsv1|text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")).echo(txt("Hello")))
	add(0, "a stored block", say(frame(fin|rsv1|text, "\x00\x05\x00\xfa\xffHello\x00")).echo(txt("Hello")))
	add(1009, "a bomb above 64 MiB", say(frame(fin|rsv1|binry, deflate(strings.Repeat("\x00", 65<<20), 9))))
	return cs
}
