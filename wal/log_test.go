package wal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errDropped = errors.New("the benchmark dropped records")

func newMem() *vfs.MemFS { return vfs.NewCrashableMem() }

func TestAppendAndReopen(t *testing.T) {
	fs := newMem()
	r := mustOpen(t, small(fs))
	id := r.ID()
	p, wel := r.mustFence(t, 1, 3, 1)
	if wel.Next != 1 || wel.Pos != nil || wel.GapTo != 0 {
		t.Fatalf("welcome %+v", wel)
	}
	a := r.w.Agent([]byte("main"), []byte("a1"))
	for i := uint64(1); i <= 3000; i++ {
		if v := r.w.Append(p, i, 3, 1, a, 9, int64(i), fmt.Appendf(nil, "event %d", i)); v != Stored {
			t.Fatal(i, v)
		}
	}
	r.w.Pos(p, []byte("here"))
	r.mustCommit(t)
	before := r.all(t)
	if err := sound(before); err != nil {
		t.Fatal(err)
	}
	r.SetCursor("mirror", 17)
	r.mustClose(t)
	if err := r.Close(); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}

	r = mustOpen(t, small(fs))
	defer r.mustClose(t)
	if r.ID() != id || r.Epoch() != 1 {
		t.Fatal("identity changed")
	}
	after := r.all(t)
	if len(after) != len(before) {
		t.Fatalf("%d records, %d before", len(after), len(before))
	}
	for i := range after {
		if fmt.Sprint(after[i]) != fmt.Sprint(before[i]) {
			t.Fatalf("offset %d: %v, was %v", i+1, after[i], before[i])
		}
	}
	if off, ok := r.Cursor("mirror"); !ok || off != 17 {
		t.Fatal("cursor", off, ok)
	}
	p2, wel := r.mustFence(t, 1, 3, 1)
	if p2 != p || wel.Next != 3001 || string(wel.Pos) != "here" {
		t.Fatalf("producer %d, welcome %+v", p2, wel)
	}
	if n, ok := r.AgentNum("main", "a1"); !ok || n != a || r.w.Agent([]byte("main"), []byte("a1")) != a {
		t.Fatal("agent", n, ok)
	}
	if s, id, ok := r.Agent(a); !ok || s != "main" || id != "a1" {
		t.Fatal(s, id, ok)
	}
}
