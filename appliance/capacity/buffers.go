package capacity

// Buffers are the sizes that a server chooses by its memory limit, in bytes.
type Buffers struct {
	Cache    int64 // of both stores together
	Memtable int64 // of the views' store, of which there are up to Memtables
	Blocks   int64 // the newest of the log, kept for who follows it
	Stretch  int64 // of the log's blocks, sealed at a time, in SealMemory times as much
}

// How often they are there at most.
const (
	Memtables  = 4
	SealMemory = 4
)

// BuffersOf returns what a server chooses within a limit.
func BuffersOf(limit int64) Buffers {
	return Buffers{
		Cache:    min(max(limit/32, 16<<20), 512<<20),
		Memtable: min(max(limit/64, 16<<20), 128<<20),
		Blocks:   min(max(limit/64, 16<<20), 256<<20),
		Stretch:  min(max(limit/64, 4<<20), 64<<20),
	}
}

// most is what they take together at most.
func (b *Buffers) most() float64 {
	return float64(b.Cache + Memtables*b.Memtable + b.Blocks + SealMemory*b.Stretch)
}

// base is what a server takes on a host with so much memory whatever the load:
// where it is less than that of the machine it was measured on, in proportion to
// the sizes that it chooses.
func (c *Costs) base(memory float64) float64 {
	of := float64(c.Machine.Memory)
	if memory <= 0 || memory >= of {
		return c.MemoryBase
	}
	here, there := BuffersOf(int64(memory*MemoryShare)), BuffersOf(int64(of*MemoryShare))
	return c.MemoryBase * here.most() / there.most()
}
