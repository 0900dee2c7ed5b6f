package capacity

// What of a host a plan gives away. The rest is for what a steady load does not
// show.
const (
	// CPUShare is of the CPU that was measured sustained. Beyond it queues grow: at
	// 80 % of the most the slowest hundredth of acknowledgements took six times as
	// long as at 25 %. And after a restart or a disturbance views have to catch up
	// with what came meanwhile, beside what comes.
	CPUShare = 0.70
	// MemoryShare is what the server takes as its heap's soft limit.
	MemoryShare = 0.80
	// DiskShare leaves room for rewriting: sealing and merging write the new before
	// they drop the old.
	DiskShare = 0.85
	// DescriptorShare leaves a tenth for a burst of reconnects, whose old sockets are
	// not yet closed, and for requests.
	DescriptorShare = 0.90
)

const (
	// Garbage is how many times what lives the heap grows to: the collector lets as
	// much garbage gather, at least.
	Garbage = 2
	// viewerMax is the bound of bytes waiting for a viewer.
	viewerMax = 1 << 20
	// segment and header are what TCP/IP over Ethernet puts around the bytes of a
	// connection: 66 bytes for each frame, or each 1,448 bytes of a long one.
	segment, header = 1448, 66

	daySeconds   = 86_400
	monthSeconds = 365.25 / 12 * daySeconds
)

// Names of needs, as programs know them.
const (
	CPU         = "cpu"
	Memory      = "memory"
	Descriptors = "descriptors"
	Disk        = "disk"
	DiskWrites  = "disk_writes"
	DiskOps     = "disk_operations"
	NetworkIn   = "network_in"
	NetworkOut  = "network_out"
)

// Need is how much of one resource a load takes, split into what it is for.
type Need struct {
	Name    string   `json:"name"`
	Unit    string   `json:"unit"`              // cores, bytes, descriptors, bytes/s, operations/s
	Value   float64  `json:"value"`             // the sum of the parts
	Has     float64  `json:"has,omitempty"`     // what the host has of it, 0 if not known
	Usable  float64  `json:"usable,omitempty"`  // what a plan gives away of that
	Parts   []Part   `json:"parts,omitempty"`   // what it is for
	Missing []string `json:"missing,omitempty"` // what was not measured and is not in Value, so that it is a lower bound
	Says    string   `json:"says"`              // what to do with it

	fixed  float64 // of Value, whatever the number of agents
	grows  float64 // the rest of it
	bounds bool    // the host has so much of it and no more
	open   string  // why that is no limit all the same
}

// Part is one contribution to a need.
type Part struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Known tells whether anything of the need was measured.
func (n *Need) Known() bool { return len(n.Parts) > 0 }

// AtLeast tells whether the need is a lower bound: something in it was not measured.
func (n *Need) AtLeast() bool { return len(n.Parts) > 0 && len(n.Missing) > 0 }

// Used is the part of what may be used that the load takes; 0 if either is not known.
func (n *Need) Used() float64 {
	if n.Usable <= 0 {
		return 0
	}
	return n.Value / n.Usable
}

// add puts in what many times each cost; fixed parts do not grow with the agents.
// Of a cost that was not measured the name is kept instead.
func (n *Need) add(name string, many, each float64, fixed bool) {
	switch {
	case many <= 0:
		return
	case each <= 0:
		n.Missing = append(n.Missing, name)
		return
	}
	if fixed {
		n.fixed += many * each
	} else {
		n.grows += many * each
	}
	n.Value = n.fixed + n.grows
	n.Parts = append(n.Parts, Part{name, many * each})
}
