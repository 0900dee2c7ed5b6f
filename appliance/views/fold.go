package views

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/engine/wire"
	"eyrie/wal"
	"eyrie/wal/block"
)

// Fold is a view: a pure function of the log with a snapshot in the views
// store. The runner calls its methods from one goroutine at a time; queries of
// its own are concurrent with them.
//
// Apply may panic: the record is found and set aside. So a lock that Apply
// takes must be released by defer, or Reset would wait for it forever.
type Fold interface {
	// Name is the fold's name in cursors, metrics and reports: lasting, unique,
	// without a NUL.
	Name() string
	// Version changes with the rules or the snapshot's format: another one
	// than that of the snapshot means a rebuild.
	Version() uint32
	// Load replaces the state by the snapshot below the fold's prefixes; without
	// rows that is the zero state. An error means a rebuild.
	Load(r pebble.Reader) error
	// Apply folds the records from index from on; vs[i] is the parsed payload
	// where record i is an event, else zero. b may be kept, vs not.
	Apply(b *block.Block, from int, vs []wire.View)
	// Save adds what changed since the last Save to w, which is committed
	// before the next Save or Load.
	Save(w *pebble.Batch) error
	// Reset forgets everything in memory, as before offset 1. Rows in the
	// store are the runner's to delete.
	Reset()
}

// Saver is what a Fold implements to be told that the batch of its last Save
// has been committed. Saved runs on the committing goroutine.
type Saver interface{ Saved() }

// Apart is what a Fold implements of whose rows some come, in order of keys, behind
// all of their kind that are stored. They can be written as tables of their own,
// which no merge ever touches, where the rows of a batch are written several times over.
// SaveApart is Save without these rows; rows hands them out, in order of keys, on
// another goroutine, beside Apply, and before Saved or the next Save. Until it returns
// it may add to w, too: all that needs no state which Apply goes on to change is better
// done there. put keeps nothing of its arguments. nil: there are none but those in the batch.
type Apart interface {
	SaveApart(w *pebble.Batch) (rows Rows, err error)
}

// Rows hands rows to put and returns its first error.
type Rows = func(put func(key, value []byte) error) error

// Grower is what a Fold implements whose memory grows with what it has not
// saved: it is saved after so many records at the latest.
type Grower interface{ SaveRecords() uint64 }

// Mount is a fold and the first bytes of all the keys it writes.
type Mount struct {
	Fold     Fold
	Prefixes string
}

// Log is what a Runner reads; FromLog makes one of a *wal.Log.
type Log interface {
	ID() [16]byte
	Epoch() uint32
	First() uint64 // what lies before, retention has dropped
	Next() uint64  // first offset not yet durable
	Follow(from uint64) Follower

	// See wal.Log.
	AskDigests()
	Digests() *wal.DigestsAt
	DigestsFrom() uint64
	Gone(from, to uint64) bool
	Producer(num uint32) (wal.ProducerState, bool)
}

// Follower hands out durable blocks in order. The first one may begin before
// the offset asked for.
type Follower interface {
	Next(ctx context.Context) (*block.Block, error)
	Ready() bool // Next need not wait for what is still to come
}
