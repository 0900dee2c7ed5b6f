package peers

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed bare/bare.c
var bareC string

// BuildC compiles the bare C loop into dir and returns the file.
func BuildC(dir string) (string, error) {
	src, exe := filepath.Join(dir, "bare.c"), filepath.Join(dir, "bare")
	if err := os.WriteFile(src, []byte(bareC), 0o644); err != nil {
		return "", err
	}
	return exe, build(exec.Command("gcc", "-O3", "-march=native", "-o", exe, src))
}

func build(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Path, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Pin starts a process whose threads all run on one core; negative for any.
func Pin(cmd *exec.Cmd, core int) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if core < 0 {
		return cmd.Start()
	}
	// The child inherits what the thread that makes it may run on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("pin to core %d: %w", core, err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &was))
}

// Listening waits until something accepts on addr.
func Listening(addr string, within time.Duration) error {
	for end := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// CPU is what all threads of a process have run so far, by the scheduler's own
// count. Threads that have ended are missing: a server keeps its own.
func CPU(pid int) (time.Duration, error) {
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task/*/schedstat"))
	if err != nil || len(tasks) == 0 {
		return 0, fmt.Errorf("process %d is gone", pid)
	}
	var sum time.Duration
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has just ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		v, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(v)
	}
	return sum, nil
}

// Client is a client process of one job.
type Client struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

// StartClient starts a client and waits until its connections are up. cmd is a
// process that calls ServeClient.
func StartClient(cmd *exec.Cmd, job Job) (*Client, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := Pin(cmd, job.Core); err != nil {
		return nil, err
	}
	c := &Client{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(bufio.NewReader(out))}
	if err := c.enc.Encode(job); err != nil {
		c.Close()
		return nil, err
	}
	if _, err := c.done(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Run loads the server for about d and returns how many messages it handled.
func (c *Client) Run(d time.Duration) (uint64, error) {
	if err := c.enc.Encode(Order{For: d}); err != nil {
		return 0, err
	}
	return c.done()
}

func (c *Client) done() (uint64, error) {
	var d Done
	if err := c.dec.Decode(&d); err != nil {
		return 0, fmt.Errorf("the load client: %w", err)
	}
	if d.Error != "" {
		return 0, errors.New(d.Error)
	}
	return d.Messages, nil
}

// Close ends the process.
func (c *Client) Close() {
	c.in.Close()
	_ = c.cmd.Wait()
}
