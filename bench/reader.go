package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"eyrie/bench/latency"
)

// reader asks a server questions at a rate, whatever the answers before took. Its
// methods may run concurrently with run.
type reader struct {
	t     *Target
	every time.Duration

	mu     sync.Mutex
	took   latency.Histogram // from when a question was due to its whole answer, or to the end where there was none
	failed int
	why    string // the first failure
}

// readerPaths are what the UI's pages ask, in turn.
var readerPaths = [...]string{"/v1/agents?limit=50", "/v1/attention", "/v1/events?limit=100", "/v1/spans?type=tool&limit=50", "/v1/fleet?space=main"}

// readersMax is how many questions wait for their answer at once; the next one is
// late then, and its latency says so.
const readersMax = 16

// run asks until ctx ends, and returns when the last answer is there.
func (r *reader) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, readersMax)
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(i) * r.every)
		if sleep(ctx, time.Until(due)) != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			for ; time.Since(due) >= r.every; due = due.Add(r.every) {
				r.unanswered(due)
			}
			return
		}
		all.Go(func() {
			r.ask(ctx, readerPaths[i%len(readerPaths)], due)
			<-slots
		})
	}
}

func (r *reader) ask(ctx context.Context, path string, due time.Time) {
	code, b, err := r.t.get(ctx, path)
	if ctx.Err() != nil {
		r.unanswered(due)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took.Add(time.Since(due))
	if err == nil && code == 200 {
		return
	}
	if r.failed++; r.failed == 1 {
		r.why = fmt.Sprintf("%s: %d %.200s %v", path, code, b, err)
	}
}

// unanswered counts a question that the end found without an answer for as long as
// it had waited: who leaves out those that wait longest tells of the others alone.
// One that was only just due says nothing.
func (r *reader) unanswered(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := time.Since(due); d >= r.every {
		r.took.Add(d)
	}
}

// result is what was seen up to now.
func (r *reader) result() (took latency.Histogram, failed int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took, r.failed, r.why
}
