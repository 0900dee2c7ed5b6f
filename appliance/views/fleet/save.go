package fleet

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Keys of the snapshot in the views store:
//
//	'f' 0x00                 format, clock, offset, totals of spaces, work
//	'f' 0x01 num(4, BE)      format, agent
//	'f' 0x02 space NUL id    format, what is known of an agent not seen yet
//	'f' 0x03 producer(4, BE) format, its link
//
// Each value begins with one byte of format; the rest is MessagePack.
const (
	prefix      = 'f'
	keyClock    = 0x00
	keyAgent    = 0x01
	keyAwaited  = 0x02
	keyProducer = 0x03
	format      = 3
)

// Prefixes are the first bytes of all keys of the view.
const Prefixes = "fh"

func agentKey(dst []byte, num uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, keyAgent), num)
}

func producerKey(dst []byte, num uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, prefix, keyProducer), num)
}

// Save writes what changed since the last Save.
func (v *View) Save(w *pebble.Batch) error {
	_, err := v.save(w, false)
	return err
}

// SaveApart implements views.Apart: chunks of snapshots are apart.
func (v *View) SaveApart(w *pebble.Batch) (chunks, error) { return v.save(w, true) }

func (v *View) save(w *pebble.Batch, apart bool) (chunks, error) {
	v.gather()
	v.mu.Lock()
	defer v.mu.Unlock()
	rows, err := v.saveSnapshotsOf(w, apart)
	if err != nil {
		return nil, err
	}
	return rows, v.saveState(w)
}

// saveSnapshotsOf deletes what a Reset forgot, then saves snapshots.
func (v *View) saveSnapshotsOf(w *pebble.Batch, apart bool) (chunks, error) {
	if v.wipe {
		for _, p := range []byte{prefix, pastPrefix} {
			if err := w.DeleteRange([]byte{p}, []byte{p + 1}, nil); err != nil {
				return nil, err
			}
		}
		v.wipe, apart = false, false
	}
	return v.saveSnapshots(w, apart)
}

// saveState saves the state of now.
func (v *View) saveState(w *pebble.Batch) error {
	var key []byte
	c := codec{v: v}
	begin := func() { c.b = append(c.b[:0], format) }
	put := func(k []byte) error { return w.Set(k, c.b, nil) }
	for _, a := range v.agents {
		if a == nil || !a.dirty {
			continue
		}
		begin()
		c.agent(a)
		key = agentKey(key[:0], a.num)
		if err := put(key); err != nil {
			return err
		}
		a.dirty = false
	}
	for k := range v.gone {
		if err := w.Delete(append([]byte{prefix, keyAwaited}, k...), nil); err != nil {
			return err
		}
	}
	clear(v.gone)
	for k, x := range v.awaited {
		if !x.dirty {
			continue
		}
		begin()
		c.awaited(x)
		if err := put(append([]byte{prefix, keyAwaited}, k...)); err != nil {
			return err
		}
		x.dirty = false
	}
	for p := range v.left {
		if err := w.Delete(producerKey(nil, p), nil); err != nil {
			return err
		}
	}
	clear(v.left)
	for n, p := range v.prods {
		if !p.dirty {
			continue
		}
		begin()
		c.producer(p)
		if err := put(producerKey(nil, n)); err != nil {
			return err
		}
		p.dirty = false
	}
	begin()
	c.i64(&v.clock)
	c.u64(&v.offset)
	c.spaces()
	c.u64(&v.snaps.work)
	return put([]byte{prefix, keyClock})
}

// Load replaces the state by the snapshot; an empty store is the zero state.
func (v *View) Load(r pebble.Reader) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reset()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if err := v.load(it.Key(), it.Value()); err != nil {
			v.reset()
			return err
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	if err := v.loadSnapshots(r); err != nil {
		v.reset()
		return err
	}
	v.relink()
	return nil
}

// LoadBounds returns the bounds of the keys that Load reads, those that are many.
func (v *View) LoadBounds() [][2][]byte { return [][2][]byte{{{prefix}, {prefix + 1}}} }

func (v *View) load(k, val []byte) error {
	if len(k) < 2 || len(val) < 1 || val[0] != format {
		return fmt.Errorf("fleet: snapshot key %x has format %x, want %d", k, val[:min(1, len(val))], format)
	}
	c := codec{b: val[1:], read: true, v: v}
	switch k[1] {
	case keyClock:
		c.i64(&v.clock)
		c.u64(&v.offset)
		c.spaces()
		c.u64(&v.snaps.work)
	case keyAgent:
		if len(k) != 6 {
			return errSnapshot
		}
		a := &agent{num: binary.BigEndian.Uint32(k[2:])}
		c.agent(a)
		if c.err == nil {
			v.install(a)
		}
	case keyProducer:
		if len(k) != 6 {
			return errSnapshot
		}
		p := &producer{}
		c.producer(p)
		v.prods[binary.BigEndian.Uint32(k[2:])] = p
	case keyAwaited:
		w := &awaited{}
		c.awaited(w)
		v.awaited[string(k[2:])] = w
	}
	if c.err != nil {
		return fmt.Errorf("fleet: snapshot key %x: %w", k, c.err)
	}
	return nil
}

// relink rebuilds what is derived from agents and not saved.
func (v *View) relink() {
	for _, a := range v.agents {
		if a == nil {
			continue
		}
		for i := range a.open {
			if a.open[i].from != "" {
				v.holdAt(a.open[i].hash, holder{num: a.num})
			}
		}
		if p := a.producer; p != 0 {
			a.producer = 0
			v.speaks(a, p)
		}
	}
	for _, a := range v.agents {
		if a != nil {
			v.sum(a)
		}
	}
	for k, w := range v.awaited {
		for i := range w.tasks {
			v.holdAt(w.tasks[i].hash, holder{key: k})
		}
	}
}
