package fleet

const ringSeconds = 10

// totals are a space's own figures: by minute of event time for rates, by
// second of the log's clock for events.
type totals struct {
	second int64
	perSec [ringSeconds]uint32
	minute int64
	tokens [ringMinutes]int64
	cost   [ringMinutes]int64
	calls  [ringMinutes]int64
	failed [ringMinutes]int64
}

func floorMinute(ts int64) int64 { return ts / minute }

// count notes an event in the agent's ring and in its space's.
func (v *View) count(a *agent, ts int64) {
	if c := a.ring.at(floorMinute(min(ts, v.clock))); c >= 0 {
		a.ring.events[c]++
	}
	t := &a.sums.total
	s := v.clock / 1e9
	if s > t.second {
		for i := max(t.second+1, s-ringSeconds+1); i <= s; i++ {
			t.perSec[i%ringSeconds] = 0
		}
		t.second = s
	}
	t.perSec[s%ringSeconds]++
}

// cell returns the minute cell of an instant, -1 where it is too old or ahead
// of the log's clock by more than the ring may turn.
func (t *totals) cell(clock, ts int64) int {
	m := floorMinute(min(ts, clock))
	if m > t.minute {
		for i := max(t.minute+1, m-ringMinutes+1); i <= m; i++ {
			c := i % ringMinutes
			t.tokens[c], t.cost[c], t.calls[c], t.failed[c] = 0, 0, 0, 0
		}
		t.minute = m
	}
	if m <= t.minute-ringMinutes {
		return -1
	}
	return int(m % ringMinutes)
}

func (t *totals) call(clock, ts int64) {
	if c := t.cell(clock, ts); c >= 0 {
		t.calls[c]++
	}
}

func (t *totals) fail(clock, ts int64) {
	if c := t.cell(clock, ts); c >= 0 {
		t.failed[c]++
	}
}

func (t *totals) spend(clock, ts, tokens, cost int64) {
	if c := t.cell(clock, ts); c >= 0 {
		t.tokens[c] += tokens
		t.cost[c] += cost
	}
}

// sums adds up the window that ends at the clock; seconds is its length.
func (t *totals) sums(clock int64) (tokens, cost, calls, failed int64) {
	now := floorMinute(clock)
	for m := now - ringMinutes + 1; m <= now; m++ {
		if m < 0 || m > t.minute || m <= t.minute-ringMinutes {
			continue
		}
		c := m % ringMinutes
		tokens += t.tokens[c]
		cost += t.cost[c]
		calls += t.calls[c]
		failed += t.failed[c]
	}
	return tokens, cost, calls, failed
}

// events counts those of the ringSeconds-1 whole seconds before the clock's own.
func (t *totals) events(clock int64) (n uint64) {
	now := clock / 1e9
	for s := now - ringSeconds + 1; s < now; s++ {
		if s >= 0 && s <= t.second && s > t.second-ringSeconds {
			n += uint64(t.perSec[s%ringSeconds])
		}
	}
	return n
}
