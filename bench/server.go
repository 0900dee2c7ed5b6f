package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is an appliance of its own process on a data folder of its own.
type Server struct {
	exe    string
	args   []string
	Data   string
	Ingest string
	Web    string
	Env    []string // of the process, beside this one's
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process is gone
	err    error         // how, once it is
	output tailBuffer
}

// NewServer prepares a server on data, with listeners on free ports of the
// loopback address. More are further flags of `eyrie serve`.
func NewServer(exe, data string, more ...string) (*Server, error) {
	s := &Server{exe: exe, Data: data}
	for _, a := range []*string{&s.Ingest, &s.Web} {
		var err error
		if *a, err = freeAddr(); err != nil {
			return nil, err
		}
	}
	s.args = append([]string{"serve", "--data", data, "--ingest", s.Ingest, "--web", s.Web, "--log-level", "warn"}, more...)
	return s, nil
}

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
	setParentDeath(s.cmd)
	if err := s.cmd.Start(); err != nil {
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

// Pid returns the process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

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

// Kill ends the process by SIGKILL, if it still lives, and waits.
func (s *Server) Kill() {
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
		s.Kill()
		return fmt.Errorf("the server did not end within 30 s\n%s", s.output.String())
	}
}

// Key returns a standing key, agent or operator.
func (s *Server) Key(name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.Data, "keys", name))
	return strings.TrimSpace(string(b)), err
}

func (s *Server) get(ctx context.Context, path string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.Web+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if key, err := s.Key("operator"); err == nil {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// Status is what the server tells of itself.
type Status struct {
	Log struct {
		Next  uint64 `json:"next"`
		Bytes uint64 `json:"bytes"`
	} `json:"log"`
	Views []struct {
		Name   string `json:"name"`
		Cursor uint64 `json:"cursor"`
		Lag    uint64 `json:"lag"`
		Aside  uint64 `json:"set_aside"`
		Halted string `json:"halted"`
	} `json:"views"`
	Agents int `json:"agents"`
}

// Status asks for it.
func (s *Server) Status(ctx context.Context) (st Status, err error) {
	code, b, err := s.get(ctx, "/v1/status")
	if err != nil {
		return st, err
	}
	if code != 200 {
		return st, fmt.Errorf("status: %d %s", code, b)
	}
	return st, json.Unmarshal(b, &st)
}

// Applied waits until every view has applied all that was durable at the call.
func (s *Server) Applied(ctx context.Context) error {
	first, err := s.Status(ctx)
	if err != nil {
		return err
	}
	for st := first; ; {
		var lag uint64
		for _, v := range st.Views {
			if v.Halted != "" {
				return fmt.Errorf("view %s is halted: %s", v.Name, v.Halted)
			}
			if v.Aside > 0 {
				return fmt.Errorf("view %s has set %d records aside", v.Name, v.Aside)
			}
			lag = max(lag, first.Log.Next-min(v.Cursor, first.Log.Next))
		}
		if lag == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the views do not catch up: %w", context.Cause(ctx))
		case <-time.After(min(10*time.Millisecond+time.Duration(lag)*2*time.Microsecond, time.Second)):
			// Asking costs the server: not before the views can be there.
		}
		if st, err = s.Status(ctx); err != nil {
			return err
		}
	}
}

// Metrics reads /metrics: the value of each line by name and labels.
func (s *Server) Metrics(ctx context.Context) (map[string]float64, error) {
	code, b, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	if code != 200 {
		return nil, fmt.Errorf("metrics: %d", code)
	}
	out := map[string]float64{}
	for l := range strings.Lines(string(b)) {
		name, v, ok := strings.Cut(strings.TrimSpace(l), " ")
		if x, err := strconv.ParseFloat(v, 64); ok && err == nil {
			out[name] = x
		}
	}
	return out, nil
}

// Profile writes a profile of the server to a file: heap?gc=1, profile?seconds=10, …
func (s *Server) Profile(ctx context.Context, what, path string) error {
	code, b, err := s.get(ctx, "/debug/pprof/"+what)
	if err != nil {
		return err
	}
	if code != 200 {
		return fmt.Errorf("profile: %d %s", code, b)
	}
	if path == "" {
		return nil
	}
	return os.WriteFile(path, b, 0o644)
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
