package peers

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"eyrie/bench/child"
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
type Client struct{ p *child.Process }

// StartClient starts a client and waits until its connections are up. cmd is a
// process that calls ServeClient.
func StartClient(cmd *exec.Cmd, job Job) (*Client, error) {
	p, err := child.StartBy(cmd, func(cmd *exec.Cmd) error { return child.LaunchOn(cmd, job.Core) })
	if err != nil {
		return nil, err
	}
	c := &Client{p}
	if _, err := c.ask(job); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Run loads the server for about d and returns how many messages it handled.
func (c *Client) Run(d time.Duration) (uint64, error) { return c.ask(Order{For: d}) }

func (c *Client) ask(o any) (uint64, error) {
	var d Done
	if err := c.p.Ask(o, &d); err != nil {
		return 0, fmt.Errorf("the load client: %w", err)
	}
	if d.Error != "" {
		return 0, errors.New(d.Error)
	}
	return d.Messages, nil
}

// Close ends the process.
func (c *Client) Close() { c.p.End(child.Grace) }
