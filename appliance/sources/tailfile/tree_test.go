package tailfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// reader collects lines.
type reader struct {
	t     *testing.T
	tree  *Tree
	lines []string
}

func open(t *testing.T, root string, o Options) *reader {
	t.Helper()
	o.Poll = true
	tree, err := Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tree.Close)
	return &reader{t: t, tree: tree}
}

func (r *reader) take(l Line) error {
	s := fmt.Sprintf("%s:%d@%d %s", l.File.Path, l.No, l.Offset, l.Data)
	if l.Cut > 0 {
		s += fmt.Sprintf(" -%d", l.Cut)
	}
	r.lines = append(r.lines, s)
	return nil
}

// more returns the lines that came since the last call.
func (r *reader) more() []string {
	r.t.Helper()
	files, err := r.tree.Scan()
	if err != nil {
		r.t.Fatal(err)
	}
	r.lines = nil
	for _, f := range files {
		if err := r.tree.Read(f, false, r.take); err != nil {
			r.t.Fatal(err)
		}
	}
	return r.lines
}

func (r *reader) want(lines ...string) {
	r.t.Helper()
	if got := r.more(); !slices.Equal(got, lines) {
		r.t.Errorf("got %q, want %q", got, lines)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func grow(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func TestGrowsAppearsMoves(t *testing.T) {
	root := t.TempDir()
	a := filepath.Join(root, "a")
	put(t, a, "one\ntwo\nhal")
	r := open(t, root, Options{})
	r.want("a:1@0 one", "a:2@4 two")
	r.want()
	grow(t, a, "f\r\n\n")
	r.want("a:3@8 half", "a:4@14 ")
	put(t, filepath.Join(root, "sub", "b"), "b1\n")
	r.want("sub/b:1@0 b1")
	if err := os.Rename(a, filepath.Join(root, "sub", "c")); err != nil {
		t.Fatal(err)
	}
	r.want()
	grow(t, filepath.Join(root, "sub", "c"), "five\n")
	r.want("sub/c:5@15 five")
	put(t, a, "new\n")
	r.want("a:1@0 new")
	put(t, filepath.Join(root, "sub", "c"), "cut\n") // truncated
	r.want("sub/c:1@0 cut")
	put(t, filepath.Join(root, "sub", "c"), "other text, longer than before\n") // rewritten in place
	r.want("sub/c:1@0 other text, longer than before")
}

func TestLongLinesAreCut(t *testing.T) {
	root := t.TempDir()
	long := strings.Repeat("x", 300_000)
	put(t, filepath.Join(root, "a"), long+"y\nnext\n")
	r := open(t, root, Options{LineMax: 1000})
	got := r.more()
	if len(got) != 2 || got[0] != "a:1@0 "+long[:1000]+" -299001" || got[1] != "a:2@300002 next" {
		t.Errorf("got %d lines: %.60q", len(got), got)
	}
	r.want()
	grow(t, filepath.Join(root, "a"), "more\n")
	r.want("a:3@300007 more")
}

func TestManyFilesBeyondThePosition(t *testing.T) {
	root := t.TempDir()
	const files = 300
	old := time.Now().Add(-time.Hour)
	for i := range files {
		p := filepath.Join(root, fmt.Sprintf("%03d", i))
		put(t, p, fmt.Sprintf("first %d\nsecond\n", i))
		at := old.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, root, Options{})
	if n := len(r.more()); n != 2*files {
		t.Fatalf("%d lines", n)
	}
	pos := r.tree.Marks().Append(nil, 1000)
	grow(t, filepath.Join(root, "299"), "third\n")
	marks, err := ParseMarks(pos)
	if err != nil || len(pos) > 1000 || len(marks.List) >= files {
		t.Fatalf("%d bytes, %d marks, %v", len(pos), len(marks.List), err)
	}
	again := open(t, root, Options{})
	again.tree.Restore(marks)
	if _, err := again.tree.Scan(); err != nil {
		t.Fatal(err)
	}
	replayed := 0
	if err := again.tree.Replay(func(Line) error { replayed++; return nil }, func(*File) {}); err != nil {
		t.Fatal(err)
	}
	if replayed != 2*files {
		t.Errorf("replayed %d lines, want %d", replayed, 2*files)
	}
	again.want("299:3@17 third")
}

func TestWaitSeesAWriteAtOnce(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "a"), "one\n")
	tree, err := Open(root, Options{Rescan: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	r := &reader{t: t, tree: tree}
	r.want("a:1@0 one")
	if tree.notify == nil {
		t.Skip("no notifications here")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	grow(t, filepath.Join(root, "a"), "two\n")
	if err := tree.Wait(ctx, nil); err != nil {
		t.Fatal(err)
	}
	r.want("a:2@4 two")
	put(t, filepath.Join(root, "new", "b"), "b1\n") // in a folder that was not there
	var got []string
	for len(got) == 0 {
		if err := tree.Wait(ctx, nil); err != nil {
			t.Fatal(err)
		}
		got = r.more()
	}
	if !slices.Equal(got, []string{"new/b:1@0 b1"}) {
		t.Errorf("got %q", got)
	}
}

func TestGrowsBehindALineThatWasTakenWithoutAnEnd(t *testing.T) {
	root := t.TempDir()
	p := filepath.Join(root, "a")
	put(t, p, "one\ntwo")
	r := open(t, root, Options{})
	r.want("a:1@0 one")
	if err := r.tree.Read(r.tree.Files()[0], true, r.take); err != nil {
		t.Fatal(err)
	}
	grow(t, p, "+\n")
	r.want("a:2@7 +") // still line 2
	grow(t, p, "three\n")
	r.want("a:3@9 three")
	m := r.tree.Marks()
	m.List[0].Offset, m.List[0].Settled = 7, 0 // as a run left it that took "two" and ended
	h, err := os.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if m.List[0].Tail, _, err = tailAt(h, 7); err != nil {
		t.Fatal(err)
	}
	again := open(t, root, Options{})
	again.tree.Restore(m)
	if _, err := again.tree.Scan(); err != nil {
		t.Fatal(err)
	}
	if err := again.tree.Replay(again.take, func(*File) {}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a:1@0 one", "a:2@4 two"}; !slices.Equal(again.lines, want) {
		t.Errorf("replayed %q, want %q", again.lines, want)
	}
	again.want("a:2@7 +", "a:3@9 three")
}
