//go:build linux

package sim

import (
	"errors"
	"math/rand/v2"
	"path"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// disk is the file systems of one life of the server: the log's and the views',
// which keep synced bytes only, and a random part of the others, when it ends.
// Operations that count are those that a commit waits for: writes and syncs of
// the log's WAL and mark, while it does. The store's own work, which goes on
// beside, does not move the instant of a crash.
type disk struct {
	log, views *vfs.MemFS
	logMoves   sync.RWMutex
	viewMoves  sync.RWMutex
	plant      Plant
	seed       uint64

	mu      sync.Mutex
	busy    bool // a commit is under way: operations count
	ops     int
	crashAt int // operation before which the power goes, 0 for none
	failAt  int // operation that fails
	left    *disk
	hurt    *disk // as the failed operation left it
}

func newDisk(w *world) *disk {
	return &disk{log: vfs.NewCrashableMem(), views: vfs.NewCrashableMem(), plant: w.cfg.Plant, seed: w.rng.Uint64()}
}

var errDisk = errors.New("simulated: input/output error")

// crashSoon pulls the plug before the nth operation from now.
func (d *disk) crashSoon(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt = d.ops + n
}

func (d *disk) failSoon(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt = d.ops + n
}

func (d *disk) calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt, d.failAt = 0, 0
}

// committing says whether a commit is under way.
func (d *disk) committing(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = on
}

// pulled returns what is left, once the plug was pulled.
func (d *disk) pulled() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// pull is the crash: what is left then.
func (d *disk) pull() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == nil {
		if d.left = d.hurt; d.left == nil {
			d.left = d.clone()
		}
	}
	return d.left
}

// clone needs the lock.
func (d *disk) clone() *disk {
	rng := rand.New(rand.NewPCG(d.seed, 1))
	luck := luck{seed: rng.Uint64(), percent: rng.Uint64N(101)}
	return &disk{log: crashed(d.log, &d.logMoves, luck), views: crashed(d.views, &d.viewMoves, luck), plant: d.plant, seed: rng.Uint64()}
}

// counts tells whether a commit waits for operations on this file.
func counts(name string) bool {
	return path.Base(name) == "mark" || strings.HasSuffix(name, ".log")
}

// String and MaybeError make disk an errorfs.Injector.
func (d *disk) String() string { return "disk" }

func (d *disk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
	default:
		return nil // names come and go by the store's own hand
	}
	if !counts(op.Path) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.busy {
		return nil
	}
	d.ops++
	if d.ops == d.crashAt && d.left == nil {
		d.left = d.clone()
	}
	if d.ops == d.failAt {
		d.hurt = d.clone() // what the store does from here on is at its own pace
		return errDisk
	}
	return nil
}

// fs is the log's file system as the log sees it.
func (d *disk) fs() vfs.FS {
	var fs vfs.FS = stillFS{d.log, &d.logMoves}
	if d.plant == NoSync {
		fs = deafFS{fs}
	}
	return errorfs.Wrap(fs, d)
}

// deafFS does not sync the files that count.
type deafFS struct{ vfs.FS }

func deaf(f vfs.File, err error, name string) (vfs.File, error) {
	if err == nil && counts(name) {
		f = deafFile{f}
	}
	return f, err
}

func (d deafFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return deaf(f, err, name)
}

func (d deafFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.OpenReadWrite(name, c, o...)
	return deaf(f, err, name)
}

func (d deafFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(old, name, c)
	return deaf(f, err, name)
}

type deafFile struct{ vfs.File }

func (deafFile) Sync() error                { return nil }
func (deafFile) SyncData() error            { return nil }
func (deafFile) SyncTo(int64) (bool, error) { return false, nil }
