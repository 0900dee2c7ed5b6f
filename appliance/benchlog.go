package main

import (
	"context"
	"os"
	"time"

	"eyrie/bench"
)

// benchLogCmd is `eyrie bench log`.
type benchLogCmd struct {
	benchFlags
	Part       []string `enum:"append,seal,query" default:"append,seal,query" placeholder:"NAME" help:"Only these of append, seal and query."`
	Agents     int      `default:"65000" placeholder:"N" help:"Agents whose events they are."`
	Seed       uint64   `default:"7600" placeholder:"N" help:"Seed of the workload; published figures use the default."`
	Rounds     int      `default:"10" placeholder:"N" help:"append: rounds, in each of which every store is loaded once."`
	Millis     int      `default:"2000" placeholder:"N" help:"append: length of one measurement in ms."`
	JetStream  string   `default:"bench/peers/jetstream" placeholder:"DIR" help:"append: the module with JetStream, in a checkout of eyrie. Without it, it is left out."`
	SealEvents int      `default:"10000000" placeholder:"N" help:"seal: events."`
	Events     int      `default:"10000000" placeholder:"N" help:"query: events of the log that is asked. With --dir it is kept there, and used again for the same seed, agents and events."`
}

// Run measures.
func (c *benchLogCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	m := bench.Log{
		Common: common, Child: []string{"bench", "log-child"}, Parts: c.Part, Agents: c.Agents, Seed: c.Seed,
		Rounds: max(c.Rounds, 2), Slice: time.Duration(max(c.Millis, 100)) * time.Millisecond, JetStream: c.JetStream,
		Sealing: c.SealEvents, Events: c.Events, Samples: 1000, Kills: 5,
	}
	if c.Quick {
		m.Rounds, m.Slice, m.Samples, m.Kills = 3, min(m.Slice, time.Second), 200, 2
		m.Sealing, m.Events = min(m.Sealing, 2_000_000), min(m.Events, 2_000_000)
	}
	if c.Agents < 1 || m.Sealing < bench.LogEventsMin || m.Events < bench.LogEventsMin {
		return exit(exitUsage, "--agents %d --seal-events %d --events %d: want 1 agent and %d events at least", c.Agents, m.Sealing, m.Events, bench.LogEventsMin)
	}
	return c.print(m.Run(ctx))
}

// benchLogChildCmd is a child of log.
type benchLogChildCmd struct{}

// Run serves orders until standard input ends.
func (*benchLogChildCmd) Run() error { return bench.ServeLog(os.Stdin, os.Stdout) }
