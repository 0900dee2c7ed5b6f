package wal

import (
	"crypto/rand"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options configures a log. Zero values stand for the defaults named.
type Options struct {
	FS      vfs.FS           // default: the machine's
	Dir     string           // created if it does not exist
	Now     func() time.Time // default: time.Now
	Rand    io.Reader        // for the log id; default: crypto/rand
	Metrics *metrics.Set     // default: a set of its own

	// DiskFree tells the bytes that are free for Dir; default: FS.GetDiskUsage.
	// Below DiskMin bytes (default 1 GiB) the log refuses writes; it asks at
	// most once a second.
	DiskFree func(dir string) (uint64, error)
	DiskMin  uint64
	// BallastBytes is the size of a file that is kept beside the store and given
	// up when a write finds the disk full; default none.
	BallastBytes int64

	// CacheBytes bounds the newest blocks kept for followers; default 64 MiB.
	CacheBytes int
	// GroupBytes of payload (default 8 MiB) and 64 blocks bound a group.
	GroupBytes int
	// CheckpointBytes of payload lie between two checkpoints of the tables;
	// default 32 MiB. It bounds what Open folds.
	CheckpointBytes int64
	// MemtableBytes of the store; default 16 MiB. Tests make it small.
	MemtableBytes int
	// Processors is how many goroutines load and decode for readers at once, over
	// all look-ups together; default GOMAXPROCS.
	Processors int
	// StoreCacheBytes of the store; default 16 MiB.
	StoreCacheBytes int64

	// Seal says how old blocks are rewritten, Retain what of them goes.
	Seal   SealOptions
	Retain RetainOptions

	// AcceptLoss lets Open go on where it would return *LostError: it starts a
	// new epoch and records the hole. Every block that is not sealed is read for it, and
	// one that is damaged is a loss, too, which Open without it may not have come upon.
	AcceptLoss bool

	// Committed is called for each group handed to Writer.Commit, in order, on
	// the log's own goroutine, once its records and its mark are synced; first
	// and last are its offsets (last = first-1 for an empty group). With err,
	// nothing of the group may be acknowledged and the log has failed.
	Committed func(token any, first, last uint64, err error)
	// Ready is called, on others of the log's goroutines, when Writer.Commit takes
	// a group again and when Writer.Full may have ended. It must not block.
	Ready func()

	// Thread, if set, is called first thing by each of the log's goroutines that a
	// commit goes through, so that it may keep to a thread of its own.
	Thread func()

	Events Events

	faults  *faults // tests only
	keptHot int64   // tests only: instead of what the next Open needs
	atRest  bool    // the store does no work of its own: see Verify
}

// Events are hooks for what happens below; any may be nil. They are called on
// goroutines that must not be blocked.
type Events struct {
	Failed     func(err error)                     // the log has failed: to be reported, then restart
	DiskSlow   func(path string, d time.Duration)  // an operation on path takes longer than it should
	Background func(err error)                     // the store's own work failed; it tries again
	Corrupt    func(path string, err error)        // the store found a damaged file
	Stall      func(reason string)                 // writes wait for the store
	Log        func(format string, args ...any)    // the store's own words
	Wall       func(full bool, free, least uint64) // writes are refused, or taken again
	Dropped    func(s Stretch, tier uint8)         // retention has dropped the tier of a sealed stretch
}

// faults takes durable steps out, to show that tests notice.
type faults struct {
	skipStoreSync, skipMarkSync, skipMarkDirSync, skipParentDirSync, skipSealSync bool
	closeWait                                                                     time.Duration // instead of failedCloseWait
}

func (o *Options) defaults() error {
	if o.Dir == "" {
		return errors.New("wal: Options.Dir is empty")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Metrics == nil {
		o.Metrics = metrics.NewSet()
	}
	if o.DiskFree == nil {
		fs := o.FS
		o.DiskFree = func(dir string) (uint64, error) {
			u, err := fs.GetDiskUsage(dir)
			return u.AvailBytes, err
		}
	}
	if o.DiskMin == 0 {
		o.DiskMin = 1 << 30
	}
	if o.Processors == 0 {
		o.Processors = runtime.GOMAXPROCS(0)
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.GroupBytes == 0 {
		o.GroupBytes = 8 << 20
	}
	if o.CheckpointBytes == 0 {
		o.CheckpointBytes = 32 << 20
	}
	if o.MemtableBytes == 0 {
		o.MemtableBytes = 16 << 20
	}
	if o.StoreCacheBytes == 0 {
		o.StoreCacheBytes = 16 << 20
	}
	if o.Seal.Bytes == 0 {
		o.Seal.Bytes = 64 << 20
	}
	if o.Seal.Tier == nil {
		o.Seal.Tier = func(*Record) uint8 { return 0 }
	}
	if o.faults == nil {
		o.faults = &faults{}
	}
	return nil
}
