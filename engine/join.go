//go:build linux

package engine

import (
	"math/bits"
	"unsafe"

	"github.com/gobwas/ws"
)

// join is a message that does not lie in one piece in the read buffer: one in
// fragments, or in a frame too large to be left with netpoll until it is whole.
type join struct {
	buf   []byte
	plain []byte    // what buf has yielded so far
	z     *inflater // at work on buf
	rest  int64     // bytes of the current frame's payload still to come
	mask  uint32    // of the current frame
	at    int       // bytes of the current frame taken so far
	valid int       // bytes known to be whole runes (text only)
	op    ws.OpCode
	fin   bool // the current frame is the last
	whole bool // nothing to come: to be delivered
	// packed says that buf is compressed; what it yields is in plain.
	packed bool
}

// joins keeps a loop's messages in parts and the buffers behind them. Loop
// thread only.
type joins struct {
	list  []join
	free  []uint32
	bufs  [joinClasses][][]byte
	kept  int // bytes in bufs
	held  int // bytes in list
	limit int // bound of held
	idle  *inflater
}

const (
	joinSmallest  = 10 // log2 of the smallest buffer
	joinClasses   = 32 - joinSmallest
	joinKeptBytes = 4 << 20 // buffers kept for reuse
)

// open starts a message and returns 1 + its index.
func (t *joins) open(op ws.OpCode, packed bool) uint32 {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		t.list[i] = join{op: op, packed: packed}
		return i + 1
	}
	t.list = append(t.list, join{op: op, packed: packed})
	return uint32(len(t.list))
}

func (t *joins) at(ref uint32) *join { return &t.list[ref-1] }

// grow makes room for n more bytes in a join's b; false means that the loop's
// bound on messages in parts is reached.
func (t *joins) grow(b *[]byte, n int) bool {
	need := len(*b) + n
	if need <= cap(*b) {
		return true
	}
	k := max(bits.Len(uint(need-1)), joinSmallest)
	size := 1 << k
	if t.held+size-cap(*b) > t.limit {
		return false
	}
	var buf []byte
	if c := &t.bufs[k-joinSmallest]; len(*c) > 0 {
		last := len(*c) - 1
		buf = (*c)[last]
		(*c)[last] = nil
		*c = (*c)[:last]
		t.kept -= size
	} else {
		buf = make([]byte, 0, size)
	}
	t.held += size
	buf = append(buf, *b...)
	t.recycle(*b)
	*b = buf
	return true
}

// recycle takes a buffer out of held and keeps it if there is room.
func (t *joins) recycle(buf []byte) {
	size := cap(buf)
	if size == 0 {
		return
	}
	t.held -= size
	if t.kept+size <= joinKeptBytes {
		k := bits.Len(uint(size-1)) - joinSmallest
		t.bufs[k] = append(t.bufs[k], buf[:0])
		t.kept += size
	}
}

// drop ends a message.
func (t *joins) drop(ref uint32) {
	j := t.at(ref)
	t.unpack(j)
	t.recycle(j.buf)
	*j = join{}
	t.free = append(t.free, ref-1)
}

// inflaterBytes is what an inflater adds to held.
const inflaterBytes = int(unsafe.Sizeof(inflater{}))

// pack makes a whole compressed message ready to be inflated; false as for grow.
func (t *joins) pack(j *join) bool {
	if t.held+inflaterBytes > t.limit || !t.grow(&j.buf, len(inflateTail)) {
		return false
	}
	j.buf = append(j.buf, inflateTail[:]...)
	if j.z, t.idle = t.idle, nil; j.z == nil {
		j.z = new(inflater)
	}
	t.held += inflaterBytes
	j.z.start(j.buf)
	return true
}

// unpack ends the inflating of a message: what there is of it takes the place
// of what it was made of.
func (t *joins) unpack(j *join) {
	if j.z == nil {
		return
	}
	j.z.in = nil
	t.idle, j.z = j.z, nil
	t.held -= inflaterBytes
	t.recycle(j.buf)
	j.buf, j.plain, j.packed = j.plain, nil, false
}

// text checks what there is of a text message; false means that it cannot
// become valid UTF-8.
func (j *join) text(b []byte, final bool) bool {
	n, ok := validPrefix(b[j.valid:], final)
	j.valid += n
	return ok
}
