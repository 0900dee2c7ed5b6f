package capacity

// The needs, one function each. What a cost is not measured for is named in
// words, since people read it.

var titles = map[string]string{
	CPU: "CPU", Memory: "memory", Descriptors: "descriptors", Disk: "disk",
	DiskWrites: "disk writes", DiskOps: "disk operations", NetworkIn: "network in", NetworkOut: "network out",
}

// Title returns a need's or limit's name for people.
func Title(name string) string {
	if t, ok := titles[name]; ok {
		return t
	}
	return name
}

func cpu(c *Costs, l *Load, h *Host) Need {
	n := Need{Name: CPU, Unit: "cores", Has: h.Cores, Usable: h.Cores * c.CoresUsable * CPUShare, bounds: true,
		Says: "take a host whose usable cores are at least this"}
	n.add("rest", 1, c.CPUIdle, true)
	n.add("events", l.events(), c.CPUEvent/1e6, false)
	n.add("frames", l.frames(), c.CPUFrame/1e6, false)
	n.add("samples", l.samples(), c.CPUSample/1e6, false)
	n.add("viewers", l.deliveries(), c.CPUDelivery/1e6, true)
	switch {
	case h.Cores <= 0:
		n.open = "it is not known how many cores the host has"
	case c.CoresUsable <= 0:
		n.open = "nobody measured how much of its cores a server can use"
	}
	return n
}

func memory(c *Costs, l *Load, h *Host) Need {
	n := Need{Name: Memory, Unit: "bytes", Has: h.Memory, Usable: h.Memory * MemoryShare, bounds: true,
		open: unless(h.Memory, "it is not known how much the host has"),
		Says: "what lives counts twice: as much garbage gathers beside it; with more room a server lets more gather and caches more, so that it shows more than it needs"}
	n.add("base", 1, c.base(h.Memory), true)
	n.add("connections", l.links(), c.MemoryConn*Garbage, false)
	n.add("kernel's sockets", l.links(), c.MemoryConnOther, false)
	n.add("agents", l.Agents, c.MemoryAgent*Garbage, false)
	n.add("series", l.series(), c.MemorySeries*Garbage, false)
	n.add("viewers, at most", l.Viewers, viewerMax, true)
	return n
}

func descriptors(c *Costs, l *Load, h *Host) Need {
	n := Need{Name: Descriptors, Unit: "descriptors", Has: h.Descriptors, Usable: h.Descriptors * DescriptorShare, bounds: true,
		open: unless(h.Descriptors, "it is not known how many the host allows"),
		Says: "the hard limit of open files that the server needs"}
	n.add("files", 1, c.Descriptors, true)
	n.add("connections", l.links(), 1, false)
	n.add("viewers", l.Viewers, 1, true)
	return n
}

func disk(c *Costs, l *Load, h *Host) Need {
	n := Need{Name: Disk, Unit: "bytes", Has: h.Disk, bounds: true,
		open: unless(h.Disk, "it is not known how large it is"),
		Says: "the data folder after these days; --retain drops events and their spans, not series"}
	if h.Disk > 0 {
		n.Usable = max(0, h.DiskFree+h.DiskUsed-(1-DiskShare)*h.Disk)
	}
	if l.Days <= 0 {
		return n
	}
	s := l.Days * daySeconds
	n.add("base", 1, c.DiskBase, true)
	n.add("log", l.events()*s, c.DiskLogEvent, false)
	n.add("views", l.events()*s, c.DiskViewsEvent, false)
	n.add("samples", l.samples()*s, c.DiskSample, false)
	return n
}

// writes are as many times what stays as was measured for events: samples lie in
// the same stores.
func writes(c *Costs, l *Load) Need {
	n := Need{Name: DiskWrites, Unit: "bytes/s", Says: "what the disk must take steadily; it wears a flash disk"}
	n.add("events", l.events(), c.DeviceEvent, false)
	rewritten := 0.0
	if kept := c.DiskLogEvent + c.DiskViewsEvent; kept > 0 {
		rewritten = c.DeviceEvent / kept
	}
	n.add("samples", l.samples(), c.DiskSample*rewritten, false)
	return n
}

// operations counts a sync as one write: commits group what came meanwhile, so
// that there are never more than at the sustained most.
func operations(c *Costs, l *Load) Need {
	n := Need{Name: DiskOps, Unit: "operations/s", Says: "what a provider calls IOPS"}
	syncs := 0.0
	if f := l.frames(); f > 0 {
		syncs = min(c.Syncs, commitSyncs*f) / f
	}
	n.add("syncs", l.frames(), syncs, false)
	w := writes(c, l)
	if w.Known() {
		each := 0.0
		if c.DeviceWrite > 0 {
			each = 1 / c.DeviceWrite
		}
		n.add("pages", w.Value, each, false)
	}
	n.Missing = append(n.Missing, w.Missing...)
	return n
}

// commitSyncs are the syncs of one commit: the log's and its mark's.
const commitSyncs = 2

func received(c *Costs, l *Load) Need {
	n := Need{Name: NetworkIn, Unit: "bytes/s", Says: "from the agents, without TLS"}
	n.add("events", l.events(), c.WireEvent, false)
	if c.WireEvent > 0 {
		packets := max(1, l.Frame*c.WireEvent/segment)
		n.add("packet headers", l.frames()*packets, header, false)
	}
	return n
}

func sent(c *Costs, l *Load) Need {
	n := Need{Name: NetworkOut, Unit: "bytes/s", Says: "to viewers, without TLS"}
	n.add("viewers", l.deliveries(), c.WireDelivery, true)
	return n
}

// unless returns why there is no limit where the host's value is not known.
func unless(has float64, why string) string {
	if has > 0 {
		return ""
	}
	return why
}
