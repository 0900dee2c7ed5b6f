package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/host"
)

// Server is an appliance of its own process on a data folder of its own.
type Server struct {
	Target
	Data string
	Env  []string  // of the process, beside this one's
	Log  io.Writer // gets what the process says, too; may be nil

	exe    string
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process is gone
	err    error         // how, once it is
	output tailBuffer
}

// NewServer prepares a server on data, with listeners on free ports of the
// loopback address. More are further flags of `eyrie serve`.
func NewServer(exe, data string, more ...string) (*Server, error) {
	s := &Server{exe: exe, Data: data}
	s.Target.Key = s.key
	for _, a := range []*string{&s.Ingest, &s.Web} {
		var err error
		if *a, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	s.args = append([]string{"serve", "--data", data, "--ingest", s.Ingest, "--web", s.Web, "--log-level", "warn"}, more...)
	return s, nil
}

// attached stands for a server that runs already: it is neither ended nor looked
// into.
func attached(t *Target) *Server { return &Server{Target: *t} }

// freeAddr returns an address nobody listens on, below the ports that the
// system hands out to clients.
func freeAddr() (string, error) {
	var last error
	for range 100 {
		a := net.JoinHostPort("127.0.0.1", strconv.Itoa(18_000+rand.IntN(14_000)))
		l, err := net.Listen("tcp", a)
		if err != nil {
			last = err
			continue
		}
		return a, l.Close()
	}
	return "", fmt.Errorf("no free port: %w", last)
}

// Start starts the process; it does not wait until it serves.
func (s *Server) Start() error {
	s.cmd = exec.Command(s.exe, s.args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "EYRIE_") || strings.HasPrefix(v, "EYRIE_BENCH_") {
			s.cmd.Env = append(s.cmd.Env, v)
		}
	}
	s.cmd.Env = append(s.cmd.Env, s.Env...)
	s.cmd.Stderr = &s.output
	if s.Log != nil {
		s.cmd.Stderr = io.MultiWriter(&s.output, s.Log)
	}
	if err := child.Launch(s.cmd); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	ended := make(chan struct{})
	s.ended = ended
	go func() {
		s.err = s.cmd.Wait()
		close(ended)
	}()
	return nil
}

// Pid returns the process; 0 of one that ran already.
func (s *Server) Pid() int {
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

// Used returns what the process has used up to now: of one that ran already, by its
// own metrics.
func (s *Server) Used(meters map[string]float64) (host.Process, error) {
	if s.cmd != nil {
		return host.Look(s.Pid())
	}
	return host.Process{
		CPU: time.Duration(meters["process_cpu_seconds_total"] * float64(time.Second)), RSS: uint64(meters["process_resident_memory_bytes"]),
		Written: uint64(meters["process_io_storage_written_bytes_total"]), Open: int(meters["eyrie_process_descriptors"]),
	}, nil
}

// Ready waits until the server says so.
func (s *Server) Ready(ctx context.Context) error {
	last := "it does not answer"
	for {
		code, body, err := s.get(ctx, "/ready")
		if err == nil && code == 200 {
			return nil
		}
		if err == nil {
			last = string(body)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("the server ended: %v\n%s", s.err, s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w: %s\n%s", context.Cause(ctx), last, s.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// What a server at rest uses, and how long it is given to come to rest.
const (
	restShare = 0.05 // of a core
	restMax   = 45 * time.Second
)

// Rest waits until the server has done what it has put off, restMax at most and as
// long as ctx leaves time for more than need.
func (s *Server) Rest(ctx context.Context, need time.Duration) error {
	before, err := host.Look(s.Pid())
	if err != nil {
		return err
	}
	for end, at := time.Now().Add(fits(ctx, restMax, need)), time.Now(); time.Now().Before(end); {
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		after, err := host.Look(s.Pid())
		if err != nil {
			return err
		}
		now := time.Now()
		if float64(after.CPU-before.CPU)/float64(now.Sub(at)) < restShare {
			break
		}
		before, at = after, now
	}
	return nil
}

// Kill ends the process by SIGKILL, if it still lives, and waits. One that ran
// already goes on.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	<-s.ended
}

// Stop ends the process in order and waits.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		if s.err != nil {
			return fmt.Errorf("the server's end: %w\n%s", s.err, s.output.String())
		}
		return nil
	case <-time.After(30 * time.Second):
		s.cmd.Process.Signal(syscall.SIGQUIT) // it tells where all it does has got to
		select {
		case <-s.ended:
		case <-time.After(5 * time.Second):
			s.Kill()
		}
		return fmt.Errorf("the server did not end within 30 s\n%s", s.output.String())
	}
}

// saidMost is how many lines are told of what the server said.
const saidMost = 5

// said is the end of what the server said, for a fault.
func (s *Server) said() string {
	lines := strings.Split(strings.TrimSpace(s.output.String()), "\n")
	if lines = lines[max(0, len(lines)-saidMost):]; lines[0] == "" {
		return ""
	}
	return "; the server said: " + strings.Join(lines, " | ")
}

// key reads a standing key of the data folder.
func (s *Server) key(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Data, "keys", name))
	return strings.TrimSpace(string(b)), err
}

// tailBuffer keeps the end of what a process said.
type tailBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write keeps the last 8 KiB.
func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if over := t.b.Len() - 8<<10; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
