package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
	"eyrie/bench/logbench"
	"eyrie/bench/report"
	"eyrie/bench/workload"
)

// Log measures the log alone, in process: appending beside other stores, sealing,
// and look-up.
type Log struct {
	Common
	Child     []string      // arguments that make Exe a child of this part
	Parts     []string      // of LogParts
	Agents    int           // whose events they are
	Seed      uint64        // of the mix
	Rounds    int           // append: each store once in each
	Slice     time.Duration // append: length of one measurement
	Pool      int           // append: events made in advance; 0 is 2,000,000
	JetStream string        // append: folder of the module bench/peers/jetstream
	Sealing   int           // seal: events
	Events    int           // query: events of the log
	Samples   int           // query: look-ups of random agents; a tenth of them cold
	Kills     int           // query: times that the log is killed and opened

	rep *report.Report
	cpu time.Duration // of children that are gone, and servers
}

// LogParts are the sections of the report.
var LogParts = []string{"append", "seal", "query"}

// Run measures and reports.
func (m Log) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := m.temp("log")
	if err != nil {
		return nil, err
	}
	defer remove()
	m.rep = report.New("log", m.Command, dir)
	m.rep.Set("mix", "%s; %d agents, %d senders in turn with frames of %d events, seed %d", workload.Mix, m.Agents, logbench.Connections, logbench.FrameEvents, m.Seed)
	began, used := host.ReadClock(), selfCPU()
	for _, p := range []struct {
		name string
		run  func(context.Context, string) error
	}{{"append", m.append}, {"seal", m.seal}, {"query", m.query}} {
		if !slices.Contains(m.Parts, p.name) {
			continue
		}
		from, was := host.ReadClock(), m.cpu+selfCPU()
		if err := p.run(ctx, dir); err != nil {
			return m.rep, fmt.Errorf("%s: %w", p.name, err)
		}
		n := host.Since(from, host.ReadClock(), m.rep.Machine.Cores, m.cpu+selfCPU()-was)
		m.rep.Set(p.name+":", "others used %.0f %% of the cores meanwhile", 100*n.OtherShare)
	}
	noise := host.Since(began, host.ReadClock(), m.rep.Machine.Cores, m.cpu+selfCPU()-used)
	m.rep.Noise = &noise
	return m.rep, nil
}

// ServeLog is the life of a child of Log.
func ServeLog(r io.Reader, w io.Writer) error { return logbench.Serve(r, w) }

// logChild is a process of our own code that is measured, killed when its context
// ends.
type logChild struct{ *child.Process }

func (m *Log) child(ctx context.Context) (*logChild, error) {
	p, err := child.Start(child.Command(ctx, m.Exe, m.Child))
	return &logChild{p}, err
}

func (c *logChild) do(o logbench.Order) (a logbench.Answer, err error) {
	if err := c.Ask(o, &a); err != nil {
		return a, fmt.Errorf("%s: %w", o.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %w", o.Do, errors.New(a.Error))
	}
	return a, nil
}

// must reports a figure beside what is asked of it.
func (m *Log) must(name string, value float64, unit string, most float64, says string) {
	word := "kept"
	if value > most {
		word = "NOT KEPT"
	}
	m.rep.Add(name, value, unit, fmt.Sprintf("%s; at most %s asked: %s", says, report.Number(most), word))
}
