package viewer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eyrie/bench/child"
)

// Fleet is the children of one measurement.
type Fleet struct {
	children []*viewers
	total    int
}

type viewers struct {
	*child.Process
	from, to int
}

// Start starts n children, each argv, a command that calls Serve, that share the
// job's viewers evenly. When ctx ends they are killed.
func Start(ctx context.Context, argv []string, n int, job Job) (*Fleet, error) {
	f := &Fleet{total: job.To - job.From}
	for i := range n {
		part := job
		part.From, part.To = child.Part(job.From, f.total, i, n)
		p, err := child.Start(child.Command(ctx, argv[0], argv[1:], child.OneThread...))
		if err == nil {
			f.children = append(f.children, &viewers{p, part.From, part.To})
			err = p.Tell(part)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("viewers: %w", err)
		}
	}
	return f, nil
}

// do has every child carry out an order, all at once, and shows each answer.
func (f *Fleet) do(o order, to func(*viewers) int, each func(*answer)) error {
	for _, c := range f.children {
		if to != nil {
			o.To = to(c)
		}
		if err := c.Tell(o); err != nil {
			return fmt.Errorf("viewers: %s: %w", o.Do, err)
		}
	}
	for _, c := range f.children {
		var a answer
		if err := c.Hear(&a); err != nil {
			return fmt.Errorf("viewers: %s: %w", o.Do, err)
		}
		if a.Error != "" {
			return fmt.Errorf("viewers: %s: %w", o.Do, errors.New(a.Error))
		}
		if each != nil {
			each(&a)
		}
	}
	return nil
}

// Open brings the number of viewers to n, counted over all children, and returns
// when each is subscribed to all it wants.
func (f *Fleet) Open(n int) error {
	return f.do(order{Do: doOpen}, func(c *viewers) int {
		return (c.to-f.children[0].from)*n/f.total - (c.from-f.children[0].from)*n/f.total
	}, nil)
}

// Begin starts a measurement, and ends the one before it.
func (f *Fleet) Begin() error { return f.do(order{Do: doBegin}, nil, nil) }

// End ends what is counted. The probe's events that were due before still count
// when they arrive: wait for Seen before Result.
func (f *Fleet) End() error { return f.do(order{Do: doEnd}, nil, nil) }

// Seen waits until every viewer that watches the probe has seen its event number
// n or a newer one; false where that takes longer than within.
func (f *Fleet) Seen(ctx context.Context, n uint64, within time.Duration) (bool, error) {
	for deadline := time.Now().Add(within); ; {
		least := ^uint64(0)
		if err := f.do(order{Do: doLook}, nil, func(a *answer) { least = min(least, a.Seen) }); err != nil {
			return false, err
		}
		if least >= n {
			return true, nil
		}
		if time.Now().After(deadline) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Result returns what was counted since Begin.
func (f *Fleet) Result() (*Result, error) {
	r := &Result{}
	err := f.do(order{Do: doResult}, nil, func(a *answer) { r.Merge(a.Result) })
	return r, err
}

// Pids returns the processes of the children.
func (f *Fleet) Pids() (pids []int) {
	for _, c := range f.children {
		pids = append(pids, c.Pid())
	}
	return pids
}

// Close ends the children.
func (f *Fleet) Close() {
	for _, c := range f.children {
		c.End(child.Grace)
	}
	f.children = nil
}
