package wal

import (
	"sync/atomic"
	"time"
)

// While a writer waits for the log, the sealer waits for it, looking again every
// sealPause, until it is sealPatience stretches behind.
//
// It waits longer for who reads in order, comes before it, and has fallen behind: what
// that one has not read when it is sealed costs it several times as much, and it would
// never get to the end again. Meanwhile blocks may take 1 in 1<<sealSpare of the room on
// the disk, or of what retention leaves the log, where that is more.
const (
	sealPause    = 20 * time.Millisecond
	sealPatience = 16
	sealSpare    = 3
)

// sealUnreadEvery is how often the sealer asks whether what it waits for was read.
const sealUnreadEvery = time.Second

// pressure counts signs that somebody waits.
type pressure struct {
	signs atomic.Uint64
	seen  uint64 // by the sealer
}

// more tells whether there were signs since it was last called.
func (p *pressure) more() bool {
	n := p.signs.Load()
	more := n != p.seen
	p.seen = n
	return more
}

// patient tells whether the sealer may let writers go first.
func (s *sealer) patient() bool {
	return s.yields && s.hot.Load() < s.l.keptHot()+sealPatience*s.l.o.Seal.Bytes
}

// patientReading tells whether it may let those go first who read in order. A full
// disk needs the room that sealing gives back.
func (s *sealer) patientReading() bool {
	return (s.patient() || s.yields && s.hot.Load() < s.spare) && s.l.Wall() == nil
}

// readersFirst tells whether the next stretch waits for a follower.
func (s *sealer) readersFirst() bool {
	s.measure()
	return s.trailed.more() && s.patientReading()
}

// measure finds how much of the disk blocks may take.
func (s *sealer) measure() {
	s.spare = 0
	if free, err := s.l.o.DiskFree(s.l.dir); err == nil && free > s.l.o.DiskMin {
		room := free - s.l.o.DiskMin + uint64(s.hot.Load())
		if most := s.l.o.Retain.Bytes; most > 0 {
			room = min(room, most)
		}
		s.spare = int64(room >> sealSpare)
	}
}

// unread is the offset from which on blocks stay for those who have to read them,
// and whether there is one.
func (s *sealer) unread() (uint64, bool) {
	f := s.l.o.Seal.Unread
	if f == nil || !s.patientReading() {
		return 0, false
	}
	return f(), true
}

// giveWay is called between small pieces of work. The store is tidied meanwhile:
// it is while much is written that it has to be.
func (s *sealer) giveWay() {
	s.tidy()
	for s.pressed.more() && s.patient() {
		s.tidy()
		select {
		case <-time.After(sealPause):
		case <-s.ctx.Done():
			return
		}
	}
}
