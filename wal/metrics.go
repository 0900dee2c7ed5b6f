package wal

import "github.com/VictoriaMetrics/metrics"

// meters are the log's own metrics, on the set of Options.Metrics.
type meters struct {
	commits, records, payload, stored      *metrics.Counter
	duplicates, conflicts, gaps, refused   *metrics.Counter
	marks, checkpoints                     *metrics.Counter
	background, corrupt, slow, stalls      *metrics.Counter
	cacheHits, cacheMisses                 *metrics.Counter
	sealErrors, sealRecords                *metrics.Counter
	sealHot, sealBytes                     *metrics.Counter
	dropped, droppedBytes, diskFull        *metrics.Counter
	sync, mark, encode, commitRec, commitB *metrics.Histogram
	sealSeconds                            *metrics.Histogram
}

func newMeters(s *metrics.Set, l *Log) *meters {
	gauge := func(name string, f func() float64) {
		s.UnregisterMetric(name) // of a log that was open before on the same set
		s.NewGauge(name, f)
	}
	gauge("eyrie_wal_next_offset", func() float64 { return float64(l.Next()) })
	gauge("eyrie_wal_sealed_offset", func() float64 { return float64(l.Sealed()) })
	gauge("eyrie_wal_first_offset", func() float64 { return float64(l.First()) })
	gauge("eyrie_wal_hot_bytes", func() float64 { return float64(l.sealer.hot.Load()) })
	gauge("eyrie_wal_failed", func() float64 { return one(l.Err() != nil) })
	gauge("eyrie_wal_wall", func() float64 { return one(l.Wall() != nil) })
	return &meters{
		commits:      s.GetOrCreateCounter("eyrie_wal_commits_total"),
		records:      s.GetOrCreateCounter("eyrie_wal_records_total"),
		payload:      s.GetOrCreateCounter("eyrie_wal_payload_bytes_total"),
		stored:       s.GetOrCreateCounter("eyrie_wal_stored_bytes_total"),
		duplicates:   s.GetOrCreateCounter("eyrie_wal_duplicates_total"),
		conflicts:    s.GetOrCreateCounter("eyrie_wal_conflicts_total"),
		gaps:         s.GetOrCreateCounter("eyrie_wal_gaps_total"),
		refused:      s.GetOrCreateCounter("eyrie_wal_wall_refusals_total"),
		marks:        s.GetOrCreateCounter("eyrie_wal_marks_total"),
		checkpoints:  s.GetOrCreateCounter("eyrie_wal_checkpoints_total"),
		background:   s.GetOrCreateCounter("eyrie_wal_store_errors_total"),
		corrupt:      s.GetOrCreateCounter("eyrie_wal_store_corruptions_total"),
		slow:         s.GetOrCreateCounter("eyrie_wal_disk_slow_total"),
		stalls:       s.GetOrCreateCounter("eyrie_wal_store_stalls_total"),
		cacheHits:    s.GetOrCreateCounter("eyrie_wal_cache_hits_total"),
		cacheMisses:  s.GetOrCreateCounter("eyrie_wal_cache_misses_total"),
		sealErrors:   s.GetOrCreateCounter("eyrie_wal_seal_errors_total"),
		sealRecords:  s.GetOrCreateCounter("eyrie_wal_sealed_records_total"),
		sealHot:      s.GetOrCreateCounter("eyrie_wal_sealed_hot_bytes_total"),
		sealBytes:    s.GetOrCreateCounter("eyrie_wal_sealed_bytes_total"),
		diskFull:     s.GetOrCreateCounter("eyrie_wal_disk_full_total"),
		dropped:      s.GetOrCreateCounter("eyrie_wal_dropped_tiers_total"),
		droppedBytes: s.GetOrCreateCounter("eyrie_wal_dropped_bytes_total"),
		sealSeconds:  s.GetOrCreateHistogram("eyrie_wal_seal_seconds"),
		sync:         s.GetOrCreateHistogram("eyrie_wal_sync_seconds"),
		mark:         s.GetOrCreateHistogram("eyrie_wal_mark_seconds"),
		encode:       s.GetOrCreateHistogram("eyrie_wal_encode_seconds"),
		commitRec:    s.GetOrCreateHistogram("eyrie_wal_commit_records"),
		commitB:      s.GetOrCreateHistogram("eyrie_wal_commit_bytes"),
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
