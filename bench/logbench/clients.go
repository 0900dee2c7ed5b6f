package logbench

import (
	"context"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a peer that runs as a process of its own.
type Server struct {
	cmd   *exec.Cmd
	links []link
	frame atomic.Int64 // next of the pool
	stop  func(*exec.Cmd)
}

// link is one connection of our own client.
type link interface {
	// run sends frames that next names until it answers false, and returns how
	// many events the server has acknowledged as durable, all of them.
	run(p *Pool, next func() (int, bool)) (int, error)
	close()
}

// Run loads the server for so long over all links and returns how many events it
// acknowledged, and within what time.
func (s *Server) Run(ctx context.Context, p *Pool, d time.Duration) (events int, took time.Duration, err error) {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		begin = time.Now()
		end   = begin.Add(d)
	)
	next := func() (int, bool) {
		if ctx.Err() != nil || !time.Now().Before(end) {
			return 0, false
		}
		return int(s.frame.Add(1) - 1), true
	}
	for _, l := range s.links {
		all.Go(func() {
			n, e := l.run(p, next)
			mu.Lock()
			defer mu.Unlock()
			if events += n; e != nil {
				err = e
			}
		})
	}
	all.Wait()
	return events, time.Since(begin), err
}

// PID is the server's.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Close ends links and server.
func (s *Server) Close() {
	for _, l := range s.links {
		l.close()
	}
	s.stop(s.cmd)
}
