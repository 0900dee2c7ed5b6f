package hostile

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"eyrie/bench/child"
)

// Serve is a child's life: it reads its job from in, puts its peers in place,
// says so on out, and holds them until in ends.
func Serve(in io.Reader, out io.Writer) error {
	child.RaiseDescriptors()
	b := bufio.NewReader(in)
	var job Job
	first, err := b.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(first, &job); err != nil {
		return fmt.Errorf("hostile peers: job: %w", err)
	}
	if err := place(job); err != nil {
		fmt.Fprintln(out, err)
		return err
	}
	fmt.Fprintln(out, ready)
	_, err = io.Copy(io.Discard, b)
	return err
}

// held keeps connections from being collected, which would close them.
var held []io.Closer

// place opens the peers of a job. What they go on doing they do in goroutines
// that end with the process.
func place(job Job) error {
	switch job.Kind {
	case Stalled:
		return each(job.Count, func(i int) error {
			if i%10 == 0 {
				return stalledAgent(job, i)
			}
			return stalledViewer(job)
		})
	case Drip:
		return each(job.Count, func(i int) error { return drip(job, i) })
	case Idle:
		return each(job.Count, func(i int) error {
			c, err := agent(job, i, 0)
			held = append(held, c)
			return err
		})
	case Greedy:
		go greedy(job)
		return nil
	}
	return fmt.Errorf("hostile peers: no kind %q", job.Kind)
}

func each(n int, open func(i int) error) error {
	for i := range n {
		if err := open(i); err != nil {
			return fmt.Errorf("peer %d of %d: %w", i+1, n, err)
		}
	}
	return nil
}
