//go:build linux

package netpoll

import "time"

// share says how much one read may take, so that a turn of the loop stays short
// however many connections are readable at once: who has little to say waits
// for a turn before its bytes are seen, and for another before it is answered.
// Few readers read as much as the buffer holds.
type share struct {
	most    int     // bytes of one read in this turn
	perByte float64 // ns that a byte read has cost in turns of late, all of a turn's work counted
	bytes   uint64  // read before this turn
}

const (
	// turnMax is how long a turn is meant to take at most.
	turnMax = 5 * time.Millisecond
	// shareLeast is the least of a read: below it system calls cost more than
	// what they bring.
	shareLeast = 8 << 10
	// turnBytes is from how many bytes on a turn tells what a byte costs.
	turnBytes = 64 << 10
)

// begin divides a turn among readers, of which each reads at most buffer bytes.
func (s *share) begin(readers, buffer int, bytes uint64) {
	s.bytes = bytes
	s.most = buffer
	if s.perByte > 0 && readers > 1 {
		s.most = min(max(int(float64(turnMax)/s.perByte)/readers, shareLeast), buffer)
	}
}

// worth reports whether the turn is to be measured, given the bytes read by now.
func (s *share) worth(bytes uint64) bool { return bytes-s.bytes >= turnBytes }

// end measures a turn that took so many ns.
func (s *share) end(took int64, bytes uint64) {
	per := float64(took) / float64(bytes-s.bytes)
	if s.perByte == 0 {
		s.perByte = per
	} else {
		s.perByte += (per - s.perByte) / 8
	}
}
