//go:build linux

package conform

import (
	"fmt"
	"strings"
)

func largeCases() (cs []conformance) {
	add := func(full bool, name string, steps ...step) {
		cs = append(cs, conformance{name: name, steps: steps, full: full})
	}
	later := func(full bool, name string, make func() step) {
		cs = append(cs, conformance{name: name, build: func() []step { return []step{make()} }, full: full})
	}
	const kib, mib = 1 << 10, 1 << 20
	for _, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib, 64 * mib} {
		full := n > 4*mib
		later(full, fmt.Sprintf("9/text of %d", n), func() step {
			t := strings.Repeat("\u00b5*", n/3)
			return say(frame(fin|text, t)).echo(txt(t))
		})
		later(full, fmt.Sprintf("9/binary of %d", n), func() step {
			b := strings.Repeat("\xfe\x00", n/2)
			return say(frame(fin|binry, b)).echo(bin(b))
		})
	}
	t, b := strings.Repeat("\u00b5*", 4*mib/3), strings.Repeat("\xfe\x00", 2*mib)
	for _, n := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib} {
		full := n != 64 && n != 16*kib && n != mib
		later(full, fmt.Sprintf("9/text in parts of %d", n), func() step { return say(parts(text, t, n)).echo(txt(t)) })
		later(full, fmt.Sprintf("9/binary in parts of %d", n), func() step { return say(parts(binry, b, n)).echo(bin(b)) })
	}
	for _, n := range []int{64, 128, 256, 512, kib, 2 * kib} {
		t, b := t[:3*(mib/3)], b[:mib]
		full := n != 256
		later(full, fmt.Sprintf("9/text of 1 MiB, chopped by %d", n), func() step { return say(frame(fin|text, t)).by(n).echo(txt(t)) })
		later(full, fmt.Sprintf("9/binary of 1 MiB, chopped by %d", n), func() step { return say(frame(fin|binry, b)).by(n).echo(bin(b)) })
	}
	for _, n := range []int{0, 16, 64, 256, kib, 4 * kib} {
		s := strings.Repeat("*", n)
		var one, crowd step
		for range 1000 {
			crowd.send = append(crowd.send, frame(fin|text, s)...)
			crowd.want = append(crowd.want, txt(s))
		}
		add(false, fmt.Sprintf("9/a thousand of %d at once", n), crowd)
		one = say(frame(fin|binry, s)).echo(bin(s))
		steps := make([]step, 1000)
		for i := range steps {
			steps[i] = one
		}
		add(n != 64, fmt.Sprintf("9/a thousand of %d in turn", n), steps...)
	}
	s := strings.Repeat("*", 65536)
	add(false, "10/65536 in parts of 1300", say(parts(text, s, 1300)).echo(txt(s)))
	add(false, "10/65536 in parts of 1300, chopped", say(parts(text, s, 1300)).by(333).echo(txt(s)))
	return cs
}
