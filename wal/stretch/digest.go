package stretch

import (
	"encoding/binary"

	"eyrie/wal/block"

	"github.com/cespare/xxhash/v2"
)

// Digest sums a 64-bit hash of every record of b: all of its envelope and its
// payload. The order does not matter, so the sum over the chunks of a stretch
// is that over its blocks. It finds mistakes, not malice.
func Digest(b *block.Block) (sum uint64) {
	var r block.Record
	for i := range b.Len() {
		b.Load(i, &r)
		sum += digest(&r)
	}
	return sum
}

// Digest is the sum for the records of p, ChunkInfo.Digest of an intact chunk.
func (p *Part) Digest() (sum uint64) {
	var r block.Record
	for i := range p.Len() {
		p.Load(i, &r)
		sum += digest(&r)
	}
	return sum
}

func digest(r *block.Record) uint64 {
	var e [48]byte
	le := binary.LittleEndian
	le.PutUint64(e[:], r.Offset)
	le.PutUint64(e[8:], uint64(r.Recv))
	le.PutUint64(e[16:], r.Seq)
	le.PutUint64(e[24:], uint64(r.Producer)|uint64(r.Agent)<<32)
	le.PutUint64(e[32:], uint64(r.Key)|uint64(r.Kind)<<32|uint64(r.Class)<<40|uint64(r.Flags)<<48)
	le.PutUint64(e[40:], xxhash.Sum64(r.Payload))
	return xxhash.Sum64(e[:])
}
