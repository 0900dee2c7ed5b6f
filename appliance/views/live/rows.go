package live

import (
	"slices"
	"sync"
	"time"

	"eyrie/engine/wire"
)

// rowCache keeps the rows encoded since the last pulse, so that each is
// encoded once for all viewers.
type rowCache struct {
	mu   sync.Mutex
	gen  uint64
	rows map[uint32][]byte
}

const rowsCached = 1 << 13

func (c *rowCache) forget() {
	c.mu.Lock()
	c.gen++
	if len(c.rows) > 0 {
		c.rows = nil
	}
	c.mu.Unlock()
}

func (c *rowCache) get(num uint32, encode func(dst []byte, num uint32) []byte) []byte {
	c.mu.Lock()
	row, ok := c.rows[num]
	gen := c.gen
	c.mu.Unlock()
	if ok {
		return row
	}
	row = encode(make([]byte, 0, 1024), num)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen == gen && len(c.rows) < rowsCached { // else the row may be older than the pulse
		if c.rows == nil {
			c.rows = map[uint32][]byte{}
		}
		c.rows[num] = row
	}
	return row
}

// focusOn has these rows sent before all others from now on.
func (s *sub) focusOn(nums []uint32) {
	s.mu.Lock()
	s.focus = nums
	s.urgent = slices.ContainsFunc(nums, s.dirty.has)
	due := s.urgent && (s.timer == nil || s.resting)
	s.mu.Unlock()
	if due {
		s.h.run.push(s)
	}
}

// numbersOf looks up the agents that there are.
func (h *Hub) numbersOf(names []agentName) []uint32 {
	nums := make([]uint32, 0, len(names))
	for _, a := range names {
		if num, ok := h.o.Log.AgentNum(a.Space, a.ID); ok {
			nums = append(nums, num)
		}
	}
	return nums
}

// agents sends the rows that changed: at first all that match, in pages. Those in
// focus come first, the rest as often as the readers have the time.
func (s *sub) agents(r *reader) bool {
	if !s.snapshot && s.early(s.gap) {
		return false
	}
	credits := s.credit()
	if credits <= 0 {
		return false
	}
	h, fleet := s.h, s.h.shown.Load().Agents
	began := h.o.Now()
	all := s.snapshot || s.filter.agent != "" || !began.Before(s.restAt)
	cursor := s.cursor
	off, _ := fleet.Offset()
	most := int(min(credits, pageItems))
	r.nums = r.nums[:0]
	items, gone := r.out[:0], []byte(nil)
	rows, looked, full := 0, 0, false
	var left []uint32 // gone ones
	due := s.rest()   // what changes meanwhile is looked at the next time
	for rows+len(left) < most && looked < due {
		num, ok := s.pop(all)
		if !ok {
			break
		}
		looked++
		if !fleet.Match(num, s.filter.space, s.filter.q) {
			if s.shown.has(num) {
				r.nums = append(r.nums, num)
				left = append(left, num)
			}
			continue
		}
		r.nums = append(r.nums, num)
		if rows > 0 {
			items = append(items, ',')
		}
		items = append(items, h.rows.get(num, fleet.Encode)...)
		rows++
		if len(items) > pageBytes {
			full = true
			break
		}
	}
	for i, num := range left {
		if i > 0 {
			gone = append(gone, ',')
		}
		gone = h.appendID(gone, num)
	}
	full = full || rows+len(left) == most || looked > pageItems
	end := s.snapshot && s.rest() == 0
	r.out = items
	if rows+len(left) == 0 && !end {
		if all && full && !s.snapshot {
			s.restFrom(h.o.Now(), began)
		}
		if s.rest() > 0 {
			s.armFor(s.restAt.Sub(began), true)
		}
		return false
	}
	b := offsetField(head(nil, "agents", s.id), off)
	b = append(append(append(b, `,"items":[`...), items...), `],"gone":[`...)
	b = append(append(b, gone...), ']')
	if s.snapshot {
		b = append(b, `,"snapshot":true`...)
	}
	if end {
		b = append(b, `,"end":true`...)
	}
	if err := s.send(append(b, '}')); err != nil {
		s.putBack(r.nums, cursor)
		s.refused(err)
		return false
	}
	for _, num := range r.nums {
		s.shown.set(num)
	}
	for _, num := range left {
		s.shown.unset(num)
	}
	s.spend(rows + len(left))
	s.pace(began, all && full, end)
	return s.snapshot || s.rest() > 0
}

