package fleet

import (
	"eyrie/engine/wire"
)

// span folds one span-like event and reports whether the span failed. A whole
// event is a start and an end; an end without a start counts as a whole one; a
// start or end of a span that has just ended is a repeat and counts as an event.
func (v *View) span(a *agent, typ wire.Type, ph wire.Phase, ts int64, off, h uint64, w *wire.View) bool {
	id := spanID(typ, w)
	if h == 0 {
		h = spanHash(a.seed, id)
	}
	has, at := v.locate(a, h)
	if at < 0 && a.remembers(h) {
		return false
	}
	a.ended = 0
	switch ph {
	case wire.PhaseStart:
		if at >= 0 || h == 0 {
			return false
		}
		v.start(a, typ, h, ts, off, id, w)
	case wire.PhaseUpdate:
		if at >= 0 {
			v.update(has, at, ts, w)
		}
	default:
		return v.close(a, has, at, typ, h, ts, off, w)
	}
	return false
}

// locate finds the open span: in the agent's own hands, or, delegated, in
// another's. An index of -1 means that it is open nowhere.
func (v *View) locate(a *agent, h uint64) (*agent, int) {
	if h == 0 {
		return a, -1
	}
	if i := a.find(h); i >= 0 {
		return a, i
	}
	if !v.held.may(h) {
		return a, -1
	}
	if t, ok := v.holds[h]; ok && t.key == "" {
		if b := v.get(t.num); b != nil {
			return b, b.find(h)
		}
	}
	return a, -1
}

func (v *View) start(a *agent, typ wire.Type, h uint64, ts int64, off uint64, id []byte, w *wire.View) {
	v.begun(a, typ, ts, off, w)
	s := span{hash: h, typ: uint8(typ), since: ts, name: v.intern(w.Str(wire.FName))}
	switch typ {
	case wire.TypeAsk, wire.TypeRun, wire.TypeTask:
		s.id = string(id)
	}
	switch typ {
	case wire.TypeAsk:
		s.msg, s.kind = clip(w.Str(wire.FMsg)), v.intern(w.Str(wire.FKind))
	case wire.TypeRun:
		s.run = string(w.Str(wire.FRun))
		if s.run == "" {
			s.run = s.id
		}
		if s.name == "" {
			s.name = clip(w.Str(wire.FMsg))
		}
	case wire.TypeTool:
		s.call = call(w)
	case wire.TypeTask:
		if s.name == "" {
			s.name = clip(w.Str(wire.FMsg))
		}
		if to := toward(w); len(to) > 0 && string(to) != a.id {
			s.from = a.id
			v.usageOf(a, &s, ts, w)
			v.delegate(a, to, s)
			return
		}
	}
	v.usageOf(a, &s, ts, w)
	v.hold(a, s)
	v.imply(a, ts)
}

// open spans whose memory an agent keeps once it has none
const openKeep = 4

// toward returns the first id that the event is addressed to.
func toward(w *wire.View) (to []byte) {
	w.To(func(id []byte) {
		if to == nil {
			to = id
		}
	})
	return to
}

// clip bounds a text kept in memory.
func clip(b []byte) string {
	const most = 160
	if len(b) <= most {
		return string(b)
	}
	n := most
	for n > 0 && b[n]&0xc0 == 0x80 {
		n--
	}
	return string(b[:n]) + "…"
}

// delegate hands an open task to the agent it names; who delegates is that
// agent's usual manager, unless it declared one.
func (v *View) delegate(a *agent, to []byte, s span) {
	v.release(s.hash)
	if b := v.get(v.byID[string(v.keyOf(a.space, to))]); b != nil {
		v.manage(b, s.from, false)
		v.hold(b, s)
		v.imply(b, s.since)
		v.touch(b)
		v.schedule(b)
		return
	}
	key := string(v.keyOf(a.space, to))
	t := v.await(key)
	if t.manager == "" {
		t.manager = s.from
	}
	if len(t.tasks) < openMax && v.awaited[key] == t {
		t.tasks = append(t.tasks, s)
		v.holdAt(s.hash, holder{key: key})
	}
}

