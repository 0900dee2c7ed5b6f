package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// checkFast holds the fast reading of an event against the plain one; it reports whether the fast one took it.
func checkFast(t testing.TB, in []byte, at int) bool {
	untouched := Head{Key: 77}
	fast := untouched
	end := fastEvent(in, at, &fast)
	if end < 0 {
		if !reflect.DeepEqual(fast, untouched) {
			t.Fatalf("%q: gave up, but wrote %+v", in, fast)
		}
		return false
	}
	var plain Head
	want, ft := checkEvent(in, at, &plain)
	if ft.bad() || end != want || !reflect.DeepEqual(fast, plain) {
		t.Fatalf("%q: fast %d %+v, plain %d %+v %+v", in, end, fast, want, plain, ft)
	}
	return true
}

// Whatever lies around an event, and wherever it is cut, both readings agree on it.
func TestFastAgreesWithPlain(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	taken := 0
	try := func(in []byte, at int) {
		if checkFast(t, in, at) {
			taken++
		}
	}
	usage := []byte("\x82\xa4type\xa3log\xa5usage\x82\xaccost_nanousd\x07\xa5model\xbf")
	usage = append(usage, bytes.Repeat([]byte("m"), 31)...)
	for _, s := range append(append(seeds(), usage), lengths()...) {
		for cut := range len(s) + 1 {
			try(s[:cut], 0)
		}
		padded := append(append([]byte("before"), s...), bytes.Repeat([]byte{0xff}, 40)...)
		try(padded, 6)
		for range 40 {
			in := bytes.Clone(padded)
			for range 1 + rnd.IntN(3) {
				in[6+rnd.IntN(len(in)-6)] = byte(rnd.Uint32())
			}
			try(in, 6)
		}
	}
	if taken < 1000 {
		t.Fatalf("the fast reading took %d: nothing was compared", taken)
	}
}

// lengths returns events with texts and names of every length about the borders of words, and what lies near them.
func lengths() (all [][]byte) {
	for n := range 70 {
		for _, text := range []string{strings.Repeat("x", n), strings.Repeat("x", max(n-2, 0)) + "ü", strings.Repeat("x", max(n-1, 0)) + "\xff"} {
			for _, f := range []string{"agent", "run", "msg", "x_other", "type", "phase", "capabilities"} {
				b := AppendStr(AppendStr(AppendStr(AppendStr([]byte{0x82}, "type"), "log"), f), text)
				all = append(all, b)
			}
			all = append(all, AppendInt(AppendStr(AppendMapHeader(AppendStr(AppendStr(AppendStr([]byte{0x82}, "type"), "log"), "metrics"), 1), text), -3))
			all = append(all, AppendNil(AppendStr(AppendStr(AppendStr([]byte{0x82}, "type"), "log"), text)))
		}
	}
	return all
}

// Duplicates, among metrics too, are seen whatever the names have in common.
func TestFastSeesDuplicates(t *testing.T) {
	for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 31, 32} {
		for other := range n + 1 {
			a := bytes.Repeat([]byte("a"), n)
			b := bytes.Clone(a)
			if other < n {
				b[other] = 'b'
			}
			in := AppendMapHeader(AppendStr(AppendStr(AppendStr([]byte{0x82}, "type"), "log"), "metrics"), 2)
			in = AppendInt(AppendStr(AppendInt(AppendStr(in, a), 1), b), 2)
			in = append(in, make([]byte, 40)...)
			var h Head
			if end := fastEvent(in, 0, &h); (end < 0) != (other == n) {
				t.Errorf("%q and %q: %d", a, b, end)
			}
			if _, ft := checkEvent(in, 0, &h); ft.bad() != (other == n) {
				t.Errorf("%q and %q: %v", a, b, ft)
			}
		}
	}
}

// Every name is found, and nothing that only looks like one.
func TestWords(t *testing.T) {
	for f := FType; f < fieldCount; f++ {
		name := f.String()
		for _, tail := range []string{"", "followed by more than eight bytes"} {
			b := []byte(name + tail)
			if s := fieldWords.find(0, b, 0, len(name)); s == nil || Field(s.v) != f || rule(s.aux) != fieldRules[f] {
				t.Errorf("%s: %+v", name, s)
			}
			for _, near := range []string{name + "\x00", "\x00" + name, name[1:] + "\x00", name + "x", strings.ToUpper(name)} {
				b := []byte(near + tail)
				if s := fieldWords.find(0, b, 0, len(near)); s != nil {
					t.Errorf("%q taken for %s", near, fmt.Sprint(Field(s.v)))
				}
			}
		}
	}
	if s := fieldWords.find(0, []byte("12345678"), 0, 0); s != nil {
		t.Errorf("no name taken for %+v", s)
	}
	if s := enumWords.find(uint8(FPhase), []byte("running_"), 0, 7); s != nil {
		t.Errorf("a state taken for a phase: %+v", s)
	}
}
