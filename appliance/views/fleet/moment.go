package fleet

import (
	"errors"
	"fmt"
	"sort"

	"github.com/cockroachdb/pebble/v2"
)

// Moment names a stored snapshot and the rows that it consists of. The zero
// Moment is the state before offset 1.
type Moment struct {
	Offset uint64 // the state is the one behind it
	agents uint32
	keys   [][]byte // the rest, then chunks
}

// MomentBefore returns the newest stored snapshot at or below an offset. Its rows may
// be thinned away at any time: then LoadMoment says pebble.ErrNotFound, and
// asking again names another.
func (v *View) MomentBefore(offset uint64) Moment { return v.momentBefore(target{offset: offset}) }

func (v *View) momentBefore(t target) Moment {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := v.snaps.list
	n := sort.Search(len(list), func(i int) bool {
		if t.offset != 0 {
			return list[i].offset > t.offset
		}
		return list[i].clock > t.recv
	})
	if n == 0 {
		return Moment{}
	}
	at := &list[n-1]
	m := Moment{Offset: at.offset, agents: at.agents, keys: [][]byte{offsetKey(pastRest, at.offset)}}
	left := (int(at.agents) + v.snaps.chunk - 1) / v.snaps.chunk
	seen := make([]bool, left)
	for ; n > 0 && left > 0; n-- {
		for _, r := range list[n-1].rows {
			if int(r.chunk) < len(seen) && !seen[r.chunk] {
				seen[r.chunk] = true
				left--
				m.keys = append(m.keys, chunkKey(r.chunk, r.offset))
			}
		}
	}
	return m
}

// LoadMoment replaces the state of a view of its own, one that no runner saves,
// by a stored one. It must come from a view of the same store and log.
func (v *View) LoadMoment(r pebble.Reader, m Moment) (err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	if m.Offset == 0 {
		return nil
	}
	defer func() {
		if err != nil {
			v.reset()
		}
	}()
	v.agents, v.due = make([]*agent, 0, m.agents), make([]int64, 0, m.agents)
	v.byID = make(map[string]uint32, m.agents)
	bodies, stop := make(chan body, 2), make(chan struct{})
	defer close(stop)
	go read(r, m.keys, bodies, stop)
	first := true
	for b := range bodies {
		switch {
		case b.err != nil:
			return fmt.Errorf("fleet: snapshot at %d: %w", m.Offset, b.err)
		case first:
			err = v.readRest(b.b)
		default:
			err = v.readChunk(b.b)
		}
		if err != nil {
			return fmt.Errorf("fleet: snapshot at %d: %w", m.Offset, err)
		}
		first = false
	}
	if v.offset != m.Offset {
		return fmt.Errorf("%w: that of %d stands at %d", errSnapshot, m.Offset, v.offset)
	}
	v.relink()
	return nil
}

// body is a row that was read and decompressed.
type body struct {
	b   []byte
	err error
}

// read hands out the rows while the ones before are decoded.
func read(r pebble.Reader, keys [][]byte, out chan<- body, stop <-chan struct{}) {
	defer close(out)
	for _, k := range keys {
		var b body
		val, closer, err := r.Get(k)
		if err == nil {
			b.b, b.err = unseal(val)
			b.err = errors.Join(b.err, closer.Close())
		} else {
			b.err = err
		}
		select {
		case out <- b:
		case <-stop:
			return
		}
		if b.err != nil {
			return
		}
	}
}
