package views

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
)

// The runner's own rows:
//
//	0x01 c name              magic 0xEA | format 2 | fold's version u32 | log id 16 B |
//	                         epoch u32 | next u64 | digests u64 | crc32c u32, all LE
//	0x01 d name NUL page     digests of 256 producers (page u32 BE), see block.Digests
//	0x01 p name NUL offset   the record at offset (u64 BE) is set aside; why, as text
//
// next is the first offset that the fold has not applied, digests the first one
// that its digests are of, 0 for none. Format 1 has no digests.
const (
	keyPrefix   = 0x01
	keyCursor   = 'c'
	keyDigests  = 'd'
	keyPoison   = 'p'
	cursorMagic = 0xEA
	cursorForm  = 2
	cursorBytes = 2 + 4 + 16 + 4 + 8 + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cursor is where a fold's snapshot stands.
type cursor struct {
	version uint32
	log     [16]byte
	epoch   uint32
	next    uint64
	digests uint64
}

func cursorKey(name string) []byte { return append([]byte{keyPrefix, keyCursor}, name...) }

func (c *cursor) append(b []byte) []byte {
	b = append(b, cursorMagic, cursorForm)
	b = binary.LittleEndian.AppendUint32(b, c.version)
	b = append(b, c.log[:]...)
	b = binary.LittleEndian.AppendUint32(b, c.epoch)
	b = binary.LittleEndian.AppendUint64(b, c.next)
	b = binary.LittleEndian.AppendUint64(b, c.digests)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseCursor(b []byte) (c cursor, err error) {
	form1 := len(b) == cursorBytes-8 && b[1] == 1
	if !form1 && (len(b) != cursorBytes || b[1] != cursorForm) || b[0] != cursorMagic {
		return c, fmt.Errorf("%w: %d bytes, begins %x", errCorrupt, len(b), b[:min(len(b), 2)])
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return c, fmt.Errorf("%w: crc", errCorrupt)
	}
	c.version = binary.LittleEndian.Uint32(b[2:])
	copy(c.log[:], b[6:])
	c.epoch = binary.LittleEndian.Uint32(b[22:])
	c.next = binary.LittleEndian.Uint64(b[26:])
	if !form1 {
		c.digests = binary.LittleEndian.Uint64(b[34:])
	}
	return c, nil
}

// readCursor reads a fold's cursor; ok is false when it has none.
func readCursor(r pebble.Reader, name string) (c cursor, ok bool, err error) {
	v, closer, err := r.Get(cursorKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	defer closer.Close()
	c, err = parseCursor(v)
	return c, err == nil, err
}

func poisonKey(name string, offset uint64) []byte {
	b := append([]byte{keyPrefix, keyPoison}, name...)
	return binary.BigEndian.AppendUint64(append(b, 0), offset)
}

// SetAside reads which records a fold of that name has set aside, and why: who
// folds the log again leaves them out too.
func SetAside(r pebble.Reader, name string) (map[uint64]string, error) { return readPoison(r, name) }

// readPoison reads which records a fold has set aside, and why.
func readPoison(r pebble.Reader, name string) (map[uint64]string, error) {
	lower := append(append([]byte{keyPrefix, keyPoison}, name...), 0)
	upper := append(append([]byte{keyPrefix, keyPoison}, name...), 1)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	set := map[uint64]string{}
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != len(lower)+8 {
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			it.Close()
			return nil, err
		}
		set[binary.BigEndian.Uint64(k[len(lower):])] = string(v)
	}
	return set, it.Close()
}
