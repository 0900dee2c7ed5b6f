package fleet

import "eyrie/engine/wire"

// The state of an agent is what it, a hook or a command's answer declared last.
// Only of an agent that never declared one does the fold imply it:
//
//	an ask is open                              waiting on a person
//	any other span is open                      running
//	the last open span has ended                idle; failed where it was a run that failed
//	an event without a span                     running, idle after quietAfter without another
//	the agent ended                             done
const quietAfter = minute

// goneAfter is how long an agent that promised no heartbeat may say nothing
// before it counts as ended, by inference and marked so: by its own clock, so
// that a history that is read later does not fill the fleet with the past. The
// next event brings it back. Who waits on a person is not given up.
const goneAfter = 24 * 60 * minute

// over tells whether the agent has ended: it said so, declared itself done, or
// is gone.
func (a *agent) over() bool { return a.ended != 0 || a.state == stDone }

// goneAt is the clock at which the agent counts as gone, or never.
func (a *agent) goneAt() int64 {
	if a.heartbeat > 0 || a.last == 0 || a.state == stWaiting && a.on == onPerson && a.said {
		return never
	}
	if p := a.speaker; p != nil && p.open && a.recv > a.last+goneAfter {
		// Its history is being read now: wait until that is over.
		return a.recv + quietAfter
	}
	return a.last + goneAfter
}

// back revives an agent that was given up.
func (a *agent) back() {
	if a.gone {
		a.gone, a.ended = false, 0
	}
}

// set moves the agent to a state; the same state again keeps its since.
func (v *View) set(a *agent, st state, on, by uint8, ts int64, msg string) {
	if a.state != st || a.on != on || a.since == 0 {
		a.since = ts
	}
	a.state, a.on, a.by, a.msg = st, on, by, msg
}

// stated takes a declared state.
func (v *View) stated(a *agent, ts int64, off uint64, w *wire.View) {
	name, on, by, ok := w.State()
	if !ok {
		return
	}
	st := state(index(stateNames[:], name))
	if st == stUnknown && string(name) != "unknown" {
		return
	}
	author := index(byNames[:], by)
	if len(by) == 0 {
		author = byAgent
	}
	o := uint8(0)
	if st == stWaiting {
		o = index(onNames[:], on)
	}
	a.said = author != byFold
	v.set(a, st, o, author, ts, clip(w.Str(wire.FMsg)))
	if st == stFailed {
		a.failOff = off
	}
	if st != stDone {
		a.ended = 0
	}
	if st != stRunning && st != stStarting && st != stWaiting {
		v.progress(a)
	}
}

// imply derives the state from open spans where none was declared.
func (v *View) imply(a *agent, ts int64) {
	if a.said {
		return
	}
	switch {
	case a.latest(uint8(wire.TypeAsk)) != nil:
		v.set(a, stWaiting, onPerson, byFold, ts, "")
	case len(a.open) > 0:
		v.set(a, stRunning, 0, byFold, ts, "")
	case a.state != stFailed && a.state != stDone:
		v.set(a, stIdle, 0, byFold, ts, "")
	}
}

// stir is activity outside of spans.
func (v *View) stir(a *agent, ts int64) {
	if a.said || len(a.open) > 0 || a.ended != 0 || a.state == stFailed {
		return
	}
	v.set(a, stRunning, 0, byFold, ts, "")
}

// failedByFold tells whether the failed state is one the fold implied.
func (v *View) failedByFold(a *agent) bool { return !a.said && a.state == stFailed }

// Show words, what the page colours.
const (
	shRunning = iota
	shWaiting
	shIdle
	shStuck
	shSilent
	shFailed
	shUnknown
	shEnded
	shows
)

var showNames = [shows]string{"running", "waiting", "idle", "stuck", "silent", "failed", "unknown", "ended"}

// show lays the verdict over the state.
func (a *agent) show() uint8 {
	if a.over() {
		return shEnded
	}
	for i := range a.verdicts {
		switch a.verdicts[i].kind {
		case vdSilent:
			return shSilent
		case vdStuck:
			return shStuck
		case vdUnknown:
			return shUnknown
		}
	}
	switch a.state {
	case stStarting, stRunning:
		return shRunning
	case stWaiting:
		if a.on == onPerson {
			return shWaiting
		}
		return shRunning
	case stIdle, stPaused:
		return shIdle
	case stFailed:
		return shFailed
	}
	return shUnknown
}
