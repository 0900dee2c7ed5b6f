package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"eyrie/appliance/sources/recorded"

	"github.com/google/uuid"
)

type replayCmd struct {
	serverFlags
	Files []string `arg:"" optional:"" type:"existingfile" help:"Recorded runs (Who&When, SWE-agent, OpenHands, Langfuse traces) or eyrie's own events as JSON lines; without one the runs that come with eyrie."`
	Speed float64  `default:"1" placeholder:"X" help:"How many times faster than recorded."`
	Loop  bool     `help:"Begin again when all have ended."`
}

// Run plays the recordings with their times moved to now.
func (c *replayCmd) Run(ctx context.Context) error {
	recs, err := recorded.Shipped()
	if len(c.Files) > 0 {
		recs, err = nil, nil
		for _, f := range c.Files {
			r, e := recorded.LoadFile(f)
			if e != nil {
				return e
			}
			recs = append(recs, r)
		}
	}
	if err != nil {
		return err
	}
	sink, err := c.dialSink(ctx, uuid.New(), firstTry)
	if err != nil {
		return err
	}
	err = recorded.Replay(ctx, sink, recs, recorded.Options{Speed: c.Speed, Loop: c.Loop})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := sink.close(end); err == nil {
		err = e
	}
	if err == nil || ctx.Err() != nil {
		fmt.Fprintf(os.Stderr, "eyrie: %d recordings played\n", len(recs))
		return nil
	}
	return err
}
