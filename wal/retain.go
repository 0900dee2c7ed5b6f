package wal

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"eyrie/wal/stretch"
)

// RetainOptions say how long sealed records are kept. Records are dropped by
// tier and stretch, whole: of a stretch all records of a tier, but for chunks
// with records that are held. What is still in blocks is always kept.
type RetainOptions struct {
	// Age drops every tier of a stretch once its last record is older. 0 is never.
	Age time.Duration
	// Bytes is the budget of the sealed log on disk. Beyond it the lowest tier
	// goes first, in it the oldest stretch, then the next tier. 0 is without bound.
	Bytes uint64
	// Beside, if set, returns what counts against Bytes beside the log: what its
	// records name, such as blobs. It is asked again whenever a tier was dropped,
	// and may read the log, which must not be closed meanwhile.
	Beside func(ctx context.Context) (bytes uint64, err error)
	// Needed, if set, returns the lowest offset that a reader still needs and
	// why, such as a view's saved cursor; nothing from there on is dropped. It is
	// called once by a Retain that finds something to drop.
	Needed func() (offset uint64, why string)
}

// Hold is a wish to keep what has a key, whatever its age.
type Hold struct {
	Key    uint32 // of the records, see Record.Key
	Name   string // what has the key; several may have one
	Since  int64  // Unix ns
	Reason string
}

// A hold is under 'k', key 4, name; its value: since 8, reason.

func holdKey(key uint32, name string) []byte { return append(key4(prefixHold, key), name...) }

// holdTable holds them in memory.
type holdTable struct {
	mu       sync.RWMutex
	m        map[string]Hold // by holdKey
	released bool            // what was held of dropped tiers is to go
}

func (t *holdTable) load(db *pebble.DB) error {
	t.m, t.released = map[string]Hold{}, true
	return scan(db, prefixHold, func(k, v []byte) error {
		if len(k) < 5 || len(v) < 8 {
			return errors.New("the log's table of holds is damaged")
		}
		t.m[string(k)] = Hold{Key: binary.BigEndian.Uint32(k[1:]), Name: string(k[5:]), Since: int64(binary.LittleEndian.Uint64(v)), Reason: string(v[8:])}
		return nil
	})
}

// Hold keeps records with the key from being dropped, durably, until Release.
// Chunks are kept whole, so some records of other keys stay with them. What was
// dropped before does not come back.
func (l *Log) Hold(key uint32, name, reason string) error {
	return l.setHold(key, name, &Hold{Key: key, Name: name, Since: l.o.Now().UnixNano(), Reason: reason})
}

// Release ends a hold; what is over its time goes with the next Retain.
func (l *Log) Release(key uint32, name string) error { return l.setHold(key, name, nil) }

func (l *Log) setHold(key uint32, name string, h *Hold) error {
	if key == 0 {
		return errors.New("wal: a hold without a key")
	}
	return l.read(func() error {
		l.holds.mu.Lock()
		defer l.holds.mu.Unlock()
		var err error
		if h == nil {
			err = l.db.Delete(holdKey(key, name), pebble.Sync)
		} else {
			v := append(binary.LittleEndian.AppendUint64(nil, uint64(h.Since)), h.Reason...)
			err = l.db.Set(holdKey(key, name), v, pebble.Sync)
		}
		if err = errors.Join(err, l.Err()); err != nil {
			return err
		}
		if k := string(holdKey(key, name)); h != nil {
			l.holds.m[k] = *h
		} else {
			delete(l.holds.m, k)
			l.holds.released = true
		}
		return nil
	})
}

// Holds returns what is held, oldest first.
func (l *Log) Holds() []Hold {
	l.holds.mu.RLock()
	defer l.holds.mu.RUnlock()
	return slices.SortedFunc(maps.Values(l.holds.m), func(a, b Hold) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Name, b.Name))
	})
}

// held returns the keys that are held.
func (l *Log) held() map[uint32]bool {
	l.holds.mu.RLock()
	defer l.holds.mu.RUnlock()
	keys := make(map[uint32]bool, len(l.holds.m))
	for _, h := range l.holds.m {
		keys[h.Key] = true
	}
	return keys
}

// KeptFrom returns the offset from which on retention has dropped nothing of a tier,
// held chunks aside. Safe for concurrent use.
func (l *Log) KeptFrom(tier uint8) uint64 {
	list := l.Stretches()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Dropped>>tier&1 == 1 {
			return list[i].Next
		}
	}
	return l.First()
}

// Retained tells what one Retain did.
type Retained struct {
	Dropped int    // tiers of stretches
	Bytes   uint64 // of their chunks, as the disk had them
	Kept    string // why it stopped short of what was asked, or ""
}

