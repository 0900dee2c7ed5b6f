package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"eyrie/appliance/obs"
	"eyrie/bench/child"
)

// Hosts are where load clients wait for a coordinator: see Listen.
type Hosts struct {
	Addrs []string // host:port
	Token []byte
}

const (
	remoteWait   = 10 * time.Second // for each line of the proof
	keepAlive    = 10 * time.Second // between two signs of life, three of which may be missed
	answerMax    = 16 << 20         // bytes of a line from a child
	orderMax     = 1 << 20          // of one to it
	clockRTTMost = 2 * time.Second
)

// StartOn is Start with children on other hosts, clients(cores) of them on each of
// so many cores. Instants that they tell are converted to this host's clock, by an
// offset measured now; latencies are theirs, each measured on one host.
func StartOn(ctx context.Context, h Hosts, clients func(cores int) int, job Job) (*Fleet, error) {
	if job.Ledger != "" {
		return nil, errors.New("a ledger is a file of this host: its load clients cannot be on others")
	}
	f := &Fleet{total: job.To - job.From}
	session := nonce()
	for _, addr := range h.Addrs {
		c, cores, err := dialChild(ctx, addr, h.Token, session)
		if err != nil {
			f.Close()
			return nil, err
		}
		f.children = append(f.children, c)
		for range clients(cores) - 1 {
			if c, _, err = dialChild(ctx, addr, h.Token, session); err != nil {
				f.Close()
				return nil, err
			}
			f.children = append(f.children, c)
		}
	}
	n := len(f.children)
	for i, c := range f.children {
		part := job
		part.From, part.To = child.Part(job.From, f.total, i, n)
		c.from, c.to = part.From, part.To
		if err := c.begin(part); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// dialChild connects to a host, which makes a child of the connection.
func dialChild(ctx context.Context, addr string, token []byte, session string) (c *client, cores int, err error) {
	d := net.Dialer{Timeout: remoteWait, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, 0, fmt.Errorf("load clients on %s: %w", addr, err)
	}
	defer func() {
		if err != nil {
			conn.Close()
			err = fmt.Errorf("load clients on %s: %w", addr, err)
		}
	}()
	r := bufio.NewReader(conn)
	cores, err = claimHost(conn, r, token, session)
	if err != nil {
		return nil, 0, err
	}
	offset, err := clockOffset(conn, r)
	if err != nil {
		return nil, 0, fmt.Errorf("its clock: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, 0, err
	}
	tcp := conn.(*net.TCPConn)
	c = &client{name: "load client on " + addr, offset: offset, in: writeEnd{tcp}, out: r, read: make(chan struct{}), answers: make(chan answer, 64)}
	c.kill = func() { conn.Close() }
	c.wait = func() { <-c.read; conn.Close() }
	return c, cores, nil
}

// writeEnd closes the sending half alone: the child ends, and what it still says
// is read.
type writeEnd struct{ *net.TCPConn }

func (w writeEnd) Close() error { return w.CloseWrite() }

// claimHost proves to a host that we hold the token, and has it prove the same.
func claimHost(conn net.Conn, r *bufio.Reader, token []byte, session string) (cores int, err error) {
	_ = conn.SetDeadline(time.Now().Add(remoteWait))
	var g greeting
	if err := readLine(r, proofLineMax, &g); err != nil || g.Eyrie != remoteName {
		return 0, errors.New("what listens there is no `eyrie bench client`")
	}
	if own := obs.Stamp().Commit; g.Version != remoteVersion || g.Build != "" && own != "" && g.Build != own {
		return 0, fmt.Errorf("it is another eyrie (version %d, build %s; here are %d, %s): both must be the same", g.Version, g.Build, remoteVersion, own)
	}
	c := claim{Nonce: nonce(), Session: session}
	c.Proof = proof(token, "coordinator", g.Nonce, c.Nonce, session)
	if _, err := conn.Write(child.Line(c)); err != nil {
		return 0, err
	}
	var a grant
	if err := readLine(r, proofLineMax, &a); err != nil {
		return 0, errors.New("it does not take the token: the same must be on both sides")
	}
	// Before the proof nobody knows who says it.
	if !proven(a.Proof, proof(token, "host", g.Nonce, c.Nonce, session)) {
		return 0, errors.New("it does not hold the token: the same must be on both sides")
	}
	if a.Error != "" {
		return 0, errors.New(a.Error)
	}
	return max(g.Cores, 1), nil
}

// clockOffset is by how much the host's clock is ahead of ours, from the round
// that took the least time: it is wrong by half of that round at most.
func clockOffset(conn net.Conn, r *bufio.Reader) (offset int64, err error) {
	best := clockRTTMost
	for i := range clockRounds {
		_ = conn.SetDeadline(time.Now().Add(remoteWait))
		at := time.Now()
		if _, err := conn.Write(child.Line(clockAsked{i + 1})); err != nil {
			return 0, err
		}
		var told clockTold
		if err := readLine(r, proofLineMax, &told); err != nil {
			return 0, err
		}
		if took := time.Since(at); took < best {
			best, offset = took, told.Now-at.Add(took/2).UnixNano()
		}
	}
	if best == clockRTTMost {
		return 0, fmt.Errorf("each round took more than %v", clockRTTMost)
	}
	return offset, nil
}

// here converts the instants of a child's answer to this host's clock.
func (c *client) here(r *Result) {
	if r == nil {
		return
	}
	for _, at := range []*int64{&r.FirstSend, &r.LastAck, &r.Welcome, &r.Caught} {
		if *at != 0 {
			*at -= c.offset
		}
	}
}
