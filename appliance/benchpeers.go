package main

import (
	"context"
	"os"
	"time"

	"eyrie/bench"
	"eyrie/bench/peers"
)

// benchPeersCmd is `eyrie bench peers`.
type benchPeersCmd struct {
	benchFlags
	Rounds   int      `default:"24" placeholder:"N" help:"Pairs of each peer with eyrie."`
	Millis   int      `default:"400" placeholder:"N" help:"Length of one measurement in ms."`
	Workload string   `enum:",echo 1,echo 32,ingest" default:"" placeholder:"NAME" help:"Only this one: echo 1, echo 32 or ingest."`
	Peer     []string `sep:"none" placeholder:"NAME=COMMAND" help:"A server of your own: serves /echo and /sink on 127.0.0.1:{port}."`
	Only     []string `placeholder:"NAME" help:"Measure only these beside eyrie: bare-c, bare-go, gws, gorilla, or names given by --peer."`
	Adapters string   `default:"bench/peers/adapters" placeholder:"DIR" help:"The module with the Go peers, in a checkout of eyrie; without it they are left out."`
}

// Run measures.
func (c *benchPeersCmd) Run(ctx context.Context) error {
	common, err := c.common()
	if err != nil {
		return err
	}
	m := bench.Peers{
		Common: common, Rounds: max(c.Rounds, 2), Slice: time.Duration(max(c.Millis, 10)) * time.Millisecond,
		Workload: c.Workload, Only: c.Only, Peers: c.Peer, Adapters: c.Adapters,
	}
	if c.Quick {
		m.Rounds, m.Slice = 3, 100*time.Millisecond
	}
	return c.print(m.Run(ctx))
}

// benchBareCmd is a child of peers.
type benchBareCmd struct {
	Port int `arg:""`
}

// Run serves.
func (c *benchBareCmd) Run() error { return peers.ServeBare(c.Port) }

// benchPeerClientCmd is a child of peers.
type benchPeerClientCmd struct{}

// Run serves orders until standard input ends.
func (*benchPeerClientCmd) Run() error { return peers.ServeClient(os.Stdin, os.Stdout) }
