package capacity

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Answer is what a load needs, and how much of it a host bears.
type Answer struct {
	Load  Load   `json:"load"` // as asked, what was left open filled in
	Host  Host   `json:"host"`
	Needs []Need `json:"needs"`

	// How many times this load the host bears, with the headroom that the plan
	// leaves, and what ends it. Max is 0 with First "" where nothing is known.
	Max    float64 `json:"max_times"`
	First  string  `json:"first_limit"`
	Limits []Limit `json:"limits"` // the tightest first

	DiskPerDay float64  `json:"disk_bytes_per_day"`   // 0 is not known
	DiskDays   float64  `json:"disk_days,omitempty"`  // until the free disk is used up
	Price      *Price   `json:"price,omitempty"`      // where the host's was given
	Unanswered []string `json:"unanswered,omitempty"` // what the plan cannot say, and why
	Says       []string `json:"says"`                 // what it rests on
}

// Limit is how many times the load one resource bears.
type Limit struct {
	Name  string  `json:"name"` // of the need, or of the part that one thread does
	Times float64 `json:"times"`
	Says  string  `json:"says"`
	// Loose limits rest on a need of which something was not measured: the true one
	// is lower.
	Loose bool `json:"loose,omitempty"`
}

// Need returns a need by name, nil if the load has none.
func (a *Answer) Need(name string) *Need {
	for i := range a.Needs {
		if a.Needs[i].Name == name {
			return &a.Needs[i]
		}
	}
	return nil
}

// Bears tells whether the host bears the load, as far as is known.
func (a *Answer) Bears() bool { return a.First == "" || a.Max >= 1 }

// Plan answers what a load needs of a host by measured costs. price is what the
// host costs a month, 0 if it is not asked. Needs grow with each number of the
// load; all are sums, so that a limit is where one reaches what may be used.
func Plan(c *Costs, l Load, h Host, price float64) *Answer {
	l = l.filled()
	a := &Answer{Load: l, Host: h, Limits: []Limit{}}
	for _, n := range []Need{
		cpu(c, &l, &h), memory(c, &l, &h), descriptors(c, &l, &h), disk(c, &l, &h),
		writes(c, &l), operations(c, &l), received(c, &l), sent(c, &l),
	} {
		if !n.Known() && len(n.Missing) == 0 {
			continue // the load has nothing of it
		}
		if len(n.Missing) > 0 {
			a.Unanswered = append(a.Unanswered, n.unanswered())
		}
		a.Needs = append(a.Needs, n)
		a.limit(&n)
	}
	a.serial(c, &l)
	slices.SortStableFunc(a.Limits, func(x, y Limit) int { return cmp.Compare(x.Times, y.Times) })
	if len(a.Limits) > 0 {
		a.Max, a.First = a.Limits[0].Times, a.Limits[0].Name
	}
	a.days(c, &l, &h)
	if price > 0 {
		a.price(price)
	}
	a.says(c)
	return a
}

// unanswered says what is left out of a need.
func (n *Need) unanswered() string {
	what := words(n.Missing)
	if !n.Known() {
		return fmt.Sprintf("%s: not known, since nobody measured what it takes for %s", Title(n.Name), what)
	}
	return fmt.Sprintf("%s: at least this much, since nobody measured what it takes for %s", Title(n.Name), what)
}

// limit adds where a need reaches what may be used.
func (a *Answer) limit(n *Need) {
	if !n.bounds || !n.Known() {
		return
	}
	if n.open != "" {
		a.Unanswered = append(a.Unanswered, fmt.Sprintf("%s as a limit: %s", Title(n.Name), n.open))
		return
	}
	l := Limit{Name: n.Name, Loose: n.AtLeast(), Says: limitSays[n.Name]}
	room := n.Usable - n.fixed
	switch {
	case room < 0: // what does not grow is too much already
	case n.grows > 0:
		l.Times = room / n.grows
	default:
		return
	}
	a.Limits = append(a.Limits, l)
}

var limitSays = map[string]string{
	CPU:         "more or faster cores, larger frames, fewer events",
	Memory:      "more memory, fewer connections or series",
	Descriptors: "a higher hard limit of open files (LimitNOFILE=, ulimit -Hn), or --own-tables",
	Disk:        "a larger disk, or fewer days",
}

