package fleet

import (
	"eyrie/engine/wire"
	"eyrie/wal/block"
)

// window is how many records are looked at ahead: enough for their agents to
// come into the cache side by side, instead of one after the other.
const window = 48

// approach reads what the records from..end-1 are about to touch (see
// docs/adr/0012-folds-look-ahead.md). The loads do not
// depend on each other, and little else is done between them, so the processor
// waits for all of them at once.
func (v *View) approach(b *block.Block, from, end int, vs []wire.View) {
	var near [window]*agent
	n, sum := 0, uint64(0)
	for i := from; i < end; i++ {
		if a := v.get(b.Agent(i)); a != nil && (n == 0 || near[n-1] != a) {
			near[n] = a
			n++
			sum += a.touched + a.seed
		}
	}
	for i := from; i < end; i++ {
		v.hashes[i-from] = 0
		a := v.get(b.Agent(i))
		if t := wire.Type(b.Class(i)); a != nil && t.SpanLike() {
			v.hashes[i-from] = spanHash(a.seed, spanID(t, &vs[i]))
		}
	}
	if v.held.n != nil {
		for _, h := range v.hashes[:end-from] {
			sum += uint64(*v.held.at(h))
		}
	}
	for _, a := range near[:n] {
		sum += a.lastOff + a.counts[0] + a.counts[7] + a.past[0] + a.past[endedMax-1]
		sum += uint64(a.ring.minute) + uint64(a.ring.cost[3]) + uint64(a.ring.cost[11]) + uint64(a.usage.cost) + uint64(len(a.verdicts)) + uint64(a.failing.n)
	}
	for _, a := range near[:n] {
		if k := len(a.open); k > 0 {
			sum += a.open[0].hash + a.open[k-1].hash + uint64(len(a.open[0].from)) + uint64(len(a.open[k-1].from))
		}
	}
	v.sink = sum
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

// sieve counts hashes in a small table: what is surely not in a large map need
// not be sought there.
type sieve struct{ n *[sieveCells]uint8 }

const (
	sieveBits  = 19
	sieveCells = 1 << sieveBits
)

func (s *sieve) at(h uint64) *uint8 { return &s.n[h*0x9e3779b97f4a7c15>>(64-sieveBits)] }

func (s *sieve) may(h uint64) bool { return s.n != nil && *s.at(h) != 0 }

func (s *sieve) add(h uint64) {
	if s.n == nil {
		s.n = new([sieveCells]uint8)
	}
	if c := s.at(h); *c < 255 {
		*c++
	}
}

// remove leaves a cell that was full as it is: how many it stood for is not known.
func (s *sieve) remove(h uint64) {
	if c := s.at(h); *c > 0 && *c < 255 {
		*c--
	}
}

// holdAt notes who has an open delegated task.
func (v *View) holdAt(h uint64, who holder) {
	if _, ok := v.holds[h]; !ok {
		v.held.add(h)
	}
	v.holds[h] = who
}

// unhold forgets it.
func (v *View) unhold(h uint64) {
	if _, ok := v.holds[h]; ok {
		delete(v.holds, h)
		v.held.remove(h)
	}
}
