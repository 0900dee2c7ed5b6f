package tsdb

import "encoding/binary"

// Keys, below the caller's one-byte prefix; numbers big-endian, so that order
// of bytes is order of numbers, signed ones with the sign bit flipped:
//
//	m                                       meta row (save.go)
//	s ref u64                               definitions of series from ref on
//	h row u64                               open runs of samples of headRuns series (head row)
//	d save u64 row u64                      what that Save added to a head row
//	c res u8 era u32 ref u64 start s64 seq u32   closed chunk
//	e res u8 era u32                        what is known of an era (eras.go)
//
// A head row, of series row*headRuns+1 and on, is rewritten under the same key as
// its runs grow, so opening reads little of a series however long its history; at
// most saves it is only added to, in keys that follow all before and are dropped
// all at once.
//
// A chunk belongs to the era in which it was saved: all of an era's chunks are
// neighbours, and may be dropped by one key range. res names the
// resolution: zero is raw samples; the numbers above belong to rollups (1: 1m,
// 2: 5m, 3: 1h), whose keys read the same. Within an era a series' chunks are
// neighbours in order of their first sample.
//
// seq is zero for a chunk in order; a chunk of late samples has a number of
// its own, higher ones being newer and winning over lower ones.
const (
	kindMeta   = 'm'
	kindSeries = 's'
	kindHead   = 'h'
	kindAdded  = 'd'
	kindChunk  = 'c'
	kindEra    = 'e'
)

const resRaw = 0

const dayMs = 24 * 3600 * 1000

// spanMs bounds last-first of a raw chunk: who looks for samples from t on
// need not look at chunks that start before t-spanMs.
const spanMs = 6 * 3600 * 1000

// MinTime and MaxTime bound the timestamps, Unix ms, that a DB keeps.
const (
	MinTime = -dayMs << 30
	MaxTime = dayMs<<30 - 1
)

const chunkKeyBytes = 1 + 1 + 1 + 4 + 8 + 8 + 4

func appendRefKey(dst []byte, prefix, kind byte, ref uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, prefix, kind), ref)
}

func appendAddedKey(dst []byte, prefix byte, save, row uint64) []byte {
	return binary.BigEndian.AppendUint64(appendRefKey(dst, prefix, kindAdded, save), row)
}

func parseAddedKey(b []byte) (save, row uint64, ok bool) {
	if len(b) != 18 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint64(b[10:]), true
}

func appendEraKey(dst []byte, prefix, kind, res byte, era uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, kind, res), era)
}

func appendStart(dst []byte, prefix, res byte, era uint32, ref uint64, start int64) []byte {
	dst = binary.BigEndian.AppendUint64(appendEraKey(dst, prefix, kindChunk, res, era), ref)
	return binary.BigEndian.AppendUint64(dst, uint64(start)^1<<63)
}

// chunkKey is a chunk's key taken apart.
type chunkKey struct {
	era   uint32
	ref   uint64
	start int64
	seq   uint32
}

func (k chunkKey) append(dst []byte, prefix, res byte) []byte {
	return binary.BigEndian.AppendUint32(appendStart(dst, prefix, res, k.era, k.ref, k.start), k.seq)
}

func parseChunkKey(b []byte) (k chunkKey, ok bool) {
	if len(b) != chunkKeyBytes {
		return k, false
	}
	b = b[3:]
	k.era = binary.BigEndian.Uint32(b)
	k.ref = binary.BigEndian.Uint64(b[4:])
	k.start = int64(binary.BigEndian.Uint64(b[12:]) ^ 1<<63)
	k.seq = binary.BigEndian.Uint32(b[20:])
	return k, true
}
