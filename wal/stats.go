package wal

// Stats is a look at the log's state and work.
type Stats struct {
	Epoch      uint32
	Next       uint64 // first offset not yet durable
	Agents     int
	Producers  int
	DiskBytes  uint64 // the store's files, WAL included
	CacheBytes int    // newest blocks in memory
	Commits    uint64 // since Open
	Records    uint64
	// PayloadBytes and StoredBytes compare what came in with what was written
	// for it, before the store's own doing.
	PayloadBytes uint64
	StoredBytes  uint64
	Marks        uint64
	// HotBytes are blocks that are not sealed, as stored; SealBehind is how much of
	// them the sealer is behind by, nearly: 0 while it waits for a stretch to fill up.
	HotBytes, SealBehind int64
	// WriteAmplification of the store: bytes flushed and compacted per byte flushed.
	WriteAmplification float64
	// L0Files and L0Bytes are tables of the store's level 0, blocks that are not
	// sealed among them; L0Depth is how many of them a read of one key may visit.
	L0Files, L0Bytes, L0Depth int64
}

// Stats returns the log's state.
func (l *Log) Stats() Stats {
	m := l.metrics
	s := Stats{Epoch: l.Epoch(), Next: l.Next(), Agents: l.Agents(), Commits: m.commits.Get(), Records: m.records.Get(),
		PayloadBytes: m.payload.Get(), StoredBytes: m.stored.Get(), Marks: m.marks.Get()}
	l.producers.mu.RLock()
	s.Producers = len(l.producers.m)
	l.producers.mu.RUnlock()
	l.cache.mu.Lock()
	s.CacheBytes = l.cache.bytes
	l.cache.mu.Unlock()
	s.HotBytes = l.sealer.hot.Load()
	if !l.o.Seal.Off {
		s.SealBehind = max(0, s.HotBytes-l.keptHot()-l.o.Seal.Bytes)
	}
	l.life.RLock()
	defer l.life.RUnlock()
	if !l.closed {
		pm := l.db.Metrics()
		s.DiskBytes = pm.DiskSpaceUsage()
		s.L0Files, s.L0Bytes, s.L0Depth = pm.Levels[0].TablesCount, pm.Levels[0].TablesSize, int64(pm.Levels[0].Sublevels)
		t := pm.Total()
		if t.TableBytesFlushed > 0 {
			s.WriteAmplification = float64(t.TableBytesFlushed+t.TableBytesCompacted) / float64(t.TableBytesFlushed)
		}
	}
	return s
}
