package fleet

import "slices"

const (
	ringMinutes = 15
	minute      = int64(60e9)
	// openMax bounds the open spans kept per agent; beyond it the oldest is
	// forgotten: its end then counts as an end without a start.
	openMax = 64
	// endedMax is how many ended spans an agent remembers, so that a second
	// end is no second span.
	endedMax = 8
	labelMax = 32
)

// state, cause and author are the words of the protocol as bytes.
type state uint8

const (
	stUnknown state = iota
	stStarting
	stRunning
	stWaiting
	stIdle
	stPaused
	stDone
	stFailed
)

var stateNames = [...]string{"unknown", "starting", "running", "waiting", "idle", "paused", "done", "failed"}
var onNames = [...]string{"", "person", "agent", "tool", "model", "quota"}
var byNames = [...]string{"fold", "agent", "hook", "command"}

const (
	onPerson = 1
	byFold   = 0
	byAgent  = 1
)

// index finds a word; absent words answer 0.
func index(names []string, b []byte) uint8 {
	for i, n := range names {
		if n == string(b) {
			return uint8(i)
		}
	}
	return 0
}

var qualityNames = [...]string{"exact", "estimated", "lower_bound"}

// usage is kept per open span and per agent.
type usage struct {
	tok     [5]int64 // input, output, cache read, cache write, reasoning
	cost    int64
	quality uint8
}

// add adds b - c, the change of one span's report.
func (u *usage) add(b, c *usage) {
	for i := range u.tok {
		u.tok[i] += b.tok[i] - c.tok[i]
	}
	u.cost += b.cost - c.cost
	u.quality = max(u.quality, b.quality)
}

func (u *usage) tokens() (n int64) {
	for _, t := range u.tok[:4] { // reasoning tokens are part of the output
		n += t
	}
	return n
}

// span is an open span in an agent's hands.
type span struct {
	hash  uint64
	typ   uint8
	since int64 // event time, ns
	call  uint64
	id    string // of runs, tasks and asks only
	name  string
	msg   string // asks only
	kind  string
	run   string // run id of a run span
	from  string // tasks: who delegated
	usage *usage
}

// verdict is one judgement in force.
type verdict struct {
	kind     uint8
	rule     uint8
	since    int64
	n        int64 // the rule's figure: repetitions, missed ms, cost
	what     string
	evidence []uint64
}

// streak is a row of like things: repeated calls, failed calls.
type streak struct {
	hash  uint64 // of the call; 0 = none
	out   uint64 // of the last good answer
	n     uint32
	first int64
	last  int64
	what  string
	offs  [evidenceMax]uint64 // the latest, oldest first
}

func (s *streak) add(ts int64, off uint64) {
	if s.n == 0 {
		s.first = ts
	}
	s.n++
	s.last = ts
	if s.n <= evidenceMax {
		s.offs[s.n-1] = off
		return
	}
	copy(s.offs[:], s.offs[1:])
	s.offs[evidenceMax-1] = off
}

func (s *streak) evidence() []uint64 {
	return slices.Clone(s.offs[:min(s.n, evidenceMax)])
}

// ring counts by minute of event time.
type ring struct {
	minute int64 // of the newest cell
	events [ringMinutes]uint32
	cost   [ringMinutes]int64
}

// at returns the cell of a minute, or -1 when it is older than the ring.
func (r *ring) at(m int64) int {
	if m > r.minute {
		r.turn(m)
	}
	if m <= r.minute-ringMinutes {
		return -1
	}
	return int(((m % ringMinutes) + ringMinutes) % ringMinutes)
}

func (r *ring) turn(m int64) {
	for i := max(r.minute+1, m-ringMinutes+1); i <= m; i++ {
		c := ((i % ringMinutes) + ringMinutes) % ringMinutes
		r.events[c], r.cost[c] = 0, 0
	}
	r.minute = m
}

// read returns the ring as it stands at minute now, oldest first.
func (r *ring) read(now int64) (ev [ringMinutes]uint32, cost int64) {
	for i := range int64(ringMinutes) {
		m := now - ringMinutes + 1 + i
		if m > r.minute || m <= r.minute-ringMinutes {
			continue
		}
		c := ((m % ringMinutes) + ringMinutes) % ringMinutes
		ev[i] = r.events[c]
		cost += r.cost[c]
	}
	return ev, cost
}

type label struct{ k, v string }

// agent is the state of one agent. Strings that repeat are interned. What most
// events touch comes first and lies close: approach fetches it ahead.
type agent struct {
	seed     uint64 // of the space's spans; not saved
	touched  uint64 // generation of Apply that changed it last; not saved
	speaker  *producer
	first    int64 // event time
	last     int64
	recv     int64  // clock of the log at the last event
	producer uint32 // the last one that spoke for it
	num      uint32
	dirty    bool // not saved
	state    state
	on       uint8
	by       uint8
	gone     bool // ended by inference: nothing was heard for goneAfter
	said     bool // a state was declared: the fold implies none any more
	pastNext uint8
	summed   summed   // not saved
	sums     *summary // of its space; not saved

	lastOff   uint64
	open      []span
	ended     int64
	since     int64
	heartbeat int64
	gap       int64 // clock at which numbers were lost

	counts [12]uint64
	past   [endedMax]uint64
	ring   ring
	usage  usage
	budget int64

	verdicts []verdict
	session  string
	repeat   streak
	failing  streak

	space, id                              string
	name, role, host, version, model, kind string
	manager                                string
	managerSaid                            bool // declared, not inferred from a delegation
	labels                                 []label
	place                                  int // in the producer's list; not saved
	msg                                    string
	gapOff                                 uint64
	workers                                uint32
	lastRun                                string
	failOff                                uint64 // record that said failed
}

const (
	cEvents = iota
	cRuns
	cTasks
	cLLM
	cTools
	cAsks
	cMessages
	cErrors
	cFailed
	cDenied
	cCancelled
	cShed
)

func (a *agent) find(hash uint64) int {
	for i := range a.open {
		if a.open[i].hash == hash {
			return i
		}
	}
	return -1
}

// latest returns the newest open span of a type.
func (a *agent) latest(typ uint8) *span {
	for i := len(a.open) - 1; i >= 0; i-- {
		if a.open[i].typ == typ {
			return &a.open[i]
		}
	}
	return nil
}

func (a *agent) remember(hash uint64) {
	a.past[a.pastNext%endedMax] = hash
	a.pastNext = (a.pastNext + 1) % endedMax
}

func (a *agent) remembers(hash uint64) bool {
	return hash != 0 && slices.Contains(a.past[:], hash)
}
