package main

import (
	"context"
	"time"

	"eyrie/bench"
)

// benchQueryCmd is `eyrie bench query`.
type benchQueryCmd struct {
	benchFlags
	clientsFlag
	Events  int     `default:"2000000" placeholder:"N" help:"Events that the server is filled with."`
	Links   int     `default:"16" placeholder:"N" help:"Links that fill it, and as many others that load it."`
	Teams   int     `default:"48" placeholder:"N" help:"Teams of 13 agents on each."`
	Rate    float64 `default:"30000" placeholder:"N" help:"Events a second of the load."`
	Frame   int     `default:"20" placeholder:"N" help:"Events a frame of the load."`
	Asks    float64 `default:"25" placeholder:"N" help:"Requests a second."`
	Seconds float64 `default:"12" placeholder:"N" help:"Length of the measurement with requests, idle and under load each."`
	Seed    uint64  `default:"7600" placeholder:"N" help:"Seed of the workload; published figures use the default."`
}

// Run measures.
func (c *benchQueryCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	m := bench.Query{
		Common: common, Seed: c.Seed, Events: c.Events, Links: c.Links, Teams: c.Teams, Rate: c.Rate, Frame: c.Frame, Asks: c.Asks,
		For: time.Duration(c.Seconds * float64(time.Second)), Each: time.Second,
	}
	if c.Quick {
		m.Events, m.Teams, m.For, m.Each = min(c.Events, 300_000), min(c.Teams, 8), min(m.For, 3*time.Second), 100*time.Millisecond
	}
	if c.Links < 1 || c.Teams < 1 || m.Events < bench.QueryEventsMin || c.Rate <= 0 || c.Asks <= 0 || c.Seconds < 1 || c.Frame < 1 || c.Frame > 4096 {
		return exit(exitUsage, "--links %d --teams %d --events %d --rate %g --asks %g --seconds %g --frame %d: want more than 0, %d events at least and 1 to 4096 a frame",
			c.Links, c.Teams, m.Events, c.Rate, c.Asks, c.Seconds, c.Frame, bench.QueryEventsMin)
	}
	return c.print(m.Run(ctx))
}
