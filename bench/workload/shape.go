package workload

import "fmt"

// Shape is the size of a fleet. The same shape always gives the same events.
type Shape struct {
	Seed        uint64 `json:"seed"`
	Agents      int    `json:"agents"`
	Connections int    `json:"connections"`
	Frame       int    `json:"frame"` // events a frame

	Events     Kind     `json:"events,omitempty"`
	Metrics    int      `json:"metrics,omitempty"`    // of each event of Telemetry
	Recordings []string `json:"recordings,omitempty"` // files of Recorded; none means those that come with eyrie
}

// metricsMax is what the protocol takes in one event.
const metricsMax = 64

// Team is how many agents work together: one manager and its workers.
const Team = 13

// FigureSeed is the seed of all published figures.
const FigureSeed = 7600

// Check returns an error that names what cannot work.
func (s Shape) Check() error {
	switch {
	case s.Connections < 1:
		return fmt.Errorf("connections: got %d, want at least 1", s.Connections)
	case s.Agents < 1:
		return fmt.Errorf("agents: got %d, want at least 1", s.Agents)
	case s.Events == Telemetry && (s.Metrics < 1 || s.Metrics > metricsMax):
		return fmt.Errorf("metrics: got %d an event, want 1 to %d", s.Metrics, metricsMax)
	case s.Frame < 1 || s.Frame > 4096:
		return fmt.Errorf("frame: got %d events, want 1 to 4096", s.Frame)
	}
	return nil
}

// agents returns the range of agents that connection conn speaks for. With more
// connections than agents, several speak for the same one.
func (s Shape) agents(conn int) (first, n int) {
	if s.Connections >= s.Agents {
		return conn % s.Agents, 1
	}
	first = int(int64(conn) * int64(s.Agents) / int64(s.Connections))
	end := int(int64(conn+1) * int64(s.Agents) / int64(s.Connections))
	return first, end - first
}

// AgentID returns the id of an agent: the first of each team is its manager.
func AgentID(agent int) string {
	if agent%Team == 0 {
		return fmt.Sprintf("team-%05d/lead", agent/Team)
	}
	return fmt.Sprintf("team-%05d/w%02d", agent/Team, agent%Team)
}

// Producer returns the id under which connection conn numbers its events.
func (s Shape) Producer(conn int) (id [16]byte) {
	hi, lo := mix(s.Seed^0x70726f64), mix(s.Seed+uint64(conn)+1)
	for i := range 8 {
		id[i], id[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	return id
}

// mix is the finaliser of SplitMix64: a bijection, so distinct numbers give
// distinct ids.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// dice is SplitMix64.
type dice uint64

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return mix(uint64(*d))
}

// below returns a number in 0..n-1; the bias at such small n does not matter.
func (d *dice) below(n int) int { return int(d.next() >> 33 % uint64(n)) }

// between returns a number in lo..hi.
func (d *dice) between(lo, hi int) int { return lo + d.below(hi-lo+1) }