// Retain drops what Options.Retain no longer keeps. One goroutine at a time.
// What it drops is gone for readers at once, and its space for the disk soon
// after. Errors are those of the store.
func (l *Log) Retain(ctx context.Context) (r Retained, err error) {
	err = l.read(func() error {
		l.shaping.Lock()
		defer l.shaping.Unlock()
		r, err = l.retain(ctx)
		return err
	})
	return r, err
}

func (l *Log) retain(ctx context.Context) (r Retained, err error) {
	o := &l.o.Retain
	needed := sync.OnceValues(func() (uint64, string) {
		if o.Needed == nil {
			return ^uint64(0), ""
		}
		return o.Needed()
	})
	drop := func(s Stretch, tier uint8) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := l.dropTier(s.Base, tier)
		if unreadable(err) && l.Err() == nil {
			r.Kept = err.Error()
			return nil // the others go all the same
		}
		if err == nil {
			r.Dropped++
			r.Bytes += n
			l.metrics.dropped.Inc()
			l.metrics.droppedBytes.AddInt64(int64(n))
			if f := l.o.Events.Dropped; f != nil {
				f(s, tier)
			}
		}
		return err
	}
	if l.holds.takeReleased() {
		if err := l.dropReleased(); err != nil {
			l.holds.setReleased() // to be tried again
			return r, err
		}
	}
	if o.Age > 0 {
		before := l.o.Now().Add(-o.Age).UnixNano()
		for _, s := range l.Stretches() {
			if s.RecvMax >= before {
				break
			}
			if s.Tiers == s.Dropped {
				continue
			}
			if from, why := needed(); s.Next > from {
				r.Kept = why
				break
			}
			for tier := range uint8(64) {
				if (s.Tiers&^s.Dropped)>>tier&1 == 0 {
					continue
				}
				if err := drop(s, tier); err != nil {
					return r, err
				}
			}
		}
	}
	if o.Bytes > 0 {
		used, err := l.sealedBytes()
		if err != nil {
			return r, err
		}
		beside := func() (n uint64, err error) {
			if o.Beside != nil {
				n, err = o.Beside(ctx)
			}
			return n, err
		}
		also, err := beside()
		if err != nil {
			return r, err
		}
		for tier := uint8(0); tier < 64 && used+also > o.Bytes; tier++ {
			for _, s := range l.Stretches() {
				if used+also <= o.Bytes {
					break
				}
				if (s.Tiers&^s.Dropped)>>tier&1 == 0 {
					continue
				}
				if from, why := needed(); s.Next > from {
					r.Kept = why
					break
				}
				before := r.Bytes
				if err := drop(s, tier); err != nil {
					return r, err
				}
				used -= min(used, r.Bytes-before)
				if also, err = beside(); err != nil {
					return r, err
				}
			}
		}
	}
	return r, l.trimFront()
}

func (t *holdTable) takeReleased() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.released
	t.released = false
	return was
}

func (t *holdTable) setReleased() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.released = true
}

// unreadable tells of an error that a part of what is stored is damaged.
func unreadable(err error) bool {
	var lost *LostError
	return errors.As(err, &lost) || pebble.IsCorruptionError(err)
}

