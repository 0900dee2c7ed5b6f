package tsdb

import "github.com/VictoriaMetrics/metrics"

// Stats are figures of a DB at one moment.
type Stats struct {
	Series      int
	Refused     uint64 // series or samples of series beyond the bounds
	Samples     uint64 // appended since Open
	LateSamples uint64 // of these, older than what was closed
	Replaced    uint64 // samples that took another's place
	Dropped     uint64 // outside MinTime..MaxTime
	Chunks      uint64 // closed since Open
	ChunkBytes  uint64
	Dirty       int // series whose run may not be saved as it is
	Pending     int // series with closed chunks not known to be stored
	RunBytes    int // memory of the open runs' pages
	ErasUnknown int // eras of which Load found no row, or a damaged one: queries of any time look into them
}

// Stats gathers the figures, locking shard after shard.
func (db *DB) Stats() Stats {
	db.mu.RLock()
	st := Stats{Series: db.ix.len(), Refused: db.refused.Load(), ErasUnknown: int(db.erasUnknown.Load())}
	db.mu.RUnlock()
	for i := range db.shards {
		s := &db.shards[i]
		s.mu.Lock()
		st.Samples += s.samples
		st.LateSamples += s.lateSamples
		st.Replaced += s.replaced
		st.Dropped += s.dropped
		st.Chunks += s.chunks
		st.ChunkBytes += s.chunkBytes
		st.Dirty += min(s.stale*headRuns, st.Series)
		st.Pending += len(s.closed) + len(s.saving)
		st.RunBytes += s.arena.size()
		s.mu.Unlock()
	}
	return st
}

func (db *DB) register(set *metrics.Set) {
	gauge := func(name string, f func(Stats) float64) {
		set.GetOrCreateGauge(name, func() float64 { return f(db.Stats()) })
	}
	gauge("eyrie_tsdb_series", func(s Stats) float64 { return float64(s.Series) })
	gauge("eyrie_tsdb_run_bytes", func(s Stats) float64 { return float64(s.RunBytes) })
	gauge("eyrie_tsdb_dirty_series", func(s Stats) float64 { return float64(s.Dirty) })
	gauge("eyrie_tsdb_eras_unknown", func(s Stats) float64 { return float64(s.ErasUnknown) })
	gauge("eyrie_tsdb_samples_total", func(s Stats) float64 { return float64(s.Samples) })
	gauge("eyrie_tsdb_late_samples_total", func(s Stats) float64 { return float64(s.LateSamples) })
	gauge("eyrie_tsdb_replaced_samples_total", func(s Stats) float64 { return float64(s.Replaced) })
	gauge("eyrie_tsdb_dropped_samples_total", func(s Stats) float64 { return float64(s.Dropped) })
	gauge("eyrie_tsdb_refused_series_total", func(s Stats) float64 { return float64(s.Refused) })
	gauge("eyrie_tsdb_chunks_total", func(s Stats) float64 { return float64(s.Chunks) })
	gauge("eyrie_tsdb_chunk_bytes_total", func(s Stats) float64 { return float64(s.ChunkBytes) })
}
