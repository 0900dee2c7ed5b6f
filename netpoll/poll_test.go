//go:build linux

package netpoll

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hooks is a Handler made of functions; nil ones do nothing, and a nil read
// echoes.
type hooks struct {
	l       *Loop
	open    func(h Handle, tag int, from netip.AddrPort)
	read    func(h Handle, b []byte) int
	drained func(h Handle)
	timeout func(h Handle)
	closed  func(h Handle, err error)
	wake    func()
}

func (k *hooks) Open(h Handle, tag int, from netip.AddrPort) {
	if k.open != nil {
		k.open(h, tag, from)
	}
}

func (k *hooks) Read(h Handle, b []byte) int {
	if k.read != nil {
		return k.read(h, b)
	}
	if err := k.l.Write(h, b); err != nil {
		k.l.Abort(h)
	}
	return len(b)
}

func (k *hooks) Drained(h Handle) {
	if k.drained != nil {
		k.drained(h)
	}
}

func (k *hooks) Timeout(h Handle) {
	if k.timeout != nil {
		k.timeout(h)
	}
}

func (k *hooks) Close(h Handle, err error) {
	if k.closed != nil {
		k.closed(h, err)
	}
}

func (k *hooks) Wake() {
	if k.wake != nil {
		k.wake()
	}
}

// serve runs a poll until the test ends, which fails if connections are left
// that do not go when told.
func serve(t testing.TB, cfg Config, set func(k *hooks)) (*Poll, string) {
	t.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	if cfg.Linger == 0 {
		cfg.Linger = 500 * time.Millisecond
	}
	everyTestOnTables(t, &cfg)
	p, err := New(cfg, func(l *Loop) Handler {
		k := &hooks{l: l}
		if set != nil {
			set(k)
		}
		return k
	})
	if err != nil {
		t.Fatal(err)
	}
	at, err := p.Listen("127.0.0.1:0", 7)
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil && err != ErrShutdown {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return p, at.String()
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// rawDial is a blocking socket without anything of Go's around it.
func rawDial(t testing.TB, addr string) int {
	t.Helper()
	fd := rawSocket(t)
	if err := rawConnect(fd, addr); err != nil {
		t.Fatal(err)
	}
	return fd
}

func rawSocket(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		t.Fatal(err)
	}
	return fd
}

func rawConnect(fd int, addr string) error {
	ap := netip.MustParseAddrPort(addr)
	return unix.Connect(fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()})
}

// await waits for a condition that another goroutine brings about.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// take receives or fails.
func take[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// on runs fn on the loop's thread and waits for it.
func on(t testing.TB, l *Loop, fn func()) {
	t.Helper()
	var done sync.WaitGroup
	done.Add(1)
	if !l.post(func(*Loop) { fn(); l.flushBatch(); done.Done() }) {
		t.Fatal("the loop has ended")
	}
	done.Wait()
}

func openFDs(t testing.TB) int {
	t.Helper()
	d, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range d {
		if _, err := os.Lstat(f); err == nil {
			n++
		}
	}
	return n
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for name, cfg := range map[string]Config{
		"loops":  {Loops: 257},
		"buffer": {ReadBuffer: 1},
		"write":  {WriteMax: -1},
		"tick":   {Tick: time.Microsecond},
		"linger": {Linger: -1},
	} {
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestListenerTagAndRemote(t *testing.T) {
	type seen struct {
		tag  int
		from netip.AddrPort
	}
	opened := make(chan seen, 2)
	p, addr := serve(t, Config{Loops: 2}, func(k *hooks) {
		k.open = func(_ Handle, tag int, from netip.AddrPort) { opened <- seen{tag, from} }
	})
	c := dial(t, addr)
	if got := take(t, "Open", opened); got.tag != 7 || got.from.String() != c.LocalAddr().String() {
		t.Fatalf("opened %+v, want tag 7 from %s", got, c.LocalAddr())
	}
	late, err := p.Listen("localhost:0", 9)
	if err != nil {
		t.Fatal(err)
	}
	dial(t, late.String())
	if got := take(t, "Open", opened); got.tag != 9 {
		t.Fatalf("tag %d, want 9", got.tag)
	}
}

func TestListenSaysThatAPortIsTaken(t *testing.T) {
	_, addr := serve(t, Config{Loops: 2}, nil)
	for _, loops := range []int{1, 2} {
		p, err := New(Config{Loops: loops}, func(l *Loop) Handler { return &hooks{l: l} })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Listen(addr, 0); err == nil {
			t.Errorf("%d loops: took a port that is in use", loops)
		}
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestAllLoopsAccept(t *testing.T) {
	opened := make(chan int, 64)
	_, addr := serve(t, Config{Loops: 2}, func(k *hooks) {
		k.open = func(h Handle, _ int, _ netip.AddrPort) { opened <- h.Loop() }
	})
	seen := map[int]bool{}
	for range 64 {
		dial(t, addr)
		seen[take(t, "Open", opened)] = true
	}
	if len(seen) != 2 {
		t.Fatalf("64 connections went to loops %v, want both", seen)
	}
}

func TestStopAccepting(t *testing.T) {
	p, addr := serve(t, Config{Loops: 2}, nil)
	c := dial(t, addr)
	p.StopAccepting()
	if c2, err := net.Dial("tcp", addr); err == nil {
		c2.Close()
		t.Error("connected after StopAccepting")
	}
	echoOnce(t, c, []byte("still here"))
}

func TestShutdownAbortsWhoDoesNotGo(t *testing.T) {
	closed := make(chan error, 1)
	p, addr := serve(t, Config{Linger: time.Hour}, func(k *hooks) {
		k.closed = func(_ Handle, err error) { closed <- err }
	})
	c := dial(t, addr)
	echoOnce(t, c, []byte("x"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := p.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Fatalf("Shutdown: %v", err)
	}
	if err := take(t, "Close", closed); err != ErrAborted {
		t.Fatalf("Close(%v), want ErrAborted", err)
	}
	p.Loops()[0].Wake() // must not touch a descriptor that is closed
	if _, err := p.Listen("127.0.0.1:0", 0); err != ErrShutdown {
		t.Fatalf("Listen: %v", err)
	}
}
