//go:build linux

package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tornBlock is what a disk writes whole.
const tornBlock = 4096

// luck decides what of the rest survives: by role and place, not by turn, so
// that a file which the store removes a moment earlier or later changes nothing
// for the others.
type luck struct {
	seed, percent uint64
}

func (l luck) with(role string, block int) bool {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", l.seed, role, block)
	return h.Sum64()>>8%100 < l.percent
}

// crashed returns what a crash of fs leaves: all that was synced, and of the
// rest each block and each name by luck. MemFS can do so itself, but goes through
// its files in an order that differs from run to run.
func crashed(fs *vfs.MemFS, moves *sync.RWMutex, l luck) *vfs.MemFS {
	whole := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))}
	moves.Lock()
	t := tear{luck: l, left: fs.CrashClone(vfs.CrashCloneCfg{}), all: fs.CrashClone(whole)}
	moves.Unlock()
	if err := t.dir("/"); err != nil {
		panic(fmt.Sprintf("sim: a disk in memory failed: %v", err))
	}
	return t.left.CrashClone(whole) // nothing of it is lost in the next crash
}

type tear struct {
	luck
	left, all *vfs.MemFS
}

func (t *tear) dir(dir string) error {
	names, err := t.all.List(dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	slices.Reverse(names) // newest first
	logs := 0
	for _, n := range names {
		name := path.Join(dir, n)
		// The store numbers its WALs and its tables from one counter, and writes
		// tables at a pace of its own: a WAL is known by its age, not its number.
		role := name
		if path.Ext(n) == ".log" {
			role = path.Join(dir, fmt.Sprint(logs, ".log"))
			logs++
		}
		st, err := t.all.Stat(name)
		if err != nil {
			return err
		}
		_, err = t.left.Stat(name)
		if err != nil && !oserror.IsNotExist(err) {
			return err
		}
		if err != nil && !t.with(role, -1) {
			continue // the name is lost
		}
		if !st.IsDir() {
			err = t.file(name, role)
		} else if err = t.left.MkdirAll(name, 0o755); err == nil {
			err = t.dir(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// file writes the file anew with the blocks that were lucky.
func (t *tear) file(name, role string) error {
	whole, err := contents(t.all, name)
	if err != nil {
		return err
	}
	data, err := contents(t.left, name)
	if err != nil && !oserror.IsNotExist(err) {
		return err
	}
	changed := oserror.IsNotExist(err)
	for i := 0; i < len(whole); i += tornBlock {
		b := whole[i:min(i+tornBlock, len(whole))]
		if end := i + len(b); end <= len(data) && string(data[i:end]) == string(b) || !t.with(role, i/tornBlock) {
			continue
		}
		if grow := i + len(b) - len(data); grow > 0 {
			data = append(data, make([]byte, grow)...)
		}
		copy(data[i:], b)
		changed = true
	}
	if !changed {
		return nil
	}
	f, err := t.left.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Close()
}

func contents(fs *vfs.MemFS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if e := f.Close(); err == nil {
		err = e
	}
	return b, err
}
