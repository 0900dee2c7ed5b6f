package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/report"
)

// Matrix measures ingest at several sizes of frame and numbers of links, and
// NATS JetStream beside it in the same run.
type Matrix struct {
	Ingest
	Frames      []int  // events a frame
	Connections []int  // links
	JetStream   string // folder of the module bench/peers/jetstream; "" = none
}

// flightEvents is how many events are in flight at full load, where one frame a
// link is not more: few links with small frames would wait for their acks else.
const flightEvents = 20_000

// Run measures and reports.
func (m Matrix) Run(ctx context.Context) (*report.Report, error) {
	dir := m.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	rep := report.New("ingest matrix", m.Command, dir)
	began := host.ReadClock()
	var cpu time.Duration
	for _, links := range m.Connections {
		for _, frame := range m.Frames {
			one := m.Ingest
			one.Shape.Connections, one.Shape.Frame = links, frame
			one.Window = max(1, flightEvents/(links*frame))
			at := fmt.Sprintf("%d/frame %d links", frame, links)
			m.say("%s", at)
			r, err := one.Run(ctx)
			if r != nil && r.Noise != nil {
				rep.Faults = append(rep.Faults, r.Faults...)
				if len(rep.Settings) == 0 {
					rep.Settings = append(rep.Settings, r.Settings[1:]...)
				}
				rep.Set(at, "%d agents, %d frame(s) in flight on each link; others %.0f %% of the cores", one.Shape.Agents, one.Window, 100*r.Noise.OtherShare)
				for _, f := range r.Figures {
					if !strings.HasPrefix(f.Name, "save ") && f.Name != "events" {
						rep.Add(at+": "+f.Name, f.Value, f.Unit, f.Says)
					}
				}
				cpu += r.Used
			}
			if err != nil {
				return rep, fmt.Errorf("%s: %w", at, err)
			}
		}
	}
	if m.JetStream != "" {
		if err := m.jetstream(ctx, rep, &cpu); err != nil {
			rep.Set("JetStream", "left out: %v", err)
		}
	}
	noise := host.Since(began, host.ReadClock(), rep.Machine.Cores, cpu)
	rep.Noise = &noise
	return rep, nil
}
