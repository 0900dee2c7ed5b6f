package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"eyrie/appliance/obs"
	"eyrie/bench/child"
)

// Listener has a host's load clients wait for a coordinator. Only who holds the
// token is listened to, one coordinator at a time; each of its connections becomes
// a child, which ends with it.
type Listener struct {
	Spawn Spawn
	Token []byte
	Says  func(format string, args ...any) // tells a person what happens; may be nil

	mu      sync.Mutex
	session string // of the coordinator, "" while there is none
	held    int    // its connections
	refused sync.Mutex
}

const (
	refuseAfter = time.Second // at most so often is a wrong token answered
	claimsMax   = 16          // proofs under way at once; more are closed
	childrenMax = 256         // of one coordinator
	// jobWait is how long a connection that was taken waits for its job: its
	// coordinator connects to all the others first, of this host and the rest.
	jobWait     = 5 * time.Minute
	acceptAgain = 100 * time.Millisecond // after an error that passes, as descriptors that are all taken
)

// Serve takes coordinators on l until ctx ends. It closes l.
func (s *Listener) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	claims := make(chan struct{}, claimsMax)
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // what runs goes on
			s.say("%v", err)
			select {
			case <-time.After(acceptAgain):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case claims <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		all.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			r := bufio.NewReader(conn)
			err := s.claimed(conn, r)
			<-claims
			if err != nil {
				s.say("%s: %v", conn.RemoteAddr(), err)
				return
			}
			err = s.child(ctx, conn, r)
			s.leave() // before it is said: whoever reads it may come
			switch {
			case err == nil:
				s.say("%s: done", conn.RemoteAddr())
			case ctx.Err() == nil:
				s.say("%s: %v", conn.RemoteAddr(), err)
			}
		})
	}
}

func (s *Listener) say(format string, args ...any) {
	if s.Says != nil {
		s.Says(format, args...)
	}
}

// claimed has both sides prove that they hold the token, and takes the connection
// into its coordinator's session.
func (s *Listener) claimed(conn net.Conn, r *bufio.Reader) error {
	_ = conn.SetDeadline(time.Now().Add(remoteWait))
	g := greeting{Eyrie: remoteName, Version: remoteVersion, Build: obs.Stamp().Commit, Cores: runtime.NumCPU(), Nonce: nonce()}
	if _, err := conn.Write(child.Line(g)); err != nil {
		return err
	}
	var c claim
	if err := readLine(r, proofLineMax, &c); err != nil {
		return fmt.Errorf("no coordinator: %w", err)
	}
	if len(c.Nonce) != 2*nonceBytes || len(c.Session) != 2*nonceBytes || !proven(c.Proof, proof(s.Token, "coordinator", g.Nonce, c.Nonce, c.Session)) {
		// One at a time, so that guessing on many connections is no quicker.
		s.refused.Lock()
		time.Sleep(refuseAfter)
		s.refused.Unlock()
		return errors.New("refused: it does not hold the token")
	}
	a := grant{Proof: proof(s.Token, "host", g.Nonce, c.Nonce, c.Session)}
	if a.Error = s.join(c.Session); a.Error != "" {
		_, _ = conn.Write(child.Line(a))
		return errors.New("refused: " + a.Error)
	}
	if _, err := conn.Write(child.Line(a)); err != nil {
		s.leave()
		return err
	}
	return nil
}

// join takes a connection into a session, or says why not.
func (s *Listener) join(session string) (why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.held > 0 && s.session != session:
		return "it works for another coordinator"
	case s.held == childrenMax:
		return fmt.Sprintf("%d load clients are as many as a host has", childrenMax)
	}
	s.session = session
	s.held++
	return ""
}

func (s *Listener) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

// child tells the clock, and then stands between the connection and a child until
// either ends.
func (s *Listener) child(ctx context.Context, conn net.Conn, r *bufio.Reader) error {
	for range clockRounds {
		_ = conn.SetDeadline(time.Now().Add(remoteWait))
		var asked clockAsked
		if err := readLine(r, proofLineMax, &asked); err != nil {
			return err
		}
		if _, err := conn.Write(child.Line(clockTold{time.Now().UnixNano()})); err != nil {
			return err
		}
	}
	_ = conn.SetDeadline(time.Now().Add(jobWait))
	first, err := boundedLine(r, orderMax)
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(first, &job); err != nil {
		return fmt.Errorf("its job: %w", err)
	}
	if job.Ledger != "" || len(job.Shape.Recordings) > 0 {
		_, _ = conn.Write(child.Line(answer{Says: saysFailed, Error: "files of this host are not for coordinators: no ledger, and no recordings but those that come with eyrie"}))
		return errors.New("refused: its job names files of this host")
	}
	_ = conn.SetDeadline(time.Time{})
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3})
	}
	c, err := spawnChild(ctx, s.Spawn)
	if err != nil {
		_, _ = conn.Write(child.Line(answer{Says: saysFailed, Error: err.Error()}))
		return err
	}
	s.say("%s: %d links to %s", conn.RemoteAddr(), job.To-job.From, job.Addr)
	go func() {
		defer c.in.Close() // the child ends
		for b := first; ; {
			if _, err := c.in.Write(b); err != nil {
				return
			}
			var err error
			if b, err = boundedLine(r, orderMax); err != nil {
				return
			}
		}
	}()
	// What the child says ends with it, and it with the connection.
	_, err = io.Copy(conn, c.out)
	c.end()
	if err != nil {
		return fmt.Errorf("done: %w", err)
	}
	return nil
}
