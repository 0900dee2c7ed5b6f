package fleet

import (
	"sync"
	"sync/atomic"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// Names tells what the log's dictionary says about a dense agent number: a
// fact that never changes once it is written.
type Names interface {
	Agent(num uint32) (space, id string, ok bool)
}

// Changed is told after each Apply which agents' rows may look different (none,
// after a mere tick), and up to which offset. It runs on the goroutine of Apply, outside the lock, and
// must not block; nums is valid during the call.
type Changed func(nums []uint32, offset uint64)

// View is the fleet. Make one with New.
type View struct {
	names   Names
	changed atomic.Pointer[Changed]

	mu      sync.RWMutex
	agents  []*agent          // by dense number; nil where none
	byID    map[string]uint32 // space NUL id
	awaited map[string]*awaited
	holds   map[uint64]holder // open delegated tasks: who has them
	held    sieve             // tells that a hash is not among them
	prods   map[uint32]*producer
	sums    map[string]*summary // by space
	wanting map[uint32]struct{} // agents that want a person now
	due     []int64             // by dense number: the clock at which a timer rule may change the agent
	strings map[string]string
	recent  [256]string // of strings, by a hash that is next to free

	clock   int64
	offset  uint64
	touched []uint32
	apply   uint64
	ticks   int             // of the block at hand
	gone    map[string]bool // awaited entries to delete from the snapshot
	left    map[uint32]bool // producers to delete from the snapshot
	inner   wire.View
	wipe    bool // the next Save deletes what the store holds
	key     []byte
	rec     block.Record
	hashes  [window]uint64 // of the spans that the records at hand name; 0 = none, or not known yet
	sink    uint64
	snaps   snapshots
}

// awaited is what the log said about an agent that has not been seen yet.
type awaited struct {
	manager string
	workers []uint32 // who named it as their manager
	tasks   []span
	dirty   bool
}

// holder says who has an open delegated task: an agent, or one still awaited.
type holder struct {
	num uint32
	key string
}

// producer is a client that speaks for agents, over one link at a time or none.
type producer struct {
	agents []uint32 // that it spoke for last; in no order; not saved
	link   uint64
	open   bool
	closed int64  // clock at which its link closed, 0 = never had one or has one
	off    uint64 // record that closed it
	dirty  bool
}

// awaitedMax bounds what is kept about agents that were named and never seen.
const awaitedMax = 1 << 16

// New returns an empty view. Load it before the first Apply.
func New(names Names) *View {
	v := &View{names: names}
	v.Snapshots(SnapshotOptions{})
	v.reset()
	return v
}

// Name is the view's name in cursors and reports.
func (v *View) Name() string { return "fleet" }

// Version is the version of rules and snapshot: another one means a rebuild.
func (v *View) Version() uint32 { return 5 }

// OnChanged sets the one listener for changed rows; nil for none.
func (v *View) OnChanged(fn Changed) {
	if fn == nil {
		v.changed.Store(nil)
		return
	}
	v.changed.Store(&fn)
}

// Reset forgets everything, as before offset 1; the next Save deletes what the
// store holds.
func (v *View) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	v.wipe = true
}

func (v *View) reset() {
	v.wipe = false
	v.agents, v.due = nil, nil
	v.byID, v.awaited = map[string]uint32{}, map[string]*awaited{}
	v.holds, v.held, v.prods = map[uint64]holder{}, sieve{}, map[uint32]*producer{}
	v.recent = [256]string{}
	v.strings, v.gone, v.left = map[string]string{}, map[string]bool{}, map[uint32]bool{}
	v.sums, v.wanting = map[string]*summary{}, map[uint32]struct{}{}
	v.clock, v.offset = 0, 0
	v.touched = v.touched[:0]
	v.snaps.reset()
}

// Apply folds the records from index from on. vs[i] is the parsed payload of
// record i where that is an event.
func (v *View) Apply(b *block.Block, from int, vs []wire.View) {
	v.foldAll(b, from, vs)
	if v.snapshotDue() {
		v.takeSnapshot()
	}
	if fn := v.changed.Load(); fn != nil {
		(*fn)(v.touched, v.offset)
	}
}

// foldAll holds the lock in a function of its own, so that a record that makes
// the fold panic leaves the view usable.
func (v *View) foldAll(b *block.Block, from int, vs []wire.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.apply++
	v.touched = v.touched[:0]
	for i := from; i < b.Len(); {
		end := min(i+window, b.Len())
		v.approach(b, i, end, vs)
		for first := i; i < end; i++ {
			b.Load(i, &v.rec)
			v.fold(&v.rec, v.hashes[i-first], &vs[i])
		}
	}
	for _, num := range v.touched {
		v.sum(v.agents[num])
	}
	v.worked(b.Len()-from, v.ticks)
	v.ticks = 0
}

// touch marks an agent as changed: to be saved, and to be shown.
func (v *View) touch(a *agent) {
	a.dirty = true
	if a.touched != v.apply {
		a.touched = v.apply
		v.touched = append(v.touched, a.num)
	}
}

// intern keeps one copy of a text that many agents share.
func (v *View) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	at := &v.recent[(int(b[0])+7*int(b[len(b)-1])+31*int(b[len(b)/2])+97*len(b))&255]
	if *at == string(b) {
		return *at
	}
	if s, ok := v.strings[string(b)]; ok {
		*at = s
		return s
	}
	if len(v.strings) >= 1<<16 {
		clear(v.strings)
	}
	s := string(b)
	v.strings[s] = s
	return s
}

func (v *View) get(num uint32) *agent {
	if int(num) < len(v.agents) {
		return v.agents[num]
	}
	return nil
}

// Numbers returns a number above every agent's.
func (v *View) Numbers() uint32 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return uint32(len(v.agents))
}

// Len returns the number of agents ever seen.
func (v *View) Len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return len(v.byID)
}

// Offset returns the last offset folded and the log's clock there (Unix ns).
func (v *View) Offset() (uint64, int64) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.offset, v.clock
}
