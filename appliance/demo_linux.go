package main

import (
	"context"

	"eyrie/appliance/node"
	"eyrie/appliance/sources/recorded"

	"github.com/google/uuid"
)

// playDemo replays the shipped recordings, over and over, into the node's own
// ingest listener, as any agent would.
func playDemo(ctx context.Context, n *node.Node) error {
	keys, _ := n.Keys()
	key, err := keys.Standing("agent")
	if err != nil {
		return err
	}
	open, _ := n.Listeners()
	s := serverFlags{Server: "http://" + dialable(open[0].Addr), Key: key}
	recs, err := recorded.Shipped()
	if err != nil {
		return err
	}
	sink, err := s.dialSink(ctx, uuid.New(), firstTry)
	if err != nil {
		return err
	}
	err = recorded.Replay(ctx, sink, recs, recorded.Options{Speed: 1, Loop: true})
	if ctx.Err() != nil {
		end, cancel := context.WithCancel(context.Background())
		cancel() // the server is about to stop as well: there is nothing to wait for
		_ = sink.close(end)
		return nil
	}
	return err
}
