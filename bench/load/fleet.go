package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"eyrie/bench/child"
)

// Spawn says how to start a child: this binary with a verb that calls Serve.
type Spawn struct {
	Exe  string
	Args []string
}

// Fleet is the children of one measurement.
type Fleet struct {
	children []*client
	total    int
}

// client is a child, here or on another host.
type client struct {
	name    string // for errors
	pid     int    // 0 on another host
	in      io.WriteCloser
	out     io.Reader
	kill    func()
	wait    func() // until it is gone
	begun   bool
	read    chan struct{} // closed when nothing more is read of it
	answers chan answer
	offset  int64 // ns that its clock is ahead
	from    int
	to      int
	events  atomic.Uint64 // of the latest progress
}

// Start starts n children that share the job's connections evenly.
func Start(ctx context.Context, sp Spawn, n int, job Job) (*Fleet, error) {
	f := &Fleet{total: job.To - job.From}
	for i := range n {
		part := job
		part.From, part.To = child.Part(job.From, f.total, i, n)
		if job.Ledger != "" && i > 0 {
			part.Ledger = fmt.Sprintf("%s.%d", job.Ledger, i)
		}
		c, err := startChild(ctx, sp, part)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.children = append(f.children, c)
	}
	return f, nil
}

func startChild(ctx context.Context, sp Spawn, job Job) (*client, error) {
	c, err := spawnChild(ctx, sp)
	if err != nil {
		return nil, err
	}
	c.from, c.to = job.From, job.To
	if err := c.begin(job); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// spawnChild starts a process that waits for its job.
func spawnChild(ctx context.Context, sp Spawn) (*client, error) {
	p, err := child.Start(child.Command(ctx, sp.Exe, sp.Args, child.OneThread...))
	if err != nil {
		return nil, fmt.Errorf("load client: %w", err)
	}
	c := &client{name: "load client", pid: p.Pid(), in: p.In, out: p.Out, read: make(chan struct{}), answers: make(chan answer, 64)}
	c.kill = func() { _ = p.Process.Kill() }
	c.wait = func() { <-c.read; _ = p.Wait() }
	return c, nil
}

// begin gives the child its job and listens to it.
func (c *client) begin(job Job) error {
	c.begun = true
	go c.listen()
	if _, err := c.in.Write(child.Line(job)); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

func (c *client) listen() {
	defer close(c.read)
	defer close(c.answers)
	sc := bufio.NewScanner(c.out)
	sc.Buffer(nil, answerMax)
	for sc.Scan() {
		var a answer
		if err := json.Unmarshal(sc.Bytes(), &a); err != nil {
			a = answer{Says: saysFailed, Error: "it said what is no answer: " + err.Error()}
		}
		if a.Says == saysProgress && a.Result != nil { // nobody may be waiting for it, and the child must not wait for us
			c.events.Store(a.Result.Events)
			continue
		}
		if a.Result == nil && a.Says != saysOpen && a.Says != saysFailed {
			a = answer{Says: saysFailed, Error: fmt.Sprintf("it said %q and nothing with it", a.Says)}
		}
		c.here(a.Result)
		c.answers <- a
	}
}

func (c *client) end() {
	c.in.Close()
	if c.begun {
		go func() {
			for range c.answers {
			}
		}()
	} else {
		close(c.read)
	}
	killed := time.AfterFunc(child.Grace, c.kill)
	c.wait()
	killed.Stop()
}

// errGone is what a child's silence means.
var errGone = errors.New("it ended by itself, or its host is gone")

func (c *client) gone() error { return fmt.Errorf("%s: %w", c.name, errGone) }

// await waits for an answer of each child.
func (f *Fleet) await(ctx context.Context, says string, each func(answer)) error {
	for _, c := range f.children {
		for got := false; !got; {
			select {
			case a, ok := <-c.answers:
				switch {
				case !ok:
					return c.gone()
				case a.Says == saysFailed:
					return fmt.Errorf("%s: %s", c.name, a.Error)
				case a.Says == says:
					if each != nil {
						each(a)
					}
					got = true
				}
			case <-ctx.Done():
				return fmt.Errorf("%s: no %q: %w", c.name, says, context.Cause(ctx))
			}
		}
	}
	return nil
}

func (f *Fleet) tell(o order, to func(c *client) int) error {
	for _, c := range f.children {
		if to != nil {
			o.To = to(c)
		}
		if _, err := c.in.Write(child.Line(o)); err != nil {
			return fmt.Errorf("%w: %v", c.gone(), err)
		}
	}
	return nil
}

// Open brings the number of links to n, counted over all children, and returns
// when each is welcome (and has its one event acknowledged, with Job.Touch).
func (f *Fleet) Open(ctx context.Context, n int) error {
	share := func(c *client) int { return (c.to - c.from) * n / f.total }
	if err := f.tell(order{Do: doOpen}, share); err != nil {
		return err
	}
	return f.await(ctx, saysOpen, nil)
}

// Run begins to send: at a rate in events a second, or, where that is 0, with
// window frames at once on each link.
func (f *Fleet) Run(rate float64, window int) error {
	return f.tell(order{Do: doRun, Rate: rate / float64(len(f.children)), Window: window}, nil)
}

// Pace has a load that was begun at a rate go on at another one. What was due by then has
// been sent; what links that are too far behind hold up is due anew.
func (f *Fleet) Pace(rate float64) error {
	return f.tell(order{Do: doPace, Rate: rate / float64(len(f.children))}, nil)
}

// Events returns how many events were acknowledged since Run, as last told.
func (f *Fleet) Events() (n uint64, err error) {
	for _, c := range f.children {
		for told := true; told; {
			select {
			case a, ok := <-c.answers:
				switch {
				case !ok:
					return 0, c.gone()
				case a.Says == saysFailed:
					return 0, fmt.Errorf("%s: %s", c.name, a.Error)
				}
			default:
				told = false
			}
		}
		n += c.events.Load()
	}
	return n, nil
}

// Window returns what was seen since the last Window, or since Run, while the load
// goes on: counts and latencies of what was acknowledged in it, and its errors.
func (f *Fleet) Window(ctx context.Context) (*Result, error) {
	if err := f.tell(order{Do: doLook}, nil); err != nil {
		return nil, err
	}
	r := &Result{}
	err := f.await(ctx, saysLooked, func(a answer) { r.Merge(a.Result) })
	return r, err
}

// Stop ends sending and returns what was seen once everything is acknowledged.
func (f *Fleet) Stop(ctx context.Context) (*Result, error) {
	if err := f.tell(order{Do: doStop}, nil); err != nil {
		return nil, err
	}
	r := &Result{}
	err := f.await(ctx, saysStopped, func(a answer) { r.Merge(a.Result) })
	return r, err
}

// Cut resets every link at once; Back tells when they are there again. Links
// need Job.Reconnect.
func (f *Fleet) Cut() error { return f.tell(order{Do: doCut}, nil) }

// Expect says that the server is about to lose every link; Back tells when they
// are there again.
func (f *Fleet) Expect() error { return f.tell(order{Do: doWait}, nil) }

// Back waits until every link has been lost and is welcome again, and has
// everything acknowledged that it held by then. It returns when the last link
// was welcome, and when the last had caught up.
func (f *Fleet) Back(ctx context.Context) (welcome, caught time.Time, err error) {
	var r Result
	err = f.await(ctx, saysBack, func(a answer) { r.Merge(a.Result) })
	return time.Unix(0, r.Welcome), time.Unix(0, r.Caught), err
}

// Pids returns the processes of the children on this host.
func (f *Fleet) Pids() (pids []int) {
	for _, c := range f.children {
		if c.pid > 0 {
			pids = append(pids, c.pid)
		}
	}
	return pids
}

// Size returns how many children there are.
func (f *Fleet) Size() int { return len(f.children) }

// Close ends the children, side by side: each may take child.Grace.
func (f *Fleet) Close() {
	var ends sync.WaitGroup
	for _, c := range f.children {
		ends.Go(c.end)
	}
	ends.Wait()
}
