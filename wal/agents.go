package wal

import (
	"errors"
	"fmt"
	"sync"
)

type agentName struct{ space, id string }

// agentTable numbers agents from 1, densely, in the order of their first sight.
// The writer alone adds; it reads without the lock, others with it.
type agentTable struct {
	mu    sync.RWMutex
	names []agentName // by number-1
	space map[string]map[string]uint32
	// the writer's last space
	lastSpace string
	lastIDs   map[string]uint32
}

func newAgentTable() *agentTable { return &agentTable{space: map[string]map[string]uint32{}} }

// find is the writer's look-up; it does not allocate.
func (t *agentTable) find(space, id []byte) uint32 {
	ids := t.lastIDs
	if ids == nil || t.lastSpace != string(space) {
		if ids = t.space[string(space)]; ids == nil {
			return 0
		}
		t.lastSpace, t.lastIDs = string(space), ids
	}
	return ids[string(id)]
}

// add gives the next number.
func (t *agentTable) add(space, id string) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := t.space[space]
	if ids == nil {
		ids = map[string]uint32{}
		t.space[space] = ids
	}
	t.names = append(t.names, agentName{space, id})
	n := uint32(len(t.names))
	ids[id] = n
	return n
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
	n, ok := t.space[space][id]
	return n, ok
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
		delete(t.space[""], t.names[n-1].id)
		t.names[n-1] = agentName{string(space), string(id)}
		if t.space[string(space)] == nil {
			t.space[string(space)] = map[string]uint32{}
		}
		t.space[string(space)][string(id)] = n
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

// Agents returns how many agents have been seen: their numbers are 1..Agents.
func (l *Log) Agents() int { return l.agents.len() }
