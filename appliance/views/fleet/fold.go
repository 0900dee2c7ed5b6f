package fleet

import (
	"eyrie/engine/wire"
	"eyrie/wal/block"

	"github.com/cespare/xxhash/v2"
)

// skew is how far ahead of the log's clock a stated instant may lie.
const skew = 5 * minute

// heartbeatMax is the longest promise that is one, in milliseconds: a week.
const heartbeatMax = 7 * 86400e3

func (v *View) fold(r *block.Record, h uint64, w *wire.View) {
	v.offset = r.Offset
	v.clock = max(v.clock, r.Recv)
	switch r.Kind {
	case block.KindEvent:
		v.event(r, h, w)
	case block.KindTick:
		v.ticks++
		v.tick()
	case block.KindLink:
		v.link(r)
	case block.KindLost:
		v.lost(r)
	case block.KindShed:
		v.shed(r)
	case block.KindSystem:
		if r.Class == SystemStart {
			v.started(r)
		}
	}
}

// agent returns the agent of that number, known from its first record on.
func (v *View) agent(num uint32) *agent {
	if num == 0 {
		return nil
	}
	if a := v.get(num); a != nil {
		return a
	}
	space, id, ok := v.names.Agent(num)
	if !ok {
		return nil
	}
	a := &agent{num: num, space: v.intern([]byte(space)), id: id}
	v.install(a)
	key := string(v.keyFor(a.space, a.id))
	if w := v.awaited[key]; w != nil {
		delete(v.awaited, key)
		v.gone[key] = true
		for _, n := range w.workers {
			if v.get(n) != nil {
				a.workers++
			}
		}
		if w.manager != "" {
			v.manage(a, w.manager, false)
		}
		for _, s := range w.tasks {
			v.hold(a, s)
		}
		if n := len(w.tasks); n > 0 {
			v.imply(a, w.tasks[n-1].since)
		}
	}
	v.touch(a)
	return a
}

func (v *View) install(a *agent) {
	for int(a.num) >= len(v.agents) {
		v.agents = append(v.agents, nil)
		v.due = append(v.due, never)
	}
	v.agents[a.num], a.sums = a, v.summary(a.space)
	a.seed = xxhash.Sum64String(a.space) * 0x9e3779b97f4a7c15
	v.due[a.num] = 0
	v.byID[string(v.keyFor(a.space, a.id))] = a.num
}

// keyOf builds the key of byID in a scratch buffer.
func (v *View) keyOf(space string, id []byte) []byte {
	v.key = append(append(append(v.key[:0], space...), 0), id...)
	return v.key
}

// keyFor is keyOf for an id that is a string.
func (v *View) keyFor(space, id string) []byte {
	v.key = append(append(append(v.key[:0], space...), 0), id...)
	return v.key
}

func (v *View) await(key string) *awaited {
	w := v.awaited[key]
	if w == nil {
		if len(v.awaited) >= awaitedMax {
			return &awaited{} // named agents beyond the bound leave no trace until seen
		}
		w = &awaited{}
		v.awaited[key] = w
		delete(v.gone, key)
	}
	w.dirty = true
	return w
}

// spanHash identifies a span within the space of that seed.
func spanHash(seed uint64, id []byte) uint64 {
	if len(id) == 0 {
		return 0
	}
	h := seed ^ xxhash.Sum64(id)
	if h == 0 {
		h = 1
	}
	return h
}

// when returns the event's own instant, kept within the clock's reach.
func (v *View) when(w *wire.View) int64 {
	ts := w.TS()
	if ts <= 0 {
		return v.clock
	}
	return min(ts, v.clock+skew)
}

func (v *View) event(r *block.Record, h uint64, w *wire.View) {
	a := v.agent(r.Agent)
	if a == nil {
		return
	}
	v.touch(a)
	ts := v.when(w)
	if a.first == 0 || ts < a.first {
		a.first = ts
	}
	a.back()
	a.last, a.recv, a.lastOff = max(a.last, ts), v.clock, r.Offset
	v.speaks(a, r.Producer)
	a.counts[cEvents]++
	v.count(a, ts)
	if s := w.Str(wire.FSession); len(s) > 0 && string(s) != a.session {
		a.session = string(s)
	}
	typ := wire.Type(r.Class)
	failed := wire.Severity(r.Flags>>2&7) >= wire.SeverityError
	switch {
	case typ.SpanLike():
		failed = v.span(a, typ, wire.Phase(r.Flags&3), ts, r.Offset, h, w) || failed
		v.clearGap(a)
	case typ == wire.TypeAgent:
		v.declare(a, ts, w)
	case typ == wire.TypeState:
		v.stated(a, ts, r.Offset, w)
		v.clearGap(a)
	case typ == wire.TypeMessage:
		a.counts[cMessages]++
		v.stir(a, ts)
	default:
		v.stir(a, ts)
	}
	if failed {
		a.counts[cErrors]++
	}
	if len(a.verdicts) > 0 {
		v.heard(a)
	}
	v.schedule(a)
}

