package wal

import "encoding/binary"

// Everything in the log's store, by first byte of the key. Integers in keys are
// big-endian, in values little-endian.
//
//	'b' base 8         body value of a block (see wal/block)
//	'c' name           cursor: offset 8
//	'd' agent 4        agent: space and id, each with a uvarint length
//	'e' epoch 4        epoch: first offset 8, begun 8 (Unix ns), reason
//	'f' base 8         what stands in the place of a block's body, see amend.go
//	'g' from 8         hole: to 8, epoch 4, reason
//	'h' base 8         header value of a block
//	'k' key 4, name    a hold, see retain.go
//	'm' name           meta: "log" version 4, id 16; "checkpoint" see checkpoint.go;
//	                   "digests" see digests.go;
//	                   "trimmed" see trimmed.go
//	'p' producer 4     producer, see producer.go
//	's' 't' 'v' 'w'    sealed stretches, see stretches.go
//
// Reserved: 'x' blobs, 'r' idempotency keys, 'n' snapshots.
//
// Headers and bodies only grow at their ends, and tables of the store never
// cross a prefix (see store.go): a flush overlaps nothing, so a block is
// written once to the WAL and once to a table, and then only moved.
const (
	prefixBody     = 'b'
	prefixCursor   = 'c'
	prefixAgent    = 'd'
	prefixEpoch    = 'e'
	prefixAmend    = 'f'
	prefixHole     = 'g'
	prefixHeader   = 'h'
	prefixHold     = 'k'
	prefixMeta     = 'm'
	prefixProducer = 'p'
)

// logVersion is the newest version of all of the above that is read. A log is
// begun as version 1 and becomes 2 before something of it is forgotten, which a
// reader of version 1 would take for damage.
const (
	logVersion      = 2
	logVersionBegun = 1
)

const (
	metaLog        = "mlog"
	metaCheckpoint = "mcheckpoint"
	metaDigests    = "mdigests"
	metaTrimmed    = "mtrimmed"
)

func key8(prefix byte, v uint64) []byte { return appendKey8(make([]byte, 0, 9), prefix, v) }

func appendKey8(dst []byte, prefix byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix), v)
}

func key4(prefix byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, v)
}

func appendString[S string | []byte](dst []byte, s S) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// cutString is the other end of appendString.
func cutString(p []byte) (s, rest []byte, ok bool) {
	n, k := binary.Uvarint(p)
	if k <= 0 || n > uint64(len(p)-k) {
		return nil, nil, false
	}
	return p[k : k+int(n)], p[k+int(n):], true
}

// baseIn is the other end of key8.
func baseIn(key []byte) uint64 {
	if len(key) != 9 {
		return 0
	}
	return binary.BigEndian.Uint64(key[1:])
}
