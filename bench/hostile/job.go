package hostile

// Kind is what is wrong with the peers.
type Kind string

// The kinds.
const (
	// Stalled peers read nothing: most are viewers of everything that happens,
	// with unbounded credits, the rest agents that are told of refusals.
	Stalled Kind = "stalled"
	// Drip peers write one byte a second: half of them the request head, half
	// a frame behind a hello.
	Drip Kind = "drip"
	// Idle peers say hello and nothing more; who cuts the wire makes them half open.
	Idle Kind = "idle"
	// Greedy peers connect until nothing more is accepted, and go on asking.
	Greedy Kind = "greedy"
)

// Job is one line of JSON on a child's standard input; it answers one line,
// "ready" or what is wrong, and holds its peers until its input ends.
type Job struct {
	Kind   Kind   `json:"kind"`
	Ingest string `json:"ingest"` // addresses of the listeners
	Web    string `json:"web"`
	Agent  string `json:"agent"` // keys
	Viewer string `json:"viewer"`
	Count  int    `json:"count"`
	Source string `json:"source"` // loopback address to connect from
}