// release takes an open delegated task from who has it: one that is delegated
// again leaves its former place, so that it is never in two.
func (v *View) release(h uint64) {
	if !v.held.may(h) {
		return
	}
	t, ok := v.holds[h]
	if !ok || t.key != "" {
		v.forgetAwaited(h)
		return
	}
	b := v.agents[t.num]
	for i := range b.open {
		if b.open[i].hash == h && b.open[i].from != "" {
			v.touch(b)
			v.drop(b, i)
			v.schedule(b)
			return
		}
	}
}

// hold puts an open span into the agent's hands; beyond the bound the oldest
// is forgotten.
func (v *View) hold(a *agent, s span) {
	if len(a.open) >= openMax {
		v.drop(a, 0)
	}
	a.open = append(a.open, s)
	if s.from != "" {
		v.holdAt(s.hash, holder{num: a.num})
	}
}

func (v *View) drop(a *agent, i int) {
	if a.open[i].from != "" {
		v.unhold(a.open[i].hash)
	}
	copy(a.open[i:], a.open[i+1:])
	a.open[len(a.open)-1] = span{}
	a.open = a.open[:len(a.open)-1]
	if len(a.open) == 0 && cap(a.open) > openKeep {
		a.open = nil
	}
}

// update replaces what an earlier report of the span said; one that names
// another agent hands the task off.
func (v *View) update(a *agent, i int, ts int64, w *wire.View) {
	s := &a.open[i]
	if n := w.Str(wire.FName); len(n) > 0 {
		s.name = v.intern(n)
	}
	if m := w.Str(wire.FMsg); len(m) > 0 && wire.Type(s.typ) == wire.TypeAsk {
		s.msg = clip(m)
	}
	v.usageOf(a, s, ts, w)
	v.touch(a)
	to := toward(w)
	if wire.Type(s.typ) != wire.TypeTask || len(to) == 0 || string(to) == a.id {
		return
	}
	moved := *s
	if moved.from == "" {
		moved.from = a.id
	}
	v.drop(a, i)
	v.imply(a, ts)
	v.delegate(a, to, moved)
}

// close ends a span: at is where has holds it, -1 where it is open nowhere.
func (v *View) close(a, has *agent, at int, typ wire.Type, h uint64, ts int64, off uint64, w *wire.View) bool {
	var s span
	if at >= 0 {
		v.spend(has, has.open[at].usage, ts, w)
		s = has.open[at]
		v.drop(has, at)
	} else {
		v.forgetAwaited(h)
		v.begun(a, typ, ts, off, w)
		s = span{typ: uint8(typ), name: v.intern(w.Str(wire.FName))}
		if typ == wire.TypeTool {
			s.call = call(w)
		}
		if to := toward(w); typ == wire.TypeTask && len(to) > 0 && string(to) != a.id {
			key := v.keyOf(a.space, to)
			if b := v.get(v.byID[string(key)]); b != nil {
				v.manage(b, a.id, false)
				v.touch(b)
			} else if t := v.await(string(key)); t.manager == "" {
				t.manager = a.id
			}
		}
		v.spend(a, nil, ts, w)
	}
	if h != 0 {
		a.remember(h)
		if has != a {
			has.remember(h)
		}
	}
	bad := v.outcome(has, typ, &s, ts, off, w)
	v.imply(has, ts)
	if has != a {
		v.touch(has)
		v.imply(a, ts)
		v.schedule(has)
	}
	return bad
}

// forgetAwaited drops a delegated task whose worker was never seen.
func (v *View) forgetAwaited(h uint64) {
	if !v.held.may(h) {
		return
	}
	t, ok := v.holds[h]
	if !ok || t.key == "" {
		return
	}
	v.unhold(h)
	w := v.awaited[t.key]
	if w == nil {
		return
	}
	for i := range w.tasks {
		if w.tasks[i].hash == h {
			w.tasks = append(w.tasks[:i], w.tasks[i+1:]...)
			w.dirty = true
			return
		}
	}
}

