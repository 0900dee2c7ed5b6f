package blobs

import (
	"crypto/sha256"
	"encoding/binary"

	"eyrie/wal/blob"
)

// Rows in the views store, all below Prefixes; integers in keys are big-endian:
//
//	'x' 'o' offset 8 | room 16 | SHA-256 32   the event there names the blob: agent u32 little-endian | space
//	'x' 'n' room 16 | SHA-256 32 | offset 8   the same, by what it names: empty
//
// A room stands for a space: the first half of its SHA-256.
const (
	// Prefixes are the first bytes of all keys of the view.
	Prefixes = "x"

	byOffset = 'o'
	byName   = 'n'
	nameLen  = 2 + 16 + 32
)

// row is one naming of a blob.
type row struct {
	offset uint64
	agent  uint32
	key    blob.Key
}

func (r *row) offsetKey() []byte {
	k := binary.BigEndian.AppendUint64([]byte{Prefixes[0], byOffset}, r.offset)
	return append(k, nameKey(r.key)[2:]...)
}

func (r *row) nameKey() []byte {
	return binary.BigEndian.AppendUint64(nameKey(r.key), r.offset)
}

// nameKey is what all rows by name of a blob begin with.
func nameKey(k blob.Key) []byte {
	room := sha256.Sum256([]byte(k.Space))
	b := append(make([]byte, 0, nameLen+8), Prefixes[0], byName)
	return append(append(b, room[:16]...), k.Sum[:]...)
}

func (r *row) value() []byte {
	return append(binary.LittleEndian.AppendUint32(nil, r.agent), r.key.Space...)
}

// decode reads a row by offset.
func (r *row) decode(k, v []byte) bool {
	if len(k) != nameLen+8 || len(v) < 4 {
		return false
	}
	r.offset = binary.BigEndian.Uint64(k[2:])
	r.agent = binary.LittleEndian.Uint32(v)
	r.key.Space = string(v[4:])
	copy(r.key.Sum[:], k[nameLen+8-32:])
	return true
}

// offsetBound is where rows by offset begin that are not below that one.
func offsetBound(offset uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{Prefixes[0], byOffset}, offset)
}
