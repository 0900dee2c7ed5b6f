package tailfile

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Options of a Tree.
type Options struct {
	Match   func(path string) bool       // which files, by path relative to the root; nil = all
	LineMax int                          // longest line in bytes kept in memory; 0 = 64 MiB
	Rescan  time.Duration                // how often the tree is walked although nothing was reported; 0 = 2 s
	Poll    bool                         // no notifications: walk every Rescan
	Report  func(path string, err error) // what could not be read; nil = dropped

	buffer []byte
}

// Tree follows the files below one root.
type Tree struct {
	o       Options
	root    string
	single  bool             // the root is a file
	files   map[string]*File // by path
	gone    []*File          // their path holds something else or nothing
	marks   map[uint64][]Mark
	paths   map[uint32]bool // hashes of the paths that the last walk found
	settled int64
	notify  *notifier
	touched map[string]bool   // absolute paths that grew since the last Scan; nil = anything may have changed
	walked  time.Time         // last walk
	failed  map[string]string // path → what was reported, so that it is said once
}

const goneMax = 1024

// Open prepares to follow root, a folder or a file. It reads nothing yet.
func Open(root string, o Options) (*Tree, error) {
	if o.LineMax == 0 {
		o.LineMax = 64 << 20
	}
	if o.Rescan == 0 {
		o.Rescan = 2 * time.Second
	}
	root, err := Resolve(root)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	t := &Tree{o: o, root: root, single: !info.IsDir(), files: map[string]*File{}, marks: map[uint64][]Mark{}, failed: map[string]string{}}
	if !o.Poll {
		t.notify = newNotifier()
	}
	return t, nil
}

// Resolve returns the absolute path of root without symbolic links: the same for every way to name it.
func Resolve(root string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(root)
}

// Close ends the notifications.
func (t *Tree) Close() { t.notify.close() }

// Restore sets how far a run before this one came. Call it before the first Scan.
func (t *Tree) Restore(m Marks) {
	for _, k := range m.List {
		t.marks[k.Print] = append(t.marks[k.Print], k)
	}
	t.settled = m.SettledBefore
}

// Marks returns how far each file was read, those of a former run that were not seen yet included.
func (t *Tree) Marks() Marks {
	m := Marks{SettledBefore: t.settled, UnreadFrom: math.MaxInt64}
	for _, f := range t.files {
		m.add(f)
	}
	for _, f := range t.gone {
		m.add(f)
	}
	for _, ks := range t.marks {
		m.List = append(m.List, ks...)
	}
	return m
}

func (m *Marks) add(f *File) {
	if f.Offset < f.info.Size() {
		m.UnreadFrom = min(m.UnreadFrom, f.info.ModTime().Unix())
	}
	switch {
	case f.print == 0 || max(f.Offset, f.Replay) == 0: // nothing read
	case f.Offset < f.Replay: // still catching up with the former run: its mark holds
		m.List = append(m.List, Mark{f.print, pathHash(f.Path), f.Replay, f.replayTail, f.info.ModTime().Unix(), f.Settled})
	default:
		m.List = append(m.List, Mark{f.print, pathHash(f.Path), f.Offset, f.tail, f.info.ModTime().Unix(), f.Settled})
	}
}

