package hostile

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"eyrie/bench/child"
)

// Peers is a child process with peers of one kind.
type Peers struct{ p *child.Process }

// Start starts exe with args, which must call Serve, and returns once its peers
// are in place. The process ends with ctx.
func Start(ctx context.Context, exe string, args []string, job Job) (*Peers, error) {
	p, err := child.Start(child.Command(ctx, exe, args, "GOMAXPROCS=1"))
	if err != nil {
		return nil, fmt.Errorf("hostile peers: %w", err)
	}
	var says string
	if err = p.Tell(job); err == nil {
		says, err = p.Out.ReadString('\n')
	}
	if says = strings.TrimSpace(says); says != ready {
		p.Kill()
		return nil, fmt.Errorf("hostile peers: %w", errors.Join(err, errors.New(says)))
	}
	return &Peers{p}, nil
}

const ready = "ready"

// Pid returns the process.
func (p *Peers) Pid() int { return p.p.Pid() }

// End ends the process: the kernel closes all connections at once. Peers end once.
func (p *Peers) End() { p.p.Kill() }
