package capacity

// Host is what a load is to run on. Zero means not known: it is no limit then,
// and the plan says so.
type Host struct {
	Cores       float64 `json:"cores"` // that eyrie may use
	CPU         string  `json:"cpu,omitempty"`
	Memory      float64 `json:"memory_bytes"` // that eyrie may use
	Descriptors float64 `json:"descriptors"`  // the hard limit of one process, or of all its tables together
	Disk        float64 `json:"disk_bytes"`   // of the data folder's file system
	DiskFree    float64 `json:"disk_free_bytes"`
	DiskUsed    float64 `json:"disk_used_bytes"` // by eyrie's data already
	SyncLatency float64 `json:"sync_latency_ms"` // of a small synced write
}
