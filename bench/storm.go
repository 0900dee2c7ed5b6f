package bench

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/load"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/engine/wire"
)

// Storm has all links come back at once, under load: first because they were
// all cut, then because the server was killed and started again.
type Storm struct {
	Common
	Shape  workload.Shape
	Codec  wire.Codec
	Rate   float64       // events/s asked for throughout
	Rounds int           // of each kind
	Steady time.Duration // load before each round; 0 is 4 s
	Serve  []string
}

const (
	stormSteady = 4 * time.Second // Steady, unless told
	stormMax    = 3 * time.Minute // for all links to be back; the report says what it took
	// stormHandshakes is how many connections each client process asks for at
	// once: more than fit the accept queue of all.
	stormHandshakes = 2048
)

// Run storms, judges and reports.
func (s Storm) Run(ctx context.Context) (*report.Report, error) {
	dir, remove, err := s.temp("storm")
	if err != nil {
		return nil, err
	}
	defer remove()
	srv, err := s.serve(ctx, dir, nil, s.Serve...)
	if err != nil {
		return nil, err
	}
	defer srv.Kill()
	rep := report.New("storm", s.Command, dir)
	clients := s.clients(s.Shape.Connections)
	base := filepath.Join(dir, "ledger")
	s.say("connecting %d links", s.Shape.Connections)
	fleet, err := s.linked(ctx, srv, clients, load.Job{Codec: s.Codec, Shape: s.Shape, Reconnect: true, Ledger: base, Handshakes: stormHandshakes})
	if err != nil {
		return nil, err
	}
	ended := false
	defer func() {
		if !ended {
			fleet.Close()
		}
	}()
	rep.Set("load", "%d connections, %d agents, frames of %d events, %.0f events/s asked for throughout; clients keep what is not acknowledged and send it again; %d client process(es) beside the server, each with up to %d handshakes under way", s.Shape.Connections, s.Shape.Agents, s.Shape.Frame, s.Rate, clients, stormHandshakes)
	began, clock := host.CPU(append(fleet.Pids(), srv.Pid())...), host.ReadClock()
	if err := fleet.Run(s.Rate, 1); err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		name, says string
		strike     func() error
	}{
		{"cut", "every link reset at once by its client", fleet.Cut},
		{"kill", "SIGKILL of the server, started again at once", func() error {
			if err := fleet.Expect(); err != nil {
				return err
			}
			srv.Kill()
			return srv.Start()
		}},
	} {
		var up, caught []float64
		for i := range s.Rounds {
			if err := s.steady(ctx, fleet); err != nil {
				return nil, err
			}
			s.say("%s %d of %d", kind.name, i+1, s.Rounds)
			at := time.Now()
			if err := kind.strike(); err != nil {
				return nil, err
			}
			var w, c time.Time
			err := within(ctx, stormMax, func(ctx context.Context) (err error) {
				w, c, err = fleet.Back(ctx)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s %d: not every link came back: %w", kind.name, i+1, err)
			}
			up, caught = append(up, w.Sub(at).Seconds()), append(caught, c.Sub(at).Seconds())
		}
		rep.Add(kind.name+": connected", worst(up), "s", fmt.Sprintf("%s, until the last link was welcome again: the slowest of %s", kind.says, each(up)))
		rep.Add(kind.name+": caught up", worst(caught), "s", "until the last link had everything acknowledged that had gathered: the slowest of "+each(caught))
	}
	noise := host.Since(clock, host.ReadClock(), rep.Machine.Cores, host.CPU(append(fleet.Pids(), srv.Pid())...)-began)
	rep.Noise = &noise
	s.say("settling")
	result, err := stopped(ctx, fleet)
	if err != nil {
		return nil, err
	}
	fleet.Close() // writes the rest of the ledgers
	ended = true
	srv.Kill()
	rep.Add("reconnects", float64(result.Reconnects), "links", "came back, and sent again what was not acknowledged")
	rep.Faults = append(rep.Faults, result.Errors...)
	ledgers := []string{base}
	for i := 1; i < clients; i++ {
		ledgers = append(ledgers, base+"."+strconv.Itoa(i))
	}
	log, err := s.judgeLog(ctx, rep, dir, s.Shape, ledgers)
	if err != nil {
		return nil, err
	}
	if err := log.Close(); err != nil {
		return nil, err
	}
	if len(rep.Faults) > 0 {
		return rep, fmt.Errorf("the log is not right: %s", rep.Faults[0])
	}
	return rep, nil
}

// steady lets the load run for a while.
func (s *Storm) steady(ctx context.Context, fleet *load.Fleet) error {
	for end := time.Now().Add(cmp.Or(s.Steady, stormSteady)); time.Now().Before(end); {
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
		n, err := fleet.Events()
		if err != nil {
			return err
		}
		s.say("%s events acknowledged", report.Thousands(fmt.Sprint(n)))
	}
	return nil
}

func worst(v []float64) (most float64) {
	for _, x := range v {
		most = max(most, x)
	}
	return most
}

func each(v []float64) string {
	var b []byte
	for i, x := range v {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendFloat(b, x, 'f', 2, 64)
	}
	return string(b)
}
