package capacity

import "cmp"

// Load is what a fleet asks of eyrie, steady over time.
type Load struct {
	Agents      float64 `json:"agents"`
	Connections float64 `json:"connections"`      // 0 is one an agent
	Events      float64 `json:"events_per_s"`     // of each agent
	Samples     float64 `json:"samples_per_s"`    // metric samples of each agent, carried by its events
	Series      float64 `json:"series_per_agent"` // 0 is Samples: each series has a sample a second
	Frame       float64 `json:"events_per_frame"` // events a WebSocket message carries, 0 is 1
	Days        float64 `json:"days"`             // that events are kept, 0 is not asked
	Viewers     float64 `json:"viewers"`          // live
	Seen        float64 `json:"seen_per_s"`       // events and rows a second that each viewer is sent, 0 is as many as there are, up to SeenMost
}

// SeenMost is what a page that shows the fleet is sent at most: changed rows are
// conflated to 500 each 100 ms.
const SeenMost = 5000

// Times returns the load of n times the agents, each with as many connections and
// events as before, watched by as many viewers.
func (l Load) Times(n float64) Load {
	l.Connections = l.links() * n
	l.Agents *= n
	return l
}

// nextToNothing is what figures of a load are none below: quotients by them would
// be no numbers any more.
const nextToNothing = 1e-60

// filled returns the load with what was left open.
func (l Load) filled() Load {
	l.Connections, l.Frame = l.links(), max(l.Frame, 1)
	for _, v := range []*float64{&l.Agents, &l.Connections, &l.Events, &l.Samples, &l.Series, &l.Days, &l.Viewers} {
		if *v < nextToNothing {
			*v = 0
		}
	}
	l.Series = cmp.Or(l.Series, l.Samples)
	l.Seen = cmp.Or(l.Seen, min(l.events(), SeenMost))
	return l
}

// links returns how many connections the load has.
func (l *Load) links() float64 {
	if l.Connections > 0 {
		return l.Connections
	}
	return l.Agents
}

// events returns the events a second of all agents.
func (l *Load) events() float64 { return l.Agents * l.Events }

// frames returns the frames a second of all agents.
func (l *Load) frames() float64 { return l.events() / l.Frame }

// samples returns the metric samples a second of all agents.
func (l *Load) samples() float64 { return l.Agents * l.Samples }

// series returns the active series of all agents.
func (l *Load) series() float64 { return l.Agents * l.Series }

// deliveries returns what all viewers are sent a second.
func (l *Load) deliveries() float64 { return l.Viewers * l.Seen }
