package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// secret is what compression leaves as it is.
func secret(rng *rand.Rand) []byte {
	p := make([]byte, 100)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	return p
}

// TestForgetLeavesNoBytes looks through every file of the folder, as it lies
// there and with its blocks and chunks decoded, for what was forgotten.
func TestForgetLeavesNoBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		seal bool
	}{{"blocks", false}, {"sealed", true}, {"both", true}, {"fallen silent", true}, {"after a loss", true}} {
		t.Run(c.name, func(t *testing.T) {
			o := sealing(small(vfs.Default))
			o.Dir = filepath.Join(t.TempDir(), "log")
			silent := c.name == "fallen silent" || c.name == "after a loss" // all of it is sealed, what others said since is not
			if c.name == "both" || silent {
				o.keptHot = 20 << 10
			}
			o.Seal.Tier = func(r *Record) uint8 { return uint8(r.Seq % 2) }
			r := mustOpen(t, o)
			p, wel := r.mustFence(t, 1, 1, 0)
			rng := rand.New(rand.NewPCG(1, 2))
			var texts [][]byte // of agent 3
			agent := uint32(0)
			for n := range 4000 {
				i := n % 7
				if silent && i == 3 && n > 2000 {
					i = 4
				}
				a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%d", i))
				text := secret(rng)
				if i == 3 {
					agent = a
					texts = append(texts, text)
				}
				if v := r.w.Append(p, wel.Next+uint64(n), 1, 0, a, uint32(i+1), 1, text); v != Stored {
					t.Fatal(v)
				}
				if n%50 == 49 {
					r.mustCommit(t)
				}
			}
			r.mustCommit(t)
			if silent {
				if err := r.db.Flush(); err != nil { // into one table, sealed or not
					t.Fatal(err)
				}
			}
			if c.seal {
				if err := r.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			if c.name == "after a loss" { // what is found is kept beside, and what is intact written anew
				base := r.Sealed()
				if err := errors.Join(r.db.Delete(key8(prefixHeader, base), pebble.Sync), r.db.Delete(key8(prefixBody, base), pebble.Sync)); err != nil {
					t.Fatal(err)
				}
				r.mustClose(t)
				accept := o
				accept.AcceptLoss = true
				if r = mustOpen(t, accept); r.Epoch() != 2 {
					t.Fatal("nothing was lost")
				}
			}
			if found := grep(t, o.Dir, texts); found == "" {
				t.Fatal("the texts cannot be found before they are forgotten: the test sees nothing")
			}
			before := r.all(t)
			of := 0 // records of it that are there
			for i := range before {
				if before[i].Agent == agent && before[i].Kind == KindEvent {
					of++
				}
			}
			got, err := r.Forget(context.Background(), Forgetting{Agents: []uint32{agent}, Below: r.Next()})
			if err != nil {
				t.Fatal(err)
			}
			if got.Records != uint64(of) || len(got.Unreadable) != 0 || (got.Stretches > 0) != c.seal || c.name != "sealed" && !silent && got.Blocks == 0 || silent && got.Blocks > 0 {
				t.Fatalf("%+v, want %d records", got, of)
			}
			t.Logf("%+v", got)
			check := func(r *rig) {
				t.Helper()
				after := r.all(t)
				if len(after) != len(before) {
					t.Fatalf("%d records, were %d", len(after), len(before))
				}
				for i := range after {
					want := before[i]
					if want.Agent == agent && want.Kind == KindEvent {
						want.Forget()
					}
					if !equal(after[i], want) {
						t.Fatalf("record %d is %v, want %v", i, after[i], want)
					}
				}
			}
			if found := grep(t, o.Dir, texts); found != "" {
				t.Fatal("what was forgotten is still in ", found)
			}
			check(r)
			// Sent again, with its content and with another, it is a duplicate.
			for i := range before {
				if b := &before[i]; b.Agent == agent && b.Kind == KindEvent && i > len(before)-200 {
					for _, text := range [][]byte{b.Payload, []byte("other")} {
						if v := r.w.Append(p, b.Seq, b.Class, b.Flags, b.Agent, b.Key, b.Recv, text); v != Duplicate {
							t.Fatalf("number %d sent again is a %v", b.Seq, v)
						}
					}
				}
			}
			r.mustClose(t)
			intact(t, o)
			r = mustOpen(t, o)
			check(r)
			if found := grep(t, o.Dir, texts); found != "" {
				t.Fatal("what was forgotten is in ", found, " again")
			}
			if again, err := r.Forget(context.Background(), Forgetting{Agents: []uint32{agent}, Below: r.Next()}); err != nil || again.Records != 0 {
				t.Fatalf("forgotten twice: %+v, %v", again, err)
			}
			r.mustClose(t)
		})
	}
}

