package wal

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"unsafe"
)

type agentName struct{ space, id string }

// agentTable numbers agents from 1, densely, in the order of their first sight.
// The writer alone adds; it reads without the lock, others with it.
//
// Each event asks for its agent, among more than a cache holds. So the index is
// one array without pointers, of which a look-up touches one word: the upper half
// of a name's hash and its number. A false match is found by the name, which lies
// beside those that were seen first together, as the agents of a link were.
type agentTable struct {
	mu     sync.RWMutex
	names  []agentName // by number-1
	slots  []uint64    // hash's upper half << 32 | number, 0 = free; a power of two of them, half free at least
	used   int         // slots that are not free
	seed   maphash.Seed
	text   []byte   // what is left to put ids into
	spaces []string // each once, in the order of their first sight
	// the writer's last space: agents of one are looked up in a row
	lastSpace string
	lastHash  uint64
}

const (
	agentSlotsMin  = 64
	agentTextBytes = 64 << 10
)

func newAgentTable() *agentTable {
	t := &agentTable{slots: make([]uint64, agentSlotsMin), seed: maphash.MakeSeed()}
	t.lastHash = t.hashSpace(t.lastSpace)
	return t
}

func (t *agentTable) hashSpace(space string) uint64 {
	return maphash.String(t.seed, space)
}

// hash of an id within a space of hash h.
func (t *agentTable) hash(h uint64, id []byte) uint64 {
	return (maphash.Bytes(t.seed, id) ^ h) * 0x9e3779b97f4a7c15
}

// look returns the number of an agent, or 0 and the slot for it.
func (t *agentTable) look(h uint64, space string, id []byte) (n uint32, slot int) {
	mask := uint64(len(t.slots) - 1)
	for i := h >> 32 & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == 0 {
			return 0, int(i)
		}
		if s>>32 == h>>32 {
			if a := &t.names[uint32(s)-1]; a.id == string(id) && a.space == space {
				return uint32(s), int(i)
			}
		}
	}
}

// find is the writer's look-up; it does not allocate.
func (t *agentTable) find(space, id []byte) uint32 {
	if t.lastSpace != string(space) {
		t.lastSpace = string(space)
		t.lastHash = t.hashSpace(t.lastSpace)
	}
	n, _ := t.look(t.hash(t.lastHash, id), t.lastSpace, id)
	return n
}

// add gives the next number.
func (t *agentTable) add(space, id string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names = append(t.names, agentName{t.space(space), t.keep(id)})
	n := uint32(len(t.names))
	t.put(n)
	return n
}

// space returns the one string for all agents of a space.
func (t *agentTable) space(s string) string {
	if i := slices.Index(t.spaces, s); i >= 0 {
		return t.spaces[i]
	}
	t.spaces = append(t.spaces, s)
	return s
}

// put enters agent n under its name. A number that was put under another name
// before leaves a slot behind that leads to no match.
func (t *agentTable) put(n uint32) {
	if t.used++; 2*t.used > len(t.slots) {
		t.grow()
	}
	a := &t.names[n-1]
	h := t.hash(t.hashSpace(a.space), []byte(a.id))
	if have, slot := t.look(h, a.space, []byte(a.id)); have == 0 {
		t.slots[slot] = h&^(1<<32-1) | uint64(n)
	}
}

// grow doubles the index: what a slot holds of the hash says where it goes.
func (t *agentTable) grow() {
	old := t.slots
	t.slots = make([]uint64, 2*len(old))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := s >> 32 & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}

// keep copies an id to where those before it are.
func (t *agentTable) keep(id string) string {
	if len(id) > cap(t.text)-len(t.text) {
		t.text = make([]byte, 0, max(agentTextBytes, len(id)))
	}
	at := len(t.text)
	t.text = append(t.text, id...)
	kept := t.text[at:]
	return unsafe.String(unsafe.SliceData(kept), len(kept)) // never written again
}

func (t *agentTable) name(n uint32) (agentName, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n == 0 || int(n) > len(t.names) {
		return agentName{}, false
	}
	return t.names[n-1], true
}

func (t *agentTable) num(space, id string) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, _ := t.look(t.hash(t.hashSpace(space), []byte(id)), space, []byte(id))
	return n, n != 0
}

// nums is num in every space.
func (t *agentTable) nums(id string) []uint32 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	nums := []uint32{}
	for _, space := range t.spaces {
		if n, _ := t.look(t.hash(t.hashSpace(space), []byte(id)), space, []byte(id)); n != 0 {
			nums = append(nums, n)
		}
	}
	return nums
}

func (t *agentTable) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.names)
}

// errAgentsMissing tells that numbers before one in the table have no name.
var errAgentsMissing = errors.New("the log's table of agents has a hole")

// fold takes agent n from a record or a checkpoint.
func (t *agentTable) fold(n uint32, payload []byte) error {
	space, rest, ok := cutString(payload)
	id, rest, ok2 := cutString(rest)
	if !ok || !ok2 || len(rest) != 0 {
		return fmt.Errorf("agent %d: the record is damaged", n)
	}
	if n > 0 && int(n) <= len(t.names) && t.names[n-1] == lostAgent(n) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.names[n-1] = agentName{t.space(string(space)), string(id)}
		t.put(n)
		return nil
	}
	if n > 0 && int(n) <= len(t.names) {
		if t.names[n-1] != (agentName{string(space), string(id)}) {
			return fmt.Errorf("agent %d is named twice: %q and %q", n, t.names[n-1].id, id)
		}
		return nil
	}
	if int(n) != len(t.names)+1 {
		return fmt.Errorf("%w: agent %d follows agent %d", errAgentsMissing, n, len(t.names))
	}
	t.add(string(space), string(id))
	return nil
}

// pad names agents up to n, whose dictionary records were lost, so that their
// numbers are not given to others.
func (t *agentTable) pad(n uint32) {
	for i := uint32(t.len()) + 1; i <= n; i++ {
		t.add("", lostAgent(i).id)
	}
}

// lostAgent is what an agent is called whose dictionary record was lost. No
// caller's space is empty.
func lostAgent(n uint32) agentName { return agentName{id: fmt.Sprintf("lost-%d", n)} }

// Agent returns who the agent with number n is.
func (l *Log) Agent(n uint32) (space, id string, ok bool) {
	a, ok := l.agents.name(n)
	return a.space, a.id, ok
}

// AgentNum returns the number of an agent that has been seen; its first record
// may still be on its way to the disk.
func (l *Log) AgentNum(space, id string) (uint32, bool) { return l.agents.num(space, id) }

// AgentNums is AgentNum in every space: the numbers of all who have the id.
func (l *Log) AgentNums(id string) []uint32 { return l.agents.nums(id) }

// Agents returns how many agents have been seen: their numbers are 1..Agents.
func (l *Log) Agents() int { return l.agents.len() }

// AgentSpace returns the space that a KindAgentDict record's payload names.
func AgentSpace(payload []byte) (space string, ok bool) {
	s, _, ok := cutString(payload)
	return string(s), ok
}
