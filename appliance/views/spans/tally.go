package spans

import (
	"slices"

	"eyrie/engine/wire"
)

// tally returns the run's totals for a change, from memory or store; nil for
// no run. The agent is the one that speaks of it.
func (v *View) tally(agent uint32, h uint64) *tally {
	if h == 0 {
		return nil
	}
	c := v.countsOf(agent)
	t := c.run
	if t == nil || t.hash != h || t.left {
		if t = v.runs[h]; t == nil {
			if t = v.storedTally(h); t == nil {
				return nil
			}
			v.keep(t)
		}
		c.run, c.in = t, false
	}
	v.uses++
	t.used = v.uses
	if !t.dirty {
		t.dirty = true
		v.tallies = append(v.tallies, t)
	}
	return t
}

// join counts a span in its run, of which id is the name.
func (v *View) join(s *span, id []byte) *tally {
	t := v.tally(s.agent, s.run)
	if t != nil && t.id == string(id) {
		s.runID = t.id
	} else {
		s.runID = v.intern(id)
	}
	if t == nil {
		t = &tally{hash: s.run, space: s.space, id: s.runID, owner: s.agent, first: s.start}
		v.keep(t)
		t = v.tally(s.agent, s.run)
	}
	t.first, t.last = min(t.first, s.start), max(t.last, s.start)
	if s.typ == uint8(wire.TypeRun) {
		if t.run == (key{}) {
			t.run = s.key
		}
	} else {
		t.spans++
	}
	if s.typ == uint8(wire.TypeTool) {
		t.tools++
	}
	if s.agent != t.owner {
		s.flags |= flGuest
	}
	if c := v.countsOf(s.agent); !c.in || c.run != t {
		if i, found := slices.BinarySearch(t.agents, s.agent); !found && len(t.agents) < tallyAgents {
			t.agents = slices.Insert(t.agents, i, s.agent)
		}
		c.in = c.run == t
	}
	return t
}

// keep puts a run into memory; saved ones that were not used for longest leave.
func (v *View) keep(t *tally) {
	v.runs[t.hash] = t
	v.ran.add(t.hash, 0)
	if len(v.runs) <= v.tallyMax || len(v.runs)%1024 != 0 {
		return
	}
	all := make([]uint64, 0, len(v.runs))
	for _, x := range v.runs {
		all = append(all, x.used)
	}
	slices.Sort(all)
	old := all[len(all)/4]
	for h, x := range v.runs {
		if x.used <= old && !x.dirty && !x.saving && x != t {
			x.left = true
			delete(v.runs, h)
		}
	}
}
