package wal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/block"
)

// A block of which something was forgotten keeps its header, and with it its place
// in the chain of digests, and gets another body. What that is stands under
//
//	'f' base 8   length 4 and CRC32C 4 of the body, CRC32C 4 of these 8 bytes
//
// written in one batch with it, and goes when the block is sealed.
const amendBytes = 12

func amendment(body []byte) []byte {
	le := binary.LittleEndian
	p := le.AppendUint32(make([]byte, 0, amendBytes), uint32(len(body)))
	p = le.AppendUint32(p, crcOf(body))
	return le.AppendUint32(p, crcOf(p))
}

// amended returns h with the length and checksum of the body that stands in the
// place of the first one; false if there is none.
func (l *Log) amended(h *block.Header) (a block.Header, ok bool, err error) {
	err = l.get(key8(prefixAmend, h.Base), func(v []byte) error {
		le := binary.LittleEndian
		if len(v) != amendBytes || crcOf(v[:8]) != le.Uint32(v[8:]) {
			return fmt.Errorf("what stands in the place of the block at offset %d is damaged", h.Base)
		}
		a = *h
		a.BodyLen, a.BodyCRC = int(le.Uint32(v)), le.Uint32(v[4:])
		return nil
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return a, false, nil
	}
	return a, err == nil, err
}

// body lends the body value of the block of h to fn, with a header that describes it.
func (l *Log) body(h *block.Header, fn func(h *block.Header, v []byte) error) error {
	get := func(h *block.Header) error {
		return l.get(key8(prefixBody, h.Base), func(v []byte) error { return fn(h, v) })
	}
	err := get(h)
	var bad *block.CorruptError
	if !errors.As(err, &bad) {
		return notFound(err, h.Base)
	}
	a, ok, aerr := l.amended(h)
	if ok {
		return notFound(get(&a), h.Base)
	}
	return errors.Join(err, aerr)
}
