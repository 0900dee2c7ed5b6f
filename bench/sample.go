package bench

import (
	"context"
	"strings"
	"time"

	"eyrie/bench/load"
)

// Sample is one look at a server and at the load on it.
type Sample struct {
	At          float64 `json:"at_s"`     // since the watch began
	Window      float64 `json:"window_s"` // that rates and latencies are of
	Rate        float64 `json:"acknowledged_per_s"`
	P50         float64 `json:"p50_ms"` // from when a frame was due to its ack
	P99         float64 `json:"p99_ms"`
	CPU         float64 `json:"cpu_cores"`
	RSS         float64 `json:"rss_bytes"`
	Heap        float64 `json:"heap_bytes"` // what the last collection left
	Goroutines  float64 `json:"goroutines"`
	Descriptors float64 `json:"descriptors"`
	Next        float64 `json:"next_offset"`
	Lag         float64 `json:"view_lag_records"` // of the slowest view
	Unsealed    float64 `json:"unsealed_bytes"`   // of the log, all
	Behind      float64 `json:"behind_bytes"`     // of these, what sealing owes
	LogL0       float64 `json:"log_l0_bytes"`
	LogL0Files  float64 `json:"log_l0_files"`
	ViewL0      float64 `json:"views_l0_bytes"`
	ViewL0Files float64 `json:"views_l0_files"`
	ViewL0Depth float64 `json:"views_l0_depth"`
	LogDisk     float64 `json:"log_disk_bytes"`
	ViewDisk    float64 `json:"views_disk_bytes"`
}

// Watch looks at a server under a load that runs already, again and again. It
// belongs to one goroutine, which must be the Fleet's.
type Watch struct {
	Target *Target
	Fleet  *load.Fleet
	Every  time.Duration // between two looks; 0 chooses by how long it watches, 5 s at most
	Seen   func(Sample)  // is told of each look; may be nil

	Samples []Sample
	All     load.Result // of all windows
	Late    load.Result // of those in the second half of the last call of For

	began  time.Time
	last   time.Time
	meters map[string]float64
}

const (
	lookEvery    = 5 * time.Second
	lookEveryMin = 500 * time.Millisecond
	looksLeast   = 6 * steadyBlocks // of a watch too short for lookEvery
)

// For watches for d, and as long as ctx; the samples up to then are kept with an error, too.
func (w *Watch) For(ctx context.Context, d time.Duration) error {
	every := w.Every
	if every == 0 {
		every = max(lookEveryMin, min(lookEvery, d/looksLeast))
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	w.Late = load.Result{}
	from := time.Now()
	for i := 1; ; i++ {
		at := from.Add(min(time.Duration(i)*every, d))
		if err := sleep(ctx, time.Until(at)); err != nil {
			return err
		}
		r, err := w.look(ctx)
		if err != nil {
			return err
		}
		w.All.Merge(r)
		if at.Sub(from) > d/2 {
			w.Late.Merge(r)
		}
		if at.Sub(from) >= d {
			return nil
		}
	}
}

// start begins the first window, and goes on with the last one later.
func (w *Watch) start(ctx context.Context) (err error) {
	if w.meters != nil {
		return nil
	}
	if _, err := w.Fleet.Window(ctx); err != nil {
		return err
	}
	w.last = time.Now()
	w.began = w.last
	w.meters, err = w.Target.Metrics(ctx)
	return err
}

func (w *Watch) look(ctx context.Context) (*load.Result, error) {
	r, err := w.Fleet.Window(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	m, err := w.Target.Metrics(ctx)
	if err != nil {
		return nil, err
	}
	over := now.Sub(w.last).Seconds()
	s := Sample{
		At: now.Sub(w.began).Seconds(), Window: over,
		Rate: float64(r.Events) / over, P50: ms(r.Latency.Quantile(0.5)), P99: ms(r.Latency.Quantile(0.99)),
		CPU: (m["process_cpu_seconds_total"] - w.meters["process_cpu_seconds_total"]) / over,
		RSS: m["process_resident_memory_bytes"], Heap: m["eyrie_go_heap_live_bytes"],
		Goroutines: m["go_goroutines"], Descriptors: m["eyrie_process_descriptors"],
		Next: m["eyrie_wal_next_offset"], Unsealed: m["eyrie_wal_hot_bytes"], Behind: m["eyrie_wal_seal_behind_bytes"],
		LogL0: m[`eyrie_store_l0_bytes{store="log"}`], LogL0Files: m[`eyrie_store_l0_files{store="log"}`],
		ViewL0: m[`eyrie_store_l0_bytes{store="views"}`], ViewL0Files: m[`eyrie_store_l0_files{store="views"}`], ViewL0Depth: m[`eyrie_store_l0_depth{store="views"}`],
		LogDisk: m[`eyrie_store_disk_bytes{store="log"}`], ViewDisk: m[`eyrie_store_disk_bytes{store="views"}`],
	}
	for name, v := range m {
		if strings.HasPrefix(name, "eyrie_view_lag{") {
			s.Lag = max(s.Lag, v)
		}
	}
	w.last, w.meters = now, m
	w.Samples = append(w.Samples, s)
	if w.Seen != nil {
		w.Seen(s)
	}
	return r, nil
}
