package bench

import (
	"context"
	"fmt"
	"path/filepath"

	"eyrie/bench/ledger"
	"eyrie/bench/oracle"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/wal"
)

// judgeLog opens the log that a dead server left in dir and holds it against
// what its clients have in their ledgers. The caller closes the log.
func (c *Common) judgeLog(ctx context.Context, rep *report.Report, dir string, shape workload.Shape, ledgers []string) (_ *wal.Log, err error) {
	led, err := ledger.Read(ledgers...)
	if err != nil {
		return nil, err
	}
	rep.Add("acknowledged", float64(led.Len()), "events", "in the ledger that the client processes keep")
	log, err := wal.Open(wal.Options{Dir: filepath.Join(dir, "data", "log")})
	if err != nil {
		return nil, fmt.Errorf("the log does not open: %w", err)
	}
	defer func() {
		if err != nil {
			log.Close()
		}
	}()
	conns := map[[16]byte]int{}
	for i := range shape.Connections {
		conns[shape.Producer(i)] = i
	}
	c.say("reading the log: %s records", report.Thousands(fmt.Sprint(log.Next()-1)))
	v, err := oracle.CheckLog(ctx, log, led, conns)
	if err != nil {
		return nil, err
	}
	rep.Faults = append(rep.Faults, v.Says...)
	rep.Add("stored", float64(v.Events), "events", "in the log, of these producers")
	rep.Add("missing", float64(v.Missing), "events", "acknowledged and not in the log")
	rep.Add("twice", float64(v.Twice), "events", "in the log again, or out of their producer's order")
	rep.Add("changed", float64(v.Changed), "events", "with other content than acknowledged")
	rep.Add("unasked", float64(v.Unasked+v.Recorded), "records", "that nobody was told of, or that tell of a loss")
	return log, nil
}
