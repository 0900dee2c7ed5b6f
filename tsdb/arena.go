package tsdb

import "encoding/binary"

// arena keeps the bytes of open runs in chains of small cells from large pages:
// a million runs are a few objects to the garbage collector, a run that grows
// copies nothing, and what one run leaves another takes. A cell begins with the
// number of the next one; number 0 is none.
type arena struct {
	pages [][]byte
	next  uint32 // first number never given out
	free  uint32 // head of the chain of returned cells
}

const (
	cellBytes = 32
	cellRoom  = cellBytes - 4
	pageCells = 1024
)

// runBytesMax bounds the bytes of a run.
const runBytesMax = 512

// chain is where a run's bytes are.
type chain struct {
	head, tail uint32
	len        uint16
}

func (a *arena) cell(n uint32) []byte {
	off := n % pageCells * cellBytes
	return a.pages[n/pageCells][off : off+cellBytes : off+cellBytes]
}

func (a *arena) take() uint32 {
	if n := a.free; n != 0 {
		c := a.cell(n)
		a.free = binary.LittleEndian.Uint32(c)
		binary.LittleEndian.PutUint32(c, 0)
		return n
	}
	if a.next == 0 {
		a.next = 1
	}
	n := a.next
	a.next++
	if int(n/pageCells) == len(a.pages) {
		a.pages = append(a.pages, make([]byte, pageCells*cellBytes))
	}
	return n
}

// append adds p to the bytes of c.
func (a *arena) append(c *chain, p []byte) {
	for len(p) > 0 {
		used := int(c.len) % cellRoom
		if used == 0 {
			n := a.take()
			if c.len == 0 {
				c.head = n
			} else {
				binary.LittleEndian.PutUint32(a.cell(c.tail), n)
			}
			c.tail = n
		}
		n := copy(a.cell(c.tail)[4+used:], p)
		c.len += uint16(n)
		p = p[n:]
	}
}

// bytes appends the bytes of c to dst.
func (a *arena) bytes(c *chain, dst []byte) []byte {
	n := c.head
	for left := int(c.len); left > 0; left -= cellRoom {
		cell := a.cell(n)
		dst = append(dst, cell[4:4+min(left, cellRoom)]...)
		n = binary.LittleEndian.Uint32(cell)
	}
	return dst
}

// since appends to dst the bytes of c behind the first from, of which the last
// lies in cell in.
func (a *arena) since(c *chain, from uint16, in uint32, dst []byte) []byte {
	n, used := c.head, 0
	if from > 0 {
		n, used = in, (int(from)-1)%cellRoom+1
	}
	for left := int(c.len - from); left > 0; used = 0 {
		cell := a.cell(n)
		k := min(left, cellRoom-used)
		dst = append(dst, cell[4+used:4+used+k]...)
		left -= k
		n = binary.LittleEndian.Uint32(cell)
	}
	return dst
}

// release gives the cells of c back and empties it.
func (a *arena) release(c *chain) {
	if c.len > 0 {
		binary.LittleEndian.PutUint32(a.cell(c.tail), a.free)
		a.free = c.head
	}
	*c = chain{}
}

// size returns the memory of the pages.
func (a *arena) size() int { return len(a.pages) * pageCells * cellBytes }
