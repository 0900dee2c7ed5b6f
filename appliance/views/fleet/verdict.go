package fleet

import (
	"math"
	"slices"

	"eyrie/engine/wire"

	"github.com/cespare/xxhash/v2"
)

// The rules. All but over_budget end when the agent ends.
//
//	stuck: repetition    the same tool with the same input repeatMin times within
//	                     stuckWithin, without progress in between
//	stuck: failures      failMin calls of tools or models in a row failed within stuckWithin
//	silent: heartbeat    nothing for heartbeatMiss times the promised heartbeat
//	unknown: link        the last link closed while it was at work, and nothing for unknownAfter
//	unknown: gap         the producer gave up numbers while it was at work
//	over_budget          cost above the declared budget (label or attr budget_nanousd)
//
// Progress is another call that ended well, an answer unlike the one before, a
// task or run that ended well, a new run, an ask that was answered, or a
// declared state that is not at work. A call without a recorded input is never
// a repetition. Silent and unknown end with the next event, a gap with the next
// span or state.
const (
	repeatMin     = 5
	failMin       = 5
	stuckWithin   = 10 * minute
	heartbeatMiss = 3
	unknownAfter  = minute
	evidenceMax   = 6
)

// Kinds in the order in which they are shown.
const (
	vdSilent = iota
	vdStuck
	vdUnknown
	vdBudget
)

var verdictNames = [...]string{"silent", "stuck", "unknown", "over_budget"}

const (
	rlRepeat = iota
	rlFailures
	rlHeartbeat
	rlLink
	rlGap
	rlBudget
)

var ruleNames = [...]string{"repetition", "failures", "heartbeat", "link lost", "telemetry gap", "budget"}

const never = math.MaxInt64

func (v *View) judge(a *agent, kind, rule uint8, since, n int64, what string, evidence []uint64) {
	i, found := slices.BinarySearchFunc(a.verdicts, kind, func(x verdict, k uint8) int { return int(x.kind) - int(k) })
	x := verdict{kind, rule, since, n, what, evidence}
	if !found {
		a.verdicts = slices.Insert(a.verdicts, i, x)
		return
	}
	if a.verdicts[i].rule == rule {
		x.since = a.verdicts[i].since
	}
	a.verdicts[i] = x
}

func (v *View) acquit(a *agent, kind, rule uint8) {
	for i := range a.verdicts {
		if a.verdicts[i].kind == kind && a.verdicts[i].rule == rule {
			a.verdicts = slices.Delete(a.verdicts, i, i+1)
			if len(a.verdicts) == 0 {
				a.verdicts = nil
			}
			return
		}
	}
}

// call identifies a tool call by name and input; 0 where no input was recorded.
func call(w *wire.View) uint64 {
	in := w.Raw(wire.FInput)
	if len(in) == 0 {
		return 0
	}
	return (xxhash.Sum64(w.Str(wire.FName))*0x9e3779b97f4a7c15 ^ xxhash.Sum64(in)) | 1
}

// called watches for repetition as calls begin.
func (v *View) called(a *agent, ts int64, off uint64, w *wire.View) {
	h := call(w)
	r := &a.repeat
	if h == 0 {
		return
	}
	if r.hash != h {
		if r.n > 1 && ts-r.last <= stuckWithin {
			return // another call; only its good end is progress
		}
		*r = streak{hash: h, what: v.intern(w.Str(wire.FName))}
	} else if r.n > 0 && ts-r.last > stuckWithin {
		*r = streak{hash: h, what: r.what}
	}
	r.add(ts, off)
	if r.n >= repeatMin && within(r) {
		v.judge(a, vdStuck, rlRepeat, ts, int64(r.n), r.what, r.evidence())
	}
}

// within tells whether the last repeatMin of a streak lie within stuckWithin,
// by their mean distance: instants of single ones are not kept.
func within(s *streak) bool {
	return (s.last-s.first)/int64(s.n)*repeatMin <= stuckWithin
}

// failedCall watches for failures in a row.
func (v *View) failedCall(a *agent, s *span, ts int64, off uint64) {
	f := &a.failing
	if f.n > 0 && ts-f.last > stuckWithin {
		*f = streak{}
	}
	f.what = s.name
	f.add(ts, off)
	if f.n >= failMin && within(f) {
		if i := a.judged(vdStuck); i >= 0 && a.verdicts[i].rule == rlRepeat {
			return
		}
		v.judge(a, vdStuck, rlFailures, ts, int64(f.n), f.what, f.evidence())
	}
}

func (a *agent) judged(kind uint8) int {
	for i := range a.verdicts {
		if a.verdicts[i].kind == kind {
			return i
		}
	}
	return -1
}

