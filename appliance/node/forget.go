package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"eyrie/appliance/api"
	"eyrie/appliance/forget"
	"eyrie/appliance/intake"
	"eyrie/appliance/views/blobs"
	"eyrie/engine/wire"
	"eyrie/wal"
)

// forgets is what was to be forgotten, as the log says, and how far that is.
type forgets struct {
	mu   sync.Mutex
	jobs []*forgetJob // by offset
	wake chan struct{}
	anew bool // a view is folded from the beginning: what was done of it is to be done again
}

// forgetJob is one of them.
type forgetJob struct {
	forget.Entry
	Offset uint64  `json:"offset"`
	AtMS   float64 `json:"at_ms"`
	State  string  `json:"state"` // waiting, log, views, blobs, done; failed where it is tried again at the next start
	DoneMS float64 `json:"done_ms,omitempty"`
	views  bool    // only they are left
}

const (
	forgetWaiting = "waiting"
	forgetLog     = "log"
	forgetViews   = "views"
	forgetBlobs   = "blobs"
	forgetDone    = "done"
	forgetFailed  = "failed"
)

func ms(ns int64) float64 { return float64(ns/1e3) / 1e3 }

// StartForget implements api.Host: it writes the record that something is to be
// forgotten, and has it done.
func (n *Node) StartForget(ctx context.Context, ask api.ForgetAsk, by, remote string) (any, error) {
	e := forget.Entry{What: ask.What, Space: ask.Space, ID: ask.ID, Agents: ask.Agents, Reason: ask.Reason, By: by}
	q := wal.Query{Agents: ask.Agents, Match: matches(n.log, &e), Limit: 1000}
	if e.What == forget.Run {
		q = wal.Query{Key: wire.RunKey([]byte(e.ID)), Match: q.Match, Limit: q.Limit}
	}
	agents := map[uint32]bool{}
	for _, a := range ask.Agents {
		agents[a] = true
	}
	for {
		recs, next, err := n.log.Find(ctx, q)
		var lost *wal.LostError
		if err != nil && !errors.As(err, &lost) {
			return nil, err
		}
		for i := range recs {
			agents[recs[i].Agent] = true
			e.Records++
			e.Bytes += uint64(len(recs[i].Payload))
		}
		if q.FromOffset = next; next == 0 || err != nil {
			break
		}
	}
	e.Agents = e.Agents[:0:0]
	for a := range agents {
		e.Agents = append(e.Agents, a)
	}
	slices.Sort(e.Agents)
	n.audit(ctx, e.What+".forget", e.Space+"/"+e.ID, by, remote, e.Reason)
	s := intake.Submission{Forget: &e}
	if err := n.intake.Submit(ctx, &s); err != nil {
		return nil, err
	}
	f := &n.forgets
	f.mu.Lock()
	defer f.mu.Unlock()
	j := &forgetJob{Entry: e, Offset: s.First, AtMS: ms(e.At), State: forgetWaiting}
	f.jobs = append(f.jobs, j)
	f.kick()
	return *j, nil
}

func (f *forgets) kick() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Forgets implements api.Host.
func (n *Node) Forgets(reads func(space string) bool) any {
	f := &n.forgets
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]forgetJob, 0, len(f.jobs))
	for _, j := range slices.Backward(f.jobs) {
		if reads(j.Space) {
			out = append(out, *j)
		}
	}
	return out
}

// matches tells which records an entry means: of an agent all that it sent, of a run the
// events that name it, and the run's own.
func matches(l *wal.Log, e *forget.Entry) func(*wal.Record) bool {
	var w wire.View
	return func(r *wal.Record) bool {
		if r.Kind == wal.KindLink {
			return e.What == forget.Agent && len(forget.LinkRest(r.Payload)) < len(r.Payload)
		}
		if r.Kind != wal.KindEvent {
			return false
		}
		if e.What == forget.Agent {
			return true
		}
		if space, _, ok := l.Agent(r.Agent); !ok || space != e.Space || w.Reset(r.Payload) != nil {
			return false
		}
		run := w.Str(wire.FRun)
		return string(run) == e.ID || len(run) == 0 && wire.Type(r.Class) == wire.TypeRun && string(w.Str(wire.FSpan)) == e.ID
	}
}

// forgetting does what is to be forgotten, one after the other, until ctx ends;
// first what an earlier life has not ended. It begins once the views are loaded.
func (n *Node) forgetting(ctx context.Context) {
	background()
	v, ok := n.loaded(ctx)
	if !ok {
		return
	}
	n.recall(ctx)
	for {
		j := n.forgets.next()
		if j == nil {
			select {
			case <-ctx.Done():
				return
			case <-n.forgets.wake:
			}
			continue
		}
		err := n.forget(ctx, v, j)
		if err != nil && ctx.Err() != nil {
			return
		}
		if err != nil {
			n.logger.Error("what was to be forgotten could not be", "what", j.What, "space", j.Space, "id", j.ID, "err", err)
			n.forgets.set(func() { j.State, j.Error = forgetFailed, err.Error() })
		}
	}
}

