package bench

import (
	"context"
	"errors"
	"time"

	"eyrie/bench/report"
)

// phase is one of several that share a span of time.
type phase struct {
	name string
	need time.Duration // kept for it by those before: what it takes where nothing is in its way
	run  func(ctx context.Context) error

	// must says that what comes after is worth nothing without it: it may have half of
	// all that is left.
	must bool
}

var (
	// errBudget is why the context of a phase ends.
	errBudget = errors.New("the time for it was over")
	// errStuck is returned of what goes on although its context has ended.
	errStuck = errors.New("it did not end when its time was over")
)

// toldIn is what a phase within a phase leaves of the time, to end in order and be told of.
const toldIn = time.Second

// inTurn runs phases one after the other. Where ctx has a deadline, each has what is
// left before it less what the phases after it need; so what one does not take is there
// for those after it. Where there is less than all need, each has its share of it. A phase
// whose time ends before it does is told to cut, with the time that it had, and the
// next one goes on, if only to be told of. Any other error, of cut too, ends it all.
func inTurn(ctx context.Context, phases []phase, cut func(p phase, had time.Duration, err error) error) error {
	var later time.Duration
	for _, p := range phases {
		later += p.need
	}
	for _, p := range phases {
		later -= p.need
		began := time.Now()
		pctx, done := keep(ctx, reserved(ctx, p, later))
		err := p.run(pctx)
		over := pctx.Err() != nil
		done()
		switch {
		case err == nil:
			continue
		case ctx.Err() == context.Canceled:
			return context.Cause(ctx)
		case !over:
			return err
		}
		if err := cut(p, time.Since(began), err); err != nil {
			return err
		}
	}
	return nil
}

// reserved is how much of what is left before ctx ends is for those after p, who need
// later.
func reserved(ctx context.Context, p phase, later time.Duration) time.Duration {
	end, ok := ctx.Deadline()
	if !ok || later == 0 {
		return 0
	}
	left := max(0, time.Until(end))
	if need := p.need + later; left < need {
		later = time.Duration(float64(left) * float64(later) / float64(need))
	}
	if p.must {
		later = min(later, left/2)
	}
	return later
}

// keep is ctx that ends earlier by so much, where it has a deadline at all.
func keep(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadlineCause(ctx, end.Add(-d), errBudget)
}

// fits is the most of d that there is time for before ctx ends, with more to be done
// after it.
func fits(ctx context.Context, d, more time.Duration) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		d = max(0, min(d, time.Until(end)-more))
	}
	return d
}

// leave is what a part keeps of its time for what it leaves: a server's gigabytes of
// memory and of files take seconds to be given back, longer the longer it ran.
func leave(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return min(leaveMost, max(0, time.Until(end)/20))
}

const leaveMost = 15 * time.Second

// stuckAfter is how long what has no more time may take to end: clients that do not
// listen are killed after child.Grace.
const stuckAfter = 5 * time.Second

// ended runs a part of a whole run, and returns once it has ended, or stuckAfter its
// time is over: then it is left behind, and nothing of it is known.
func ended(ctx context.Context, run func() (*report.Report, error)) (*report.Report, error) {
	type outcome struct {
		rep *report.Report
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := run()
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		return o.rep, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o.rep, o.err
	case <-time.After(stuckAfter):
		return nil, errStuck
	}
}
