package spans

import (
	"sync"
	"unsafe"

	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
)

// Names is the log's dictionary of agents: facts that never change once written.
type Names interface {
	Agent(num uint32) (space, id string, ok bool)
	AgentNum(space, id string) (uint32, bool)
}

// View is the span view. Make one with New.
type View struct {
	names Names
	store pebble.Reader

	mu      sync.RWMutex
	open    table
	queue   []opened    // the oldest open spans, in order, with stale entries; filled when one is to leave
	fresh   *generation // ended or changed since the last Save
	saving  *generation // in the last Save's batch while that may not be committed; else nil
	visible uint64      // pages below are committed; those above are in saving
	pages   uint64      // number of the next page
	eras    []era       // of pages, oldest first; the last one is that of the last save
	lastEra uint32
	stray   uint64 // beyond the last page that the store has and nothing leads to; 0: there is none
	filter  filter // hashes of rows in fresh, saving and store
	ran     filter // hashes of runs ever in memory: others are not in the store
	runs    map[uint64]*tally
	counts  []*counts       // by agent number
	slots   [openSlots]bool // of the snapshot of open spans: changed since the last Save
	marked  []bool          // pages of counts that changed since the last Save
	tallies []*tally
	free    []*span
	strings map[string]string
	recent  [256]string // of strings, by a hash that is next to free
	ids     []byte      // room for ids of spans that begin
	spaces  []string
	uses    uint64
	offset  uint64
	rows    uint64 // ever
	spilled int
	wipe    bool // the next Save deletes what the store holds
	blind   bool // the store still holds what Reset forgot: it is not read

	rec       block.Record
	sink      uint64
	retention Retention
	eraRows   uint64
	openMax   int
	tallyMax  int
	err       error // of a store read during Apply; told by Save
}

type opened struct{ hash, off uint64 }

const allPages = 1<<64 - 1

// New returns an empty view that reads rows from store. Load it before the
// first Apply.
func New(names Names, store pebble.Reader) *View {
	v := &View{names: names, store: store, openMax: openMax, tallyMax: tallyMax, eraRows: eraRows}
	v.reset()
	return v
}

// BoundFilter bounds the memory that tells new spans from those in the store;
// without it, and at least, that is 128 MiB. It takes 3 bytes a row as rows
// come. Where the bound is reached the oldest rows leave it: a span that ended so
// long ago and is named again becomes a new one, and its row stays what it was.
// It is called before Load and the first Apply.
func (v *View) BoundFilter(bytes int64) { v.filter.most = int(max(bytes/lineBytes, filterMost)) }

// Name is the view's name in cursors and reports.
func (v *View) Name() string { return "spans" }

// Version is the version of rules and rows: another one means a rebuild.
func (v *View) Version() uint32 { return 3 }

// SaveRecords bounds the rows that wait in memory for a save.
func (v *View) SaveRecords() uint64 { return 4 << 20 }

// Saved tells that the batch of the last Save is committed: its rows are read
// from the store from now on.
func (v *View) Saved() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.saving, v.visible, v.blind = nil, allPages, v.wipe
}

// Reset forgets everything, as before offset 1; the next Save deletes what the
// store holds.
func (v *View) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	v.wipe, v.blind = true, true
}

func (v *View) reset() {
	v.open, v.queue = newTable(), nil
	v.fresh, v.saving = newGeneration(0), nil
	v.visible, v.pages = allPages, 0
	v.eras, v.lastEra = nil, 0
	v.filter, v.ran = filter{most: v.filter.most, least: v.filter.least}, filter{keeps: true}
	v.runs, v.counts = map[uint64]*tally{}, nil
	v.slots, v.marked, v.tallies, v.free = [openSlots]bool{}, nil, nil, nil
	v.strings, v.spaces, v.recent = map[string]string{}, nil, [256]string{}
	v.uses, v.offset, v.rows, v.spilled = 0, 0, 0, 0
	v.err = nil
	v.wipe, v.blind, v.stray = false, false, 0
}

// Apply folds the records from index from on. vs[i] is the parsed payload of
// record i where that is an event.
func (v *View) Apply(b *block.Block, from int, vs []wire.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var next [window]coming
	for i := from; i < b.Len(); {
		n := v.approach(b, i, min(i+window, b.Len()), vs, &next)
		for k := range next[:n] {
			x := &next[k]
			b.Load(x.at, &v.rec)
			v.offset = v.rec.Offset
			v.fold(&v.rec, x, &vs[x.at])
		}
		i = min(i+window, b.Len())
		v.offset = b.Base() + uint64(i) - 1
	}
}

// space keeps one copy of each space's name.
func (v *View) space(s string) string {
	for _, x := range v.spaces {
		if x == s {
			return x
		}
	}
	v.spaces = append(v.spaces, s)
	return s
}

func seedOf(space string) uint64 { return xxhash.Sum64String(space) * 0x9e3779b97f4a7c15 }

// hashOf identifies an id within a space; 0 means none.
func hashOf[T ~string | ~[]byte](seed uint64, id T) uint64 {
	if len(id) == 0 {
		return 0
	}
	h := seed ^ xxhash.Sum64String(string(id))
	if h == 0 {
		h = 1
	}
	return h
}

// intern keeps one copy of a text that many spans share.
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
	if len(v.strings) >= 1<<15 {
		clear(v.strings)
	}
	s := string(b)
	v.strings[s] = s
	return s
}

// countsOf returns what is kept of an agent, for a change of it.
func (v *View) countsOf(agent uint32) *counts {
	c := v.agent(agent)
	v.marked[agent>>countsPage] = true
	return c
}

// agent returns what is kept of an agent, made on first sight.
func (v *View) agent(num uint32) *counts {
	if int(num) < len(v.counts) && v.counts[num] != nil {
		return v.counts[num]
	}
	for int(num) >= len(v.counts) {
		v.counts = append(v.counts, nil)
	}
	for int(num>>countsPage) >= len(v.marked) {
		v.marked = append(v.marked, false)
	}
	c := &counts{}
	if space, _, ok := v.names.Agent(num); ok {
		c.space = v.space(space)
		c.seed = seedOf(c.space)
	}
	v.counts[num] = c
	return c
}

// own copies an id; several share an allocation, small enough that one which
// stays open for long does not keep much.
func (v *View) own(id []byte) string {
	const room = 256
	if len(id) == 0 || len(id) > room/4 {
		return string(id)
	}
	if len(v.ids)+len(id) > cap(v.ids) {
		v.ids = make([]byte, 0, room)
	}
	at := len(v.ids)
	v.ids = append(v.ids, id...)
	return unsafe.String(&v.ids[at], len(id)) // what is written is never written again
}