// dropReleased drops what was left of dropped tiers for holds that are over. What cannot be read is
// tried again the next time.
func (l *Log) dropReleased() error {
	for _, s := range l.Stretches() {
		if s.Dropped == 0 {
			continue
		}
		for tier := range uint8(64) {
			if s.Dropped>>tier&1 == 0 {
				continue
			}
			left, err := l.anyChunk(&s, tier)
			if err == nil && left {
				_, err = l.dropTier(s.Base, tier)
			}
			if unreadable(err) && l.Err() == nil {
				l.holds.setReleased()
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// sealedBytes is what sealed stretches take on disk, indexes included.
func (l *Log) sealedBytes() (uint64, error) {
	chunks, err := l.db.EstimateDiskUsage([]byte{prefixChunk}, []byte{prefixChunk + 1})
	if err != nil {
		return 0, err
	}
	index, err := l.db.EstimateDiskUsage([]byte{prefixStretch}, []byte{prefixStretch + 1})
	return chunks + index, err
}

// dropTier drops a tier of the stretch at base, but for what is held. That is noted first,
// so that what is missing after a crash is known to be dropped.
func (l *Log) dropTier(base uint64, tier uint8) (freed uint64, err error) {
	now, ok := l.stretchAt(base)
	if !ok || now.Base != base {
		return 0, fmt.Errorf("no sealed stretch begins at offset %d", base)
	}
	s := &now
	x, err := l.index(s)
	if err != nil {
		return 0, err
	}
	keep, err := l.heldChunks(s, x)
	if err != nil {
		return 0, err
	}
	bit := uint64(1) << tier
	s.Dropped |= bit
	s.dropping |= bit
	if err := l.putDropped(s); err != nil {
		return 0, err
	}
	spans := make([]pebble.KeyRange, 0, 4)
	for i := range x.Chunks {
		c := &x.Chunks[i]
		if c.Tier != tier || keep[i] {
			continue
		}
		freed += uint64(c.Len)
		from := s.chunkKey(tier, c.No)
		if n := len(spans); n > 0 && string(spans[n-1].End) == string(from) {
			spans[n-1].End = s.chunkKey(tier, c.No+1)
		} else {
			spans = append(spans, pebble.KeyRange{Start: from, End: s.chunkKey(tier, c.No+1)})
		}
	}
	for _, span := range spans {
		if err := l.excise(span.Start, span.End); err != nil {
			return 0, err
		}
	}
	s.dropping &^= bit
	return freed, errors.Join(l.putDropped(s), l.Err())
}

// heldChunks tells by index which chunks hold records with a held key.
func (l *Log) heldChunks(s *Stretch, x *stretch.Index) (map[int]bool, error) {
	keep := map[int]bool{}
	for key := range l.held() {
		page, ok := x.KeyPage(key)
		if !ok {
			continue
		}
		err := l.get(pageKey(s.Base, page), func(v []byte) error {
			nums, err := stretch.LookKey(v, key)
			for _, n := range nums {
				keep[int(n)] = true
			}
			return err
		})
		if damaged(err) {
			return nil, &LostError{From: s.Base, To: s.Next - 1, Reason: "what is held cannot be told from the rest, so nothing is dropped: " + brief(err)}
		} else if err != nil {
			return nil, err
		}
	}
	return keep, nil
}

// putDropped stores what is dropped of a stretch and shows it to readers.
func (l *Log) putDropped(s *Stretch) error {
	v := binary.LittleEndian.AppendUint64(nil, s.Dropped)
	v = binary.LittleEndian.AppendUint64(v, s.dropping)
	if err := errors.Join(l.db.Set(key8(prefixDrop, s.Base), v, pebble.Sync), l.Err()); err != nil {
		return err
	}
	l.sealed.change(func(list []Stretch) []Stretch {
		i, ok := slices.BinarySearchFunc(list, s.Base, func(e Stretch, base uint64) int { return cmp.Compare(e.Base, base) })
		if ok {
			list[i] = *s
		}
		return list
	})
	l.sealed.whole.forget(s.Base)
	return nil
}

// redrop ends what a crash, or the end of a context, has interrupted.
func (l *Log) redrop() error {
	for _, s := range l.Stretches() {
		for tier := range uint8(64) {
			if s.dropping>>tier&1 == 1 {
				// One that is damaged is tried again at the next start; what was dropped of it is not shown.
				if _, err := l.dropTier(s.Base, tier); err != nil && !(unreadable(err) && l.Err() == nil) {
					return err
				}
			}
		}
	}
	return l.trimFront()
}

// trimFront forgets the oldest stretches of which nothing is left.
func (l *Log) trimFront() error {
	gone, list := 0, l.Stretches()
	for _, s := range list[:max(len(list)-1, 0)] { // the last one says where the blocks begin
		if s.Tiers != s.Dropped {
			break
		}
		left := false
		for tier := uint8(0); tier < 64 && !left; tier++ {
			var err error
			if left, err = l.anyChunk(&s, tier); unreadable(err) && l.Err() == nil {
				left = true
			} else if err != nil {
				return err
			}
		}
		if left {
			break
		}
		gone++
	}
	if gone == 0 {
		return nil
	}
	if err := l.noteTrimmed(list[:gone]); err != nil {
		return err
	}
	l.sealed.change(func(list []Stretch) []Stretch { return list[gone:] })
	if err := l.excise(key8(prefixStretch, 0), key8(prefixStretch, list[gone].Base)); err != nil {
		return err
	}
	b := l.db.NewBatch()
	defer b.Close()
	for _, s := range list[:gone] {
		if err := b.Delete(key8(prefixDrop, s.Base), nil); err != nil {
			return err
		}
	}
	return errors.Join(l.db.Apply(b, pebble.NoSync), l.Err())
}

// anyChunk tells whether a chunk of that tier of the stretch is left.
func (l *Log) anyChunk(s *Stretch, tier uint8) (bool, error) {
	if s.Tiers>>tier&1 == 0 {
		return false, nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: s.chunkKey(tier, 0), UpperBound: s.chunkKey(tier, ^uint32(0))})
	if err != nil {
		return false, err
	}
	any := it.First()
	return any, errors.Join(it.Error(), it.Close())
}
