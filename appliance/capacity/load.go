package capacity

// Load is what a fleet asks of eyrie, steady over time.
type Load struct {
	Agents      float64 `json:"agents"`
	Connections float64 `json:"connections"`      // 0 is one an agent
	Events      float64 `json:"events_per_s"`     // of each agent
	Samples     float64 `json:"samples_per_s"`    // metric samples of each agent, carried by its events
	Series      float64 `json:"series_per_agent"` // 0 is Samples, rounded up: each series has a sample a second
	Frame       float64 `json:"events_per_frame"` // events a WebSocket message carries, 0 is 1
	Days        float64 `json:"days"`             // that events are kept, 0 is not asked
	Viewers     float64 `json:"viewers"`          // live
	Seen        float64 `json:"seen_per_s"`       // events a second that each viewer is sent, 0 is every event
	Price       float64 `json:"price,omitempty"`  // of the host a month, in any currency, 0 is not asked
}

// links returns how many connections the load has.
func (l *Load) links() float64 {
	if l.Connections > 0 {
		return l.Connections
	}
	return l.Agents
}

// Times returns the load of n times the agents, each as before, before as many
// viewers. What a viewer is sent grows with the events where it sees all.
func (l Load) Times(n float64) Load {
	l.Connections = l.links() * n
	l.Agents *= n
	return l
}
