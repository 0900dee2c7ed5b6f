package wal

import "eyrie/wal/block"

// Record, Block and Kind are those of the block format.
type (
	Record = block.Record
	Block  = block.Block
	Kind   = block.Kind
)

// The kinds of records, see package block.
const (
	KindEvent        = block.KindEvent
	KindAgentDict    = block.KindAgentDict
	KindProducerDict = block.KindProducerDict
	KindFence        = block.KindFence
	KindLost         = block.KindLost
	KindRefused      = block.KindRefused
	KindShed         = block.KindShed
	KindPos          = block.KindPos
	KindLink         = block.KindLink
	KindTick         = block.KindTick
	KindHole         = block.KindHole
	KindExpired      = block.KindExpired
	KindForgotten    = block.KindForgotten
	KindSystem       = block.KindSystem
)

// OffsetMax is the first offset that is never given out.
const OffsetMax = 1 << 53

// Verdict is what the writer answers to a numbered record.
type Verdict uint8

const (
	// Stored: the number was the next one; the record is in the group.
	Stored Verdict = 1 + iota
	// Duplicate: the number is settled, with the same content as far as the
	// log still knows it. Nothing was added.
	Duplicate
	// Conflict: the number is settled with other content. Nothing was added.
	Conflict
	// Spent: the number is settled without content: it was refused, shed or
	// given up, so the event is not in the log. Nothing was added.
	Spent
	// Gap: the number lies beyond the next one. Nothing was added.
	Gap
	// Refuse: the log takes nothing now, see Writer.Wall and Log.Err.
	// The number is not settled; it is to be sent again.
	Refuse
)

var verdictNames = [...]string{"invalid", "stored", "duplicate", "conflict", "spent", "gap", "refuse"}

// String names the verdict.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[0]
}
