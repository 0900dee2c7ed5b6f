package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

func entries(n int) (ps [][]byte) {
	c := NewChain([16]byte{1})
	for i := range n {
		ps = append(ps, c.Append(nil, &Entry{At: int64(i), Action: "token.create", Object: "k_1", By: "operator", Remote: "127.0.0.1:9", Detail: "x"}))
	}
	return ps
}

// check returns what a check of the payloads finds, and how often.
func check(log byte, ps [][]byte) (errs []string) {
	k := NewCheck([16]byte{log})
	for _, p := range ps {
		if err := k.Next(p); err != nil {
			errs = append(errs, err.Error())
		}
	}
	return errs
}

func TestChain(t *testing.T) {
	ps := entries(5)
	if errs := check(1, ps); errs != nil {
		t.Error(errs)
	}
	e, _, err := Decode(ps[3])
	if err != nil || e != (Entry{N: 4, At: 3, Action: "token.create", Object: "k_1", By: "operator", Remote: "127.0.0.1:9", Detail: "x"}) {
		t.Error(e, err)
	}
	var c Chain
	if !c.Resume(ps[4]) || c.Len() != 5 {
		t.Error(c.Len())
	}
	if errs := check(1, append(ps, c.Append(nil, &Entry{Action: "more"}))); errs != nil {
		t.Error(errs)
	}
}

func TestTail(t *testing.T) {
	ps := entries(3)
	slices.Reverse(ps)
	c := Tail([16]byte{1}, func(at func([]byte) bool) {
		if at([]byte("no entry")) {
			t.Error("what is no entry was taken")
		}
		for _, p := range ps {
			at(p)
		}
	})
	if c.Len() != 3 {
		t.Errorf("it stands at %d", c.Len())
	}
	if c = Tail([16]byte{1}, func(func([]byte) bool) {}); c != NewChain([16]byte{1}) {
		t.Error("an empty log's chain does not begin")
	}
}

// TestEveryChangeIsFound changes each byte, and removes, swaps and repeats.
func TestEveryChangeIsFound(t *testing.T) {
	ps := entries(3)
	for i, p := range ps {
		for at := range p {
			for bit := range 8 {
				changed := slices.Clone(ps)
				changed[i] = slices.Clone(p)
				changed[i][at] ^= 1 << bit
				if check(1, changed) == nil {
					t.Fatalf("entry %d, byte %d, bit %d: nothing was found", i+1, at, bit)
				}
			}
		}
	}
	for name, changed := range map[string][][]byte{
		"first removed": ps[1:], "middle removed": {ps[0], ps[2]}, "swapped": {ps[1], ps[0], ps[2]}, "twice": {ps[0], ps[0], ps[1], ps[2]},
	} {
		if check(1, changed) == nil {
			t.Error(name, ": nothing was found")
		}
	}
	if check(2, ps) == nil {
		t.Error("another log's chain was taken")
	}
	forged := NewChain([16]byte{1})
	forged.Append(nil, &Entry{Action: "other"})
	if errs := check(1, [][]byte{ps[0], forged.Append(nil, &Entry{}), ps[2]}); len(errs) != 2 {
		t.Error(errs)
	}
}

// TestBeforeTheChain reads records of releases that wrote no hash.
func TestBeforeTheChain(t *testing.T) {
	old := msgp.AppendMapHeader(nil, 2)
	for _, s := range []string{"action", "token.create", "by", "operator"} {
		old = msgp.AppendString(old, s)
	}
	ps := entries(2)
	if errs := check(1, [][]byte{old, old, ps[0], ps[1]}); errs != nil {
		t.Error(errs)
	}
	if errs := check(1, [][]byte{ps[0], old, ps[1]}); len(errs) != 1 || !strings.Contains(errs[0], "without a hash") {
		t.Error(errs)
	}
	if e, _, err := Decode(old); err != nil || e.N != 0 || e.Action != "token.create" {
		t.Error(e, err)
	}
	var c Chain
	if c.Resume(old) {
		t.Error("the chain resumed behind a record without a hash")
	}
	// Where the log says that it lost records, the chain begins anew behind them.
	k := NewCheck([16]byte{1})
	ps = entries(6)
	if err := k.Next(ps[0]); err != nil {
		t.Error(err)
	}
	k.Lost()
	for _, p := range ps[3:] {
		if err := k.Next(p); err != nil {
			t.Error(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range entries(2) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _, _ = Decode(p)
		_ = NewCheck([16]byte{1}).Next(p)
	})
}
