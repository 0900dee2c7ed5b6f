package bench

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/stats"
	"eyrie/bench/workload"
)

// Ramp opens more and more links, each idle after hello and one acknowledged
// event, until the host gives way or Most are there, and names what ended it.
// Where a process' descriptors end it, the same again with a descriptor table
// for each loop.
type Ramp struct {
	Common
	Most  int           // links
	Steps []float64     // as shares of the most, ascending; nil = RampSteps
	Rest  time.Duration // of the links before each look; 0 is 2 s
}

// RampSteps are the usual steps of a ramp.
var RampSteps = []float64{0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1}

// What else ends a ramp: memory that gets short, and connecting that has become
// this much slower than it was at its fastest.
const (
	rampMemoryMin  = 1 << 30
	rampSlower     = 10
	rampStepMax    = 2 * time.Minute
	rampRest       = 2 * time.Second
	rampStalled    = 8 * time.Second // without one link more
	ownDescriptors = 200             // that a server needs for its files and listeners
)

// rampStep is one look.
type rampStep struct {
	memory
	rate float64 // links/s since the step before
	cpu  float64 // cores the server used while the links were idle
}

// Run measures and reports.
func (m Ramp) Run(ctx context.Context) (*report.Report, error) {
	if m.Steps == nil {
		m.Steps = RampSteps
	}
	began := host.ReadClock()
	rep := report.New("connections", m.Command, m.dir())
	used := selfCPU()
	steps, why, err := m.climb(ctx, rep, false)
	if err != nil {
		return nil, err
	}
	if limit := descriptorsMax(); len(steps) > 0 && steps[len(steps)-1].links < m.Most && uint64(m.Most) > limit-min(limit, ownDescriptors) {
		rep.Add("links", float64(steps[len(steps)-1].links), "links", "held at once with the settings that serve has without being told; "+why)
		if steps, why, err = m.climb(ctx, rep, true); err != nil {
			return nil, err
		}
		rep.Add("links with own tables", float64(steps[len(steps)-1].links), "links", "held at once by serve --own-tables --connections "+strconv.Itoa(m.Most)+"; "+why)
	} else {
		rep.Add("links", float64(steps[len(steps)-1].links), "links", "held at once; "+why)
	}
	m.tell(rep, steps)
	noise := host.Since(began, host.ReadClock(), rep.Machine.Cores, selfCPU()-used)
	rep.Noise = &noise
	return rep, nil
}

// climb is one ramp on a server of its own; it returns at least one step.
func (m Ramp) climb(ctx context.Context, rep *report.Report, ownTables bool) (steps []rampStep, why string, err error) {
	dir, remove, err := m.temp("ramp")
	if err != nil {
		return nil, "", err
	}
	defer remove()
	args := []string{"--connections", strconv.Itoa(m.Most)}
	if ownTables {
		args = append(args, "--own-tables")
	}
	srv, err := m.serve(ctx, dir, roughHeap, args...)
	if err != nil {
		return nil, "", err
	}
	defer srv.Kill()
	clients := m.clients(m.Most)
	fleet, err := m.fleet(ctx, srv, clients, load.Job{
		Touch: true, Shape: workload.Shape{Seed: workload.FigureSeed, Agents: m.Most, Connections: m.Most, Frame: 1},
	})
	if err != nil {
		return nil, "", err
	}
	defer fleet.Close()
	if len(rep.Settings) == 0 {
		rep.Set("load", "links of as many agents, each idle after hello and one acknowledged event; %d client processes on this machine, so memory of the kernel is for both ends", clients)
	}
	fastest, slowest := 0.0, time.Duration(0)
	for i, share := range m.Steps {
		if len(steps) > 0 && fits(ctx, 2*slowest, toldIn) < 2*slowest {
			rep.Unfinish("of %d steps up to %d links there was time for %d", len(m.Steps), m.Most, i)
			return steps, "then the time for it was over", nil
		}
		began := time.Now()
		want := int(share * float64(m.Most))
		had := 0
		if len(steps) > 0 {
			had = steps[len(steps)-1].links
		}
		m.say("connections: opening %d links", want)
		start := time.Now()
		reached, err := m.open(ctx, srv, fleet, want)
		if err != nil {
			return nil, "", err
		}
		took := time.Since(start)
		step, err := m.rest(ctx, srv, reached)
		if err != nil {
			return nil, "", err
		}
		step.rate = float64(reached-had) / took.Seconds()
		slowest = max(slowest, time.Since(began))
		if reached > had {
			steps = append(steps, step)
		}
		if reached < want {
			return steps, m.ended(reached, step, ownTables), nil
		}
		if fastest = max(fastest, step.rate); step.rate < fastest/rampSlower {
			return steps, fmt.Sprintf("then they came at %.0f/s, a tenth of what it had been", step.rate), nil
		}
		if n := memoryAvailable(); n > 0 && n < rampMemoryMin {
			return steps, fmt.Sprintf("then memory got short: %d MiB were left", n>>20), nil
		}
	}
	return steps, fmt.Sprintf("that is all that was asked for: nothing gave way. %d MiB of memory were left", memoryAvailable()>>20), nil
}

