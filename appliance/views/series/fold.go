package series

import (
	"math"

	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// skewNs is how far ahead of the log's clock a stated instant may lie.
const skewNs = 5 * 60 * 1e9

// event is what the entries of one event share.
type event struct {
	src  *source
	t    int64 // Unix ms
	unit []byte
}

// Apply folds the records from index from on; vs[i] is the parsed payload of
// record i where that is an event.
func (v *View) Apply(b *block.Block, from int, vs []wire.View) {
	v.w = v.db.Writer()
	defer v.w.Done()
	for i := from; i < b.Len(); {
		end := min(i+window, b.Len())
		v.approach(b, i, end, vs)
		for ; i < end; i++ {
			w := &vs[i]
			numbers := w.Has(wire.FMetrics) || w.Has(wire.FCounters) || w.Has(wire.FDeltas)
			usage := wire.Type(b.Class(i)) == wire.TypeLLM && w.Has(wire.FUsage)
			if !numbers && !usage {
				continue
			}
			r := b.Record(i)
			if r.Kind != block.KindEvent || r.Agent == 0 {
				continue
			}
			if numbers {
				v.numbers(&r, w)
			}
			if usage {
				v.usage(&r, w)
			}
		}
	}
}

// window is how many records are looked at ahead.
const window = 128

// approach reads what the records i..end-1 are about to touch, one step of the
// way to it after the other: the loads of a step do not depend on each other, so
// the processor waits for all of them at once.
func (v *View) approach(b *block.Block, i, end int, vs []wire.View) {
	var of [window]*agent
	var calls [window]bool
	var refs [window][]uint64
	n, sum := 0, uint64(0)
	for ; i < end; i++ {
		call := vs[i].Has(wire.FUsage)
		if num := b.Agent(i); (call || vs[i].Has(wire.FMetrics)) && int(num) < len(v.agents) && v.agents[num] != nil {
			of[n], calls[n] = v.agents[num], call
			n++
		}
	}
	for k := range n {
		sum += uint64(len(of[k].models) + len(of[k].sources))
	}
	for k := range n {
		switch a := of[k]; {
		case calls[k] && len(a.models) > 0:
			refs[k] = a.models[0].refs[:]
			if len(a.models) > 1 {
				sum += a.models[1].refs[0]
			}
		case !calls[k] && len(a.sources) > 0:
			refs[k] = a.sources[0].refs
		}
	}
	for k := range n {
		if r := refs[k]; len(r) > 0 {
			sum += r[0] + r[len(r)-1]
		}
	}
	for k := range n {
		sum += v.w.Approach(refs[k], false)
	}
	for k := range n {
		sum += v.w.Approach(refs[k], true)
	}
	v.sink = sum
}

// instant is the sample's time in Unix ms: the event's own, the log's where it
// has none or lies ahead of the log's clock by more than skew.
func instant(r *block.Record, w *wire.View) int64 {
	ns := w.TS()
	if ns <= 0 || ns > r.Recv+skewNs {
		ns = r.Recv
	}
	return ns / 1e6
}

// numbers folds metrics, counters and deltas. It does not allocate once the
// series of an event have been seen.
func (v *View) numbers(r *block.Record, w *wire.View) {
	a := v.agent(r.Agent)
	if a == nil {
		return
	}
	v.cur = event{src: v.source(a, w.Raw(wire.FLabels), w.Str(wire.FName)), t: instant(r, w), unit: w.Str(wire.FUnit)}
	w.Numbers(wire.FMetrics, func(name []byte, x float64) { v.sample(a, w, name, x, false) })
	w.Numbers(wire.FCounters, func(name []byte, x float64) { v.sample(a, w, name, x, false) })
	w.Numbers(wire.FDeltas, func(name []byte, x float64) { v.sample(a, w, name, x, true) })
	if v.cur.unit == nil {
		// One unit a metric: {name: unit}.
		w.Strings(wire.FUnit, func(name, unit []byte) { v.units.set(a.space, name, unit) })
	}
}

// sample appends x, or adds it to the series' sum.
func (v *View) sample(a *agent, w *wire.View, name []byte, x float64, add bool) {
	ref := v.cur.src.find(name)
	if ref == unknown {
		v.w.Done()
		ref = v.add(a, v.cur.src, w, name)
	}
	if len(v.cur.unit) > 0 {
		v.units.set(a.space, name, v.cur.unit)
	}
	switch {
	case ref == 0, add && (math.IsNaN(x) || math.IsInf(x, 0)): // a sum would stay that
		v.drops++
	case add:
		v.w.Add(ref, v.cur.t, x)
	default:
		v.w.Append(ref, v.cur.t, x)
	}
}

// Names of the series made of usage; the kind of token is the label kind, the
// model the label model.
const (
	TokensMetric = "llm_tokens_total"
	CostMetric   = "llm_cost_nanousd_total"
)

// usage adds what a model call used, once: when it ends. Updates before the end
// carry running totals of the same call and are left out.
func (v *View) usage(r *block.Record, w *wire.View) {
	h := wire.HeadFromFlags(r.Flags)
	if h.Phase != wire.PhaseWhole && h.Phase != wire.PhaseEnd {
		return
	}
	a := v.agent(r.Agent)
	if a == nil {
		return
	}
	u, ok := w.Usage()
	if !ok {
		return
	}
	model := u.Model
	if len(model) == 0 {
		model = w.Str(wire.FName)
	}
	m := v.model(a, model)
	t := instant(r, w)
	for i, n := range [...]int64{u.Input, u.Output, u.CacheRead, u.CacheWrite, u.Reasoning, u.CostNanoUSD} {
		if n <= 0 {
			continue
		}
		if m.refs[i] == unknown {
			v.w.Done()
			m.refs[i] = v.addUsage(a, m, i)
		}
		if m.refs[i] == 0 {
			v.drops++
			continue
		}
		v.w.Add(m.refs[i], t, float64(n))
	}
}
