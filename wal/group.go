package wal

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// group is what one commit makes durable: one batch of the store. The writer
// fills it, the encoder encodes it, the committer writes it, the marker
// announces it.
type group struct {
	blocks  []*Block
	bytes   int
	first   uint64 // offset of its first record
	end     uint64 // offset behind its last record
	ops     []op   // checkpoint and other keys of the same batch
	token   any
	digest  uint64     // of all headers up to its end
	silent  bool       // not announced: the log's own
	digests *DigestsAt // at end, where somebody has asked
	err     error

	// from the encoder on
	batch    *pebble.Batch // nil if there is nothing to write
	stored   int           // bytes of headers and bodies in it
	encoding time.Duration
}

// op is one key set, or deleted if value is nil.
type op struct{ key, value []byte }
