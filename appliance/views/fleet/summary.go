package fleet

// summary counts the agents of one space by what they show and want, kept up
// with every agent that changes, so that asking costs nothing however many
// there are.
type summary struct {
	by   [shows]int
	want int
}

// summed is what an agent has added to its space's summary.
type summed struct {
	in   bool
	show uint8
	want uint16
}

// sum brings the summary up to what the agent is now.
func (v *View) sum(a *agent) {
	now := summed{true, a.show(), uint16(min(a.wanted(), 1<<16-1))}
	if now == a.summed {
		return
	}
	s := v.sums[a.space]
	if s == nil {
		s = &summary{}
		v.sums[a.space] = s
	}
	if a.summed.in {
		s.by[a.summed.show]--
		s.want -= int(a.summed.want)
	}
	s.by[now.show]++
	s.want += int(now.want)
	if now.want > 0 {
		v.wanting[a.num] = struct{}{}
	} else if a.summed.want > 0 {
		delete(v.wanting, a.num)
	}
	a.summed = now
}

// rates adds up what the agents of a space had in the last minutes. It holds mu.
func (v *View) rates(space string, f *Fleet) {
	now, events := floorMinute(v.clock), uint64(0)
	for _, a := range v.agents {
		if a == nil || a.space != space {
			continue
		}
		each, cost := a.ring.read(now)
		f.CostH += cost
		for _, n := range each {
			events += uint64(n)
		}
	}
	f.CostH *= 60 / ringMinutes
	f.EventsPerS = float64(events) / (ringMinutes * 60)
}

// Fleet sums up all agents of a space, or of all spaces when space is "". What a space takes of
// tokens, and the share of its calls that failed, is not known: they are 0.
func (v *View) Fleet(space string) Fleet {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f := Fleet{ByShow: make(map[string]int, shows), Offset: v.offset, Clock: ms(v.clock)}
	var by [shows]int
	for name, s := range v.sums {
		if space != "" && name != space {
			continue
		}
		for i, n := range s.by {
			by[i] += n
		}
		f.Attention += s.want
	}
	for i, n := range by {
		if i != shEnded {
			f.ByShow[showNames[i]] = n
			f.Live += n
		}
	}
	f.Ended = by[shEnded]
	if space != "" {
		v.rates(space, &f)
		return f
	}
	f.EventsPerS = v.total.eventsPerSecond(v.clock)
	tokens, cost, calls, failed := v.total.sums(v.clock)
	f.TokensH, f.CostH = tokens*(60/ringMinutes), cost*(60/ringMinutes)
	if calls > 0 {
		f.FailedCallShare = float64(failed) / float64(calls)
	}
	return f
}

// Count returns how many agents of a space there are, ended or not; of all spaces when space is "".
func (v *View) Count(space string) (n int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for name, s := range v.sums {
		if space != "" && name != space {
			continue
		}
		for _, k := range s.by {
			n += k
		}
	}
	return n
}
