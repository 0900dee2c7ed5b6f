//go:build linux

package netpoll

import (
	"encoding/binary"
	"math/bits"
)

// ref names a cell: arena << 10 | index in it. Zero is none.
type ref uint32

const (
	cellLogMin  = 6 // 64 B
	cellClasses = 25
	cellIndex   = 10
	arenaBytes  = 64 << 10 // and one cell for larger classes
	spareMax    = 1 << 20  // larger arenas are never kept empty
	indexMask   = 1<<cellIndex - 1
)

// cells hands out byte cells of 64 B, 128 B … 1 GiB for bytes that cannot go
// on yet. Cells of a class share arenas; an arena without users returns to the
// garbage collector, but for one spare per class which trim drops.
type cells struct {
	arenas  []arena // by number; 0 is never used
	vacant  []uint32
	partial [cellClasses]uint32 // arenas with room, doubly linked
	bytes   int                 // in all arenas
}

type arena struct {
	buf        []byte
	class      uint8
	used       uint16 // cells in use
	fresh      uint16 // cells from here on were never used
	free       uint16 // index+1 of the first free cell below fresh; its first two bytes name the next
	prev, next uint32 // in partial
}

// classOf is the smallest class that holds n bytes.
func classOf(n int) int {
	if n <= 1<<cellLogMin {
		return 0
	}
	return bits.Len(uint(n-1)) - cellLogMin
}

func cellSize(class int) int { return 1 << (cellLogMin + class) }

func cellsPerArena(class int) int { return max(1, arenaBytes>>(cellLogMin+class)) }

// take returns a cell of at least n bytes, with whatever is in it.
func (s *cells) take(n int) ref {
	class := classOf(n)
	num := s.partial[class]
	if num == 0 {
		num = s.open(class)
	}
	a := &s.arenas[num]
	i := a.fresh
	if a.free != 0 {
		i = a.free - 1
		a.free = binary.LittleEndian.Uint16(a.buf[int(i)<<(cellLogMin+class):])
	} else {
		a.fresh++
	}
	a.used++
	if int(a.used) == cellsPerArena(class) {
		s.unlink(num)
	}
	return ref(num<<cellIndex | uint32(i))
}

// at returns all bytes of a cell.
func (s *cells) at(r ref) []byte {
	a := &s.arenas[r>>cellIndex]
	size := cellSize(int(a.class))
	off := int(r&indexMask) * size
	return a.buf[off : off+size : off+size]
}

// give returns a cell.
func (s *cells) give(r ref) {
	num := uint32(r >> cellIndex)
	a := &s.arenas[num]
	class := int(a.class)
	binary.LittleEndian.PutUint16(s.at(r), a.free)
	a.free = uint16(r&indexMask) + 1
	if int(a.used) == cellsPerArena(class) {
		s.link(num)
	}
	if a.used--; a.used == 0 && (len(a.buf) > spareMax || a.prev != 0 || a.next != 0) {
		s.drop(num)
	}
}

// trim drops the spare arenas.
func (s *cells) trim() {
	for _, num := range s.partial {
		for num != 0 {
			next := s.arenas[num].next
			if s.arenas[num].used == 0 {
				s.drop(num)
			}
			num = next
		}
	}
}

func (s *cells) open(class int) uint32 {
	if len(s.arenas) == 0 {
		s.arenas = append(s.arenas, arena{})
	}
	var num uint32
	if n := len(s.vacant); n > 0 {
		num, s.vacant = s.vacant[n-1], s.vacant[:n-1]
	} else {
		num = uint32(len(s.arenas))
		s.arenas = append(s.arenas, arena{})
	}
	size := cellSize(class) * cellsPerArena(class)
	s.arenas[num] = arena{buf: make([]byte, size), class: uint8(class)}
	s.bytes += size
	s.link(num)
	return num
}

func (s *cells) drop(num uint32) {
	s.unlink(num)
	s.bytes -= len(s.arenas[num].buf)
	s.arenas[num] = arena{}
	s.vacant = append(s.vacant, num)
}

func (s *cells) link(num uint32) {
	a := &s.arenas[num]
	head := &s.partial[a.class]
	a.prev, a.next = 0, *head
	if *head != 0 {
		s.arenas[*head].prev = num
	}
	*head = num
}

func (s *cells) unlink(num uint32) {
	a := &s.arenas[num]
	if a.prev != 0 {
		s.arenas[a.prev].next = a.next
	} else {
		s.partial[a.class] = a.next
	}
	if a.next != 0 {
		s.arenas[a.next].prev = a.prev
	}
	a.prev, a.next = 0, 0
}