// good takes a span that ended well: progress, unless it is the repeated call
// with the answer it had before.
func (v *View) good(a *agent, typ wire.Type, s *span, w *wire.View) {
	switch typ {
	case wire.TypeTool:
		v.recoverFailing(a)
		if s.call != 0 && s.call == a.repeat.hash {
			out := xxhash.Sum64(w.Raw(wire.FOutput))
			fresh := w.Has(wire.FOutput) && a.repeat.out != 0 && a.repeat.out != out
			if w.Has(wire.FOutput) {
				a.repeat.out = out
			}
			if !fresh {
				return
			}
		}
		v.recoverRepeat(a)
	case wire.TypeLLM:
		v.recoverFailing(a)
	case wire.TypeTask, wire.TypeRun, wire.TypeAsk:
		v.progress(a)
	}
}

func (v *View) recoverFailing(a *agent) {
	if a.failing.n > 0 {
		a.failing = streak{}
		v.acquit(a, vdStuck, rlFailures)
	}
}

func (v *View) recoverRepeat(a *agent) {
	if a.repeat.n > 0 {
		a.repeat = streak{}
		v.acquit(a, vdStuck, rlRepeat)
	}
}

// progress contradicts every reason to call the agent stuck.
func (v *View) progress(a *agent) {
	v.recoverFailing(a)
	v.recoverRepeat(a)
}

// heard contradicts silence and a lost link.
func (v *View) heard(a *agent) {
	v.acquit(a, vdSilent, rlHeartbeat)
	v.acquit(a, vdUnknown, rlLink)
}

func (v *View) clearGap(a *agent) {
	if a.gap != 0 {
		a.gap = 0
		v.acquit(a, vdUnknown, rlGap)
	}
}

func (v *View) checkBudget(a *agent, ts int64) {
	if a.budget > 0 && a.usage.cost > a.budget {
		if i := a.judged(vdBudget); i >= 0 {
			a.verdicts[i].n = a.usage.cost
			return
		}
		v.judge(a, vdBudget, rlBudget, ts, a.usage.cost, "", []uint64{v.offset})
		return
	}
	v.acquit(a, vdBudget, rlBudget)
}

// atWork tells whether the agent is expected to be doing something.
func (a *agent) atWork() bool {
	return a.ended == 0 && (a.state == stStarting || a.state == stRunning || a.state == stWaiting)
}

// schedule notes the earliest clock at which a timer rule could change the agent.
func (v *View) schedule(a *agent) {
	t := int64(never)
	if a.ended == 0 {
		if a.heartbeat > 0 && a.recv > 0 && a.judged(vdSilent) < 0 {
			t = min(t, a.recv+heartbeatMiss*a.heartbeat)
		}
		if p := a.unlinked(); p != nil && a.atWork() && !a.has(rlLink) {
			t = min(t, max(p.closed, a.recv)+unknownAfter)
		}
		if !a.said && a.state == stRunning && len(a.open) == 0 && a.recv > 0 {
			t = min(t, a.recv+quietAfter)
		}
		if a.gap != 0 && a.atWork() && a.judged(vdUnknown) < 0 {
			t = 0 // with the next tick
		}
		if !a.over() {
			t = min(t, a.goneAt())
		}
	}
	v.due[a.num] = t
}

// unlinked returns the agent's producer where its link has closed.
func (a *agent) unlinked() *producer {
	if p := a.speaker; p != nil && !p.open && p.closed != 0 {
		return p
	}
	return nil
}

func (a *agent) has(rule uint8) bool {
	for i := range a.verdicts {
		if a.verdicts[i].rule == rule {
			return true
		}
	}
	return false
}

// tick fires the timer rules whose time has come.
func (v *View) tick() {
	for i, t := range v.due {
		if t >= v.clock {
			continue
		}
		if a := v.agents[i]; a != nil {
			if v.timers(a) {
				v.touch(a)
			}
			v.schedule(a)
		}
	}
}

// timers applies the rules of time at the log's clock and tells whether one did something.
func (v *View) timers(a *agent) (changed bool) {
	if a.ended != 0 {
		return false
	}
	if late := v.clock - a.recv; a.heartbeat > 0 && a.recv > 0 && late > heartbeatMiss*a.heartbeat && a.judged(vdSilent) < 0 {
		v.judge(a, vdSilent, rlHeartbeat, a.recv, a.heartbeat, "", []uint64{a.lastOff})
		changed = true
	}
	if p := a.unlinked(); p != nil && a.atWork() && v.clock-max(p.closed, a.recv) > unknownAfter && !a.has(rlLink) {
		v.judge(a, vdUnknown, rlLink, p.closed, 0, "", []uint64{p.off})
		changed = true
	}
	if a.gap != 0 && a.atWork() && a.judged(vdUnknown) < 0 {
		v.judge(a, vdUnknown, rlGap, a.gap, 0, "", []uint64{a.gapOff})
		changed = true
	}
	if !a.said && a.state == stRunning && len(a.open) == 0 && v.clock-a.recv > quietAfter {
		v.set(a, stIdle, 0, byFold, a.last, "")
		changed = true
	}
	if !a.over() && v.clock > a.goneAt() {
		a.gone, a.ended = true, a.last
		changed = true
	}
	return changed
}
