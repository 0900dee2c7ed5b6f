package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Peers is a child process with peers of one kind.
type Peers struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// Start starts exe with args, which must call Serve, and returns once its peers
// are in place. The process ends with ctx.
func Start(ctx context.Context, exe string, args []string, job Job) (*Peers, error) {
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
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
		return nil, fmt.Errorf("hostile peers: %w", err)
	}
	p := &Peers{cmd, in}
	if err := json.NewEncoder(in).Encode(job); err != nil {
		p.End()
		return nil, fmt.Errorf("hostile peers: %w", err)
	}
	says, err := bufio.NewReader(out).ReadString('\n')
	if says = strings.TrimSpace(says); says != ready {
		p.End()
		return nil, fmt.Errorf("hostile peers: %w", errors.Join(err, errors.New(says)))
	}
	return p, nil
}

const ready = "ready"

// Pid returns the process.
func (p *Peers) Pid() int { return p.cmd.Process.Pid }

// End ends the process: the kernel closes all connections at once. Peers end once.
func (p *Peers) End() {
	p.in.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
