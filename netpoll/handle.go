package netpoll

// Handle names one connection for as long as it is on its loop: loop << 56 |
// generation << 32 | slot. Slots are reused, generations tell the users apart
// (24 bits: a handle kept over 2^24−1 reuses of its slot could meet a
// stranger). Zero is no connection.
type Handle uint64

const (
	genBits = 24
	genMask = 1<<genBits - 1
	// LoopsMax is the largest number of loops a Handle can name.
	LoopsMax = 256
)

func makeHandle(loop int, gen, slot uint32) Handle {
	return Handle(uint64(loop)<<56 | uint64(gen)<<32 | uint64(slot))
}

// Loop is the index of the loop the connection lives on.
func (h Handle) Loop() int { return int(h >> 56) }

// Slot is dense from 0 within a loop, and free for reuse once Close has
// returned: an index for state kept beside netpoll's.
func (h Handle) Slot() uint32 { return uint32(h) }

// Generation tells users of the same slot apart; never 0.
func (h Handle) Generation() uint32 { return uint32(h>>32) & genMask }
