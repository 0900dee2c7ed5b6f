package tsdb

import "encoding/binary"

// arena hands out byte slots of a few sizes from large pages, so that the
// bytes of a million open runs are a few objects to the garbage collector. A
// slot is named by its size class and number; number 0 is never given out.
type arena struct {
	classes [len(slotSizes)]slots
}

// slotSizes are the sizes of a run's bytes; the last bounds a run.
var slotSizes = [...]int{16, 32, 48, 64, 96, 128, 192, 256, 384, 512}

const (
	runBytesMax = 512
	pageBytes   = 24 << 10
)

type slots struct {
	pages [][]byte
	next  uint32 // first number never given out
	free  uint32 // head of the list of returned slots, linked through them
}

// classFor returns the smallest class of at least n bytes.
func classFor(n int) uint8 {
	c := 0
	for slotSizes[c] < n {
		c++
	}
	return uint8(c)
}

// get returns slot n of class c.
func (a *arena) get(c uint8, n uint32) []byte {
	size := slotSizes[c]
	per := uint32(pageBytes / size)
	off := int(n%per) * size
	return a.classes[c].pages[n/per][off : off+size : off+size]
}

// take returns the number of an unused slot of class c.
func (a *arena) take(c uint8) uint32 {
	s := &a.classes[c]
	if n := s.free; n != 0 {
		s.free = binary.LittleEndian.Uint32(a.get(c, n))
		return n
	}
	if s.next == 0 {
		s.next = 1
	}
	n := s.next
	s.next++
	if int(n)/(pageBytes/slotSizes[c]) == len(s.pages) {
		s.pages = append(s.pages, make([]byte, pageBytes))
	}
	return n
}

// give returns slot n of class c.
func (a *arena) give(c uint8, n uint32) {
	s := &a.classes[c]
	binary.LittleEndian.PutUint32(a.get(c, n), s.free)
	s.free = n
}

// bytes returns the memory of the pages.
func (a *arena) bytes() (n int) {
	for i := range a.classes {
		n += len(a.classes[i].pages) * pageBytes
	}
	return n
}
