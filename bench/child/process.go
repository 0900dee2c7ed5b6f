package child

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// Process is a child that runs.
type Process struct {
	*exec.Cmd
	In  io.WriteCloser
	Out *bufio.Reader
	dec *json.Decoder
}

// Command is exe with args, killed when ctx ends, with variables beside this
// process' own.
func Command(ctx context.Context, exe string, args []string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, exe, args...)
	if len(env) > 0 {
		cmd.Env = append(os.Environ(), env...)
	}
	return cmd
}

// OneThread is the environment of a child that is one loop and has its memory in
// use throughout.
var OneThread = []string{"GOMAXPROCS=1", "GOGC=400"}

// Start starts cmd. It ends with this process, however this one ends; what it says
// on standard error is said here.
func Start(cmd *exec.Cmd) (*Process, error) { return StartBy(cmd, Launch) }

// StartBy is Start where start is what starts a command, as LaunchOn.
func StartBy(cmd *exec.Cmd, start func(*exec.Cmd) error) (*Process, error) {
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	return &Process{Cmd: cmd, In: in, Out: r, dec: json.NewDecoder(r)}, nil
}

// Pid returns the process.
func (p *Process) Pid() int { return p.Process.Pid }

// Tell writes v as a line.
func (p *Process) Tell(v any) error {
	if _, err := p.In.Write(Line(v)); err != nil {
		return fmt.Errorf("the child is gone: %w", err)
	}
	return nil
}

// Hear reads the next value into v. Who hears values reads nothing else of Out.
func (p *Process) Hear(v any) error {
	if err := p.dec.Decode(v); err != nil {
		return fmt.Errorf("the child is gone: %w", err)
	}
	return nil
}

// Ask tells an order and hears its answer.
func (p *Process) Ask(order, answer any) error {
	if err := p.Tell(order); err != nil {
		return err
	}
	return p.Hear(answer)
}

// Kill ends the process as kill -9 does, and waits.
func (p *Process) Kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
	p.In.Close()
}

// End closes the child's input, by which it ends, and waits; after within it is
// killed.
func (p *Process) End(within time.Duration) {
	p.In.Close()
	killed := time.AfterFunc(within, func() { _ = p.Process.Kill() })
	_ = p.Wait()
	killed.Stop()
}

// Grace is how long a child may take to end.
const Grace = 5 * time.Second

// Line is v as JSON on a line of its own.
func Line(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("child: " + err.Error()) // plain structs always print
	}
	return append(b, '\n')
}

// Part is the share [from, to) of child i of n in what begins at first and is total
// long.
func Part(first, total, i, n int) (from, to int) { return first + i*total/n, first + (i+1)*total/n }
