package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"eyrie/appliance/capacity"
)

type planCmd struct {
	Agents      *float64 `placeholder:"N" help:"Agents."`
	Rate        *float64 `placeholder:"R" help:"Events a second of each agent."`
	Metrics     *float64 `placeholder:"M" help:"Metric samples a second of each agent, carried by its events."`
	Days        *float64 `placeholder:"D" help:"Days that events are kept."`
	Connections *float64 `placeholder:"N" help:"Connections; one an agent if not given."`
	Frame       *float64 `placeholder:"N" help:"Events that a WebSocket message carries; 1 if not given."`
	Series      *float64 `placeholder:"N" help:"Metric series of each agent; as many as --metrics if not given, each with a sample a second."`
	Viewers     *float64 `placeholder:"N" help:"Live viewers."`
	Seen        *float64 `placeholder:"N" help:"Events and rows a second that each viewer is sent; all of them if not given, up to the 5,000 of a page that shows the fleet."`
	Times       *float64 `placeholder:"N" help:"So many times the agents of that load."`

	Price       *float64 `placeholder:"P" help:"What the host costs a month, in any currency."`
	Cores       *float64 `placeholder:"N" help:"Cores of the host; this machine's if not given."`
	MemoryGiB   *float64 `name:"memory-gib" placeholder:"GIB" help:"Memory of the host; this machine's if not given."`
	DiskGB      *float64 `name:"disk-gb" placeholder:"GB" help:"Size of the host's disk, empty; this machine's, as full as it is, if not given."`
	Descriptors *float64 `placeholder:"N" help:"Hard limit of open files on the host; this machine's if not given."`

	From   string `type:"existingfile" placeholder:"FILE" help:"Plan with what a whole run of bench measured: its JSON report."`
	Server string `placeholder:"URL" help:"Plan with the load, the costs and the host of a running eyrie; the flags above replace single figures."`
	Key    string `placeholder:"KEY" help:"Key to use with --server; without it, the one in the data folder of this machine."`
	Data   string `default:"./eyrie-data" placeholder:"DIR" help:"Data folder: whose disk it is about, and where to look for the key."`
	JSON   bool   `help:"Print JSON."`
}

const (
	gib = 1 << 30
	gb  = 1e9
)

// Run plans and prints; it ends with 1 if the host does not bear the load.
func (c *planCmd) Run(ctx context.Context) error {
	a, costs, err := c.plan(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(struct {
			Costs  *capacity.Costs  `json:"costs"`
			Answer *capacity.Answer `json:"answer"`
		}{costs, a})
	} else {
		err = writePlan(os.Stdout, a, costs, c.Price)
	}
	if err == nil && !a.Bears() {
		err = fmt.Errorf("the host does not bear this load: %s", capacity.Title(a.First))
	}
	return err
}

func (c *planCmd) plan(ctx context.Context) (*capacity.Answer, *capacity.Costs, error) {
	for _, f := range c.figures() {
		if f.value != nil && !(*f.value >= 0 && *f.value <= 1e12) { // NaN is neither
			return nil, nil, exit(exitUsage, "--%s: want a number from 0 to 10^12, got %v", f.flag, *f.value)
		}
	}
	if c.Server != "" {
		if c.From != "" {
			return nil, nil, exit(exitUsage, "--from and --server: either the costs of a report or those of a server")
		}
		return c.ask(ctx)
	}
	if c.Agents == nil || c.Rate == nil {
		return nil, nil, exit(exitUsage, "--agents and --rate say what load to plan for; --server URL takes that of a running eyrie")
	}
	costs := capacity.Reference()
	if c.From != "" {
		f, err := os.Open(c.From)
		if err != nil {
			return nil, nil, exit(exitUsage, "--from: %v", err)
		}
		defer f.Close()
		if costs, err = capacity.ReadReport(f); err != nil {
			return nil, nil, exit(exitUsage, "--from: %s: %v", c.From, err)
		}
	}
	load := capacity.Load{
		Agents: value(c.Agents, 0), Connections: value(c.Connections, 0), Events: value(c.Rate, 0), Samples: value(c.Metrics, 0), Series: value(c.Series, 0),
		Frame: value(c.Frame, 1), Days: value(c.Days, 0), Viewers: value(c.Viewers, 0), Seen: value(c.Seen, 0),
	}
	host := thisHost(c.Data)
	if c.Cores != nil || c.MemoryGiB != nil || c.DiskGB != nil || c.Descriptors != nil {
		host.CPU = "" // of another host it is not known
	}
	host.Cores, host.Memory = value(c.Cores, host.Cores), value(c.MemoryGiB, host.Memory/gib)*gib
	host.Descriptors = value(c.Descriptors, host.Descriptors)
	if c.DiskGB != nil {
		host.Disk, host.DiskFree = *c.DiskGB*gb, *c.DiskGB*gb
	}
	return capacity.Plan(costs, load.Times(value(c.Times, 1)), host, value(c.Price, 0)), costs, nil
}

func value(p *float64, otherwise float64) float64 {
	if p == nil {
		return otherwise
	}
	return *p
}

// ask takes the plan of a running server.
func (c *planCmd) ask(ctx context.Context) (*capacity.Answer, *capacity.Costs, error) {
	q := url.Values{}
	for _, f := range c.figures() {
		if f.value != nil {
			q.Set(f.query, strconv.FormatFloat(*f.value, 'g', -1, 64))
		}
	}
	var got struct {
		Costs  *capacity.Costs  `json:"costs"`
		Answer *capacity.Answer `json:"answer"`
	}
	s := serverFlags{Server: c.Server, Key: c.Key, Data: c.Data}
	if err := s.call(ctx, "operator", "GET", "/v1/capacity?"+q.Encode(), nil, &got); err != nil {
		return nil, nil, err
	}
	if got.Answer == nil || got.Costs == nil {
		return nil, nil, exit(exitServer, "the answer of %s holds no plan", c.Server)
	}
	return got.Answer, got.Costs, nil
}

// figure is a flag with its parameter of /v1/capacity.
type figure struct {
	flag, query string
	value       *float64
}

func (c *planCmd) figures() []figure {
	return []figure{
		{"agents", "agents", c.Agents}, {"rate", "rate", c.Rate}, {"metrics", "metrics", c.Metrics}, {"days", "days", c.Days},
		{"connections", "connections", c.Connections}, {"frame", "frame", c.Frame}, {"series", "series", c.Series},
		{"viewers", "viewers", c.Viewers}, {"seen", "seen", c.Seen}, {"times", "times", c.Times}, {"price", "price", c.Price},
		{"cores", "cores", c.Cores}, {"memory-gib", "memory_gib", c.MemoryGiB}, {"disk-gb", "disk_gb", c.DiskGB}, {"descriptors", "descriptors", c.Descriptors},
	}
}
