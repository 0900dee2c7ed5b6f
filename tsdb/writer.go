package tsdb

// Writer appends samples one after the other at less cost than DB's own methods:
// it keeps the lock of a shard from one sample to the next. It belongs to one
// goroutine, as do Append and Add. Until Done, no other method of DB but
// Refs and Symbol may be called there, and queries of that shard wait.
type Writer struct {
	db *DB
	s  *shard
	i  uint32
}

// Writer returns one that holds nothing yet.
func (db *DB) Writer() Writer { return Writer{db: db} }

// Done lets go of what the Writer holds. It may be used again.
func (w *Writer) Done() {
	if w.s != nil {
		w.s.mu.Unlock()
		w.s = nil
	}
}

func (w *Writer) shard(i uint32) *shard {
	if w.s == nil || w.i != i {
		w.Done()
		w.i, w.s = i, &w.db.shards[i]
		w.s.mu.Lock()
	}
	return w.s
}

// Append does what DB.Append does.
func (w *Writer) Append(ref uint64, t int64, v float64) {
	i, slot := locate(uint32(ref))
	s := w.shard(i)
	if t < MinTime || t > MaxTime {
		s.dropped++
		return
	}
	s.append(w.db, uint32(ref), slot, t, v)
}

// Add does what DB.Add does.
func (w *Writer) Add(ref uint64, t int64, delta float64) {
	i, slot := locate(uint32(ref))
	s := w.shard(i)
	if t < MinTime || t > MaxTime {
		s.dropped++
		return
	}
	r := s.run(slot)
	v := delta
	if r.s.N > 0 {
		t = max(t, r.s.LastT)
		v += r.s.Value()
	}
	s.append(w.db, uint32(ref), slot, t, v)
}

// Approach reads what an Append to each of refs is about to touch, the ends of
// their runs with deep, so that the processor waits for all of it at once; who
// calls it appends to the same series from the same goroutine. The result means
// nothing: it keeps the loads from being left out.
func (w *Writer) Approach(refs []uint64, deep bool) (sum uint64) {
	for _, ref := range refs {
		if ref == 0 || ref > 1<<32-1 {
			continue
		}
		i, slot := locate(uint32(ref))
		s := &w.db.shards[i]
		r := s.run(slot)
		if !deep {
			sum += uint64(r.s.LastT) + uint64(r.chain.tail)
		} else if r.chain.len > 0 {
			sum += uint64(s.arena.cell(r.chain.tail)[0])
		}
	}
	return sum
}