func (f *forgets) next() *forgetJob {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.State == forgetWaiting {
			return j
		}
	}
	return nil
}

// set changes one of them.
func (f *forgets) set(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// recall asks the log what was to be forgotten.
func (n *Node) recall(ctx context.Context) {
	f := &n.forgets
	q := wal.Query{Kinds: wal.KindSystem.Mask(), Classes: 1 << forget.Class, Match: func(r *wal.Record) bool { return r.Class == forget.Class }}
	asked := map[uint64]*forgetJob{}
	var jobs []*forgetJob
	for {
		recs, next, err := n.log.Find(ctx, q)
		if err != nil && ctx.Err() == nil {
			n.slow("what was to be forgotten cannot be read", "err", err)
		}
		for i := range recs {
			e, err := forget.Decode(recs[i].Payload)
			if err != nil {
				continue
			}
			if e.Of == 0 {
				j := &forgetJob{Entry: e, Offset: recs[i].Offset, AtMS: ms(e.At), State: forgetWaiting}
				jobs, asked[j.Offset] = append(jobs, j), j
			} else if j := asked[e.Of]; j != nil {
				j.Records, j.Bytes, j.Error, j.State, j.DoneMS = e.Records, e.Bytes, e.Error, forgetDone, ms(e.At)
			}
		}
		if q.FromOffset = next; next == 0 || err != nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs { // asked for since the start
		delete(asked, j.Offset)
	}
	jobs = slices.DeleteFunc(jobs, func(j *forgetJob) bool { return asked[j.Offset] == nil })
	for _, j := range jobs {
		if j.State == forgetDone && f.anew {
			j.State, j.views = forgetWaiting, true
		}
	}
	f.jobs = append(jobs, f.jobs...)
}

// sweepForgotten drops the blobs that nothing names any more, and waits for those
// that a backup keeps, or that were used just now: an event may be on its way.
func sweepForgotten(ctx context.Context, s *blobs.Sweeper) error {
	s.Recheck()
	for {
		r, err := s.Sweep(ctx)
		if err != nil || r.Waiting == 0 && !r.Behind {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// forget does one.
func (n *Node) forget(ctx context.Context, v *shown, j *forgetJob) error {
	f := &n.forgets
	scope := j.Scope(j.Offset)
	if scope.Again = j.views; !j.views {
		f.set(func() { j.State = forgetLog })
		r, err := n.log.Forget(ctx, wal.Forgetting{Agents: j.Agents, Below: j.Offset, Match: matches(n.log, &j.Entry),
			Rest: func(r *wal.Record) []byte { return forget.LinkRest(r.Payload) }})
		if err != nil {
			return fmt.Errorf("log: %w", err)
		}
		f.set(func() {
			// After a crash less is left than there was.
			j.Records, j.Bytes = max(j.Records, r.Records), max(j.Bytes, r.Bytes)
			if len(r.Unreadable) > 0 {
				j.Error = fmt.Sprintf("%d parts of the log cannot be read, the first: %v", len(r.Unreadable), r.Unreadable[0])
			}
		})
	}
	f.set(func() { j.State = forgetViews })
	if err := v.Runner.WaitFor(ctx, j.Offset); err != nil {
		return fmt.Errorf("views: %w", err)
	}
	if err := v.Runner.Forget(ctx, scope); err != nil {
		return fmt.Errorf("views: %w", err)
	}
	f.set(func() { j.State = forgetBlobs })
	if err := sweepForgotten(ctx, v.sweeper); err != nil {
		return fmt.Errorf("blobs: %w", err)
	}
	v.Past.Forget()
	n.hub.Changed(j.Agents, j.Offset)
	done := j.Entry
	done.Of = j.Offset
	if !j.views {
		s := intake.Submission{Forget: &done}
		if err := n.intake.Submit(ctx, &s); err != nil {
			return err
		}
		n.audit(ctx, j.What+".forgotten", j.Space+"/"+j.ID, bySystem, "", fmt.Sprintf("%d records, %d bytes", j.Records, j.Bytes))
	}
	n.logger.Info("forgotten", "what", j.What, "space", j.Space, "id", j.ID, "records", j.Records, "bytes", j.Bytes)
	f.set(func() { j.State, j.DoneMS, j.views = forgetDone, ms(n.now().UnixNano()), false })
	return nil
}
