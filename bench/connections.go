package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// Connections measures what an idle link costs: memory of the server at two
// numbers of links, each after hello and one acknowledged event.
type Connections struct {
	Common
	From    int // links at the first look
	Count   int // at the second
	Warm    int // events before, so that agents are known and buffers have been used
	Profile string
}

// memory is what the server holds at one instant.
type memory struct {
	links      int
	anon       float64 // resident and its own
	kernel     float64
	owner      map[string]float64 // live, by whose code allocated it
	goroutines float64
	open       float64
}

// Run measures and reports.
func (m Connections) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("connections")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := m.serve(ctx, dir, fineHeap)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	if err := m.warm(ctx, srv); err != nil {
		return nil, err
	}
	rep := report.New("connections", m.Command, dir)
	clients := m.clients(m.Count)
	rep.Set("load", "%d, then %d links of as many agents, each idle after hello and one acknowledged event (a message); %d client process(es)", m.From, m.Count, clients)
	rep.Set("before", "%d events of the fixed mix from the same agents, so that what agents and buffers cost is there already", m.Warm)
	fleet, err := m.fleet(ctx, srv, clients, load.Job{
		Touch: true, Shape: workload.Shape{Seed: workload.FigureSeed + 1, Agents: m.Count, Connections: m.Count, Frame: 1},
	})
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	began, clock := host.CPU(append(fleet.Pids(), srv.Pid())...), host.ReadClock()
	var at [2]memory
	for i, n := range []int{m.From, m.Count} {
		m.say("opening %d links", n)
		start := time.Now()
		if err := open(ctx, fleet, n); err != nil {
			return nil, err
		}
		if i == 1 {
			rep.Add("connect rate", float64(m.Count-m.From)/time.Since(start).Seconds(), "links/s", "connected, upgraded, welcome and one event acknowledged, client beside the server")
		}
		m.say("%d links are open; letting the server come to rest", n)
		if at[i], err = m.look(ctx, srv, n); err != nil {
			return nil, err
		}
	}
	if m.Profile != "" {
		for _, p := range []string{"heap", "goroutine"} {
			if err := srv.Profile(ctx, p, filepath.Join(m.Profile, "connections-"+p+".pprof")); err != nil {
				return nil, err
			}
		}
	}
	noise := host.Since(clock, host.ReadClock(), rep.Machine.Cores, host.CPU(append(fleet.Pids(), srv.Pid())...)-began)
	rep.Noise = &noise
	m.report(rep, at[0], at[1])
	return rep, nil
}

func (m Connections) report(rep *report.Report, a, b memory) {
	per := func(x, y float64) float64 { return (y - x) / float64(b.links-a.links) }
	of := func(owner string) float64 { return per(a.owner[owner], b.owner[owner]) }
	engine, intake, log, views := of("engine"), of("intake"), of("log"), of("views")
	rep.Add("user memory", engine+intake+log+views, "B/link", "live in Go's heap for each further link: the four lines below; multiply by the links you plan for")
	rep.Add("of the engine", engine, "B/link", "socket and WebSocket state, session, the agent's id: netpoll and engine")
	rep.Add("of intake", intake, "B/link", "who speaks for which producer, and the agent of the event before")
	rep.Add("of the log", log, "B/link", "the producer that numbers the link's events; blocks waiting to be written scatter")
	rep.Add("of the views", views, "B/link", "what fleet, spans and series keep of the event and the link; agents were known before")
	rep.Add("stores", per(a.owner["stores"], b.owner["stores"]), "B/link", "change of the stores' write buffers and caches: bounded, whatever the links; it scatters by whole buffers")
	rep.Add("resident", per(a.anon, b.anon), "B/link", fmt.Sprintf("slope of all resident memory of its own, %.1f to %.1f MiB: the buffers' scatter is in it", a.anon/(1<<20), b.anon/(1<<20)))
	rep.Add("kernel", per(a.kernel, b.kernel)/2, "B/socket", "the system's own: half of what both ends take together on this machine")
	rep.Add("goroutines", b.goroutines-a.goroutines, "goroutines", fmt.Sprintf("more at %d links than at %d (%.0f): none belongs to a link", b.links, a.links, a.goroutines))
	rep.Add("descriptors", b.open, "open", "in the server with all links open, in all its tables")
	if (b.goroutines-a.goroutines)*100 > float64(b.links-a.links) {
		rep.Faults = append(rep.Faults, "goroutines grow with links")
	}
}

// warm has every agent seen and every buffer used once.
func (m Connections) warm(ctx context.Context, srv *Server) error {
	fleet, err := m.linked(ctx, srv, 1, load.Job{
		Shape: workload.Shape{Seed: workload.FigureSeed, Agents: m.Count, Connections: 50, Frame: 100},
	})
	if err != nil {
		return err
	}
	defer fleet.Close()
	if err := fleet.Run(0, 4); err != nil {
		return err
	}
	for n := uint64(0); n < uint64(m.Warm); {
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return err
		}
		if n, err = fleet.Events(); err != nil {
			return err
		}
		m.say("warming up: %s of %s events", report.Thousands(fmt.Sprint(n)), report.Thousands(fmt.Sprint(m.Warm)))
	}
	_, err = stopped(ctx, fleet)
	return err
}

// restFor is how long the server rests before a look: views save every few
// seconds, a store flushes every 20 s, and Go returns memory slowly. Of several
// looks the least counts: what it just works with is not what it holds.
const (
	restFor = 25 * time.Second
	looks   = 5
	lookGap = 1700 * time.Millisecond // beside the beat of what is done every second or five
)

// look waits until the server has nothing left to do, and reads.
func (m Connections) look(ctx context.Context, srv *Server, links int) (v memory, err error) {
	if err := within(ctx, appliedMax, srv.Applied); err != nil {
		return v, err
	}
	if err := sleep(ctx, restFor); err != nil {
		return v, err
	}
	for i := range looks {
		if i > 0 {
			if err := sleep(ctx, lookGap); err != nil {
				return v, err
			}
		}
		now, err := read(ctx, srv, links)
		if err != nil {
			return v, err
		}
		if i == 0 {
			v = now
		}
		v.anon, v.kernel = min(v.anon, now.anon), min(v.kernel, now.kernel)
		for o, n := range now.owner {
			v.owner[o] = min(v.owner[o], n)
		}
	}
	return v, nil
}

// read has the server collect its garbage and reads what it holds.
func read(ctx context.Context, srv *Server, links int) (v memory, err error) {
	owner, err := held(ctx, srv)
	if err != nil {
		return v, err
	}
	g, err := srv.Metrics(ctx)
	if err != nil {
		return v, err
	}
	p, err := host.Look(srv.Pid())
	if err != nil {
		return v, err
	}
	return memory{
		links: links, anon: float64(p.Anon), owner: owner, kernel: float64(host.Kernel()),
		goroutines: g["go_goroutines"], open: float64(p.Open),
	}, nil
}
