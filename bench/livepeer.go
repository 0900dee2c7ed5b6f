package bench

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
	"eyrie/bench/viewer"
)

// fanOut is one of two servers that send the same to the same number of viewers.
type fanOut struct {
	name    string
	pid     int
	viewers *viewer.Fleet
	begin   func() error           // to send
	last    func() (uint64, error) // ends it, and tells the number of the last one

	perS []float64 // deliveries per second of the server's CPU, by round
	p50  []float64 // ms
	p99  []float64
}

// What both fan out: the rounds are long enough for clocks of 10 ms.
const (
	fanRate = 100 // messages a second
	fanFor  = 2 * time.Second
)

// beside measures Centrifuge and eyrie in turns, both fresh: every viewer watches one
// channel, or one agent.
func (x *liveRun) beside(ctx context.Context, dir string) error {
	exe := filepath.Join(dir, "centrifuge")
	x.say("building Centrifuge; the first time takes minutes")
	if err := buildAdapter(ctx, x.Centrifuge, exe); err != nil {
		x.rep.Set("centrifuge", "left out: %s", firstLine(err))
		return nil
	}
	theirs, err := startCentrifuge(ctx, exe)
	if err != nil {
		return err
	}
	defer theirs.End(adapterGrace)
	n := x.Peers
	argv := append([]string{x.Exe}, x.Child...)
	them, err := viewer.Start(ctx, argv, x.processes(), viewer.Job{
		Addr: theirs.addr, Centrifuge: true, To: n, Sources: sources(n),
		Kinds: [][]viewer.Watch{{{What: "events", Mode: "all", Filter: viewer.Filter{Agent: "events"}, Credits: viewer.CreditsDefault, Marks: true}}},
	})
	if err != nil {
		return err
	}
	defer them.Close()
	srv, err := x.serve(ctx, filepath.Join(dir, "beside"), nil)
	if err != nil {
		return err
	}
	defer srv.Kill()
	us, err := x.fleetOf(ctx, srv, "agent", n)
	if err != nil {
		return err
	}
	defer us.Close()
	key, err := srv.Key("agent")
	if err != nil {
		return err
	}
	var probe *viewer.Probe
	all := []*fanOut{
		{name: "eyrie", pid: srv.Pid(), viewers: us, begin: func() (err error) {
			probe, err = viewer.StartProbe(ctx, srv.Ingest, key, fanRate)
			return err
		}, last: func() (uint64, error) { return probe.Stop(ctx) }},
		{name: "centrifuge", pid: theirs.Pid(), viewers: them, begin: func() error {
			_, err := theirs.rate(fanRate)
			return err
		}, last: func() (uint64, error) { return theirs.rate(0) }},
	}
	for _, f := range all {
		if err := f.viewers.Open(n); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	x.rep.Set("centrifuge", "the library at the version in %s, one node with its default options, memory broker without history, JSON protocol over WebSocket without compression; %d viewers of one channel, %d messages/s of the same bytes from within the process. Of eyrie as many viewers watch one agent, whose events come over a link and are durable and in every view first; both began empty, and nothing else runs on either; %d rounds of %v in turns",
		filepath.Join(x.Centrifuge, "go.mod"), n, fanRate, x.Rounds, fanFor)
	for r := range x.Rounds {
		for _, i := range rand.Perm(len(all)) {
			x.say("round %d of %d: %s", r+1, x.Rounds, all[i].name)
			if err := all[i].measure(ctx, x, n); err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
		}
	}
	for _, f := range all {
		x.rep.AddRounds(f.name+": deliveries per cpu", f.perS, "events/cpu-s", "that reach viewers for each second of the server's CPU, what it takes to get them into the server included")
		x.rep.AddRounds(f.name+": fan-out p50", f.p50, "ms", fmt.Sprintf("from when a message was due to each of %d viewers", n))
		x.rep.AddRounds(f.name+": fan-out p99", f.p99, "ms", "one delivery in 100 took longer")
	}
	x.rep.AddRatio("eyrie/centrifuge: deliveries per cpu", all[0].perS, all[1].perS, "of deliveries per second of CPU; eyrie's are durable and searchable by then, Centrifuge's are not kept")
	x.rep.AddRatio("eyrie/centrifuge: fan-out p99", all[0].p99, all[1].p99, "of the 99th percentile: below 1 eyrie is sooner")
	return nil
}

// measure is a server's turn in a round.
func (f *fanOut) measure(ctx context.Context, x *liveRun, n int) error {
	if err := f.begin(); err != nil {
		return err
	}
	if err := sleep(ctx, cmp.Or(x.Settle, liveSettle)); err != nil {
		return err
	}
	before, err := host.Look(f.pid)
	if err != nil {
		return err
	}
	if err := f.viewers.Begin(); err != nil {
		return err
	}
	if err := sleep(ctx, fanFor); err != nil {
		return err
	}
	if err := f.viewers.End(); err != nil {
		return err
	}
	after, err := host.Look(f.pid)
	if err != nil {
		return err
	}
	last, err := f.last()
	if err != nil {
		return err
	}
	if seen, err := f.viewers.Seen(ctx, last, catchUp); err != nil {
		return err
	} else if !seen {
		x.rep.Fault("%s: some of %d viewers had not seen the last message %v after it was sent", f.name, n, catchUp)
	}
	r, err := f.viewers.Result()
	if err != nil {
		return err
	}
	for _, e := range r.Errors {
		x.rep.Fault("%s: %s", f.name, e)
	}
	if r.Items == 0 || r.Latency.Count() == 0 {
		return fmt.Errorf("nothing reached its viewers: %v", r.Errors)
	}
	f.perS = append(f.perS, float64(r.Items)/max(after.CPU-before.CPU, 10*time.Millisecond).Seconds())
	f.p50 = append(f.p50, ms(max(r.Latency.Quantile(0.5), time.Microsecond)))
	f.p99 = append(f.p99, ms(max(r.Latency.Quantile(0.99), time.Microsecond)))
	return nil
}

// centrifugeServer is the adapter's process.
type centrifugeServer struct {
	*child.Process
	addr string
}

func startCentrifuge(ctx context.Context, exe string) (*centrifugeServer, error) {
	p, addr, err := startAdapter(ctx, exe)
	return &centrifugeServer{p, addr}, err
}

// rate has it publish so many messages a second, and returns the number of the last.
func (c *centrifugeServer) rate(n float64) (last uint64, err error) {
	return last, c.Ask(n, &last)
}