// Scan looks at what changed since the last Scan, at the whole tree unless the last Wait knows better, and
// returns the files with something to read, oldest change first.
func (t *Tree) Scan() ([]*File, error) {
	if t.touched != nil && t.look(t.touched) {
		t.touched = nil
		return t.pending(), nil
	}
	t.touched = nil
	found, err := t.walk()
	t.walked = time.Now()
	if err != nil {
		return nil, err
	}
	// A path that no longer holds the file it held gives it up: rotated, renamed or deleted.
	for path, f := range t.files {
		if info, ok := found[path]; !ok || !os.SameFile(info, f.info) {
			delete(t.files, path)
			t.gone = append(t.gone, f)
		}
	}
	paths := make([]string, 0, len(found))
	for p := range found {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var fresh []*File
	for _, path := range paths {
		info := found[path]
		if f := t.files[path]; f != nil {
			t.update(f, info)
		} else if f, err := t.adopt(path, info); err != nil {
			t.report(path, err)
		} else if f != nil {
			fresh = append(fresh, f)
		}
	}
	t.restore(fresh)
	t.gone = t.gone[max(0, len(t.gone)-goneMax):]
	return t.pending(), nil
}

// look updates the files at these absolute paths; false when only a walk can tell.
func (t *Tree) look(paths map[string]bool) bool {
	for p := range paths {
		rel := filepath.Base(t.root)
		if !t.single {
			r, err := filepath.Rel(t.root, p)
			if err != nil {
				return false
			}
			rel = filepath.ToSlash(r)
		} else if p != t.root {
			continue
		}
		f := t.files[rel]
		if f == nil {
			if t.o.Match != nil && !t.o.Match(rel) {
				continue
			}
			return false
		}
		info, err := os.Stat(f.abs)
		if err != nil || !os.SameFile(info, f.info) {
			return false
		}
		t.update(f, info)
	}
	return true
}

func (t *Tree) pending() []*File {
	var fs []*File
	for _, f := range t.files {
		if f.stale {
			fs = append(fs, f)
		}
	}
	slices.SortFunc(fs, func(a, b *File) int {
		return cmp.Or(cmp.Compare(a.info.ModTime().Unix(), b.info.ModTime().Unix()), cmp.Compare(order(a.Path), order(b.Path)))
	})
	return fs
}

// order puts a file before the folder of the same name.
func order(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

func (t *Tree) update(f *File, info fs.FileInfo) {
	if info.Size() < f.Offset {
		f.reset()
	}
	if info.Size() != f.info.Size() || !info.ModTime().Equal(f.info.ModTime()) {
		f.stale = true
	}
	f.info = info
}

// adopt takes in a file at a path that was empty or held another, and returns it when it is none of those followed.
func (t *Tree) adopt(path string, info fs.FileInfo) (*File, error) {
	abs := t.abs(path)
	for i, g := range t.gone {
		if os.SameFile(g.info, info) {
			t.gone = slices.Delete(t.gone, i, i+1)
			g.Path, g.abs = path, abs
			t.files[path] = g
			t.update(g, info)
			return nil, nil
		}
	}
	h, err := os.Open(abs)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	f := &File{Path: path, abs: abs, info: info, stale: info.Size() > 0}
	t.files[path] = f
	print, whole, err := printAt(h)
	if err != nil || !whole {
		return nil, err
	}
	if t.rewritten(f, h, print) {
		return nil, nil
	}
	f.print = print
	return f, nil
}

// rewritten finds the vanished file that f is a copy of (an editor that writes anew and renames, a move
// across file systems) and goes on where that one stopped.
func (t *Tree) rewritten(f *File, h *os.File, print uint64) bool {
	for i, g := range t.gone {
		if g.print != print || g.Offset == 0 || g.Offset < g.Replay {
			continue
		}
		if tail, ok, err := tailAt(h, g.Offset); err != nil || !ok || tail != g.tail {
			continue
		}
		t.gone = slices.Delete(t.gone, i, i+1)
		f.Offset, f.Lines, f.Replay, f.print, f.tail, f.Settled, f.User = g.Offset, g.Lines, g.Replay, g.print, g.tail, g.Settled, g.User
		f.stale = f.info.Size() > f.Offset
		return true
	}
	return false
}

// restore gives the marks of a former run to the files that are new: first to those at their own paths, then
// to those that moved. A mark whose path holds something else now, and whose file is nowhere, is dropped.
func (t *Tree) restore(fresh []*File) {
	for _, own := range []bool{true, false} {
		for _, f := range fresh {
			if !f.replay {
				t.claim(f, own)
			}
		}
	}
	for print, ks := range t.marks {
		t.marks[print] = slices.DeleteFunc(ks, func(k Mark) bool { return t.paths[k.Path] })
	}
	for _, f := range fresh {
		if !f.replay && f.Offset == 0 && f.print != 0 && f.info.ModTime().Unix() < t.settled {
			f.Replay, f.Settled, f.replay = f.info.Size(), f.info.Size(), true
		}
	}
}

// claim takes the mark that fits f and reaches farthest; own: only one with f's path.
func (t *Tree) claim(f *File, own bool) {
	ks, best := t.marks[f.print], -1
	if len(ks) == 0 {
		return
	}
	h, err := os.Open(f.abs)
	if err != nil {
		return // gone meanwhile
	}
	defer h.Close()
	for i, k := range ks {
		if own != (k.Path == pathHash(f.Path)) || best >= 0 && k.Offset < ks[best].Offset {
			continue
		}
		if tail, ok, err := tailAt(h, k.Offset); err == nil && ok && tail == k.Tail {
			best = i
		}
	}
	if best >= 0 {
		k := ks[best]
		t.marks[f.print] = slices.Delete(ks, best, best+1)
		f.Replay, f.replayTail, f.Settled, f.replay = k.Offset, k.Tail, k.Settled, true
	}
}

// Replay delivers again the lines that a former run read, of every file with a restored mark, and calls done
// after each file. Call it after the first Scan, before Read: what
// the lines of one file mean may depend on those of another.
func (t *Tree) Replay(fn func(Line) error, done func(*File)) error {
	for _, f := range t.Files() {
		if !f.replay {
			continue
		}
		err := t.read(f, true, func(l Line) error {
			if !l.Replay {
				return errReplayed
			}
			return fn(l)
		})
		if err != nil && err != errReplayed {
			return err
		}
		f.replay = false
		f.stale = f.Offset < f.info.Size()
		done(f)
	}
	return nil
}

var errReplayed = errors.New("tailfile: the lines of the former run end here")

// Read delivers the lines of f that were not delivered yet. With final set, a last line without a line end
// is delivered as Partial.
func (t *Tree) Read(f *File, final bool, fn func(Line) error) error { return t.read(f, final, fn) }

func (t *Tree) read(f *File, final bool, fn func(Line) error) error {
	err := f.read(&t.o, final, fn)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		f.stale = false
		t.report(f.Path, err)
		return nil
	}
	return err
}

// Files returns every file that is followed, by path.
func (t *Tree) Files() []*File {
	fs := make([]*File, 0, len(t.files))
	for _, f := range t.files {
		fs = append(fs, f)
	}
	slices.SortFunc(fs, func(a, b *File) int { return cmp.Compare(a.Path, b.Path) })
	return fs
}

// Wait returns when the file system reported a change below the root, when Rescan has passed, when wake
// fires, or with ctx's error.
func (t *Tree) Wait(ctx context.Context, wake <-chan time.Time) error {
	touched, err := t.notify.wait(ctx, time.Until(t.walked.Add(t.o.Rescan)), wake)
	t.touched = touched
	return err
}

func (t *Tree) walk() (map[string]fs.FileInfo, error) {
	found := map[string]fs.FileInfo{}
	t.paths = map[uint32]bool{}
	if t.single {
		info, err := os.Stat(t.root)
		if err == nil {
			name := filepath.Base(t.root)
			found[name], t.paths[pathHash(name)] = info, true
			t.notify.watch(filepath.Dir(t.root))
		}
		return found, nil
	}
	err := filepath.WalkDir(t.root, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(t.root, p)
		rel = filepath.ToSlash(rel)
		if err != nil {
			if p == t.root && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if !errors.Is(err, fs.ErrNotExist) {
				t.report(rel, err)
			}
			return nil
		}
		if d.IsDir() {
			t.notify.watch(p)
			return nil
		}
		if !d.Type().IsRegular() || t.o.Match != nil && !t.o.Match(rel) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone meanwhile
		}
		found[rel], t.paths[pathHash(rel)] = info, true
		return nil
	})
	return found, err
}

func (t *Tree) abs(path string) string {
	if t.single {
		return t.root
	}
	return filepath.Join(t.root, filepath.FromSlash(path))
}

func (t *Tree) report(path string, err error) {
	if t.o.Report == nil || t.failed[path] == err.Error() {
		return
	}
	t.failed[path] = err.Error()
	t.o.Report(path, err)
}

func pathHash(path string) uint32 { return uint32(xxhash.Sum64String(path)) }