// grep returns a file below dir that holds one of the texts, "" if none does.
func grep(t testing.TB, dir string, texts [][]byte) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		p, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // the store has just removed it
		}
		for _, text := range texts {
			if bytes.Contains(p, text[20:60]) {
				found = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func intactIn(t fataler, o Options) {
	t.Helper()
	res, err := Verify(context.Background(), VerifyOptions{Log: o})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if res.Unopened != nil || len(res.Damages) != 0 {
		t.Fatalf("%v, %v", res.Unopened, res.Damages)
	}
}

// TestForgetModel holds a log that seals, forgets, drops, compacts and reopens
// against a plain slice.
func TestForgetModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		o := sealing(small(newMem()))
		o.keptHot, o.Seal.Bytes = 4<<10, 2<<10
		gone := map[uint64]bool{}
		var all []Record
		o.Events.Dropped = func(s Stretch, tier uint8) {
			for i := range all {
				if r := &all[i]; r.Offset >= s.Base && r.Offset < s.Next && o.Seal.Tier(r) == tier {
					gone[r.Offset] = true
				}
			}
		}
		o.Seal.Tier = func(r *Record) uint8 { return r.Class % 3 }
		r, err := open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		p, wel, err := r.w.Fence(key(1), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		next := wel.Next
		learn := func() {
			rs, _, err := r.Find(context.Background(), Query{FromOffset: uint64(len(all)) + 1, Limit: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rs...)
		}
		if err := r.commit(); err != nil {
			t.Fatal(err)
		}
		learn()
		t.Repeat(map[string]func(*rapid.T){
			"events": func(t *rapid.T) {
				for range rapid.IntRange(1, 200).Draw(t, "count") {
					a := r.w.Agent([]byte("main"), fmt.Appendf(nil, "agent-%d", next*7%13))
					text := fmt.Appendf(nil, "%d %x", next, next*0x9e3779b97f4a7c15)
					if v := r.w.Append(p, next, uint8(next*5%3), 0, a, uint32(next/40%6), r.o.Now().UnixNano(), text); v != Stored {
						t.Fatal(v)
					}
					if next%50 == 0 {
						r.w.Link(1, a, p, text)
					}
					next++
				}
				if err := r.commit(); err != nil {
					t.Fatal(err)
				}
				learn()
			},
			"seal": func(t *rapid.T) {
				if err := r.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"forget": func(t *rapid.T) {
				f := Forgetting{Rest: rest, Below: rapid.Uint64Range(1, r.Next()).Draw(t, "below")}
				if rapid.Bool().Draw(t, "agents") {
					f.Agents = rapid.SliceOfN(rapid.Uint32Range(1, 14), 1, 3).Draw(t, "of")
				} else {
					f.Key = rapid.Uint32Range(1, 6).Draw(t, "key")
					odd := rapid.Uint32Range(0, 1).Draw(t, "odd")
					f.Match = func(r *Record) bool { return r.Agent%2 == odd }
				}
				got, err := r.Forget(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				n := uint64(0)
				q := Query{Agents: f.Agents, Key: f.Key, ToOffset: f.Below, Match: f.Match}
				q.Agents = append([]uint32(nil), q.Agents...)
				for i := range all {
					x := &all[i]
					if (x.Kind == KindEvent || x.Kind == KindLink) && len(x.Payload) > len(rest(x)) && !gone[x.Offset] && contains(&q, x) {
						if n++; x.Kind == KindEvent {
							x.Forget()
						} else {
							x.Payload = rest(x)
						}
					}
				}
				if got.Records != n {
					t.Fatalf("%d records forgotten, want %d", got.Records, n)
				}
			},
			"drop": func(t *rapid.T) {
				r.o.Retain.Bytes = rapid.Uint64Range(2_000, 40_000).Draw(t, "budget")
				if _, err := r.Retain(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"reopen": func(t *rapid.T) {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				intactIn(t, o)
				if r, err = open(o); err != nil {
					t.Fatal(err)
				}
				learn()
				if n := r.w.NextSeq(p); n != next {
					t.Fatalf("the next number is %d, was %d", n, next)
				}
			},
			"": func(t *rapid.T) {
				got, err := r.readAll()
				if err != nil {
					t.Fatal(err)
				}
				i := 0
				for k := range all {
					if gone[all[k].Offset] {
						continue
					}
					if i == len(got) || !equal(got[i], all[k]) {
						t.Fatalf("record %d is %v, want %v", i, got[min(i, len(got)-1)], all[k])
					}
					i++
				}
				if i != len(got) {
					t.Fatalf("%d records, want %d", len(got), i)
				}
			},
		})
	})
}

// rest is what stays of a link record.
func rest(r *Record) []byte {
	if r.Kind != KindLink {
		return nil
	}
	return r.Payload[:2]
}

// contains is Query.is for agents in any order.
func contains(q *Query, r *Record) bool {
	if len(q.Agents) == 0 {
		return q.is(r)
	}
	for _, a := range q.Agents {
		one := *q
		one.Agents = []uint32{a}
		if one.is(r) {
			return true
		}
	}
	return false
}

// TestForgetOutlivesManifest gives a store that has sealed what was forgotten the
// MANIFEST and tables of before, beside the write-ahead logs of after: the blocks are
// there again, and have to be readable.
func TestForgetOutlivesManifest(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	o := small(disk)
	o.keptHot, o.Seal.Bytes = 1, 1<<30 // nothing seals by itself
	r := mustOpen(t, o)
	p, wel := r.mustFence(t, 1, 1, 0)
	a := r.w.Agent([]byte("main"), []byte("a"))
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range uint64(300) {
		if v := r.w.Append(p, wel.Next+n, 1, 0, a, 0, 1, secret(rng)); v != Stored {
			t.Fatal(v)
		}
		if n%50 == 49 {
			r.mustCommit(t)
		}
	}
	got, err := r.Forget(context.Background(), Forgetting{Agents: []uint32{a}, Below: r.Next()})
	if err != nil || got.Blocks == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	before := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := r.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r.Sealed() <= 1 {
		t.Fatal("nothing was sealed")
	}
	r.mustClose(t)
	store := disk.PathJoin(o.Dir, storeName)
	logs, _, err := numbered(disk, store, ".log")
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, name := range logs {
		if _, err := vfs.Clone(disk, before, name, name); err != nil {
			t.Fatal(err)
		}
	}
	o.FS = before
	r = mustOpen(t, o)
	defer r.mustClose(t)
	rs := r.all(t)
	if uint64(len(rs)) < got.Records {
		t.Fatalf("%d records, %d were forgotten", len(rs), got.Records)
	}
	for i := range rs {
		if rs[i].Agent == a && rs[i].Kind != KindForgotten && rs[i].Kind != KindAgentDict {
			t.Fatalf("record %d is %v", i, rs[i])
		}
	}
}