// begun counts a span that is seen for the first time, and what it tells.
func (v *View) begun(a *agent, typ wire.Type, ts int64, off uint64, w *wire.View) {
	switch typ {
	case wire.TypeRun:
		a.counts[cRuns]++
		a.lastRun = string(w.Str(wire.FRun))
		v.progress(a)
	case wire.TypeTask:
		a.counts[cTasks]++
	case wire.TypeLLM:
		a.counts[cLLM]++
	case wire.TypeTool:
		a.counts[cTools]++
		v.called(a, ts, off, w)
	case wire.TypeAsk:
		a.counts[cAsks]++
	}
	if v.failedByFold(a) {
		a.state = stRunning
	}
}

// outcome counts how a span ended and reports whether it failed.
func (v *View) outcome(a *agent, typ wire.Type, s *span, ts int64, off uint64, w *wire.View) bool {
	_, _, has := w.Error()
	isCall := typ == wire.TypeTool || typ == wire.TypeLLM
	if isCall {
		a.sums.total.call(v.clock, ts)
	}
	st, _ := wire.ParseStatus(w.Str(wire.FStatus))
	switch st {
	case wire.StatusDenied:
		a.counts[cDenied]++
	case wire.StatusCancelled:
		a.counts[cCancelled]++
	case wire.StatusError, wire.StatusTimeout:
		if isCall {
			a.counts[cFailed]++
			a.sums.total.fail(v.clock, ts)
			v.failedCall(a, s, ts, off)
		}
		if typ == wire.TypeRun && !a.said && !v.hasOpen(a, wire.TypeRun) {
			v.set(a, stFailed, 0, byFold, ts, clip(errorText(w)))
			a.failOff = off
		}
		return true
	case wire.StatusInterrupted, wire.StatusUnknown:
	default:
		if has && st == 0 {
			return true
		}
		v.good(a, typ, s, w)
	}
	return false
}

func errorText(w *wire.View) []byte {
	code, msg, _ := w.Error()
	if len(msg) > 0 {
		return msg
	}
	if len(code) > 0 {
		return code
	}
	return w.Str(wire.FMsg)
}

func (v *View) hasOpen(a *agent, typ wire.Type) bool { return a.latest(uint8(typ)) != nil }

// end is the agent's own: what it held open is over.
func (v *View) end(a *agent, ts int64) {
	a.ended = max(ts, 1)
	for len(a.open) > 0 {
		v.drop(a, len(a.open)-1)
	}
	if !a.said && a.state != stFailed {
		v.set(a, stDone, 0, byFold, ts, "")
	}
	a.verdicts = nil
	a.repeat, a.failing = streak{}, streak{}
	a.gap = 0
}

// usageOf replaces what the span has reported so far, so that totals count it once.
func (v *View) usageOf(a *agent, s *span, ts int64, w *wire.View) {
	u, ok := v.spend(a, s.usage, ts, w)
	switch {
	case !ok:
	case s.usage == nil:
		s.usage = &usage{}
		fallthrough
	default:
		*s.usage = u
	}
}

// spend adds what the event reports beyond old, the span's last report or nil.
func (v *View) spend(a *agent, old *usage, ts int64, w *wire.View) (u usage, ok bool) {
	if !w.Has(wire.FUsage) {
		return u, false
	}
	if u, ok = readUsage(w); !ok {
		return u, false
	}
	var was usage
	if old != nil {
		was = *old
	}
	a.usage.add(&u, &was)
	delta := u.cost - was.cost
	if c := a.ring.at(floorMinute(min(ts, v.clock))); c >= 0 {
		a.ring.cost[c] += delta
	}
	a.sums.total.spend(v.clock, ts, u.tokens()-was.tokens(), delta)
	if a.budget > 0 {
		v.checkBudget(a, ts)
	}
	return u, true
}
