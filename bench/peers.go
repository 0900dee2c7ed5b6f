package bench

import "time"

// Peers compares WebSocket servers with eyrie's own engine.
type Peers struct {
	Common
	Rounds   int           // pairs of each peer with eyrie
	Slice    time.Duration // length of one measurement
	Workload string        // the one to run; "" for all
	Only     []string      // peers to measure beside eyrie; none means all
	Peers    []string      // further ones, name=COMMAND with {port} in it
	Adapters string        // folder of the module with the Go peers
}
