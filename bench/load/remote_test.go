//go:build linux

package load

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"eyrie/bench/child"
	"eyrie/bench/workload"
)

// TestMain lets the test binary stand for a load client: one that holds nothing,
// and answers what it is asked.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "echo-client" {
		echoClient(os.Stdin, os.Stdout)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// echoClient acts as a child: its job's links are its events.
func echoClient(in io.Reader, out io.Writer) {
	dec := json.NewDecoder(in)
	var job Job
	if dec.Decode(&job) != nil {
		return
	}
	for {
		var o order
		if dec.Decode(&o) != nil {
			return
		}
		r := &Result{Events: uint64(job.To - job.From), FirstSend: time.Now().UnixNano(), LastAck: time.Now().UnixNano()}
		r.Latency.Add(time.Duration(job.From+1) * time.Millisecond)
		switch o.Do {
		case doOpen:
			out.Write(child.Line(answer{Says: saysOpen}))
		case doLook:
			out.Write(child.Line(answer{Says: saysLooked, Result: r}))
		case doStop:
			out.Write(child.Line(answer{Says: saysStopped, Result: r}))
		case doCut: // here: die
			return
		}
	}
}

var testToken = []byte("a token of the tests, long enough")

// host is one that waits, with load clients that answer only.
type host struct {
	addr string
	said chan string
	stop func()
}

func newHost(t *testing.T, token []byte) *host {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newHostOn(t, l, exe, token)
}

func newHostOn(t *testing.T, l net.Listener, exe string, token []byte) *host {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &host{addr: l.Addr().String(), said: make(chan string, 64)}
	s := &Listener{Spawn: Spawn{Exe: exe, Args: []string{"echo-client"}}, Token: token, Says: func(f string, a ...any) {
		select {
		case h.said <- fmt.Sprintf(f, a...):
		default:
		}
	}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { h.stop() })
	return h
}

// expect waits until the host says something with part in it.
func (h *host) expect(t *testing.T, part string) {
	t.Helper()
	for end := time.After(10 * time.Second); ; {
		select {
		case s := <-h.said:
			if strings.Contains(s, part) {
				return
			}
		case <-end:
			t.Fatalf("the host never said %q", part)
		}
	}
}

func oneEach(int) int { return 1 }

func testJob() Job {
	return Job{Addr: "127.0.0.1:1", Key: "k", To: 10, Shape: workload.Shape{Agents: 10, Connections: 10, Frame: 1}}
}

// failing is a listener whose first look finds no descriptor, and whose connections
// note the deadline that they were given last.
type failing struct {
	net.Listener
	failed   atomic.Bool
	deadline atomic.Int64 // Unix ns
}

type deadlined struct {
	net.Conn
	at *atomic.Int64
}

func (f *failing) Accept() (net.Conn, error) {
	if !f.failed.Swap(true) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return deadlined{c, &f.deadline}, nil
}

func (d deadlined) SetDeadline(t time.Time) error {
	d.at.Store(t.UnixNano())
	return d.Conn.SetDeadline(t)
}

// A host that had no descriptor left for a moment goes on, and a connection that
// was taken waits for its job until its coordinator has connected to all others.
func TestHostIsPatient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: l}
	h := newHostOn(t, f, "/nowhere", testToken)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := dialChild(ctx, h.addr, testToken, nonce())
	if err != nil {
		t.Fatal(err)
	}
	defer c.end()
	for {
		if left := time.Until(time.Unix(0, f.deadline.Load())); left > jobWait/2 {
			break
		} else if ctx.Err() != nil {
			t.Fatalf("it waits for its job for %v", left)
		}
		time.Sleep(time.Millisecond)
	}
}

// Two hosts share a job as children of one do: each has its part, results merge,
// and instants are on this host's clock.
func TestTwoHosts(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, b := newHost(t, testToken), newHost(t, testToken)
	f, err := StartOn(ctx, Hosts{[]string{a.addr, b.addr}, testToken}, func(cores int) int {
		if cores != runtime.NumCPU() {
			t.Errorf("the host tells of %d cores", cores)
		}
		return 2
	}, testJob())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != 4 || len(f.Pids()) != 0 {
		t.Errorf("%d children, %d on this host", f.Size(), len(f.Pids()))
	}
	for _, c := range f.children {
		if c.offset < -int64(100*time.Millisecond) || c.offset > int64(100*time.Millisecond) {
			t.Errorf("the clock of this very host is off by %v", time.Duration(c.offset))
		}
	}
	if err := f.Open(ctx, 10); err != nil {
		t.Fatal(err)
	}
	w, err := f.Window(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if w.Events != 10 || w.Latency.Count() != 4 || w.Latency.Max() != 8*time.Millisecond {
		t.Errorf("%d events, %d latencies up to %v", w.Events, w.Latency.Count(), w.Latency.Max())
	}
	// A clock that is an hour ahead is brought back.
	f.children[3].offset += int64(time.Hour)
	if w, err = f.Window(ctx); err != nil || time.Since(time.Unix(0, w.FirstSend)) < 59*time.Minute {
		t.Errorf("%v: an instant of %v ago", err, time.Since(time.Unix(0, w.FirstSend)))
	}
	if _, err := f.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	f.Close()
	a.expect(t, "done")
	b.expect(t, "done")
}

// Who does not hold the token gets nothing but a refusal, a second later; a host
// that does not hold it is found out; neither is told the proof of the other.
func TestWrongToken(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h := newHost(t, testToken)
	began := time.Now()
	_, err := StartOn(ctx, Hosts{[]string{h.addr}, []byte("another token, as long as it")}, oneEach, testJob())
	if err == nil || !strings.Contains(err.Error(), h.addr) || !strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took < refuseAfter {
		t.Errorf("refused after %v: guessing is quick", took)
	}
	h.expect(t, "refused: it does not hold the token")

	// A host that echoes what it is told, to have us make its proof.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.Write(child.Line(greeting{Eyrie: remoteName, Version: remoteVersion, Cores: 1, Nonce: nonce()}))
		var c claim
		if readLine(bufio.NewReader(conn), proofLineMax, &c) == nil {
			conn.Write(child.Line(grant{Proof: c.Proof}))
		}
	}()
	if _, err = StartOn(ctx, Hosts{[]string{l.Addr().String()}, testToken}, oneEach, testJob()); err == nil || !strings.Contains(err.Error(), "does not hold the token") {
		t.Errorf("a host without the token: %v", err)
	}
}