// serial adds the bounds of what one thread does.
func (a *Answer) serial(c *Costs, l *Load) {
	e := l.events()
	if e <= 0 {
		return
	}
	for _, s := range c.Serial {
		if s.Events > 0 {
			a.Limits = append(a.Limits, Limit{
				Name: s.Part, Times: s.Events * CPUShare / e,
				Says: "one thread does it: faster cores help, more do not; a second server takes the other half of the agents",
			})
		}
	}
}

// days tells how fast the disk fills.
func (a *Answer) days(c *Costs, l *Load, h *Host) {
	day := *l
	day.Days = 1
	n := disk(c, &day, h)
	a.DiskPerDay = n.grows
	if a.DiskPerDay > 0 && h.DiskFree > 0 {
		a.DiskDays = max(0, h.DiskFree-(1-DiskShare)*h.Disk) / a.DiskPerDay
	}
}

func (a *Answer) says(c *Costs) {
	a.Says = append(a.Says,
		fmt.Sprintf("Planned with %.0f %% of the CPU measured sustained, %.0f %% of memory, %.0f %% of the disk, %.0f %% of the descriptors.",
			100*CPUShare, 100*MemoryShare, 100*DiskShare, 100*DescriptorShare))
	m := c.Machine
	if m.Cores > 0 && a.Host.Cores > 0 && float64(m.Cores) != a.Host.Cores {
		says := fmt.Sprintf("CPU is scaled in proportion from the %d cores it was measured on to %g.", m.Cores, a.Host.Cores)
		if len(c.Serial) == 0 {
			says += " What one thread does, such as the log's commits, does not scale, and its bound was not measured."
		} else {
			says += " What one thread does is not scaled; its bounds are among the limits."
		}
		a.Says = append(a.Says, says)
	}
	if a.Host.Memory > 0 && a.Host.Memory < float64(m.Memory) && c.MemoryBase > 0 {
		a.Says = append(a.Says, fmt.Sprintf("What memory is taken whatever the load was measured on a host of %.3g GiB; on one of %.3g a server chooses smaller caches and buffers, and takes less in their proportion.", float64(m.Memory)/(1<<30), a.Host.Memory/(1<<30)))
	}
	if m.CPU != "" && a.Host.CPU != "" && m.CPU != a.Host.CPU {
		a.Says = append(a.Says, fmt.Sprintf("Measured on %s; a core of %s may do more or less.", m.CPU, a.Host.CPU))
	}
	if ms := cmp.Or(a.Host.SyncLatency, c.SyncLatency); ms > 0 {
		a.Says = append(a.Says, fmt.Sprintf("An acknowledgement waits for the disk: %.2g ms a sync, and up to as long for the one under way.", ms))
	}
}

// Price is what the load costs, in the currency of the host's price a month.
type Price struct {
	Month      float64 `json:"month"`          // of as many hosts as it takes
	Hosts      float64 `json:"hosts"`          // 1, or how many share the load where one does not bear it
	Connection float64 `json:"per_connection"` // and month, as asked
	Million    float64 `json:"per_million_events"`
	Full       float64 `json:"per_connection_full"` // and month, if the host bore all the connections that it could
}

// price shares the load among as many hosts as can run it. That a disk is too
// small for the days is said apart: a larger one is bought, not another host.
func (a *Answer) price(host float64) {
	p := &Price{Month: host, Hosts: 1}
	most, first := 0.0, ""
	for _, l := range a.Limits {
		if l.Name != Disk {
			most, first = l.Times, l.Name
			break
		}
		if l.Times < 1 {
			a.Unanswered = append(a.Unanswered, fmt.Sprintf("price: that of a disk for %g days is not in it", a.Load.Days))
		}
	}
	if first != "" && most < 1 {
		if most < nextToNothing {
			a.Unanswered = append(a.Unanswered, fmt.Sprintf("price: no number of such hosts bears this load: %s is used up before the first agent", Title(first)))
			return
		}
		p.Hosts = math.Ceil(1 / most)
		p.Month = host * p.Hosts
	}
	if n := a.Load.links(); n > 0 {
		p.Connection = p.Month / n
		if most > 0 {
			p.Full = host / (n * most)
		}
	}
	if e := a.Load.events(); e > 0 {
		p.Million = p.Month / (e * monthSeconds / 1e6)
	}
	a.Price = p
}

func words(s []string) string {
	switch n := len(s); n {
	case 0:
		return ""
	case 1:
		return s[0]
	default:
		out := s[0]
		for _, w := range s[1 : n-1] {
			out += ", " + w
		}
		return out + " and " + s[n-1]
	}
}
