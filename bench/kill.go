package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"eyrie/bench/latency"
	"eyrie/bench/load"
	"eyrie/bench/oracle"
	"eyrie/bench/report"
	"eyrie/bench/workload"
	"eyrie/wal"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Kill ends the server with SIGKILL under load, again and again, watches what its
// views save, and then holds the log against a ledger of what was acknowledged, and
// the views against a fold from zero.
type Kill struct {
	Common
	Shape workload.Shape
	Times int
	Rate  float64       // events/s asked for, while the server is down too
	Seed  uint64        // of the moments
	Long  int           // every so many lives last long enough for the views store to be flushed; 0 = none
	Keep  bool          // leave the data folder behind
	Life  time.Duration // the longest but for those of 24 s; 0 is 1.5 s
}

// How long a server lives. The views store has no write-ahead log and is
// flushed every 20 s and at an orderly end, so there must be both kinds of life.
const (
	lifeMin     = 50 * time.Millisecond
	lifeDefault = 1500 * time.Millisecond
	longLife    = 24 * time.Second
	openingMax  = 150 * time.Millisecond // after its start, for kills while it opens
	openingOdds = 8                      // one kill in so many
	orderlyOdds = 10                     // one orderly end to so many kills, the first after the first
	saveEvery   = 300 * time.Millisecond // what the server is told
	saveSlack   = 10 * time.Second       // see savesRule
)

// Run kills, judges and reports. The error says what was lost, if anything was.
func (k Kill) Run(ctx context.Context) (*report.Report, error) {
	if k.Life == 0 {
		k.Life = lifeDefault
	}
	dir, remove, err := k.temp("kill")
	if err != nil {
		return nil, err
	}
	if k.Keep {
		k.say("data is kept in %s\n", dir)
	} else {
		defer remove()
	}
	x := &killRun{Kill: k, dir: dir, rng: rand.New(rand.NewPCG(k.Seed, 0x6b696c6c)), rep: report.New("kill", k.Command, dir), ledgers: []string{filepath.Join(dir, "ledger")}}
	x.rep.Set("load", "%d connections, %d agents, frames of %d events, %.0f events/s asked for; clients keep what is not acknowledged and send it again", k.Shape.Connections, k.Shape.Agents, k.Shape.Frame, k.Rate)
	x.rep.Set("kills", "SIGKILL %v to %v after the server is ready, one in %d while it opens, every %s life %v; an orderly end after every %dth kill; seed %d", lifeMin, k.Life, openingOdds, ordinal(k.Long), longLife, orderlyOdds, k.Seed)
	if err := x.campaign(ctx); err != nil {
		return nil, err
	}
	if err := x.judge(ctx); err != nil {
		return nil, err
	}
	if len(x.rep.Faults) > 0 {
		return x.rep, fmt.Errorf("the log or a view is not right: %s", x.rep.Faults[0])
	}
	return x.rep, nil
}

func ordinal(n int) string {
	if n == 0 {
		return "no"
	}
	return fmt.Sprintf("%dth", n)
}

type killRun struct {
	Kill
	dir     string
	ledgers []string
	rng     *rand.Rand
	rep     *report.Report
	srv     *Server
	result  *load.Result
	kills   int
	opening int // of them while the server opened
	orderly int
	opens   latency.Histogram
	saves   savesWatch
}

// campaign drives the load through all kills; at the end everything that was
// sent is acknowledged, and the server is killed once more.
func (x *killRun) campaign(ctx context.Context) (err error) {
	if x.srv, err = NewServer(x.Exe, filepath.Join(x.dir, "data"), "--save-every", saveEvery.String()); err != nil {
		return err
	}
	said, err := os.Create(filepath.Join(x.dir, "server.log"))
	if err != nil {
		return err
	}
	defer said.Close()
	x.srv.Log = said
	x.saves = savesWatch{srv: x.srv, judge: savesJudge{rule: savesRule{every: saveEvery, slack: saveSlack}}}
	if err := x.begin(ctx); err != nil {
		return err
	}
	defer x.kill()
	fleet, err := x.linked(ctx, x.srv, 1, load.Job{Shape: x.Shape, Reconnect: true, Ledger: x.ledgers[0]})
	if err != nil {
		return err
	}
	defer fleet.Close() // writes the rest of the ledger
	if err := fleet.Run(x.Rate, 1); err != nil {
		return err
	}
	for x.kills < x.Times-1 {
		if err := x.life(ctx, fleet); err != nil {
			return err
		}
		n, err := fleet.Events()
		if err != nil {
			return err
		}
		x.say("%d of %d kills, %s events acknowledged", x.kills, x.Times, report.Thousands(fmt.Sprint(n)))
	}
	if x.result, err = stopped(ctx, fleet); err != nil {
		return err
	}
	x.kills++
	return nil // the deferred Kill is the last one
}

