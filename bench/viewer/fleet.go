package viewer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Fleet is the children of one measurement.
type Fleet struct {
	children []*child
	total    int
}

type child struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	dec      *json.Decoder
	from, to int
}

// Start starts n children, each argv, a command that calls Serve, that share the
// job's viewers evenly. When ctx ends they are killed.
func Start(ctx context.Context, argv []string, n int, job Job) (*Fleet, error) {
	f := &Fleet{total: job.To - job.From}
	for i := range n {
		part := job
		part.From, part.To = job.From+i*f.total/n, job.From+(i+1)*f.total/n
		c, err := startChild(ctx, argv, part)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.children = append(f.children, c)
	}
	return f, nil
}

func startChild(ctx context.Context, argv []string, job Job) (*child, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("viewers: %w", err)
	}
	c := &child{cmd: cmd, in: in, dec: json.NewDecoder(bufio.NewReader(out)), from: job.From, to: job.To}
	if _, err := in.Write(line(job)); err != nil {
		c.end()
		return nil, fmt.Errorf("viewers: %w", err)
	}
	return c, nil
}

func (c *child) end() {
	c.in.Close()
	killed := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	_ = c.cmd.Wait()
	killed.Stop()
}

// do has every child carry out an order, all at once, and shows each answer.
func (f *Fleet) do(o order, to func(*child) int, each func(*answer)) error {
	for _, c := range f.children {
		if to != nil {
			o.To = to(c)
		}
		if _, err := c.in.Write(line(o)); err != nil {
			return fmt.Errorf("viewers: %s: a child is gone: %w", o.Do, err)
		}
	}
	for _, c := range f.children {
		var a answer
		if err := c.dec.Decode(&a); err != nil {
			return fmt.Errorf("viewers: %s: a child is gone: %w", o.Do, err)
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
	return f.do(order{Do: doOpen}, func(c *child) int {
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
		pids = append(pids, c.cmd.Process.Pid)
	}
	return pids
}

// Close ends the children.
func (f *Fleet) Close() {
	for _, c := range f.children {
		c.end()
	}
	f.children = nil
}
