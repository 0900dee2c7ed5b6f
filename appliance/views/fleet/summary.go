package fleet

// summary is one space: its agents counted by what they show and want, and what it
// does, kept up with every event, so that asking costs nothing however many agents
// there are.
type summary struct {
	by    [shows]int
	want  int
	total totals // saved; the counts are not
}

// summary returns that of a space, which it begins where there is none.
func (v *View) summary(space string) *summary {
	s := v.sums[space]
	if s == nil {
		s = &summary{}
		v.sums[space] = s
	}
	return s
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
	s := a.sums
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

// Fleet sums up all agents of a space, or of all spaces when space is "".
func (v *View) Fleet(space string) Fleet {
	v.mu.RLock()
	defer v.mu.RUnlock()
	f := Fleet{ByShow: make(map[string]int, shows), Offset: v.offset, Clock: ms(v.clock)}
	var by [shows]int
	var events uint64
	var tokens, cost, calls, failed int64
	for name, s := range v.sums {
		if space != "" && name != space {
			continue
		}
		for i, n := range s.by {
			by[i] += n
		}
		f.Attention += s.want
		events += s.total.events(v.clock)
		t, c, n, bad := s.total.sums(v.clock)
		tokens, cost, calls, failed = tokens+t, cost+c, calls+n, failed+bad
	}
	for i, n := range by {
		if i != shEnded {
			f.ByShow[showNames[i]] = n
			f.Live += n
		}
	}
	f.Ended = by[shEnded]
	f.EventsPerS = float64(events) / (ringSeconds - 1)
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