// begin starts the server and waits until it serves.
func (x *killRun) begin(ctx context.Context) error {
	at := time.Now()
	if err := x.srv.Start(); err != nil {
		return err
	}
	x.saves.begin(ctx)
	if err := within(ctx, readyMax, x.srv.Ready); err != nil {
		x.kill()
		return err
	}
	x.opens.Add(time.Since(at))
	return nil
}

// kill ends a life.
func (x *killRun) kill() {
	x.saves.end()
	x.srv.Kill()
}

// life lets the server live for a while, ends it and starts it again.
func (x *killRun) life(ctx context.Context, fleet *load.Fleet) error {
	d := lifeMin + time.Duration(x.rng.Int64N(int64(x.Life-lifeMin)))
	if x.Long > 0 && x.kills%x.Long == x.Long-1 {
		d = longLife
	}
	if err := sleep(ctx, d); err != nil {
		return err
	}
	x.kill()
	x.kills++
	for x.kills < x.Times-1 && x.rng.IntN(openingOdds) == 0 {
		if err := x.srv.Start(); err != nil {
			return err
		}
		err := sleep(ctx, time.Duration(x.rng.Int64N(int64(openingMax))))
		x.srv.Kill()
		if err != nil {
			return err
		}
		x.kills++
		x.opening++
	}
	if err := x.begin(ctx); err != nil {
		return err
	}
	if x.kills/orderlyOdds >= x.orderly {
		x.orderly++
		if err := sleep(ctx, lifeMin+time.Duration(x.rng.Int64N(int64(x.Life)))); err != nil {
			return err
		}
		x.saves.end()
		if err := x.srv.Stop(); err != nil {
			return err
		}
		return x.begin(ctx)
	}
	return nil
}

// judge opens what the last kill left behind.
func (x *killRun) judge(ctx context.Context) error {
	add, rep := x.rep.Add, x.rep
	rep.Faults = append(rep.Faults, x.result.Errors...)
	rep.Faults = append(rep.Faults, x.saves.faults...)
	add("kills", float64(x.kills), "times", fmt.Sprintf("SIGKILL, %d of them while the server opened its data; %d orderly ends between them", x.opening, x.orderly))
	add("reconnects", float64(x.result.Reconnects), "links", "came back, and sent again what was not acknowledged")
	log, err := x.judgeLog(ctx, rep, x.dir, x.Shape, x.ledgers)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := x.judgeViews(ctx, log); err != nil {
		return err
	}
	add("unsaved", x.saves.judge.longest.Seconds(), "s", fmt.Sprintf("the longest that a view was folded, in one life or several, without a snapshot of it becoming durable, of %v at most; the server saves each %v, and was looked at each %v", x.saves.judge.rule.within(), saveEvery, lookAtSaves))
	add("open p50", ms(x.opens.Quantile(0.5)), "ms", "from the start of the process until it is ready, after a kill")
	add("open max", ms(x.opens.Max()), "ms", "the slowest of them")
	return nil
}

func (x *killRun) judgeViews(ctx context.Context, log *wal.Log) error {
	x.say("folding %s records from zero", report.Thousands(fmt.Sprint(log.Next()-1)))
	got, err := oracle.OpenViews(ctx, vfs.Default, filepath.Join(x.dir, "data", "views"), log)
	if err != nil {
		return err
	}
	defer got.Close()
	want, err := oracle.OpenViews(ctx, vfs.Default, filepath.Join(x.dir, "from-zero"), log)
	if err != nil {
		return err
	}
	defer want.Close()
	v, err := oracle.CompareViews(ctx, got, want)
	if err != nil {
		return err
	}
	for _, r := range got.Rebuilt {
		x.rep.Faults = append(x.rep.Faults, "a view did not take up its snapshot: "+r)
	}
	if got.Loaded == 1 {
		x.rep.Faults = append(x.rep.Faults, "the views store was empty: nothing of it was put to the test")
	}
	x.rep.Faults = append(x.rep.Faults, v.Says...)
	x.rep.Add("views", float64(v.Differ), "differences", fmt.Sprintf("between the views as left by the last kill and a fold over all %s records from zero: %d agents, %d spans, %d runs, %d series with %d samples compared; the snapshot reached to record %s",
		report.Thousands(fmt.Sprint(log.Next()-1)), v.Agents, v.Spans, v.Runs, v.Series, v.Samples, report.Thousands(fmt.Sprint(got.Loaded-1))))
	return nil
}
