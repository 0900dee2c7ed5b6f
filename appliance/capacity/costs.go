package capacity

import "time"

// How a value came to be known.
const (
	Recorded = "recorded" // on another machine, at another time; kept with the program
	Bench    = "bench"    // by eyrie bench
	Live     = "live"     // by a server, from the load it bears
)

// Costs are what one machine was measured to spend. Zero means not measured: a
// plan that needs the value says that it cannot answer. Names in JSON end in
// their unit. Of a host with other cores, CPU costs hold as far as one core of it
// does what one core of Machine does.
type Costs struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`             // Recorded, Bench or Live
	Says    string    `json:"says,omitempty"` // how it was measured, a sentence or two
	Machine Machine   `json:"machine"`

	// CPU time of the server, user and system, all views on. An event costs
	// CPUEvent + CPUFrame/eventsPerFrame, and CPUSample for each metric sample in it.
	CPUEvent    float64 `json:"cpu_event_us"`          // µs per event, sealing included
	CPUFrame    float64 `json:"cpu_frame_us"`          // µs per WebSocket frame, whatever is in it
	CPUSample   float64 `json:"cpu_sample_us"`         // µs per metric sample, beyond its event
	CPUDelivery float64 `json:"cpu_delivery_us"`       // µs per event sent to one live viewer
	CPUIdle     float64 `json:"cpu_idle_cores"`        // cores used at rest
	CoresUsable float64 `json:"cores_usable_fraction"` // of all cores, what the server used at its sustained most with no client beside it: (0, 1]

	// Memory.
	MemoryBase      float64 `json:"memory_base_bytes"`       // resident after load on Machine, less Garbage times what lives for connections, agents and series
	MemoryConn      float64 `json:"memory_conn_bytes"`       // live in the heap per connection
	MemoryConnOther float64 `json:"memory_conn_other_bytes"` // the kernel's own per connection, this end alone
	MemoryAgent     float64 `json:"memory_agent_bytes"`      // live in the heap per known agent
	MemorySeries    float64 `json:"memory_series_bytes"`     // live in the heap per active series

	Descriptors float64 `json:"descriptors_base"` // open beside connections: files, listeners, wake-ups

	// Disk, as it stays and as it is written.
	DiskLogEvent   float64 `json:"disk_log_event_bytes"`   // bytes per event sealed in the log, indexes included
	DiskViewsEvent float64 `json:"disk_views_event_bytes"` // bytes per event that views keep
	DiskSample     float64 `json:"disk_sample_bytes"`      // bytes per metric sample that the series keep
	DiskBase       float64 `json:"disk_base_bytes"`        // whatever the load: the unsealed end of the log, write-ahead files
	DeviceEvent    float64 `json:"device_event_bytes"`     // written to the device per event, every rewriting included
	DeviceWrite    float64 `json:"device_write_bytes"`     // mean size of one write operation at the device, syncs apart
	Syncs          float64 `json:"syncs_per_s"`            // at the sustained most: commits group what came meanwhile
	SyncLatency    float64 `json:"sync_latency_ms"`        // of one commit's sync at that load

	// Network, WebSocket headers included, TCP/IP headers not.
	WireEvent    float64 `json:"wire_event_bytes"`    // per event received
	WireDelivery float64 `json:"wire_delivery_bytes"` // per event sent to one live viewer

	// Limits that were seen.
	Sustained   []Sustained `json:"sustained,omitempty"`   // by frame size, ascending
	Serial      []Serial    `json:"serial,omitempty"`      // what one thread does, so that more cores do not help
	Connections int         `json:"connections,omitempty"` // reached

	Sources map[string]Source `json:"sources,omitempty"` // of single values, by their name in JSON
}

// Machine is where costs were measured.
type Machine struct {
	Cores  int    `json:"cores"`
	CPU    string `json:"cpu"` // its name as the system tells it
	Memory uint64 `json:"memory_bytes"`
	System string `json:"system,omitempty"` // kernel and architecture
	Disk   string `json:"disk,omitempty"`   // file system of the data folder
}

// Sustained is the most that held without growth of view lag, unsealed bytes or
// the stores' first level.
type Sustained struct {
	Frame  int     `json:"events_per_frame"`
	Events float64 `json:"events_per_s"`
}

// Serial is a bound that does not grow with the cores: a part that one thread does.
type Serial struct {
	Part   string  `json:"part"` // in words, such as "sealing"
	Events float64 `json:"events_per_s"`
}

// Source is where a single value comes from.
type Source struct {
	By      string  `json:"by"`
	Says    string  `json:"says"`              // the file, command or method
	Events  uint64  `json:"events,omitempty"`  // that the value rests on
	Minutes float64 `json:"minutes,omitempty"` // under load that it rests on
	Spread  float64 `json:"spread,omitempty"`  // half of its 95 % interval, as a fraction of the value; 0 is not known
}
