package main

import (
	"context"
	"os"
	"slices"
	"time"

	"eyrie/bench"
	"eyrie/bench/workload"
)

// benchLiveCmd is `eyrie bench live`.
type benchLiveCmd struct {
	benchFlags
	clientsFlag
	Kind        []string      `enum:"agent,all,latest" default:"agent,all,latest" placeholder:"NAME" help:"What all viewers watch: one agent, all events, the latest of each agent."`
	Viewers     []int         `default:"1,10,50,100,200,500,1000" placeholder:"N" help:"Steps of each ramp, ascending; it ends where there are too many."`
	Rate        float64       `default:"20000" placeholder:"N" help:"Events a second of the load."`
	Connections int           `default:"100" placeholder:"N" help:"Links that send it."`
	Agents      int           `default:"2000" placeholder:"N" help:"Agents they speak for."`
	Frame       int           `default:"20" placeholder:"N" help:"Events a frame."`
	Marks       float64       `default:"20" placeholder:"N" help:"Events a second of the agent by which latencies are measured."`
	Seconds     float64       `default:"3" placeholder:"N" help:"Length of one step."`
	Most        time.Duration `default:"500ms" placeholder:"TIME" help:"The p99 from agent to viewer beyond which there are too many viewers."`
	Centrifuge  string        `default:"bench/peers/centrifuge" placeholder:"DIR" help:"The module with Centrifuge, in a checkout of eyrie. Without it, it is left out."`
	Peers       int           `default:"200" placeholder:"N" help:"Viewers of Centrifuge, and as many of eyrie beside it."`
	Rounds      int           `default:"5" placeholder:"N" help:"Rounds of both in turns."`
	Seed        uint64        `default:"7600" placeholder:"N" help:"Seed of the workload; published figures use the default."`
}

// Run measures.
func (c *benchLiveCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	common.Clients = c.Clients
	m := bench.Live{
		Common: common, Child: []string{"bench", "viewers"}, Kinds: c.Kind, Viewers: c.Viewers, Rate: c.Rate, Marks: c.Marks,
		For: time.Duration(max(c.Seconds, 0.5) * float64(time.Second)), Most: c.Most, Centrifuge: c.Centrifuge, Peers: c.Peers, Rounds: c.Rounds,
		Shape: workload.Shape{Seed: c.Seed, Agents: c.Agents, Connections: c.Connections, Frame: c.Frame},
	}
	if c.Quick { // without the peer: to build it alone takes longer
		m.Viewers, m.For, m.Centrifuge = quickSteps(c.Viewers), time.Second, ""
	}
	if err := m.Shape.Check(); err != nil {
		return &exitError{exitUsage, err}
	}
	if len(c.Viewers) == 0 || c.Viewers[0] < 1 || !slices.IsSorted(c.Viewers) || c.Viewers[len(c.Viewers)-1] < 2 {
		return exit(exitUsage, "--viewers %v: want ascending numbers from 1 on, the last one 2 or more", c.Viewers)
	}
	if c.Rate <= 0 || c.Marks <= 0 || c.Most <= 0 {
		return exit(exitUsage, "--rate %g --marks %g --most %v: want more than 0", c.Rate, c.Marks, c.Most)
	}
	if c.Peers < 1 || c.Rounds < 2 {
		return exit(exitUsage, "--peers %d --rounds %d: want 1 viewer and 2 rounds", c.Peers, c.Rounds)
	}
	return c.print(m.Run(ctx))
}

// quickSteps keeps the first step, the next and one in the middle.
func quickSteps(steps []int) []int {
	if len(steps) < 4 {
		return steps
	}
	return []int{steps[0], steps[1], steps[len(steps)/2]}
}

// benchViewersCmd is a child of live.
type benchViewersCmd struct{}

// Run serves orders until standard input ends.
func (*benchViewersCmd) Run() error { return bench.ServeViewers(os.Stdin, os.Stdout) }
