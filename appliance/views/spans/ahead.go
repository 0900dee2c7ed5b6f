package spans

import (
	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// window is how many records are looked at ahead: enough for what they touch to
// come into the cache side by side, instead of one after the other.
const window = 64

// coming is a span-like event that is about to be folded.
type coming struct {
	at   int     // index of its record
	id   []byte  // of the span; nil = none given
	hash uint64  // of it
	c    *counts // of its agent; nil where the dictionary does not know that
}

// approach lists the span-like events of records i..end-1 and reads what they
// are about to touch, one step of the way to it after the other: the loads of a
// step do not depend on each other, so the processor waits for all of them at
// once.
func (v *View) approach(b *block.Block, i, end int, vs []wire.View, next *[window]coming) (n int) {
	sum := uint64(0)
	for ; i < end; i++ {
		if !wire.Type(b.Class(i)).SpanLike() {
			continue
		}
		r := b.Record(i)
		if r.Kind != block.KindEvent {
			continue
		}
		x := &next[n]
		*x = coming{at: i, c: v.known(r.Agent)}
		n++
		if x.c == nil {
			continue
		}
		sum += uint64(x.c.n[r.Class][stOpen])
		if x.id = spanID(wire.Type(r.Class), &vs[i]); len(x.id) > 0 {
			x.hash = hashOf(x.c.seed, x.id)
			sum += v.open.slots[v.open.home(x.hash)].h
		}
	}
	var open [window]*span
	for k := range next[:n] {
		x := &next[k]
		if x.c == nil {
			continue
		}
		sum += x.c.up.hash
		if at := &v.open.slots[v.open.home(x.hash)]; at.h == x.hash && at.s != nil {
			s := at.s
			open[k] = s
			sum += s.off + s.endOff + uint64(len(s.parent))
			if s.typ == uint8(wire.TypeLLM) {
				sum += uint64(s.usage.cost)
			}
		} else {
			sum += v.filter.approach(x.hash)
		}
	}
	for k := range next[:n] {
		if c := next[k].c; c != nil && c.run != nil {
			sum += c.run.spans + uint64(c.run.usage.cost) + first(c.run.id)
			if open[k] == nil {
				sum += first(c.up.id)
			}
		}
		if s := open[k]; s != nil {
			sum += first(s.id) + first(s.parent) + first(s.name)
			if l := len(v.filter.layers); l > 0 {
				sum += v.filter.layers[l-1].approach(s.hash)
			}
		}
	}
	v.sink = sum
	return n
}

// first reads the first byte of a text.
func first(s string) uint64 {
	if len(s) == 0 {
		return 0
	}
	return uint64(s[0])
}

// known returns what is kept of an agent that the dictionary knows, else nil.
func (v *View) known(num uint32) *counts {
	if int(num) < len(v.counts) && v.counts[num] != nil {
		return v.counts[num]
	}
	if _, _, ok := v.names.Agent(num); !ok {
		return nil
	}
	return v.agent(num)
}

// spanID is wire.View.SpanID for a type that is known.
func spanID(t wire.Type, w *wire.View) []byte {
	if s := w.Str(wire.FSpan); len(s) > 0 {
		return s
	}
	switch t {
	case wire.TypeRun:
		return w.Str(wire.FRun)
	case wire.TypeTask:
		return w.Str(wire.FTask)
	}
	return nil
}

// approach reads where a hash is looked for.
func (f *filter) approach(h uint64) (sum uint64) {
	for k := range f.layers {
		sum += f.layers[k].approach(h)
	}
	return sum
}

func (l *layer) approach(h uint64) uint64 { return l.lines[place(h, len(l.lines))][0] }
