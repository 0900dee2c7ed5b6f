//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// eyrie is the command with its arguments, cut off from this shell's variables.
func eyrie(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "EYRIE_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, asEyrie+"=1")
	return cmd
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// runEyrie runs a command that ends by itself.
func runEyrie(t *testing.T, args ...string) result {
	t.Helper()
	return runCmd(t, eyrie(args...))
}

func runCmd(t *testing.T, cmd *exec.Cmd) (r result) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer hung.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want fails unless the command ended with code and said what is wanted, on
// either output.
func (r result) want(t *testing.T, code int, said ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
	}
	for _, s := range said {
		if !strings.Contains(r.stdout+r.stderr, s) {
			t.Errorf("it never says %q:\n%s%s", s, r.stdout, r.stderr)
		}
	}
}

// process is a running `eyrie serve`.
type process struct {
	t           *testing.T
	cmd         *exec.Cmd
	data        string
	web, ingest string // host:port; "" where it does not listen
	key         string // the operator's
	greeting    string
	stderr      *safeBuffer
	done        chan struct{} // closed when it has ended
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts eyrie on a data folder and free ports; args come last, so they
// win. It returns once the greeting is out and the views are loaded.
func serve(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p := greeted(t, data, nil, args...)
	for end := time.Now().Add(20 * time.Second); p.loading(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the views were never loaded:\n%s", p)
		}
	}
	return p
}

// loading tells whether it still loads its views.
func (p *process) loading() bool {
	p.t.Helper()
	var x struct{ Loading *struct{} }
	p.get("/ready", &x)
	return x.Loading != nil
}

// greeted is serve without the wait for views.
func greeted(t *testing.T, data string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, data: data, stderr: &safeBuffer{}, done: make(chan struct{})}
	args = append([]string{"serve", "--data", data, "--ingest", "127.0.0.1:0", "--web", "127.0.0.1:0",
		"--ring-mib", "4", "--disk-min-mib", "1"}, args...)
	p.cmd = eyrie(args...)
	p.cmd.Stderr = p.stderr
	p.cmd.Env = append(p.cmd.Env, env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	lines := make(chan string)
	go func() {
		defer close(p.done)
		defer close(lines)
		r := bufio.NewScanner(out)
		for r.Scan() {
			lines <- r.Text()
		}
		p.cmd.Wait()
	}()
	late := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				<-p.done
				t.Fatalf("serve ended with %d:\n%s%s", p.cmd.ProcessState.ExitCode(), p.greeting, p.stderr)
			}
			p.greeting += line + "\n"
			f := strings.Fields(line)
			switch {
			case len(f) == 2 && f[0] == "open":
				url, key, _ := strings.Cut(f[1], "/#key=")
				p.web, p.key = strings.TrimPrefix(url, "http://"), key
			case len(f) > 1 && f[0] == "agents":
				p.ingest = strings.TrimSuffix(strings.TrimPrefix(f[1], "ws://"), "/v1/agent")
			case len(f) > 1 && f[0] == "data":
				go func() {
					for range lines {
					}
				}()
				if p.key == "" {
					b, err := os.ReadFile(filepath.Join(data, "keys", "operator"))
					if err != nil {
						t.Fatal(err)
					}
					p.key = strings.TrimSpace(string(b))
				}
				return p
			}
		case <-late:
			t.Fatalf("serve never greeted:\n%s%s", p.greeting, p.stderr)
		}
	}
}

// kill ends the process at once, if it has not ended.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		p.cmd.Process.Kill()
		<-p.done
	}
}

// terminate sends SIGTERM and returns the exit code and how long it took.
func (p *process) terminate() (code int, took time.Duration) {
	p.t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		p.t.Fatalf("still there 15 s after SIGTERM:\n%s", p.stderr)
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begin)
}

// client runs a client verb against this process.
func (p *process) client(args ...string) result {
	p.t.Helper()
	return runCmd(p.t, p.clientCmd(args...))
}

// clientCmd is a client verb against this process, not yet started.
func (p *process) clientCmd(args ...string) *exec.Cmd {
	n := 1
	if args[0] == "token" || args[0] == "follow" {
		n = 2
	}
	addr := p.web
	if addr == "" {
		addr = p.ingest
	}
	flags := []string{"--server", "http://" + addr, "--data", p.data}
	return eyrie(append(append(append([]string(nil), args[:n]...), flags...), args[n:]...)...)
}

// get decodes a JSON answer as the operator.
func (p *process) get(path string, out any) int {
	p.t.Helper()
	addr := p.web
	if addr == "" {
		addr = p.ingest
	}
	req, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		p.t.Fatalf("%s: %d %q: %v", path, resp.StatusCode, b, err)
	}
	return resp.StatusCode
}

// storedEvent is an event as the API shows it.
type storedEvent struct {
	Offset uint64 `json:"offset"`
	Space  string `json:"space"`
	Agent  string `json:"agent"`
	Seq    uint64 `json:"seq"`
	Type   string `json:"type"`
	Msg    string `json:"msg"`
	Status string `json:"status"`
}

// events returns every event of the space main, oldest first.
func (p *process) events() (all []storedEvent) {
	p.t.Helper()
	for after := ""; ; {
		var page struct {
			Items []storedEvent
			Next  string
		}
		path := "/v1/events?space=main&order=asc&limit=1000"
		if after != "" {
			path += "&after=" + after
		}
		if code := p.get(path, &page); code != 200 {
			p.t.Fatalf("%s: %d", path, code)
		}
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

func (p *process) String() string { return fmt.Sprintf("%s%s", p.greeting, p.stderr) }
