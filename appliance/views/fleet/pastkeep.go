package fleet

import (
	"context"
	"slices"
	"time"
)

// building is a state in the making: all who ask for it wait for the same one, and
// it is given up when the last of them leaves.
type building struct {
	target
	askers int
	cancel context.CancelFunc
	done   chan struct{} // closed when state or err is set
	state  *PastState
	err    error
}

// ask returns the state if it is kept, else the build that makes it.
func (p *Past) ask(t target) (*building, *PastState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range p.kept {
		if s.is(t) {
			s.used = p.o.Now()
			p.kept = append(slices.Delete(p.kept, i, i+1), s)
			return nil, s, nil
		}
	}
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, nil, ErrBusy
	}
	if b := p.builds[t]; b != nil {
		b.askers++
		p.shared.Inc()
		return b, nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &building{target: t, askers: 1, cancel: cancel, done: make(chan struct{})}
	p.builds[t] = b
	go p.run(ctx, b)
	return b, nil, nil
}

// leave is what each asker of a build does once.
func (p *Past) leave(b *building) {
	<-p.waiting
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.askers--; b.askers == 0 {
		b.cancel()
		if p.builds[b.target] == b {
			delete(p.builds, b.target)
		}
	}
}

// run makes the state when its turn comes.
func (p *Past) run(ctx context.Context, b *building) {
	defer close(b.done)
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		b.err = ctx.Err()
		return
	}
	if b.err = ctx.Err(); b.err != nil {
		return
	}
	p.o.Background()
	begin := p.o.Now()
	b.state, b.err = p.build(ctx, b.target)
	if b.err == nil {
		p.built.Inc()
		p.took.Update(p.o.Now().Sub(begin).Seconds())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.builds[b.target] != b { // given up, or of what was forgotten meanwhile
		return
	}
	delete(p.builds, b.target)
	if b.err != nil {
		return
	}
	b.state.used = p.o.Now()
	p.kept = append(p.kept, b.state)
	p.trim(time.Time{})
}

// trim drops states beyond the bounds, and those not used since.
func (p *Past) trim(since time.Time) {
	agents, keep := 0, 0
	for i := len(p.kept) - 1; i >= 0; i-- {
		s := p.kept[i]
		agents += s.Len()
		if keep == p.o.Kept || keep > 0 && agents > p.o.AgentsMax || s.used.Before(since) {
			break
		}
		keep++
	}
	p.kept = slices.Delete(p.kept, 0, len(p.kept)-keep)
}

// Sweep drops states that nobody has asked for in a while. It is called now and
// then.
func (p *Past) Sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trim(p.o.Now().Add(-p.o.Idle))
}

// Forget drops all states that are kept and gives up those being built.
func (p *Past) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = nil
	for t, b := range p.builds {
		b.cancel()
		delete(p.builds, t)
	}
}