// Lines have bounds, and what is no eyrie is said.
func TestRemoteNonsense(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h := newHost(t, testToken)
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte(strings.Repeat("x", 8<<10)))
	h.expect(t, "a line of more than 1024 bytes")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.Write([]byte("220 mail.example ESMTP\r\n"))
			conn.Close()
		}
	}()
	if _, err := StartOn(ctx, Hosts{[]string{l.Addr().String()}, testToken}, oneEach, testJob()); err == nil || !strings.Contains(err.Error(), "no `eyrie bench client`") {
		t.Errorf("%v", err)
	}
	job := testJob()
	job.Shape.Events, job.Shape.Recordings = workload.Recorded, []string{"/etc/hostname"}
	f, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, job)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Open(ctx, 10); err == nil || !strings.Contains(err.Error(), "files of this host") {
		t.Errorf("a job that reads files of the host: %v", err)
	}
	job = testJob()
	job.Ledger = "/tmp/x"
	if _, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, job); err == nil {
		t.Error("a ledger on another host was taken")
	}
}

// One coordinator at a time; when it vanishes its children end, and the next one
// is taken.
func TestCoordinatorVanishes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	h := newHost(t, testToken)
	first, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, testJob())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Open(ctx, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, testJob()); err == nil || !strings.Contains(err.Error(), "another coordinator") {
		t.Errorf("a second coordinator: %v", err)
	}
	before := children(t)
	if len(before) == 0 {
		t.Fatal("there is no child")
	}
	first.children[0].kill() // the connection, at once
	h.expect(t, "done")
	for _, pid := range children(t) {
		if slices.Contains(before, pid) {
			t.Errorf("process %s lives on", pid)
		}
	}
	next, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, testJob())
	if err != nil {
		t.Fatalf("the next coordinator: %v", err)
	}
	next.Close()
	first.Close()
}

// children are the processes that this one has begun.
func children(t *testing.T) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		b, _ := os.ReadFile(f)
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}

// A client that ends by itself, or a host that goes away, is an error that names
// the host.
func TestClientVanishes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for name, vanish := range map[string]func(*host, *Fleet) error{
		"client": func(_ *host, f *Fleet) error { return f.Cut() },
		"host":   func(h *host, _ *Fleet) error { h.stop(); h.stop = func() {}; return nil },
	} {
		h := newHost(t, testToken)
		f, err := StartOn(ctx, Hosts{[]string{h.addr}, testToken}, oneEach, testJob())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Open(ctx, 10); err != nil {
			t.Fatal(err)
		}
		if err := vanish(h, f); err != nil {
			t.Fatal(err)
		}
		if _, err = f.Stop(ctx); err == nil || !strings.Contains(err.Error(), h.addr) {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
}

func TestReadToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("  sixteen bytes or more \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := ReadToken(path, ""); err != nil || string(b) != "sixteen bytes or more" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := ReadToken("", "sixteen bytes or more"); err != nil || len(b) != 21 {
		t.Errorf("of the environment: %q, %v", b, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, read := range map[string]func() ([]byte, error){
		"chmod 600":         func() ([]byte, error) { return ReadToken(path, "") },
		"a token is needed": func() ([]byte, error) { return ReadToken("", " ") },
		"too short":         func() ([]byte, error) { return ReadToken("", "secret") },
		"no such file":      func() ([]byte, error) { return ReadToken(path+"x", "") },
	} {
		if _, err := read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// The offset is that of a clock that is set wrong, however long the way is.
func TestClockOffset(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	const ahead = 90 * time.Second
	var asked atomic.Int32
	go func() {
		r := bufio.NewReader(b)
		for {
			var c clockAsked
			if readLine(r, proofLineMax, &c) != nil {
				return
			}
			if asked.Add(1)%2 == 0 {
				time.Sleep(30 * time.Millisecond) // a slow round is not the one that counts
			}
			b.Write(child.Line(clockTold{time.Now().Add(ahead).UnixNano()}))
		}
	}()
	got, err := clockOffset(a, bufio.NewReader(a))
	if d := time.Duration(got) - ahead; err != nil || d < -5*time.Millisecond || d > 5*time.Millisecond {
		t.Errorf("off by %v, %v", d, err)
	}
	if asked.Load() != clockRounds {
		t.Errorf("%d rounds", asked.Load())
	}
}
