package node

import (
	"fmt"
	"time"

	"eyrie/appliance/api"
)

// Views count as caught up while they are behind by less than lagMax records, or by what they fold
// in less than lagLong: a save or a merge holds them up for moments, and at a high rate that is many records.
const (
	lagMax  = 200_000
	lagLong = 10 * time.Second
)

// takes reports whether the log takes writes and the disk has room for them.
func (n *Node) takes() (ok bool, why []string) {
	if err := n.log.Err(); err != nil {
		why = append(why, "the log has failed: "+err.Error())
	}
	if err := n.log.Wall(); err != nil {
		why = append(why, err.Error())
	}
	return len(why) == 0, why
}

// Accepts implements api.Host: events are taken as soon as there is a listener,
// whatever the views do.
func (n *Node) Accepts() (ok bool, why []string) {
	_, why = n.takes()
	why = append(why, n.refused...)
	return len(why) == 0, why
}

// Ready reports whether the log takes writes, the disk has room, every view is
// loaded and caught up and every listener open; otherwise why not.
func (n *Node) Ready() (ok bool, why []string) {
	_, why = n.takes()
	v := n.views()
	if v == nil {
		if l := n.Loading(); l != nil { // else they are there by now
			why = append(why, l.String())
		}
		return false, append(why, n.refused...)
	}
	for _, f := range v.Runner.Stats() {
		if f.Halted != nil {
			why = append(why, "a view stands still: "+f.Halted.Error())
		}
		if f.Differs != nil {
			why = append(why, f.Differs.String())
		}
	}
	if lag, d := v.Runner.Behind(); lag > lagMax && (d == 0 || d > lagLong) {
		why = append(why, fmt.Sprintf("views are %d records behind the log, some %v of work", lag, d.Round(time.Second)))
	}
	why = append(why, n.refused...)
	return len(why) == 0, why
}

// Status implements api.Host.
func (n *Node) Status() api.NodeStatus {
	s := api.NodeStatus{Started: n.started, Hostname: n.hostname, Listeners: n.listeners}
	if u, err := n.o.FS.GetDiskUsage(n.cfg.Data); err == nil {
		s.DiskFree = u.AvailBytes
	}
	return s
}

// Settings implements api.Host: the configuration in force, with origins.
func (n *Node) Settings() any { return n.o.Settings(n.tuner.tuned()) }

// Tuning implements api.Host: what was chosen for this host, and why.
func (n *Node) Tuning() []api.Decision { return n.tuner.decisions() }
