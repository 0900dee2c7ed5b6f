package watch

// usage is what a process tree uses.
type usage struct {
	known      bool
	cpu        float64 // seconds since the start, children that ended included
	cpuPercent float64 // since the measurement before; of one core
	rate       bool    // cpuPercent is known
	rss        int64   // bytes now
	peak       int64   // bytes at most, at the end of the run
	read       int64   // bytes from storage
	write      int64
	io         bool
	processes  int
}

func (u usage) metrics() map[string]float64 {
	m := map[string]float64{}
	if u.rate {
		m["cpu_percent"] = u.cpuPercent
	}
	if u.processes > 0 {
		m["rss_bytes"], m["processes"] = float64(u.rss), float64(u.processes)
	}
	if u.peak > 0 {
		m["rss_max_bytes"] = float64(u.peak)
	}
	return m
}

func (u usage) counters() map[string]float64 {
	m := map[string]float64{}
	if u.known {
		m["cpu_seconds"] = u.cpu
	}
	if u.io {
		m["read_bytes"], m["write_bytes"] = float64(u.read), float64(u.write)
	}
	return m
}
