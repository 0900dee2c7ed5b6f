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
	flSpilled // open, and no longer in memory's set of open spans
	flApart   // neither the agent of its parent nor its run leads to it from its parent
	flGuest   // its agent is not the owner of its run
	flMoved   // its hash is not the one of its id: another span has that
	flOlder   // an older generation or the store has a version of it; not stored
	flAgain   // the newest generation has a version of it; not stored
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

// span is a row in memory: what every one has, three lines, and the rest.
type span struct {
	hot
	cold
}

type hot struct {
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
	was      uint32 // era of the version in the store, of one that is in an older generation or there; not stored
	typ      uint8
	status   uint8
	severity uint8
	flags    uint8
	tsFrom   uint8
	used     bool // usage is told
	rich     bool // cold may be other than zero
	id       string
	name     string
	runID    string
	parent   string
	space    string
}

type cold struct {
	to      string
	task    string
	session string
	kind    string
	msg     string
	errCode string
	errMsg  string
	usage   usage
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
	run    key    // the run's own span, zero = none seen
	dirty  bool   // not saved
	saving bool   // in the last batch; not saved
	era    uint32 // in which it was last saved
	used   uint64
	left   bool // it is no longer in memory's set
}

const (
	tallyAgents = 4096
	tallyMax    = 1 << 16 // runs in memory; the least recently used go to the store
)

// counts of one agent: by type and status. The rest is at hand because agents
// name the same parent and run again and again; it is not saved, and nothing
// but time depends on it.
type counts struct {
	up    parent
	run   *tally
	in    bool   // the agent is among those of run
	space string // of the agent
	seed  uint64 // of the space
	n     [typeMax][statusMax]uint32
}

// parent is what a child needs to know of it, none of which changes.
type parent struct {
	key
	hash  uint64
	run   uint64 // as it was; one that is told later leaves its children apart
	agent uint32
	id    string
}

// countsPage is how many agents' counts share a key, as a power of two.
const countsPage = 6

// openSlots is how many keys the snapshot of open spans has.
const openSlots = 1 << 12

func openSlot(h uint64) int { return int(h >> 52) }
