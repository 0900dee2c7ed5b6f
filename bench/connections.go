package bench

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
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
	live       float64 // Go heap that is in use after a collection
	inuse      float64 // Go heap spans and stacks
	kernel     float64
	goroutines float64
	open       float64
}

// Run measures and reports.
func (m Connections) Run(ctx context.Context) (*Report, error) {
	dir, remove, err := m.temp("connections")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := NewServer(m.Exe, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if err := srv.Start(); err != nil {
		return nil, err
	}
	defer srv.Kill()
	if err := within(ctx, 30*time.Second, srv.Ready); err != nil {
		return nil, err
	}
	key, err := srv.Key("agent")
	if err != nil {
		return nil, err
	}
	if err := m.warm(ctx, srv, key); err != nil {
		return nil, err
	}
	rep := newReport("connections", m.Command, dir)
	clients := m.clients(m.Count)
	rep.set("load", "%d, then %d links of as many agents, each idle after hello and one acknowledged event; %d client process(es)", m.From, m.Count, clients)
	rep.set("before", "%d events of the fixed mix from the same agents, so that what agents and buffers cost is there already", m.Warm)
	fleet, err := load.Start(ctx, load.Spawn{Exe: m.Exe, Args: m.Client}, clients, load.Job{
		Addr: srv.Ingest, Key: key, Touch: true, To: m.Count, Sources: sources(m.Count),
		Shape: workload.Shape{Seed: workload.FigureSeed + 1, Agents: m.Count, Connections: m.Count, Frame: 1},
	})
	if err != nil {
		return nil, err
	}
	defer fleet.Close()
	began, clock := host.CPU(append(fleet.Pids(), srv.Pid())...), host.ReadClock()
	var looks [2]memory
	for i, n := range []int{m.From, m.Count} {
		m.say("opening %d links", n)
		at := time.Now()
		if err := within(ctx, 3*time.Minute, func(ctx context.Context) error { return fleet.Open(ctx, n) }); err != nil {
			return nil, err
		}
		if i == 1 {
			rep.add("connect rate", float64(m.Count-m.From)/time.Since(at).Seconds(), "links/s", "connected, upgraded, welcome and one event acknowledged, client beside the server")
		}
		m.say("%d links are open; letting the server come to rest", n)
		if looks[i], err = m.look(ctx, srv, n); err != nil {
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
	m.report(rep, looks[0], looks[1])
	return rep, nil
}

func (m Connections) report(rep *Report, a, b memory) {
	per := func(x, y float64) float64 { return (y - x) / float64(b.links-a.links) }
	rep.add("resident", per(a.anon, b.anon), "B/link", fmt.Sprintf("user memory of the server per link: slope of its own resident memory, %.1f to %.1f MiB", a.anon/(1<<20), b.anon/(1<<20)))
	rep.add("go heap", per(a.live, b.live), "B/link", "of it live in Go's heap after a collection: links, producers and their sessions, links' records in the views")
	rep.add("go spans", per(a.inuse, b.inuse), "B/link", "heap spans and stacks in use, with what is left free within them")
	rep.add("kernel", per(a.kernel, b.kernel)/2, "B/socket", "the system's own: half of what both ends take together on this machine")
	rep.add("goroutines", b.goroutines-a.goroutines, "goroutines", fmt.Sprintf("more at %d links than at %d (%.0f): none belongs to a link", b.links, a.links, a.goroutines))
	rep.add("descriptors", b.open, "open", "in the server with all links open")
	if (b.goroutines-a.goroutines)*100 > float64(b.links-a.links) {
		rep.Faults = append(rep.Faults, "goroutines grow with links")
	}
}

// warm has every agent seen and every buffer used once.
func (m Connections) warm(ctx context.Context, srv *Server, key string) error {
	const links = 50
	fleet, err := load.Start(ctx, load.Spawn{Exe: m.Exe, Args: m.Client}, 1, load.Job{
		Addr: srv.Ingest, Key: key, To: links, Sources: 1,
		Shape: workload.Shape{Seed: workload.FigureSeed, Agents: m.Count, Connections: links, Frame: 100},
	})
	if err != nil {
		return err
	}
	defer fleet.Close()
	if err := within(ctx, time.Minute, func(ctx context.Context) error { return fleet.Open(ctx, links) }); err != nil {
		return err
	}
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
		m.say("warming up: %s of %s events", thousands(fmt.Sprint(n)), thousands(fmt.Sprint(m.Warm)))
	}
	return within(ctx, time.Minute, func(ctx context.Context) error {
		_, err := fleet.Stop(ctx)
		return err
	})
}

// A look is taken when two in a row agree: views save every few seconds and
// flush every 20 s, and Go returns memory slowly.
const (
	restFor  = 12 * time.Second
	restMax  = 10 // looks
	restGap  = 1 << 20
	restNone = 30 * time.Second // before the first one
)

// look waits until the server has come to rest, and reads.
func (m Connections) look(ctx context.Context, srv *Server, links int) (v memory, err error) {
	if err := within(ctx, appliedMax, srv.Applied); err != nil {
		return v, err
	}
	rest := restNone
	for i := range restMax {
		if err := sleep(ctx, rest); err != nil {
			return v, err
		}
		rest = restFor
		before := v
		if v, err = read(ctx, srv, links); err != nil {
			return v, err
		}
		m.say("%d links: %.1f MiB live, %.1f MiB resident", links, v.live/(1<<20), v.anon/(1<<20))
		if i > 0 && math.Abs(v.live-before.live) < restGap && math.Abs(v.anon-before.anon) < restGap {
			return v, nil
		}
	}
	return v, fmt.Errorf("the server's memory does not come to rest with %d idle links", links)
}

// read has the server collect its garbage and reads what it holds.
func read(ctx context.Context, srv *Server, links int) (v memory, err error) {
	for range 2 { // the second collection frees what finalizers and pools held
		if err := srv.Profile(ctx, "heap?gc=1", ""); err != nil {
			return v, err
		}
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
		links: links, anon: float64(p.Anon), live: g["go_memstats_heap_alloc_bytes"],
		inuse: g["go_memstats_heap_inuse_bytes"] + g["go_memstats_stack_inuse_bytes"], kernel: float64(host.Kernel()),
		goroutines: g["go_goroutines"], open: float64(p.Open),
	}, nil
}
