package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"eyrie/bench/latency"
	"eyrie/bench/report"
	"eyrie/bench/stats"
)

// Verdict says whether a server bears a load for ever: whether nothing that it
// owes its views, its seals and its merges grows while it is watched.
type Verdict struct {
	Holds   bool              `json:"holds"`
	Why     []string          `json:"why,omitempty"` // what does not hold, a sentence each
	Rate    float64           `json:"rate"`          // acknowledged, events/s over the second half
	Latency latency.Histogram `json:"-"`             // over the second half: from when a frame was due to its ack
	Debts   []Growth          `json:"debts"`
}

// Growth is how something grew over the second half of a watch.
type Growth struct {
	Name        string  `json:"name"`
	Unit        string  `json:"unit"`
	From        float64 `json:"from"` // the first and the last of the blocks compared
	To          float64 `json:"to"`
	Most        float64 `json:"most"` // of all samples compared
	stats.Trend         // per second
	Grows       bool    `json:"grows"`
}

// What a verdict compares: the second half of the samples, since the first fills
// caches and stretches, in so many blocks of which the troughs count. What a
// server owes saws up and down; where it keeps up it comes back to the same
// trough.
const (
	steadyBlocks = 6
	steadyLeast  = 2 * 3 // samples; with fewer nothing can be said
	// rateLeast is the share of the rate asked for that must be acknowledged.
	rateLeast = 0.98
)

// debt is something that a server owes: below normal it comes and goes with how
// the server works, and growth there says nothing.
type debt struct {
	name, unit string
	of         func(*Sample) float64
	normal     float64
}

// debtLag is the debt of views, which people see.
const debtLag = "view lag"

// debts are what is looked at under a load of rate events/s.
func debts(rate float64) []debt {
	return []debt{
		{debtLag, "records", func(s *Sample) float64 { return s.Lag }, rate / 5}, // 200 ms
		// A stretch, which is the least that is sealed at once, and what is not sealed before
		// views have saved it: of some 20 s, at 64 B an event.
		{"unsealed log owed", "bytes", func(s *Sample) float64 { return s.Behind }, 64<<20 + 20*64*rate},
		// What is kept unsealed and two stretches, with what is rewritten beside it.
		{"level 0 of the log", "bytes", func(s *Sample) float64 { return s.LogL0 }, 320 << 20},
		// Where the store begins to merge, and as much again while it does.
		{"level 0 of the views", "tables deep", func(s *Sample) float64 { return s.ViewL0Depth }, 16},
		{"wait for acknowledgement", "ms", func(s *Sample) float64 { return s.P50 }, 250},
	}
}

// Sustained watches a load of rate events/s (0 = a closed loop) that runs
// already, for d, and says whether the server bears it. With an error nothing
// is known.
func (w *Watch) Sustained(ctx context.Context, rate float64, d time.Duration) (*Verdict, error) {
	first := len(w.Samples)
	if err := w.For(ctx, d); err != nil {
		return nil, err
	}
	v := Judge(w.Samples[first:], rate)
	v.Latency = w.Late.Latency
	if n := w.Late.Nacked + w.Late.Shed + w.Late.Closed; n > 0 {
		v.fail("%d events were refused, %d shed, %d links lost", w.Late.Nacked, w.Late.Shed, w.Late.Closed)
	}
	for _, e := range w.Late.Errors {
		v.fail("%s", e)
	}
	return v, nil
}

// Judge says of the samples of a load of rate events/s (0 = a closed loop)
// whether it is sustained.
func Judge(samples []Sample, rate float64) *Verdict {
	v := &Verdict{Holds: true}
	late := samples[len(samples)/2:]
	if len(samples) < steadyLeast {
		v.fail("it was watched too shortly: %d looks, want %d", len(samples), steadyLeast)
		return v
	}
	var events, took float64
	for i := range late {
		events, took = events+late[i].Rate*late[i].Window, took+late[i].Window
	}
	v.Rate = events / took
	if v.Rate < rateLeast*rate {
		v.fail("%s events/s were acknowledged of %s", report.Number(v.Rate), report.Number(rate))
	}
	for _, d := range debts(max(rate, v.Rate)) {
		g := growth(late, d.name, d.unit, d.of, stats.Trough)
		g.Grows = g.Low > 0 && g.To > d.normal
		if g.Grows {
			v.fail("%s grew from %s to %s in %.0f s", g.Name, measure(g.From, g.Unit), measure(g.To, g.Unit), took)
		}
		v.Debts = append(v.Debts, g)
	}
	// However it came to that, and whether it grows or not.
	if behind := viewLag(late) / max(rate, v.Rate, 1); behind > behindMax.Seconds() {
		v.fail("what views showed was %.0f s old at worst in the second half", behind)
	}
	return v
}

func (v *Verdict) fail(format string, args ...any) {
	v.Holds = false
	v.Why = append(v.Why, fmt.Sprintf(format, args...))
}

// growth compares blocks of samples.
func growth(samples []Sample, name, unit string, of func(*Sample) float64, block func([]float64) float64) Growth {
	t, x := make([]float64, len(samples)), make([]float64, len(samples))
	for i := range samples {
		t[i], x[i] = samples[i].At, of(&samples[i])
	}
	bt, bx := stats.Blocks(t, x, steadyBlocks, block)
	return Growth{Name: name, Unit: unit, From: bx[0], To: bx[len(bx)-1], Most: slices.Max(x), Trend: stats.TrendOf(bt, bx)}
}

// measure is a number with its unit, bytes as MiB.
func measure(v float64, unit string) string {
	if unit == "bytes" {
		v, unit = v/(1<<20), "MiB"
	}
	return report.Number(v) + " " + unit
}
