package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"sync"

	"eyrie/appliance/sources"
	"eyrie/appliance/sources/watch"
	"eyrie/engine/wire"

	"github.com/google/uuid"
)

type watchCmd struct {
	serverFlags
	Name    string   `help:"Durable name; user@host:program by default."`
	ID      string   `help:"The agent's id; a random one by default, because every start is another instance."`
	Content string   `enum:",full,meta" default:"" help:"full, or meta (no arguments, no output); full only to a server on this machine by default."`
	Cmd     []string `arg:"" passthrough:"" help:"The program and its arguments, behind --."`
}

// Run runs the program with its own input, output and exit code. A server that
// cannot be reached never keeps the program from running.
func (c *watchCmd) Run() error {
	if len(c.Cmd) > 0 && c.Cmd[0] == "--" {
		c.Cmd = c.Cmd[1:]
	}
	if len(c.Cmd) == 0 {
		return exit(exitUsage, "no program: eyrie watch -- PROGRAM ARGS…")
	}
	content, err := sources.ParseContent(c.Content, c.Server)
	if err != nil {
		return exit(exitUsage, "%v", err)
	}
	if _, err := c.key("agent"); err != nil {
		return err
	}
	o := watch.Options{
		Argv: c.Cmd, Name: c.Name, ID: c.ID, Content: content, Sink: &lazySink{s: &c.serverFlags},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if u, err := user.Current(); err == nil {
		o.User = u.Username
	}
	o.Host, _ = os.Hostname()
	// Signals are the program's: watch forwards them, so none ends us first.
	code, err := watch.Run(context.Background(), o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "eyrie: %v\n", err)
		if code == 0 && !errors.Is(err, watch.ErrUnsent) {
			return exitCode(exitFailed)
		}
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// lazySink connects when something is first to be sent, and keeps trying.
type lazySink struct {
	s *serverFlags

	mu   sync.Mutex
	sink *clientSink
}

func (l *lazySink) open(ctx context.Context) (*clientSink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sink != nil {
		return l.sink, nil
	}
	s, err := l.s.dialSink(ctx, uuid.New(), keepTrying)
	if err != nil {
		return nil, err
	}
	l.sink = s
	return s, nil
}

// Welcome implements sources.Sink.
func (l *lazySink) Welcome(ctx context.Context) ([]byte, error) {
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.Welcome(ctx)
}

// Send implements sources.Sink.
func (l *lazySink) Send(ctx context.Context, events []wire.Event, pos []byte) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	return s.Send(ctx, events, pos)
}

// Flush implements sources.Sink.
func (l *lazySink) Flush(ctx context.Context) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	return s.Flush(ctx)
}
