package main

import (
	"context"
	"os"
	"time"

	"eyrie/bench"
)

// benchSeriesCmd is `eyrie bench series`.
type benchSeriesCmd struct {
	benchFlags
	clientsFlag
	Hosts      int      `default:"2000" placeholder:"N" help:"Hosts of ten series each."`
	Hours      int      `default:"2" placeholder:"N" help:"Hours that the samples cover, one each 10 s."`
	Rounds     int      `default:"6" placeholder:"N" help:"Parts that the data is taken in, of each store in turn."`
	Seconds    float64  `default:"8" placeholder:"N" help:"Length of the load on a server; 0 leaves it out."`
	NAB        string   `name:"nab" default:"tsdb/chunk/testdata/nab" placeholder:"DIR" help:"Real series, in a checkout of eyrie. Without them, they are left out."`
	Prometheus string   `default:"bench/peers/prometheus" placeholder:"DIR" help:"The module with Prometheus' tsdb, in a checkout of eyrie. Without it, it is left out."`
	Only       []string `enum:"prometheus,victoriametrics" placeholder:"NAME" help:"Measure only these beside eyrie: prometheus, victoriametrics."`
	Seed       uint64   `default:"7600" placeholder:"N" help:"Seed of the data; published figures use the default."`
}

// Run measures.
func (c *benchSeriesCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	m := bench.Series{
		Common: common, Child: []string{"bench", "series-child"}, Seed: c.Seed, Hosts: c.Hosts, Hours: c.Hours, Rounds: c.Rounds,
		Server: time.Duration(c.Seconds * float64(time.Second)), NAB: c.NAB, Prometheus: c.Prometheus, Only: c.Only,
	}
	if c.Quick {
		m.Hosts, m.Hours, m.Rounds, m.Server = min(c.Hosts, 500), 1, min(c.Rounds, 3), min(m.Server, 3*time.Second)
		if len(c.Only) == 0 { // to build Prometheus' alone takes longer
			m.Only = []string{"victoriametrics"}
		}
	}
	if c.Hosts < 1 || c.Hours < 1 || c.Rounds < 2 || m.Rounds > 360 || c.Seconds < 0 {
		return exit(exitUsage, "--hosts %d --hours %d --rounds %d --seconds %g: want 1 host, 1 hour and 2 to 360 rounds", c.Hosts, c.Hours, c.Rounds, c.Seconds)
	}
	return c.print(m.Run(ctx))
}

// benchSeriesChildCmd is a child of series.
type benchSeriesChildCmd struct{}

// Run serves orders until standard input ends.
func (*benchSeriesChildCmd) Run() error { return bench.ServeSeries(os.Stdin, os.Stdout) }
