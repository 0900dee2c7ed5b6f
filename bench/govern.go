package bench

import (
	"context"
	"fmt"
	"time"

	"eyrie/bench/host"
	"eyrie/bench/report"
	"eyrie/bench/stats"
)

// governor finds what a server bears by having the load follow it: somewhat more than its views keep
// up with while it owes less than is normal, a fraction of that while it owes more. So it always has something
// to do, and what it gets done in the mean over its merges, seals and saves is what it bears; a
// search by trials answers yes or no instead, and its steps and its luck are in the answer.
type governor struct {
	rate   float64 // offered now, events/s
	least  float64 // is always offered
	pushed bool    // what is offered now is more than views keep up with
	views  float64 // events/s that they keep up with
	seen   []Sample
}

const (
	governFirst = 0.6                    // of what a closed loop got into every view is offered first
	governPush  = 1.3                    // of what views keep up with
	governEase  = 0.2                    // of the same
	governLearn = 0.2                    // of what a look tells is believed
	governLag   = time.Second            // of what views keep up with, that they may owe
	governBusy  = 200 * time.Millisecond // of the same, at which views are sure to be busy
	governEvery = time.Second            // between two looks
	governQuick = 300 * time.Millisecond // the same, where there is no time for so many
	governLate  = 0.6                    // of the time, at its end, that counts: debts have come to their bounds by then
	governLeast = 0.02                   // of the closed loop, is always offered
)

// newGovernor begins at a rate, and offers at least another.
func newGovernor(rate, least float64) *governor {
	return &governor{rate: rate, least: least, views: rate / governPush, pushed: true}
}

// next takes a look, and returns what to offer from now on.
func (g *governor) next(s Sample) float64 {
	g.seen = append(g.seen, s)
	// Views are busy where they are pushed, or behind all the same.
	if n := len(g.seen); n > 1 && (g.pushed || s.Lag > g.views*governBusy.Seconds()) {
		g.views += governLearn * (done(g.seen[n-2:]) - g.views)
	}
	g.views = max(g.views, g.least)
	g.rate, g.pushed = governPush*g.views, true
	if owed(&s, g.views) > 1 {
		g.rate, g.pushed = governEase*g.views, false
	}
	g.rate = max(g.rate, g.least)
	return g.rate
}

// owed is the largest of a server's debts, as shares of what is normal where it does so many events a second.
func owed(s *Sample, rate float64) (most float64) {
	for _, d := range debts(rate) {
		normal := d.normal
		if d.name == debtLag {
			normal = rate * governLag.Seconds()
		}
		if v := d.of(s); v > 0 {
			most = max(most, v/normal)
		}
	}
	return most
}

// done is how many events a second came into every view between the first and the last look.
func done(seen []Sample) float64 {
	a, b := &seen[0], &seen[len(seen)-1]
	return max(0, (b.Next-b.Lag)-(a.Next-a.Lag)) / max(b.At-a.At, 1e-3)
}

// borne is what was done a second in the part that counts, and the 95 % interval of its mean over
// steadyBlocks blocks of that.
func (g *governor) borne() (rate, low, high float64, over time.Duration) {
	late := g.seen[int(float64(len(g.seen))*(1-governLate)):]
	if len(late) < 2 {
		return 0, 0, 0, 0
	}
	var blocks []float64
	n := min(steadyBlocks, len(late)-1)
	for i := range n {
		blocks = append(blocks, max(1, done(late[i*(len(late)-1)/n:(i+1)*(len(late)-1)/n+1])))
	}
	_, low, high = stats.Mean(blocks)
	return done(late), low, high, time.Duration((late[len(late)-1].At - late[0].At) * float64(time.Second))
}

// govern finds the rate that the server bears while the load follows it.
func (x *sustainRun) govern(ctx context.Context) error {
	g := newGovernor(x.most*governFirst, x.most*governLeast)
	x.rate = g.rate // where nothing more is found
	if err := within(ctx, appliedMax, x.srv.Applied); err != nil {
		return err
	}
	d := fits(ctx, x.Govern, needSettle)
	if d < x.Govern {
		d = d.Truncate(time.Second)
		x.rep.Unfinish("%s: there was time for %v of %v", phaseGovern, d, x.Govern)
	}
	before, err := x.seek(ctx)
	if err != nil {
		return err
	}
	x.writes, x.written, x.noDisk = host.DiskWrites(x.dir)
	if err := x.fleet.Run(g.rate, 0); err != nil {
		return err
	}
	gone := error(nil)
	w := &Watch{Target: &x.srv.Target, Fleet: x.fleet, Every: max(governQuick, min(governEvery, d/looksLeast)), Seen: func(s Sample) {
		x.say("load that follows the server: %3.0f s, %s events/s acknowledged, views %s behind", s.At, report.Number(s.Rate), report.Number(s.Lag))
		if err := x.fleet.Pace(g.next(s)); err != nil && gone == nil {
			gone = err
		}
	}}
	if err := w.For(ctx, d); err != nil {
		return err
	}
	if gone != nil {
		return gone
	}
	if _, err := x.stop(ctx); err != nil {
		return err
	}
	rate, low, high, over := g.borne()
	if rate <= 0 {
		return fmt.Errorf("%s: nothing came into every view", phaseGovern)
	}
	x.rate = sustainRoom * rate
	x.rep.Set("borne", "%s events/s in the mean of the last %v of %v, %s to %s with 95 %% confidence, while the load followed what the server owed",
		report.Number(rate), over.Round(time.Second), d, report.Number(low), report.Number(high))
	x.rep.Add(figureBorne, rate, "events/s", "in every view, while the load followed the server: more while it owed nothing, less while views, seals or merges were behind. It bears no more for long")
	x.rep.Curves = append(x.rep.Curves, governCurve(g.seen))
	if x.samples = w.Samples; x.Hold == 0 {
		return x.held(ctx, before, "nine tenths of what was borne, and not held: a save or a merge more or less makes a difference in so short a time")
	}
	return x.settle(ctx)
}

// curveSpan is how many looks are one point of the curve.
const curveSpan = 10

// governCurve shows how even the server works.
func governCurve(seen []Sample) report.Curve {
	line := report.Line{Name: "in every view"}
	for i := curveSpan; i < len(seen); i++ {
		line.Points = append(line.Points, [2]float64{seen[i].At, done(seen[i-curveSpan : i+1])})
	}
	return report.Curve{
		Title: "What the server gets done", Says: "Events a second that came into every view, over ten looks, while the load followed the server. Valleys are merges, seals and saves, and neighbours of this host; the mean of the later part is what it bears.",
		X: report.Axis{Name: "time", Unit: "s"}, Y: report.Axis{Name: "in every view", Unit: "events/s"}, Lines: []report.Line{line},
	}
}
