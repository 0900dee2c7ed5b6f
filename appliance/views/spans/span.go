package spans

import "eyrie/engine/wire"

// status of a row: the protocol's words, and open.
const (
	stOpen    = 8
	statusMax = 9
	typeMax   = 7
	stUnknown = uint8(wire.StatusUnknown)
	textMax   = 200 // bytes of msg and error kept in a row
	openMax   = 1 << 18
	skewNs    = int64(5 * 60e9)
)

// flags of a row.
const (
	flNoStart = 1 << iota
	flStored  // the store holds the row under its key already
	flSaved   // the store's snapshot of open spans holds it
	flSpilled // open, and no longer in memory's set of open spans
	flApart   // its parent is another agent's, or was not open
	flGuest   // its agent is not the owner of its run
	flDirty   // open and changed since the last Save
)

type usage struct {
	model   string
	tok     [5]int64
	cost    int64
	quality uint8
}

// key orders rows: start as first known, then the offset of the first record.
// It never changes, so that cursors stay good.
type key struct {
	start int64
	off   uint64
}

func (k key) less(o key) bool {
	if k.start != o.start {
		return k.start < o.start
	}
	return k.off < o.off
}

// span is a row in memory.
type span struct {
	key
	hash     uint64 // of space and id
	run      uint64 // hash of space and run id, 0 = none
	up       uint64 // hash of space and parent id, 0 = none
	began    int64  // ns; differs from key.start where a start came late
	end      int64
	endOff   uint64
	startOff uint64 // of a start that came late, 0 = key.off
	agent    uint32
	ends     uint32
	attempt  int32
	typ      uint8
	status   uint8
	severity uint8
	flags    uint16
	tsFrom   uint8
	space    string
	id       string
	parent   string
	name     string
	to       string
	runID    string
	task     string
	session  string
	kind     string
	msg      string
	errCode  string
	errMsg   string
	usage    *usage
}

// tally adds up one run.
type tally struct {
	hash   uint64
	space  string
	id     string
	owner  uint32 // the agent whose index holds its spans; others' have keys of their own
	first  int64  // earliest and latest start among the keys of its spans
	last   int64
	spans  uint64
	tools  uint64
	errors uint64
	agents []uint32 // sorted, at most tallyAgents
	usage  usage
	run    key  // the run's own span, zero = none seen
	dirty  bool // not saved
	saving bool // in the last batch; not saved
	used   uint64
}

const (
	tallyAgents = 4096
	tallyMax    = 1 << 16 // runs in memory; the least recently used go to the store
)

// counts of one agent: by type and status.
type counts struct {
	n     [typeMax][statusMax]uint32
	dirty bool
}
