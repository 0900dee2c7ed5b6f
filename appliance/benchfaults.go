package main

import (
	"context"
	"os"
	"time"

	"eyrie/bench"
	"eyrie/bench/workload"
)

// benchFaultsCmd is `eyrie bench faults`.
type benchFaultsCmd struct {
	benchFlags
	Peers   int     `default:"1000" placeholder:"N" help:"Bad peers of each kind."`
	Rate    float64 `default:"5000" placeholder:"N" help:"Events a second of the good links."`
	Seconds int     `default:"8" placeholder:"N" help:"Length of one measurement."`
	Rounds  int     `default:"5" placeholder:"N" help:"Measurements with, and as many without, of each kind."`
	Exhaust int     `default:"60" placeholder:"N" help:"Seconds without descriptors."`
}

// Run measures, in a network of its own where that is allowed.
func (c *benchFaultsCmd) Run(ctx context.Context) error {
	if !bench.HasOwnNetwork() {
		if ran, err := bench.WithOwnNetwork(os.Args[1:], os.Stdout); ran {
			if err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		} else if err != nil {
			return err
		}
	}
	common, err := c.common()
	if err != nil {
		return err
	}
	f := bench.Faults{
		Common: common, Hostile: []string{"bench", "hostile"}, Rate: c.Rate, Peers: max(c.Peers, 10), Rounds: max(c.Rounds, 1),
		Window: time.Duration(max(c.Seconds, 1)) * time.Second, Exhaust: time.Duration(max(c.Exhaust, 1)) * time.Second,
		Shape: workload.Shape{Seed: workload.FigureSeed, Agents: 2000, Connections: 200, Frame: 10},
	}
	if c.Quick {
		f.Rounds, f.Window, f.Exhaust = 1, 2*time.Second, 5*time.Second
	}
	return c.print(f.Run(ctx))
}

// benchHostileCmd is a child of faults.
type benchHostileCmd struct{}

// Run holds bad peers until standard input ends.
func (*benchHostileCmd) Run() error { return bench.ServeHostile(os.Stdin, os.Stdout) }
