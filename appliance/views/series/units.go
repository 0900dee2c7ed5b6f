package series

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// units remembers which unit a metric of a space was last given:
//
//	'm' 'u' space NUL metric → unit
type units struct {
	mu    sync.RWMutex
	of    map[string]string // space NUL metric → unit
	dirty map[string]bool
	key   []byte
}

const (
	ownPrefix = 'm'
	unitKind  = 'u'
	unitsMax  = 1 << 16
	unitBytes = 32
)

func (u *units) clear() {
	u.mu.Lock()
	u.of, u.dirty = map[string]string{}, map[string]bool{}
	u.mu.Unlock()
}

// set is called by the folding goroutine alone, which is the only one to write:
// it may read without the lock.
func (u *units) set(space string, metric, unit []byte) {
	if len(unit) > unitBytes {
		return
	}
	u.key = append(append(append(u.key[:0], space...), 0), metric...)
	if was, ok := u.of[string(u.key)]; ok && was == string(unit) || !ok && len(u.of) >= unitsMax {
		return
	}
	k := string(u.key)
	u.mu.Lock()
	u.of[k] = string(unit)
	u.mu.Unlock()
	u.dirty[k] = true
}

func (u *units) get(space, metric string) string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.of[space+"\x00"+metric]
}

func (u *units) save(w *pebble.Batch) error {
	for k := range u.dirty {
		if err := w.Set(append([]byte{ownPrefix, unitKind}, k...), []byte(u.of[k]), nil); err != nil {
			return err
		}
	}
	clear(u.dirty)
	return nil
}

func (u *units) load(r pebble.Reader) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{ownPrefix, unitKind}, UpperBound: []byte{ownPrefix, unitKind + 1}})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			it.Close()
			return err
		}
		u.of[string(it.Key()[2:])] = string(v)
	}
	return it.Close()
}