// declare takes an agent event: what is given replaces what was said before.
func (v *View) declare(a *agent, ts int64, w *wire.View) {
	for _, f := range [...]struct {
		to *string
		f  wire.Field
	}{{&a.name, wire.FName}, {&a.role, wire.FRole}, {&a.host, wire.FHost}, {&a.version, wire.FVersion}, {&a.model, wire.FModel}, {&a.kind, wire.FKind}} {
		if s := w.Str(f.f); len(s) > 0 {
			*f.to = v.intern(s)
		}
	}
	if m := w.Str(wire.FManager); len(m) > 0 {
		v.manage(a, string(m), true)
	}
	if hb, ok := w.Float(wire.FHeartbeatMs); ok && hb >= 0 && hb <= heartbeatMax {
		a.heartbeat = int64(hb * 1e6)
	}
	if w.Has(wire.FLabels) {
		a.labels = a.labels[:0:0]
		w.Strings(wire.FLabels, func(k, val []byte) {
			if string(k) == "budget_nanousd" {
				a.budget = digits(val)
			}
			if len(a.labels) < labelMax {
				a.labels = append(a.labels, label{v.intern(k), v.intern(val)})
			}
		})
	}
	if w.Has(wire.FAttrs) {
		w.Numbers(wire.FAttrs, func(name []byte, x float64) {
			if string(name) == "budget_nanousd" && x >= 0 && x < 1<<62 {
				a.budget = int64(x)
			}
		})
	}
	v.checkBudget(a, ts)
	switch {
	case w.Bool(wire.FEnded):
		v.end(a, ts)
	case w.Has(wire.FEnded):
		a.ended = 0
	}
}

func digits(b []byte) (n int64) {
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<58 {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

// manage sets the agent's usual manager. A declared one is not replaced by one
// inferred from a delegation.
func (v *View) manage(a *agent, id string, said bool) {
	if a.managerSaid && !said || id == a.id {
		return
	}
	a.managerSaid = a.managerSaid || said
	if id == a.manager {
		return
	}
	if a.manager != "" {
		if m := v.get(v.byID[string(v.keyFor(a.space, a.manager))]); m != nil {
			if m.workers > 0 { // it may have been forgotten meanwhile, and have come back
				m.workers--
			}
			v.touch(m)
		} else if w := v.awaited[string(v.keyFor(a.space, a.manager))]; w != nil {
			w.workers = remove(w.workers, a.num)
			w.dirty = true
		}
	}
	a.manager = id
	if m := v.get(v.byID[string(v.keyFor(a.space, id))]); m != nil {
		m.workers++
		v.touch(m)
	} else {
		w := v.await(string(v.keyFor(a.space, id)))
		w.workers = append(w.workers, a.num)
	}
}

func remove(s []uint32, x uint32) []uint32 {
	for i := range s {
		if s[i] == x {
			return append(s[:i], s[i+1:]...)
		}
	}
	return s
}

// lost marks every agent of the producer: what it does now is not known.
func (v *View) lost(r *block.Record) {
	mark := func(num uint32) {
		a := v.get(num)
		if a == nil || a.ended != 0 {
			return
		}
		v.touch(a)
		a.gap, a.gapOff = v.clock, r.Offset
		v.timers(a)
		v.schedule(a)
	}
	if r.Agent != 0 {
		mark(r.Agent)
		return
	}
	if q := v.prods[r.Producer]; q != nil {
		for _, n := range q.agents {
			mark(n)
		}
	}
}

// shed counts numbers that admission dropped: to the agents that the record
// names, else to the producer's first.
func (v *View) shed(r *block.Record) {
	count := func(num uint32, n uint64) {
		if a := v.agent(num); a != nil {
			a.counts[cShed] += n
			v.touch(a)
		}
	}
	num, _, n, rest, ok := wire.CutShedEntry(r.Body())
	if !ok {
		if q := v.prods[r.Producer]; q != nil && len(q.agents) > 0 && r.To() >= r.Seq {
			count(lowest(q.agents), r.To()-r.Seq+1)
		}
		return
	}
	for ; ok; num, _, n, rest, ok = wire.CutShedEntry(rest) {
		count(num, n)
	}
}

// lowest, because the list's order is not saved.
func lowest(s []uint32) uint32 {
	n := s[0]
	for _, x := range s {
		n = min(n, x)
	}
	return n
}
