//go:build linux

package netpoll

// stashed is what a connection needs only while bytes of it wait.
type stashed struct {
	in    ref    // bytes Read did not consume
	inLen uint32 // how many of them

	out     ref    // first cell of what waits to be written
	outLast ref    // last cell
	outOff  uint32 // bytes of the first cell that have gone out
	outLen  uint32 // bytes waiting
}

// stash holds them beside the slab, so that an idle connection does not pay
// for them. Entry 0 is that of connections with nothing waiting: always zero.
// Entries move when the table grows: no pointer to one outlives the next own.
type stash struct {
	list []stashed
	free uint32 // first free entry; its in names the next
	used int
}

// at reads the entry of c.
func (s *stash) at(c *conn) *stashed { return &s.list[c.stash] }

// own returns the entry of c for writing.
func (s *stash) own(c *conn) *stashed {
	if c.stash == 0 {
		if c.stash = s.free; c.stash != 0 {
			s.free = uint32(s.list[c.stash].in)
			s.list[c.stash] = stashed{}
		} else {
			c.stash = uint32(len(s.list))
			s.list = append(s.list, stashed{})
		}
		s.used++
	}
	return &s.list[c.stash]
}

// settle gives the entry of c back if nothing waits any more.
func (s *stash) settle(c *conn) {
	if c.stash == 0 {
		return
	}
	if e := &s.list[c.stash]; e.in|e.out == 0 {
		*e = stashed{in: ref(s.free)}
		s.free, c.stash = c.stash, 0
		s.used--
	}
}

// trim gives the table back after a crowd, when nobody is in it.
func (s *stash) trim() {
	if s.used == 0 && (s.list == nil || len(s.list) > stashKept) {
		s.list, s.free = make([]stashed, 1), 0
	}
}

// stashKept is how many entries an empty table keeps.
const stashKept = 64
