package intake

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// plug is pulled before operation number at.
type plug struct {
	w     *world
	fs    *vfs.MemFS
	at    int64
	n     atomic.Int64
	rng   *rand.Rand
	mu    sync.Mutex
	clone *vfs.MemFS
	known known
}

func (g *plug) String() string { return "plug" }

func (g *plug) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && g.n.Add(1) == g.at {
		g.pull()
	}
	return nil
}

func (g *plug) pull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.clone != nil {
		return
	}
	g.known = g.w.known()
	g.clone = g.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: g.rng.IntN(101), RNG: g.rng})
}

func (g *plug) pulled() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.clone != nil
}

// deafFS takes out the syncs of files and folders by name.
type deafFS struct {
	vfs.FS
	deaf func(name string) bool
}

func (d deafFS) file(f vfs.File, err error, name string) (vfs.File, error) {
	if err == nil && d.deaf(name) {
		f = deafFile{f}
	}
	return f, err
}

func (d deafFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return d.file(f, err, name)
}

func (d deafFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return d.file(f, err, name)
}

func (d deafFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return d.file(f, err, name)
}

func (d deafFS) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	return d.file(f, err, name)
}

func (d deafFS) Unwrap() vfs.FS { return d.FS }

type deafFile struct{ vfs.File }

func (deafFile) Sync() error                { return nil }
func (deafFile) SyncData() error            { return nil }
func (deafFile) SyncTo(int64) (bool, error) { return false, nil }

// damage cuts the end off the log's newest WAL, as a disk may that lied.
func damage(fs *vfs.MemFS, rng *rand.Rand) (bool, error) {
	dir := path.Join(dataDir, "log", "store")
	names, err := fs.List(dir)
	if err != nil {
		return false, nil // cut off before it was there
	}
	newest := ""
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > newest {
			newest = n
		}
	}
	if newest == "" {
		return false, nil
	}
	name := path.Join(dir, newest)
	f, err := fs.Open(name)
	if err != nil {
		return false, err
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	used := len(bytes.TrimRight(b, "\x00"))
	if used == 0 {
		return false, nil
	}
	b = b[:used-1-rng.IntN(min(used, 1+rng.IntN(8<<10)))]
	out, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return false, err
	}
	_, err = out.Write(b)
	return true, errors.Join(err, out.Sync(), out.Close())
}
