package views

import (
	"bytes"
	"fmt"

	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// storeFormat pins the store's format; raising it is an explicit act. A test
// holds it against the newest one of the library.
const storeFormat = pebble.FormatValueSeparation

// blockSize is how many bytes of rows are compressed, written and handed on at a time. Each
// block is a hand-over between two threads and a write, and in larger ones there is more
// to find for compression; a reader of one row takes the whole.
const blockSize = 32 << 10

// baseBytes is how large the level above the last one gets. A merge of level 0 writes all of it
// again, so it is small. What leaves it for the last level meets there the rows of the current
// eras, not all.
const baseBytes = 256 << 20

// OpenStore opens or makes the views store in dir. It has no write-ahead log:
// what is not flushed is folded again from the log. Each of opts may change the
// options before they are used (cache, logger, listeners).
func OpenStore(fs vfs.FS, dir string, opts ...func(*pebble.Options)) (*pebble.DB, error) {
	o := &pebble.Options{
		FS:                          wal.OrderedFS(fs),
		FormatMajorVersion:          storeFormat,
		DisableWAL:                  true,
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       16, // twice the flushes after which they are merged
		L0StopWritesThreshold:       100,
		LBaseMaxBytes:               baseBytes,
		Logger:                      loudLogger{},
	}
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = 64 << 20
	}
	for i := range o.Levels {
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
		o.Levels[i].BlockSize = blockSize
	}
	// Two levels and no more: most of the last one is tables that are never merged, and
	// says nothing of how much is.
	o.Experimental.LevelMultiplier = 1000
	// What is flushed is soon merged, and half of it replaced by then.
	o.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	o.Experimental.SpanPolicyFunc = apart
	o.Experimental.DisableIngestAsFlushable = func() bool { return true }
	o.Experimental.EnableDeleteOnlyCompactionExcises = func() bool { return false }
	for _, f := range opts {
		f(o)
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("views: open store %s: %w", dir, err)
	}
	return db, nil
}

// borders are where tables end: between them lie rows that are written in tables
// of their own (Apart), or added behind each other and dropped together. A table that reached over
// would stand in the way of the first, and have the others written again with every merge.
var borders = [][]byte{
	{'h', 0x03}, {'h', 0x04}, // fleet: chunks of snapshots
	{'s', 0x0c}, {'s', 0x0d}, // spans: pages of rows
	{'t', 'd'}, {'t', 'e'}, // tsdb: additions to head rows
}

// apart is the store's pebble.SpanPolicyFunc.
func apart(start []byte) (p pebble.SpanPolicy, end []byte, err error) {
	for _, b := range borders {
		if bytes.Compare(start, b) < 0 {
			return p, b, nil
		}
	}
	return p, nil, nil
}

// loudLogger keeps the store quiet until it cannot go on.
type loudLogger struct{}

func (loudLogger) Infof(string, ...any)  {}
func (loudLogger) Errorf(string, ...any) {}

// Fatalf must not return: the store would go on with what it knows is wrong.
func (loudLogger) Fatalf(format string, args ...any) {
	panic("views store: " + fmt.Sprintf(format, args...))
}
