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
	open *span   // that the hash was found to stand for; a hint
}

// approach lists the span-like events of records i..end-1 and reads what they
// are about to touch, one step of the way to it after the other: the loads of a
// step do not depend on each other, and little else is done between them, so
// the processor waits for all of them at once.
func (v *View) approach(b *block.Block, i, end int, vs []wire.View, next *[window]coming) (n int) {
	sum := uint64(0)
	for ; i < end; i++ {
		if wire.Type(b.Class(i)).SpanLike() && b.Kind(i) == block.KindEvent {
			num := b.Agent(i)
			next[n] = coming{at: i, c: v.known(num)}
			n++
		}
	}
	ahead := next[:n]
	for k := range ahead {
		if c := ahead[k].c; c != nil {
			sum += c.seed + uint64(c.n[b.Class(ahead[k].at)][stOpen])
		}
	}
	for k := range ahead {
		x := &ahead[k]
		if x.c == nil {
			continue
		}
		if x.id = spanID(wire.Type(b.Class(x.at)), &vs[x.at]); len(x.id) > 0 {
			x.hash = hashOf(x.c.seed, x.id)
		}
	}
	for k := range ahead {
		sum += v.open.slots[v.open.home(ahead[k].hash)].h
	}
	for k := range ahead {
		x := &ahead[k]
		if at := &v.open.slots[v.open.home(x.hash)]; at.h == x.hash && at.s != nil {
			x.open = at.s
			sum += at.s.off + at.s.endOff + uint64(len(at.s.parent))
		}
		if x.c != nil && x.c.run != nil {
			sum += x.c.up.hash + x.c.run.spans
		}
	}
	for k := range ahead {
		sum += v.filter.approach(ahead[k].hash, ahead[k].open != nil)
	}
	for k := range ahead {
		x := &ahead[k]
		if s := x.open; s != nil {
			sum += first(s.id) + first(s.parent) + first(s.name)
			if s.typ == uint8(wire.TypeLLM) {
				sum += uint64(s.usage.cost)
			}
		} else if x.c != nil {
			sum += first(x.c.up.id)
		}
		if x.c != nil && x.c.run != nil {
			sum += uint64(x.c.run.usage.cost) + first(x.c.run.id)
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

// approach reads where a hash is looked for, or only where it is going to be added.
func (f *filter) approach(h uint64, add bool) (sum uint64) {
	for k := range f.layers {
		if !add || k == len(f.layers)-1 {
			sum += f.layers[k].approach(h)
		}
	}
	return sum
}

func (l *layer) approach(h uint64) uint64 { return l.lines[place(h, len(l.lines))][0] }