// pace notes that a message went out and how long to wait for the next. With more
// rows to look at than a message holds, all subscriptions together make readers work for one
// part in paceCost of the time of one processor.
func (s *sub) pace(began time.Time, full, end bool) {
	if s.snapshot {
		if end {
			s.snapshot, s.cursor = false, 0
			s.sent = time.Time{} // the first change goes out at once
		}
		return
	}
	s.sent = s.h.o.Now()
	s.gap = max(s.gap/2, gapMin)
	if full {
		s.restFrom(s.sent, began)
	}
}

// restFrom has the rows that are not in focus rest, after what it took to look at them.
func (s *sub) restFrom(now, began time.Time) {
	_, subs := s.h.Viewers()
	s.restAt = now.Add(min(max(now.Sub(began)*paceCost*time.Duration(subs), 2*gapMin), restMax))
}

// pop takes the next agent to look at: one in focus if there is any, then, if all
// are asked for, one of the others. These are visited round robin, so that none
// waits forever while others change.
func (s *sub) pop(all bool) (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.urgent {
		if i := slices.IndexFunc(s.focus, s.dirty.has); i >= 0 {
			s.dirty.unset(s.focus[i])
			return s.focus[i], true
		}
		s.urgent = false
	}
	if !all {
		return 0, false
	}
	num, ok := s.dirty.next(s.cursor)
	if !ok {
		if s.snapshot || s.dirty.n == 0 {
			return 0, false
		}
		if num, ok = s.dirty.next(0); !ok {
			return 0, false
		}
	}
	s.dirty.unset(num)
	s.cursor = num + 1
	return num, true
}

// rest tells how many rows remain to be looked at in this round.
func (s *sub) rest() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.snapshot {
		if _, ok := s.dirty.next(s.cursor); !ok {
			return 0
		}
	}
	return s.dirty.n
}

// putBack undoes what was popped since the cursor stood there.
func (s *sub) putBack(nums []uint32, cursor uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range nums {
		s.dirty.set(n)
	}
	s.cursor, s.urgent = cursor, len(s.focus) > 0
}

func (h *Hub) appendID(dst []byte, num uint32) []byte {
	space, id, _ := h.o.Log.Agent(num)
	dst = wire.AppendJSONString(append(dst, `{"space":`...), space)
	dst = wire.AppendJSONString(append(dst, `,"id":`...), id)
	return append(dst, '}')
}

// fleetCache keeps the fleet's figures for a moment, for all viewers.
type fleetCache struct {
	mu   sync.Mutex
	made map[string]fleetEntry
}

type fleetEntry struct {
	at   time.Time
	body []byte
}

const fleetFresh = 200 * time.Millisecond

func (h *Hub) fleetBody(space string) []byte {
	c := &h.fleet
	c.mu.Lock()
	defer c.mu.Unlock()
	now := h.o.Now()
	if e, ok := c.made[space]; ok && now.Sub(e.at) < fleetFresh {
		return e.body
	}
	fleet, attention := h.shown.Load().Summary(space)
	body := append(append([]byte(`,"fleet":`), fleet...), `,"attention":`...)
	body = append(append(body, attention...), '}')
	if len(c.made) > 64 || c.made == nil {
		c.made = map[string]fleetEntry{}
	}
	c.made[space] = fleetEntry{now, body}
	return body
}

// fleet sends the figures, at most once a fleetGap.
func (s *sub) fleet(*reader) bool {
	if s.credit() <= 0 || s.early(max(s.gap, fleetGap)) {
		return false
	}
	b := append(head(nil, "fleet", s.id), s.h.fleetBody(s.filter.space)...)
	if err := s.send(b); err != nil {
		s.refused(err)
		return false
	}
	s.spend(1)
	s.sent, s.gap = s.h.o.Now(), gapMin
	return false
}
