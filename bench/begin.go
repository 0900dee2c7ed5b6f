package bench

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/engine/wire"
)

// server starts a server on a folder below dir, or finds the one that runs already.
func (c *Common) server(ctx context.Context, dir string) (*Server, error) {
	if c.Target != "" {
		t, err := NewTarget(ctx, c.Target, c.TargetKey)
		if err != nil {
			return nil, err
		}
		return attached(t), nil
	}
	srv, err := NewServer(c.Exe, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if err := srv.Start(); err != nil {
		return nil, err
	}
	if err := within(ctx, readyMax, srv.Ready); err != nil {
		srv.Kill()
		return nil, err
	}
	return srv, nil
}

// serverHere tells whether the server is on this host, so that its CPU counts
// among what this host did.
func (t *Target) serverHere() bool {
	at, err := netip.ParseAddrPort(t.Ingest)
	return err == nil && at.Addr().IsLoopback()
}

// serverSaid tells in a report which server was loaded.
func (c *Common) serverSaid() string {
	if c.Target != "" {
		return fmt.Sprintf("an eyrie that ran already, at %s; every event is synced before its ack. Its CPU and memory are by its own metrics; noise is of the host that this ran on", c.Target)
	}
	return "eyrie serve with defaults on a fresh folder; every event is synced before its ack, all views on; clients and server share the machine"
}

// What a client process uses, on 2.5 GHz: 0.43 µs an event in frames of 100, 9.6 in
// frames of one. An event is made, masked and copied, a frame written, and its
// acknowledgement read.
const (
	clientEvent = 350 * time.Nanosecond
	clientFrame = 10 * time.Microsecond
	clientBusy  = 0.7 // share of a core beyond which frames are late by the client
)

// processes is how many load clients on a host of so many cores hold n links that
// send rate events/s (0 = a closed loop) in frames: enough for either, but no more
// than half of the cores.
func (c *Common) processes(cores, n int, rate float64, frame int) int {
	if c.Clients > 0 {
		return c.Clients
	}
	cost := rate * (clientEvent.Seconds() + clientFrame.Seconds()/float64(frame))
	return max(1, cores/4, (n+descriptorsOfAClient-1)/descriptorsOfAClient, min(cores/2, int(cost/clientBusy)+1))
}

// start brings up the load clients of a job that sends rate events/s: on this host,
// or on those that wait for it.
func (c *Common) start(ctx context.Context, job load.Job, rate float64) (*load.Fleet, error) {
	if c.Target != "" {
		// A server that runs may have seen the numbers of this seed's producers, and
		// would take them for duplicates.
		job.Shape.Seed += uint64(time.Now().UnixNano())
	}
	n, hosts := job.To-job.From, max(1, len(c.Hosts.Addrs))
	clients := func(cores int) int {
		return c.processes(cores, (n+hosts-1)/hosts, rate/float64(hosts), job.Shape.Frame)
	}
	if len(c.Hosts.Addrs) > 0 {
		return load.StartOn(ctx, c.Hosts, clients, job)
	}
	return load.Start(ctx, load.Spawn{Exe: c.Exe, Args: c.Client}, clients(host.Describe("/").Cores), job)
}

// clientsSaid tells in a report who loads.
func (c *Common) clientsSaid(f *load.Fleet) string {
	if len(c.Hosts.Addrs) > 0 {
		return fmt.Sprintf("%d client process(es) on %s, latencies measured on each", f.Size(), strings.Join(c.Hosts.Addrs, ", "))
	}
	return fmt.Sprintf("%d client process(es)", f.Size())
}

// codecName is how a report calls a codec.
func codecName(c wire.Codec) string {
	return [...]string{wire.MsgPack: "MessagePack", wire.JSON: "JSON", wire.Proto: "Protobuf"}[c]
}
