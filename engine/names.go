//go:build linux

package engine

// names keeps short strings (a link's default agent id) in slabs without
// pointers, one per size class: a length byte, then the bytes. Loop thread only.
type names struct {
	class [len(nameSizes)]nameClass
}

// nameSizes are the slot sizes, length byte included. The last holds an id of
// 128 bytes.
var nameSizes = [...]int{16, 24, 40, 72, 129}

// nameChunk is the number of slots that are allocated together.
const nameChunk = 256

type nameClass struct {
	chunks [][]byte
	used   uint32 // slots ever given out
	free   []uint32
}

// nameRef names a kept string: class << 28 | slot + 1. 0 is the empty string.
type nameRef uint32

// keep copies s, which is at most 128 bytes long.
func (t *names) keep(s []byte) nameRef {
	if len(s) == 0 {
		return 0
	}
	k := 0
	for nameSizes[k] < len(s)+1 {
		k++
	}
	c, size := &t.class[k], nameSizes[k]
	var slot uint32
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
	} else {
		if int(c.used) == len(c.chunks)*nameChunk {
			c.chunks = append(c.chunks, make([]byte, nameChunk*size))
		}
		slot = c.used
		c.used++
	}
	at := int(slot%nameChunk) * size
	b := c.chunks[slot/nameChunk][at : at+size]
	b[0] = byte(len(s))
	copy(b[1:], s)
	return nameRef(uint32(k)<<28 | slot + 1)
}

// get returns the kept string, valid until drop.
func (t *names) get(r nameRef) []byte {
	if r == 0 {
		return nil
	}
	k, slot := r>>28, uint32(r&(1<<28-1))-1
	size := nameSizes[k]
	at := int(slot%nameChunk) * size
	b := t.class[k].chunks[slot/nameChunk][at : at+size]
	return b[1 : 1+b[0]]
}

// drop gives the slot back.
func (t *names) drop(r nameRef) {
	if r != 0 {
		c := &t.class[r>>28]
		c.free = append(c.free, uint32(r&(1<<28-1))-1)
	}
}
