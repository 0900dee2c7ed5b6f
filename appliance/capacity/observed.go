package capacity

import "time"

// Reading is what a server has counted since its start, and what it has, at one
// instant.
type Reading struct {
	At         time.Time
	CPU        float64 // seconds, user and system, of the process
	Events     uint64  // stored
	Frames     uint64  // WebSocket messages received
	Samples    uint64  // metric samples taken
	Deliveries uint64  // events and rows sent to viewers

	Sealed      uint64 // records
	SealedBytes uint64 // that these take, indexes included
	Records     uint64 // in the log, ever
	LogBytes    uint64 // on disk
	ViewsBytes  uint64 // on disk

	Agents, Connections, Viewers, Series float64
	Memory                               float64 // resident bytes
	Lag                                  float64 // records that the slowest view is behind
}

// Observed is the load of a stretch of time, and what it took.
type Observed struct {
	At          time.Time `json:"at"`      // its end
	Seconds     float64   `json:"seconds"` // that the rates are means of
	Events      float64   `json:"events_per_s"`
	Frames      float64   `json:"frames_per_s"`
	Samples     float64   `json:"samples_per_s"`
	Deliveries  float64   `json:"deliveries_per_s"`
	Agents      float64   `json:"agents"`
	Connections float64   `json:"connections"`
	Viewers     float64   `json:"viewers"`
	Series      float64   `json:"series"`
	CPU         float64   `json:"cpu_cores"`
	Memory      float64   `json:"memory_bytes"`
	Disk        float64   `json:"disk_used_bytes"` // by log and views
	Lag         float64   `json:"view_lag"`
}

// Between returns the load between two readings; ok is false if no time passed
// or counters began anew.
func Between(from, to *Reading) (v Observed, ok bool) {
	s := to.At.Sub(from.At).Seconds()
	if s <= 0 || to.Events < from.Events || to.CPU < from.CPU {
		return Observed{}, false
	}
	rate := func(from, to uint64) float64 { return float64(to-min(from, to)) / s }
	return Observed{
		At: to.At, Seconds: s,
		Events: rate(from.Events, to.Events), Frames: rate(from.Frames, to.Frames),
		Samples: rate(from.Samples, to.Samples), Deliveries: rate(from.Deliveries, to.Deliveries),
		Agents: to.Agents, Connections: to.Connections, Viewers: to.Viewers, Series: to.Series,
		CPU: (to.CPU - from.CPU) / s, Memory: to.Memory,
		Disk: float64(to.LogBytes + to.ViewsBytes), Lag: to.Lag,
	}, true
}

// Load returns the load that a plan is made for. One without connections, whose
// events are posted, counts as one.
func (v *Observed) Load() Load {
	l := Load{Agents: v.Agents, Connections: v.Connections, Viewers: v.Viewers, Frame: 1}
	if v.Events > 0 {
		l.Agents, l.Connections = max(l.Agents, 1), max(l.Connections, 1)
	}
	if v.Frames > 0 {
		l.Frame = max(1, v.Events/v.Frames)
	}
	if l.Agents > 0 {
		l.Events, l.Samples, l.Series = v.Events/l.Agents, v.Samples/l.Agents, v.Series/l.Agents
	}
	if v.Viewers > 0 {
		l.Seen = v.Deliveries / v.Viewers
	}
	return l
}
