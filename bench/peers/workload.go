package peers

// Workload is what the client does to a server.
type Workload struct {
	Name    string
	Path    string // echoPath or sinkPath of the server
	Conns   int    // connections, all at once
	Burst   int    // frames in one write; an echo burst is awaited before the next
	Payload int    // bytes of a frame's payload
	Says    string
}

// Echo tells whether answers are awaited.
func (w *Workload) Echo() bool { return w.Path == "/echo" }

// Workloads are those that results are published for.
func Workloads() []Workload {
	return []Workload{
		{"echo 1", "/echo", 64, 1, 128, "echo, 1 message in flight on each of 64 connections"},
		{"echo 32", "/echo", 64, 32, 128, "echo, 32 messages pipelined on each of 64 connections"},
		{"ingest", "/sink", 16, 64, 128, "64 frames a write on each of 16 connections, nothing answered"},
	}
}
