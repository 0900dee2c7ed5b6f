package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/engine/wire"
)

// server starts a server on a folder below dir, or finds the one that runs already;
// srv is nil then.
func (c *Common) server(ctx context.Context, dir string) (t *Target, srv *Server, err error) {
	if c.Target != "" {
		t, err = NewTarget(ctx, c.Target, c.TargetKey)
		return t, nil, err
	}
	if srv, err = NewServer(c.Exe, filepath.Join(dir, "data")); err != nil {
		return nil, nil, err
	}
	if err := srv.Start(); err != nil {
		return nil, nil, err
	}
	if err := within(ctx, readyMax, srv.Ready); err != nil {
		srv.Kill()
		return nil, nil, err
	}
	return &srv.Target, srv, nil
}

// serverSaid tells in a report which server was loaded.
func (c *Common) serverSaid() string {
	if c.Target != "" {
		return fmt.Sprintf("an eyrie that ran already, at %s; every event is synced before its ack. Its CPU and memory are by its own metrics; noise is of the host that this ran on", c.Target)
	}
	return "eyrie serve with defaults on a fresh folder; every event is synced before its ack, all views on; clients and server share the machine"
}

// What a client process bears, by measurement: events made, masked and sent, and frames
// handed to the kernel.
const (
	clientEvent = 500 * time.Nanosecond
	clientFrame = 12 * time.Microsecond
	clientBusy  = 0.7 // share of a core beyond which frames are late by the client
)

// processes is how many load clients hold n links that send rate events/s (0 = a
// closed loop) in frames: enough for either, but no more than half of the cores.
func (c *Common) processes(n int, rate float64, frame int) int {
	if c.Clients > 0 {
		return c.Clients
	}
	cores := host.Describe("/").Cores
	cost := rate * (clientEvent.Seconds() + clientFrame.Seconds()/float64(frame))
	return max(c.clients(n), min(cores/2, int(cost/clientBusy)+1))
}

// start brings up the load clients of a job that sends rate events/s.
func (c *Common) start(ctx context.Context, job load.Job, rate float64) (*load.Fleet, error) {
	return load.Start(ctx, load.Spawn{Exe: c.Exe, Args: c.Client}, c.processes(job.To-job.From, rate, job.Shape.Frame), job)
}

// clientsSaid tells in a report who loads.
func (c *Common) clientsSaid(n int, rate float64, frame int) string {
	return fmt.Sprintf("%d client process(es)", c.processes(n, rate, frame))
}

// codecName is how a report calls a codec.
func codecName(c wire.Codec) string {
	return [...]string{wire.MsgPack: "MessagePack", wire.JSON: "JSON", wire.Proto: "Protobuf"}[c]
}
