package api

import (
	"strconv"

	"eyrie/appliance/capacity"
)

// Capacity is what the node knows of its host, its load and what that costs.
type Capacity struct {
	Host     capacity.Host      `json:"host"`
	Costs    *capacity.Costs    `json:"costs"`    // in force
	Measured capacity.Measured  `json:"measured"` // by this server, in force or not
	Live     *capacity.Observed `json:"live"`     // the last minute; null in the first seconds
	Busiest  *capacity.Observed `json:"busiest"`  // the minute of the last day that had the most events; null in the first one
	Open     int                `json:"descriptors_open"`
	Retain   float64            `json:"retain_days"` // 0 is for ever
}

// capacity answers what this host bears, and a plan for so many times the load of
// today, or another.
func (q *req) capacity() error {
	c := q.s.p.Host.Capacity()
	var seen *capacity.Observed
	of := q.arg("of")
	switch of {
	case "", "now":
		of, seen = "now", c.Live
	case "busiest":
		if seen = c.Busiest; seen == nil {
			of, seen = "now", c.Live
		}
	default:
		return badField("of", "want now or busiest")
	}
	var today capacity.Load
	if seen != nil {
		today = seen.Load()
	}
	if today.Days = c.Retain; today.Days == 0 {
		today.Days = daysUsual
	}
	load, host, times, price := today, c.Host, 1.0, 0.0
	if q.arg("agents") != "" {
		load.Connections = 0 // one an agent, unless they are given too
	}
	if q.arg("metrics") != "" {
		load.Series = 0 // the same
	}
	if q.arg("rate") != "" || q.arg("viewers") != "" {
		load.Seen = 0
	}
	if q.arg("cores") != "" || q.arg("memory_gib") != "" || q.arg("disk_gb") != "" || q.arg("descriptors") != "" {
		host.CPU = "" // another's is not known
	}
	memory, disk := host.Memory/gib, host.Disk/gb
	for _, p := range []struct {
		name string
		to   *float64
		most float64
	}{
		{"times", &times, 1e6},
		{"agents", &load.Agents, 1e9}, {"connections", &load.Connections, 1e9}, {"rate", &load.Events, 1e9}, {"metrics", &load.Samples, 1e9},
		{"series", &load.Series, 1e9}, {"frame", &load.Frame, 1e6}, {"viewers", &load.Viewers, 1e6}, {"seen", &load.Seen, 1e9}, {"days", &load.Days, 1e5},
		{"price", &price, 1e12},
		{"cores", &host.Cores, 1e5}, {"memory_gib", &memory, 1e7}, {"disk_gb", &disk, 1e9}, {"descriptors", &host.Descriptors, 1e10},
	} {
		if err := q.number(p.name, p.to, p.most); err != nil {
			return err
		}
	}
	host.Memory = memory * gib
	if q.arg("disk_gb") != "" { // an empty one
		host.Disk, host.DiskFree, host.DiskUsed = disk*gb, disk*gb, 0
	}
	return q.json(struct {
		Capacity
		Of     string           `json:"of"`
		Today  capacity.Load    `json:"today"`
		Times  float64          `json:"times"`
		Answer *capacity.Answer `json:"answer"`
	}{c, of, today, times, capacity.Plan(c.Costs, load.Times(times), host, price)})
}

const (
	daysUsual = 30 // a plan's, where events are kept for ever

	gib = 1 << 30
	gb  = 1e9
)

// number reads a query parameter from 0 to most into to, which keeps its value
// where there is none.
func (q *req) number(name string, to *float64, most float64) error {
	s := q.arg(name)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= 0 && v <= most) { // NaN is neither
		return badField(name, "want a number from 0 to "+strconv.FormatFloat(most, 'f', -1, 64))
	}
	*to = v
	return nil
}
