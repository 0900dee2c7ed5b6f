package fleet

import (
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/appliance/forget"
)

// forgetting takes agents, or what they had in hand of a run, out of states that
// are stored.
type forgetting struct {
	*forget.Scope
	v   *View // interns; holds one state at a time
	ids map[string]bool
	b   *pebble.Batch
	db  *pebble.DB
}

// Forget implements views.Forgetter. Of a forgotten agent nothing stays but what
// others said of it and its part in the sums of its space, in the state of now and in snapshots of past moments. An agent of a
// forgotten run loses what it had in hand or had delegated, and what was last said
// of it: a state does not know which run that was of.
func (v *View) Forget(db *pebble.DB, f *forget.Scope) error {
	g := forgetting{Scope: f, v: New(v.names), ids: map[string]bool{}, db: db, b: db.NewBatch()}
	defer func() { _ = g.b.Close() }()
	for _, num := range f.Agents {
		if space, id, ok := v.names.Agent(num); ok {
			g.ids[space+"\x00"+id] = true
		}
	}
	for _, kind := range []struct {
		prefix [2]byte
		fn     func(k, val []byte) error
	}{
		{[2]byte{prefix, keyAgent}, g.row}, {[2]byte{prefix, keyAwaited}, g.awaitedRow},
		{[2]byte{pastPrefix, pastChunk}, g.chunk}, {[2]byte{pastPrefix, pastRest}, g.rest},
	} {
		if err := g.each(kind.prefix, kind.fn); err != nil {
			return fmt.Errorf("fleet: forget: %w", err)
		}
	}
	return g.b.Commit(pebble.NoSync)
}

// each calls fn for the rows of one kind.
func (g *forgetting) each(prefix [2]byte, fn func(k, val []byte) error) (err error) {
	it, err := g.db.NewIter(&pebble.IterOptions{LowerBound: prefix[:], UpperBound: []byte{prefix[0], prefix[1] + 1}})
	if err != nil {
		return err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return fmt.Errorf("key %x: %w", it.Key(), err)
		}
		if g.b.Len() > forgetBytes {
			if err := g.b.Commit(pebble.NoSync); err != nil {
				return err
			}
			_ = g.b.Close()
			g.b = g.db.NewBatch()
		}
	}
	return it.Error()
}

// forgetBytes bounds a batch.
const forgetBytes = 4 << 20

// strip takes out of a what goes. gone: the whole agent.
func (g *forgetting) strip(a *agent) (changed, gone bool) {
	meant := slices.Contains(g.Agents, a.num)
	if g.Again { // what there is of it was told later; without that it is known by its links alone
		gone = meant && g.Run == "" && a.counts[cEvents] == 0
		return gone, gone
	}
	if meant && g.Run == "" {
		return true, true
	}
	if meant && (len(a.open) > 0 || a.msg != "" || a.lastRun != "" || a.session != "" || len(a.verdicts) > 0 || a.repeat.n > 0 || a.failing.n > 0) {
		a.open, a.msg, a.lastRun, a.session, a.verdicts = nil, "", "", "", nil
		a.repeat, a.failing = streak{}, streak{}
		changed = true
	}
	n := len(a.open)
	a.open = slices.DeleteFunc(a.open, func(s span) bool { return g.from(a.space, &s) })
	return changed || len(a.open) < n, false
}

// from tells whether an agent that is meant delegated the task.
func (g *forgetting) from(space string, s *span) bool {
	return s.from != "" && g.ids[space+"\x00"+s.from]
}

// row is an agent of the state of now.
func (g *forgetting) row(k, val []byte) error {
	if len(k) != 6 {
		return errSnapshot
	}
	g.v.reset()
	if err := g.v.load(k, val); err != nil {
		return err
	}
	for _, a := range g.v.agents {
		if a == nil {
			continue
		}
		changed, gone := g.strip(a)
		switch {
		case gone:
			return g.b.Delete(k, nil)
		case changed:
			c := codec{v: g.v, b: []byte{format}}
			c.agent(a)
			return g.b.Set(k, c.b, nil)
		}
	}
	return nil
}

// awaitedRow is what is known of an agent that was not seen yet.
func (g *forgetting) awaitedRow(k, val []byte) error {
	g.v.reset()
	if err := g.v.load(k, val); err != nil {
		return err
	}
	for key, w := range g.v.awaited {
		if !g.stripAwaited(key, w) {
			continue
		}
		c := codec{v: g.v, b: []byte{format}}
		c.awaited(w)
		return g.b.Set(k, c.b, nil)
	}
	return nil
}

func (g *forgetting) stripAwaited(key string, w *awaited) (changed bool) {
	if g.Again {
		return false
	}
	space := key[:slices.Index([]byte(key), 0)]
	tasks, workers := len(w.tasks), len(w.workers)
	w.tasks = slices.DeleteFunc(w.tasks, func(s span) bool { return g.from(space, &s) })
	if g.Run == "" {
		w.workers = slices.DeleteFunc(w.workers, func(n uint32) bool { return slices.Contains(g.Agents, n) })
		if w.manager != "" && g.ids[space+"\x00"+w.manager] {
			w.manager, changed = "", true
		}
	}
	return changed || len(w.tasks) < tasks || len(w.workers) < workers
}

// chunk is agents of a past moment.
func (g *forgetting) chunk(k, val []byte) error {
	body, err := unseal(val)
	if err != nil {
		return err
	}
	g.v.reset()
	if err := g.v.readChunk(body); err != nil {
		return err
	}
	any := false
	for i, a := range g.v.agents {
		if a == nil {
			continue
		}
		changed, gone := g.strip(a)
		if any = any || changed; gone {
			g.v.agents[i] = nil
		}
	}
	if !any {
		return nil
	}
	return g.b.Set(k, seal(g.v.chunkBody(g.v.agents)), nil)
}

// rest is what else a past moment has.
func (g *forgetting) rest(k, val []byte) error {
	body, err := unseal(val)
	if err != nil {
		return err
	}
	g.v.reset()
	if err := g.v.readRest(body); err != nil {
		return err
	}
	any := false
	for key, w := range g.v.awaited {
		any = g.stripAwaited(key, w) || any
	}
	if !any {
		return nil
	}
	return g.b.Set(k, seal(g.v.restBody()), nil)
}