// open brings the fleet to n links, or to as many as there can be.
func (m Ramp) open(ctx context.Context, srv *Server, fleet *load.Fleet, n int) (reached int, err error) {
	opened := make(chan error, 1)
	octx, cancel := context.WithTimeout(ctx, rampStepMax)
	defer cancel()
	go func() { opened <- fleet.Open(octx, n) }()
	best, since := 0, time.Now()
	for {
		select {
		case err := <-opened:
			if err == nil {
				return n, nil
			}
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			return m.count(ctx, srv)
		case <-time.After(500 * time.Millisecond):
			now, err := m.count(ctx, srv)
			if err != nil {
				cancel()
				<-opened
				return 0, err
			}
			if now > best {
				best, since = now, time.Now()
			}
			if time.Since(since) > rampStalled {
				cancel()
				<-opened
				return best, nil
			}
		}
	}
}

// count is how many links the server has.
func (m Ramp) count(ctx context.Context, srv *Server) (int, error) {
	v, err := srv.Metrics(ctx)
	return int(v[connsOpen]), err
}

// rest lets the links be idle and looks.
func (m Ramp) rest(ctx context.Context, srv *Server, links int) (s rampStep, err error) {
	if err := within(ctx, appliedMax, srv.Applied); err != nil {
		return s, err
	}
	at, cpu := time.Now(), host.CPU(srv.Pid())
	if err := sleep(ctx, cmp.Or(m.Rest, rampRest)); err != nil {
		return s, err
	}
	s.cpu = (host.CPU(srv.Pid()) - cpu).Seconds() / time.Since(at).Seconds()
	s.memory, err = read(ctx, srv, links)
	return s, err
}

// ended names what a ramp ended by.
func (m Ramp) ended(reached int, s rampStep, ownTables bool) string {
	limit := descriptorsMax()
	switch {
	case !ownTables && limit > 0 && uint64(s.open)+ownDescriptors/2 >= limit:
		return fmt.Sprintf("then the process had its hard limit of %d descriptors. Raise it (LimitNOFILE= in the unit, ulimit -Hn), or use --own-tables", limit)
	case memoryAvailable() > 0 && memoryAvailable() < rampMemoryMin:
		return fmt.Sprintf("then memory got short: %d MiB were left", memoryAvailable()>>20)
	}
	return fmt.Sprintf("then no further link came within %.0f s, with %.0f descriptors open in the server", rampStalled.Seconds(), s.open)
}

// tell reports what a link costs: slopes over all steps but the first, at which
// buffers had not been used yet.
func (m Ramp) tell(rep *report.Report, steps []rampStep) {
	var links, agent, engine, kernel, resident []float64
	var points, rates report.Line
	points.Name, rates.Name = "resident", "links/s"
	best := 0.0
	for _, s := range steps {
		n := float64(s.links)
		links, engine = append(links, n), append(engine, s.owner["engine"]+s.owner["intake"])
		agent, kernel = append(agent, s.owner["log"]+s.owner["views"]), append(kernel, s.kernel/2)
		resident = append(resident, s.anon)
		points.Points = append(points.Points, [2]float64{n, s.anon / (1 << 20)})
		rates.Points = append(rates.Points, [2]float64{n, s.rate})
		best = max(best, s.rate)
	}
	if len(links) > 2 {
		links, agent, engine, kernel, resident = links[1:], agent[1:], engine[1:], kernel[1:], resident[1:]
	}
	rep.Add("connect rate", best, "links/s", "at best: connected, upgraded, welcome and one event acknowledged, client beside the server; divide your links by it to see how long they take to come back")
	if len(links) > 1 {
		rep.Add("link memory", stats.Slope(links, engine), "B/link", "of the server for each further link: socket, session, intake. Times the links you plan for, beside the two lines below")
		rep.Add("agent memory", stats.Slope(links, agent), "B/agent", "of the server for each further agent seen for the first time: what log and views keep of it. Times all agents ever seen, not those connected")
		rep.Add("kernel memory", stats.Slope(links, kernel), "B/link", "of the kernel for the server's end of each link: outside the process, yet of the VM's memory")
		rep.Add("resident memory", stats.Slope(links, resident), "B/link", "growth of the process, its buffers and what the collector leaves for later included: the careful figure to plan memory by")
	}
	last := steps[len(steps)-1]
	rep.Add("cpu at rest", last.cpu, "cores", fmt.Sprintf("used by the server with %d idle links: what a fleet costs that says nothing", last.links))
	rep.Add("descriptors", last.open-float64(last.links), "open", "in the server beside the links (files, listeners, wake-ups): the limit must be the links and these")
	rep.Curves = append(rep.Curves,
		report.Curve{Title: "Memory against connections", Says: "Resident memory of the server, each link idle after one acknowledged event. A straight line means that a link costs the same however many there are.", X: report.Axis{Name: "links"}, Y: report.Axis{Name: "resident", Unit: "MiB"}, Lines: []report.Line{points}},
		report.Curve{Title: "Connect rate", Says: "How fast links came at each step, the client beside the server. A line that falls to nothing means that a restart of all agents at once takes long.", X: report.Axis{Name: "links"}, Y: report.Axis{Name: "rate", Unit: "links/s"}, Lines: []report.Line{rates}})
}
